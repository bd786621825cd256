"""This user's secret, by which turns are known as his own: a project may have come from anywhere, his home has not."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from ccw_magics.errors import CcwError

KEY_BYTES: Final = 32
"""As long as the digests of SHA-256: what RFC 2104 advises for a key."""
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class UserKey:
    """`~/.ccw/turns.key`. Looked up with each use: the file, and the home directory, are the user's to change."""

    def found(self) -> bytes | None:
        """The key; None where there is none, and so nothing that it sealed.

        Raises:
            CcwError: What lies there is no key of this user's alone, or cannot be read.
        """
        path = _path()
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from None

    def made(self) -> bytes:
        """The key, made where there is none; of several who make it at once, all get the same.

        Raises:
            CcwError: It cannot be made, or is there and cannot be used.
        """
        key = self.found()
        if key is not None:
            return key
        path = _path()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from None
        key = self.found()
        if key is None:
            raise _unusable(path, "it was removed while it was made")
        return key


def _path() -> Path:
    try:
        return Path.home() / ".ccw" / "turns.key"
    except RuntimeError as error:
        raise CcwError(f"there is no place for the key of your conversations: {error}") from None


def _read(path: Path) -> bytes:
    if path.is_symlink():  # where no flag keeps links from being followed
        raise _refused(path, "it is a link")
    descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, "it is no ordinary file")
        if sys.platform != "win32":
            _require_own(path, status)
        key = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(key) != KEY_BYTES:
        raise _refused(path, f"it does not hold {KEY_BYTES} bytes")
    return key


def _require_own(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise _unusable(path, "it belongs to another user")
    if status.st_mode & 0o077:
        raise _refused(path, "others may read or write it")


def _make(path: Path) -> None:
    """Give the file its name once it is whole and on disk, unless another process came first."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    key = os.urandom(KEY_BYTES)
    try:
        _write(partial, key)
        with suppress(FileExistsError):
            _link(partial, path, key)
    finally:
        partial.unlink(missing_ok=True)


def _link(partial: Path, path: Path, key: bytes) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links; who reads in between is told to ask again
        _write(path, key)


def _write(path: Path, key: bytes) -> None:
    with os.fdopen(os.open(path, _MAKE, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())


def _unusable(path: Path, why: str) -> CcwError:
    return CcwError(f"the key of your conversations, {path}, cannot be used: {why}")


def _refused(path: Path, why: str) -> CcwError:
    hint = f"Remove {path}: the next turn makes a new one. Conversations until now cannot be gone on with then."
    return CcwError(_unusable(path, why).message, hint=hint)

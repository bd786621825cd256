"""Files that outlast a power cut: replaced whole, with the folder that they stand in. Call all of it under a lock."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
from pathlib import Path
from typing import Final

from ccw_magics.errors import ConfigError, ConfigUnsure, ConfigUnwritable

PRIVATE: Final = 0o600
"""Mode of a file that may hold keys."""

_NOT_FOR_FOLDERS = frozenset(
    {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM}
)


def cause(error: OSError | NotImplementedError) -> str:
    """Say what went wrong, without the path, which the message has already."""
    if isinstance(error, NotImplementedError):
        return "this file system has no locks"
    return error.strerror or type(error).__name__


def make_folder(folder: Path) -> None:
    """Make a folder and those above it so that they outlast a power cut, as the file in it will.

    Raises:
        OSError: One of them cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def replace(path: Path, content: bytes, *, mode: int = PRIVATE, lock_of: Path | None = None) -> None:
    """Replace a file, so that at any moment, also after a power cut, it is the old or the new one.

    What a killed process left behind is removed first.

    Args:
        path: The file.
        content: What it is to hold.
        mode: Its mode, under the process's umask.
        lock_of: The file whose lock is held, where it is another one: what is left behind is known by its name.

    Raises:
        ConfigUnwritable: The folder cannot be written.
        ConfigUnsure: The file was replaced, and whether that outlasts a power cut is not known.
    """
    what = "cannot be written"
    kind: type[ConfigError] = ConfigUnwritable
    try:
        name = (lock_of or path).name
        _remove_leftovers(path.parent, name)
        _replace(path, content, mode, path.with_name(f".{name}.{secrets.token_hex(8)}.tmp"))
        what, kind = "was written, and may be the old one again after a power cut", ConfigUnsure
        _sync_folder(path.parent)
    except OSError as error:
        problem = cause(error)
    else:
        return
    raise kind(f"{path} {what}: {problem}")


def write_if_absent(path: Path, content: bytes, lock_of: Path, *, mode: int = PRIVATE) -> None:
    """Write a file whole where there is none; for the arguments see `replace`.

    Raises:
        ConfigError: The folder cannot be written.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {cause(error)}") from None
    else:
        return
    replace(path, content, mode=mode, lock_of=lock_of)


def _remove_leftovers(folder: Path, name: str) -> None:
    for leftover in folder.glob(f".{glob.escape(name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _replace(path: Path, content: bytes, mode: int, new: Path) -> None:
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the next change removes it
            new.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make what was done to a folder's entries last through a power cut, where the system can (Windows cannot)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:  # some network file systems refuse; the file is whole all the same
            raise

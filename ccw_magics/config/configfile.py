"""The config file's bytes: read, understood, replaced whole, under a lock. What is in it is `store`'s business.

No error raised here is chained to its cause: a JSON error holds the whole file, a validation error every value.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from ccw_magics.config.models import Config
from ccw_magics.errors import ConfigError

LOCK_TIMEOUT_S = 10.0
"""Seconds to wait for another process's write, which takes milliseconds: longer means that it hangs."""

_LOCK_POLL_S = 0.01

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Signature:
    """What tells one state of a file from the next, at the cost of one `stat`.

    Attributes:
        modified_ns: Time of the last change, nanoseconds since the epoch.
        size_bytes: Length.
        inode: Each replacement brings another one.
    """

    modified_ns: int
    size_bytes: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """Take it from what `os.stat` said."""
        return cls(status.st_mtime_ns, status.st_size, status.st_ino)


def signature(path: Path) -> Signature | None:
    """Return a file's signature, or None where there is no file.

    Raises:
        ConfigError: It cannot be looked at, or is not a regular file (reading a FIFO would never end).
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = error.strerror
    else:
        if stat.S_ISREG(status.st_mode):
            return Signature.of(status)
        problem = "it is a directory" if stat.S_ISDIR(status.st_mode) else "it is not a regular file"
    raise ConfigError(f"{path} cannot be read: {problem}")


def read(path: Path) -> tuple[bytes, Signature] | None:
    """Return a file's content with the signature it had before, or None where there is no file.

    Raises:
        ConfigError: The file cannot be read.
    """
    if signature(path) is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(), Signature.of(os.fstat(file.fileno()))
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = error.strerror
    raise ConfigError(f"{path} cannot be read: {problem}")


def parse(content: bytes, path: Path) -> dict[str, Any]:
    """Return the file's JSON object.

    Raises:
        ConfigError: With file, line and column; without any of the content.
    """
    where = str(path)
    try:
        data = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text (byte {error.start})"
    except json.JSONDecodeError as error:
        where, problem = f"{path}:{error.lineno}:{error.colno}", f"not valid JSON: {error.msg}"
    except RecursionError:
        problem = "not a config: nested too deeply"
    except ValueError:  # NaN, Infinity, or an integer of thousands of digits
        problem = "not valid JSON: a number that JSON does not have, or a far too long one"
    else:
        if isinstance(data, dict):
            return data
        problem = "not a config: expected an object ({...}) at the top"
    raise ConfigError(f"{where}: {problem}", hint="The file was left as it is. Correct it, or move it away.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def shape(data: dict[str, Any], path: Path) -> Config:
    """Return the config that a JSON object means.

    Raises:
        ConfigError: With file, place and what was expected; without any of the values.
    """
    return validate(Config, data, f"{path}: ", hint="The file was left as it is. Correct it, or move it away.")


def validate(model: type[ModelT], data: object, prefix: str = "", *, hint: str | None = None) -> ModelT:
    """Return the model that some data means.

    Args:
        model: The pydantic model.
        data: A mapping, or an instance of the model.
        prefix: What the message starts with.
        hint: The error's hint.

    Raises:
        ConfigError: With the place and what was expected; without any of the values.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problem = _describe(error)
    except RecursionError:
        problem = "nested too deeply"
    raise ConfigError(f"{prefix}{problem}", hint=hint)


def _describe(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    # Pydantic's messages name what was expected; only their form of address is ours.
    problem = first["msg"].replace("Input should be", "should be").removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {problem}{more}" if place else f"{problem}{more}"


def encode(data: dict[str, Any]) -> bytes:
    """Return a config as JSON in UTF-8, two spaces a level.

    Raises:
        ConfigError: An unknown key's value, which no model has checked, is not what JSON can hold.
    """
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError):
        raise ConfigError("the config would hold a value that JSON does not have") from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and UTF-8 cannot
        return (json.dumps(data, indent=2) + "\n").encode()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside a file, across processes and threads, from before it is read until it is replaced.

    Raises:
        ConfigError: Another process holds it for `LOCK_TIMEOUT_S`, or it cannot be taken here.
    """
    from filelock import FileLock, Timeout  # brings asyncio along; reading needs neither

    lock = FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S, poll_interval=_LOCK_POLL_S, mode=0o600)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        problem = f"another process has been writing it for {LOCK_TIMEOUT_S:.0f} seconds"
    except (OSError, NotImplementedError) as error:
        problem = str(getattr(error, "strerror", None) or "this file system has no locks")
    else:
        try:
            yield
        finally:
            lock.release()
        return
    raise ConfigError(f"{path} cannot be written: {problem}")


def replace(path: Path, content: bytes) -> None:
    """Replace a file, so that at any moment, also after a crash, it is the old or the new one, readable by its owner.

    Call it under `locked`: what a killed process left behind is removed first.

    Raises:
        ConfigError: The folder cannot be written.
    """
    try:
        _remove_leftovers(path)
        _replace(path, content)
    except OSError as error:
        problem = error.strerror
    else:
        return
    raise ConfigError(f"{path} cannot be written: {problem}")


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    # mkstemp creates with mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system can (Windows cannot)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # some network file systems refuse; the file is whole all the same
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

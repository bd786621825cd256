"""The config file: locked, read, understood. What is in it is `store`'s business, its replacement `durable`'s.

No error raised here is chained to its cause: a JSON error holds the whole file, a validation error every value.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from ccw_magics.config import migration
from ccw_magics.config.durable import PRIVATE, cause, make_folder
from ccw_magics.config.models import STORED, Config
from ccw_magics.config.sealed import Sealed, SealedBytes
from ccw_magics.errors import ConfigError, ConfigUnwritable

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_TIMEOUT_S = 10.0
"""Seconds to wait for another process's write, which takes milliseconds: longer means that it hangs."""

_LOCK_POLL_S = 0.01
_LEFT_ALONE = "The file was left as it is. Correct it, or move it away."
_LONGEST_NAME_SHOWN = 40  # a longer one may be a key that was pasted in its place

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
        status = _status(path)
    except OSError as error:
        problem = cause(error)
    else:
        if status is None:
            return None
        if stat.S_ISREG(status.st_mode):
            return Signature.of(status)
        problem = "it is a directory" if stat.S_ISDIR(status.st_mode) else "it is not a regular file"
    raise ConfigError(f"{path} cannot be read: {problem}")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        # A link whose file is away for now is not "no config": a new one would be written in the link's place.
        if path.is_symlink():
            raise OSError(errno.ENOENT, "it is a link to a file that is not there") from None
        return None


def read(path: Path) -> tuple[bytes, Signature] | None:
    """Return a file's content with the signature it had before, or None where there is no file.

    Raises:
        ConfigError: The file cannot be read.
    """
    if signature(path) is None:
        return None
    try:
        with path.open("rb") as file:
            return SealedBytes(file.read()), Signature.of(os.fstat(file.fileno()))
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = cause(error)
    raise ConfigError(f"{path} cannot be read: {problem}")


def parse(content: bytes, path: Path) -> dict[str, Any]:
    """Return the file's JSON object.

    Raises:
        ConfigError: With file, line and column; without any of the content.
    """
    where = str(path)
    try:
        data = json.loads(
            content.decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_repeats,
        )
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text (byte {error.start})"
    except json.JSONDecodeError as error:
        where, problem = f"{path}:{error.lineno}:{error.colno}", f"not valid JSON: {error.msg}"
    except RecursionError:
        problem = "not a config: nested too deeply"
    except _RepeatedError as error:
        problem = f"not a config: {error}"
    except ValueError:  # NaN, Infinity, 1e999, or an integer of thousands of digits
        problem = "not valid JSON: a number that JSON does not have, or a far too long one"
    else:
        if isinstance(data, dict):
            return Sealed(data)
        problem = "not a config: expected an object ({...}) at the top"
    raise ConfigError(f"{where}: {problem}", hint=_LEFT_ALONE)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    """1e999 would become infinity, which cannot be written again."""
    number = float(text)
    return number if number - number == 0 else _refuse_constant(text)


class _RepeatedError(ValueError):
    """A name stands twice in one object: one of the two would be lost with the next change."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    repeated = next(name for name in found if names.count(name) > 1)
    shown = f" ({repeated})" if repeated.isidentifier() and len(repeated) <= _LONGEST_NAME_SHOWN else ""
    raise _RepeatedError(f"the same name{shown} stands twice in one object")


def shape(data: dict[str, Any], path: Path) -> Config:
    """Return the config that a JSON object means, in the present shape or a later one.

    Raises:
        ConfigError: With file, place and what was expected; without any of the values.
    """
    if migration.version_of(data) is None:
        raise ConfigError(f"{path}: version: should be a whole number", hint=_LEFT_ALONE)
    if migration.is_newer(data):
        return validate(Config, data, f"{path}: {_newer(data)}: ", hint=_UPDATE, is_stored=True)
    return validate(Config, data, f"{path}: ", hint=_LEFT_ALONE, is_stored=True)


def require_writable(data: dict[str, Any], path: Path) -> None:
    """Refuse to change a file of a later version: what it means, and what a change would break, is not known here.

    Raises:
        ConfigError: With the file, its version and the one that is known.
    """
    if migration.is_newer(data):
        raise ConfigError(f"{path} can be read and not changed: {_newer(data)}", hint=_UPDATE)


_UPDATE = "Update ccw_magics (pip install --upgrade ccw_magics). The file was left as it is."


def _newer(data: dict[str, Any]) -> str:
    return f"its version is {migration.version_of(data)}, and this ccw_magics knows {migration.VERSION}"


def validate(
    model: type[ModelT], data: object, prefix: str = "", *, hint: str | None = None, is_stored: bool = False
) -> ModelT:
    """Return the model that some data means.

    Args:
        model: The pydantic model.
        data: A mapping, or an instance of the model.
        prefix: What the message starts with.
        hint: The error's hint.
        is_stored: Whether it stands in a file already, where an id may be what a new one may not.

    Raises:
        ConfigError: With the place and what was expected; without any of the values.
    """
    try:
        return model.model_validate(data, context={STORED: is_stored})
    except ValidationError as error:
        problem = _describe(error)
    except RecursionError:
        problem = "nested too deeply"
    raise ConfigError(f"{prefix}{problem}", hint=hint)


def _describe(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in first["loc"])
    place = place.removeprefix(".")
    problem = in_words(first["msg"])
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {problem}{more}" if place else f"{problem}{more}"


def in_words(message: str) -> str:
    """A message of pydantic's, which names what was expected, without its form of address."""
    return message.replace("Input should be", "should be").removeprefix("Value error, ")


def _shown(name: str) -> str:
    """A header's name, or an unknown one, which may be anything."""
    plain = name if name.isprintable() else ascii(name)[1:-1]
    return plain if len(plain) <= _LONGEST_NAME_SHOWN else f"{plain[:3]}…"


def encode(data: dict[str, Any], path: Path | None = None) -> bytes:
    """Return a config as JSON in UTF-8, two spaces a level, as CCW writes it.

    Args:
        data: The file's object.
        path: The file, for the message.

    Raises:
        ConfigError: An unknown key's value, which no model has checked, is not what JSON can hold.
    """
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError):
        what = f"{path or 'the config'} would hold a value that JSON does not have, or is nested too deeply"
        raise ConfigError(what, hint="Nothing was written.") from None
    try:
        return SealedBytes(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and UTF-8 cannot
        return SealedBytes((json.dumps(data, indent=2) + "\n").encode())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside a file, across processes and threads, from before it is read until it is replaced.

    Raises:
        ConfigError: Another process holds it for `LOCK_TIMEOUT_S`, or it cannot be taken here.
    """
    from filelock import FileLock  # brings asyncio along; reading needs it not

    lock = FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S, poll_interval=_LOCK_POLL_S, mode=PRIVATE)
    try:
        _take(lock, path)
        yield
    finally:
        lock.release()  # nothing, where it was not taken


def _take(lock: BaseFileLock, path: Path) -> None:
    from filelock import Timeout

    try:
        make_folder(path.parent)
        lock.acquire()
    except Timeout:
        problem = f"another process has been writing it for {LOCK_TIMEOUT_S:.0f} seconds"
    except (OSError, NotImplementedError) as error:
        problem = cause(error)
    else:
        return
    raise ConfigUnwritable(f"{path} cannot be written: {problem}")

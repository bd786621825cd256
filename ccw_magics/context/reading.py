"""Reading a found file: never waiting, never torn, always valid UTF-8."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ccw_magics.context.found import FoundFile, Skipped
from ccw_magics.context.stamps import signature_of

BINARY_PROBE_BYTES = 8192
"""A NUL in this many first bytes makes a file binary, about as git tells (it looks at 8,000)."""

BINARY = "binary"
NOT_REGULAR = "not a regular file"

_ATTEMPTS = 5
# Windows has neither of the first two, only Windows the last.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class ReadResult(NamedTuple):
    """A file's text.

    Attributes:
        data: Valid UTF-8.
        replaced: Whether bytes that were not UTF-8 were replaced by U+FFFD.
    """

    data: bytes
    replaced: bool


def read_text(file: FoundFile) -> ReadResult | Skipped:
    """Read a file, or say why not: binary, gone, not permitted, no longer a regular file, or never at rest.

    Args:
        file: A file that `find_files` gave.
    """
    try:
        data = _read_at_rest(file)
    except OSError as error:
        return Skipped(file.path, _unreadable(error))
    if isinstance(data, str):
        return Skipped(file.path, data)
    if data.find(b"\0", 0, BINARY_PROBE_BYTES) >= 0:
        return Skipped(file.path, BINARY)
    return _as_utf8(data)


def why_not_text(file: FoundFile) -> str:
    """Why a file would not be read as text, as far as its beginning tells; empty where it would.

    Args:
        file: A file that `find_files` gave.
    """
    try:
        descriptor = os.open(file.location, _FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return NOT_REGULAR
            return BINARY if b"\0" in os.read(descriptor, BINARY_PROBE_BYTES) else ""
        finally:
            os.close(descriptor)
    except OSError as error:
        return _unreadable(error)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _as_utf8(data: bytes) -> ReadResult:
    if data.isascii():
        return ReadResult(data, replaced=False)
    try:
        data.decode()
    except UnicodeDecodeError:
        return ReadResult(data.decode(errors="replace").encode(), replaced=True)
    return ReadResult(data, replaced=False)


def _read_at_rest(file: FoundFile) -> bytes | str:
    """The content between two equal stats, or why there is none: it may be being saved at this moment."""
    before = file.signature
    for _ in range(_ATTEMPTS):
        # A FIFO opened without O_NONBLOCK waits for its writer; a name can become one after it was listed.
        descriptor = os.open(file.location, _FLAGS)
        try:
            data = _read_all(descriptor, before[1])
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return NOT_REGULAR
        after = signature_of(status)
        if after == before:
            return data
        before = after
    return "changes while it is read"


def _read_all(descriptor: int, size_bytes: int) -> bytes:
    data = os.read(descriptor, size_bytes + 1)
    if len(data) == size_bytes:
        return data
    parts = [data]
    while data:
        data = os.read(descriptor, 1 << 20)
        parts.append(data)
    return b"".join(parts)

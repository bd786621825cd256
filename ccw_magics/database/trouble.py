"""What sqlite's errors mean for whoever uses a file."""

from __future__ import annotations

import sqlite3
from typing import Final

_PLACE_CODES: Final = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)
_DAMAGE_CODES: Final = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,  # a table of ours is not there, or not ours
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_NOTADB,
)
_SHARED_MEMORY_CODES: Final = (
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_CANTOPEN,  # also said of a WAL file where there is no shared memory at all
    sqlite3.SQLITE_PROTOCOL,
)


def is_busy(error: Exception) -> bool:
    """Whether another process was in the way for too long."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_out_of_order(error: Exception) -> bool:
    """Whether the place cannot be used, rather than the file be damaged."""
    return isinstance(error, OSError) or _code(error) in _PLACE_CODES


def is_damage(error: Exception) -> bool:
    """Whether the file is not, or no longer, what was written to it."""
    # What sqlite quotes of a damaged schema in its message need not be text.
    return isinstance(error, UnicodeDecodeError) or _code(error) in _DAMAGE_CODES


def lacks_shared_memory(error: Exception) -> bool:
    """Whether WAL is what failed."""
    code = getattr(error, "sqlite_errorcode", None)
    return code in _SHARED_MEMORY_CODES


def _code(error: Exception) -> int | None:
    """The primary result code, as sqlite calls it."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF

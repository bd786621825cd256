"""The journal's tables, and a call as their rows."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from ccw_magics.journal.call import Call, Entry

OPENING_CHARS: Final = 60
"""How much of a prompt a list of calls shows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_VERSION: Final = (
    # AUTOINCREMENT: the id of a call that was pruned never comes to mean another one.
    # `at` is in microseconds since 1970, in UTC.
    """
    CREATE TABLE call (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, endpoint TEXT NOT NULL, provider TEXT NOT NULL,
        model TEXT NOT NULL, mode TEXT NOT NULL, prompt_hash TEXT NOT NULL, pack_hash TEXT NOT NULL,
        files TEXT NOT NULL, input_tokens INTEGER, cached_tokens INTEGER, written_tokens INTEGER, output_tokens INTEGER,
        cost_usd REAL, uncached_cost_usd REAL, duration_s REAL NOT NULL, first_token_s REAL, retries INTEGER NOT NULL,
        fallback_from TEXT NOT NULL, key TEXT NOT NULL, outcome TEXT NOT NULL, error TEXT NOT NULL,
        opening TEXT NOT NULL
    )
    """,
    "CREATE INDEX call_at ON call (at)",
    "CREATE TABLE call_text (call_id INTEGER PRIMARY KEY, prompt TEXT, answer TEXT)",
    """
    CREATE TRIGGER call_is_final BEFORE UPDATE ON call
    BEGIN SELECT RAISE(ABORT, 'a recorded call is never changed'); END
    """,
    """
    CREATE TRIGGER call_text_is_final BEFORE UPDATE ON call_text
    BEGIN SELECT RAISE(ABORT, 'a recorded call is never changed'); END
    """,
)
VERSIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST_VERSION,)
"""The file's schema, a version after the other: what comes later is added below, and nothing above is changed."""

_TEXTS: Final = ("prompt", "answer")
COLUMNS: Final = tuple(field.name for field in fields(Call) if field.name not in _TEXTS)
_VALUES: Final = ", ".join(
    # A text goes in as bytes, since sqlite3 refuses the half surrogates that a broken answer may hold.
    "CAST(? AS TEXT)" if field.type in ("str", "tuple[str, ...]") else "?"
    for field in fields(Call)
    if field.name not in _TEXTS
)
INSERT: Final = f"INSERT INTO call ({', '.join(COLUMNS)}, opening) VALUES ({_VALUES}, CAST(? AS TEXT))"  # noqa: S608 - constants
INSERT_TEXT: Final = "INSERT INTO call_text VALUES (?, CAST(? AS TEXT), CAST(? AS TEXT))"
_LAST: Final = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // MICROSECOND
"""Of later times some time zones have no local date."""
_MOST_TOKENS: Final = 2**40
"""No call has as many; eight million of them can still be summed."""
_CHECKS: Final = {
    "datetime": f"(typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {_LAST})",
    "str": "typeof({0}) = 'text'",
    "tuple[str, ...]": "typeof({0}) = 'text'",
    "int": "typeof({0}) = 'integer'",
    "int | None": f"({{0}} IS NULL OR (typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {_MOST_TOKENS}))",
    "float": "typeof({0}) = 'real'",
    "float | None": "({0} IS NULL OR typeof({0}) = 'real')",
}
IS_READABLE: Final = "({})".format(
    " AND ".join(
        [
            "typeof(id) = 'integer' AND typeof(opening) = 'text'",
            *(_CHECKS[str(field.type)].format(field.name) for field in fields(Call) if field.name not in _TEXTS),
        ]
    )
)
"""Whether a row is one that `INSERT` wrote: sqlite lets each column hold anything, and a file may be damaged, or have
come with somebody's project."""
SELECT: Final = f"SELECT {IS_READABLE}, id, opening, {', '.join(COLUMNS)}"


def entry_of(row: tuple[Any, ...]) -> Entry | None:
    """The entry of a row of `SELECT`, with its texts behind; None where it is none."""
    is_readable, number, opening, *values = row
    if not is_readable:
        return None
    record = dict(zip((*COLUMNS, *_TEXTS), values, strict=True))
    record["at"] = _EPOCH + record["at"] * MICROSECOND
    record["files"] = _files(record["files"])
    for name in _TEXTS:
        record[name] = record[name] if isinstance(record[name], str) else None
    return Entry(number, Call(**record), opening)


def stored(value: object) -> object:
    """A field of a call as sqlite keeps it."""
    if isinstance(value, str):
        return as_bytes(value)
    if isinstance(value, tuple):
        return json.dumps(value)
    return microseconds(value) if isinstance(value, datetime) else value


def as_bytes(text: str) -> bytes:
    """A text as it goes in, half surrogates and all."""
    return text.encode(errors="surrogatepass")


def as_text(data: bytes) -> str:
    """The same text as it comes out."""
    try:
        return data.decode(errors="surrogatepass")
    except UnicodeDecodeError:  # a damaged text hides no other call
        return data.decode(errors="replace")


@lru_cache(maxsize=256)
def _files(text: str) -> tuple[str, ...]:
    try:
        paths = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    is_list = isinstance(paths, list) and all(isinstance(path, str) for path in paths)
    return tuple(paths) if is_list else ()


def microseconds(moment: datetime) -> int:
    """A point in time as the tables keep it: microseconds since 1970. Without a time zone it is local."""
    return (moment.astimezone(UTC) - _EPOCH) // MICROSECOND

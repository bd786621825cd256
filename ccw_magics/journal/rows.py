"""What a row of the journal can hold, and a call as one."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from ccw_magics.journal.call import Call, Entry

OPENING_CHARS: Final = 60
"""How much of a prompt a list shows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
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
CHECKS: Final = {
    "datetime": f"(typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {_LAST})",
    "str": "typeof({0}) = 'text'",
    "bytes": "typeof({0}) = 'blob'",
    "tuple[str, ...]": "typeof({0}) = 'text'",
    "int": "typeof({0}) = 'integer'",
    "int | None": f"({{0}} IS NULL OR (typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {_MOST_TOKENS}))",
    "float": "typeof({0}) = 'real'",
    "float | None": "({0} IS NULL OR typeof({0}) = 'real')",
}
"""Whether a column holds what was written to it, by the field's type: sqlite lets each column hold anything, and a file
may be damaged, or have come with somebody's project."""
IS_READABLE: Final = "({})".format(
    " AND ".join(
        [
            "typeof(id) = 'integer' AND typeof(opening) = 'text'",
            *(CHECKS[str(field.type)].format(field.name) for field in fields(Call) if field.name not in _TEXTS),
        ]
    )
)
"""Whether a row is one that `INSERT` wrote."""
SELECT: Final = f"SELECT {IS_READABLE}, id, opening, {', '.join(COLUMNS)}"


def entry_of(row: tuple[Any, ...]) -> Entry | None:
    """The entry of a row of `SELECT`, with its texts behind; None where it is none."""
    is_readable, number, opening, *values = row
    if not is_readable:
        return None
    record = dict(zip((*COLUMNS, *_TEXTS), values, strict=True))
    record["at"] = moment(record["at"])
    record["files"] = _files(record["files"])
    for name in _TEXTS:
        record[name] = record[name] if isinstance(record[name], str) else None
    return Entry(number, Call(**record), opening)


def stored(value: object) -> object:
    """A field as sqlite keeps it."""
    if isinstance(value, str):
        return as_bytes(value)
    if isinstance(value, tuple):
        return json.dumps(value)
    return microseconds(value) if isinstance(value, datetime) else value


def opening_of(prompt: str) -> str:
    """The beginning of a prompt on one line, `OPENING_CHARS` of it."""
    return " ".join(prompt[: 4 * OPENING_CHARS].split())[:OPENING_CHARS]


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
    return strings(text) or ()


def strings(text: str) -> tuple[str, ...] | None:
    """The texts of a list in JSON; None where it is no such list."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(values, list) and all(isinstance(value, str) for value in values)
    return tuple(values) if is_list else None


def moment(at: int) -> datetime:
    """The point in time that the tables keep so."""
    return _EPOCH + at * MICROSECOND


def microseconds(at: datetime) -> int:
    """A point in time as the tables keep it: microseconds since 1970. Without a time zone it is local."""
    return (at.astimezone(UTC) - _EPOCH) // MICROSECOND

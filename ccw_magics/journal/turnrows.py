"""Turns as rows, and the lines that they form, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from ccw_magics.journal.rows import CHECKS, as_bytes, moment, opening_of, stored, strings
from ccw_magics.journal.turn import StoredTurn, Turn

_MOST_BYTES: Final = 2**40
"""No turn has as many; eight million of them can still be summed."""
_NAMES: Final = tuple(field.name for field in fields(Turn))
_COLUMNS: Final = tuple(f'"{name}"' for name in _NAMES)  # `references` is a word of SQL's
_VALUES: Final = ", ".join(
    "CAST(? AS TEXT)" if field.type in ("str", "tuple[str, ...]") else "?" for field in fields(Turn)
)
INSERT: Final = f"""
INSERT INTO turn ({", ".join(_COLUMNS)}, parent_id, seal, size_bytes, opening)
VALUES ({_VALUES}, ?, ?, ?, CAST(? AS TEXT))
"""  # noqa: S608 - constants
IS_READABLE: Final = " AND ".join(
    [
        "turn.id IS NOT NULL AND typeof(parent_id) IN ('integer', 'null') AND typeof(opening) = 'text'",
        "typeof(turn.seal) = 'text'",
        f"typeof(turn.size_bytes) = 'integer' AND turn.size_bytes BETWEEN 0 AND {_MOST_BYTES}",
        *(CHECKS[str(field.type)].format(f'turn."{field.name}"') for field in fields(Turn)),
    ]
)
"""Whether a row is one that `INSERT` wrote; read without the texts."""

# A turn's id is higher than its parent's: so no damage makes a line endless. One that breaks off ends in a turn whose
# parent is not on it, or in an id that no turn has.
_LINE: Final = """
WITH RECURSIVE line (id) AS (
    {start}
    UNION ALL
    SELECT parent_id FROM line JOIN turn ON turn.id = line.id WHERE parent_id < turn.id
)
"""
_NEWEST: Final = "SELECT turn_id FROM chat WHERE name = CAST(? AS TEXT)"
_READ: Final = f"SELECT {IS_READABLE}, turn.id, parent_id, turn.seal, {', '.join(f'turn.{name}' for name in _COLUMNS)}"
PATH: Final = f"""
{_LINE.format(start=_NEWEST)}
{_READ} FROM line LEFT JOIN turn ON turn.id = line.id ORDER BY line.id
"""
"""The line of a chat, its first turn first; no rows where there is no such chat."""
ALL: Final = f"{_READ} FROM turn ORDER BY turn.id"
"""All turns likewise."""
LEADS_TO: Final = f"{_LINE.format(start='VALUES (?)')} SELECT 1 FROM line WHERE id = ?"  # noqa: S608 - constants
"""Whether a turn is, or is an ancestor of, another: the later one's id, then the earlier one's."""
SAME: Final = f"""
{_READ} FROM turn WHERE parent_id IS ? AND key = CAST(? AS TEXT) AND prompt = CAST(? AS TEXT)
AND answer = CAST(? AS TEXT) ORDER BY id
"""
"""The turns below another one, with this key, prompt and answer."""
# LIMIT keeps the checks out of the sums, which would read all texts for them.
ROWS: Final = f"""
WITH RECURSIVE line (name, id) AS (
    SELECT name, turn_id FROM chat
    UNION ALL
    SELECT name, parent_id FROM line JOIN turn ON turn.id = line.id WHERE parent_id < turn.id
), checked (name, id, size_bytes, is_readable) AS (
    SELECT name, line.id, size_bytes, {IS_READABLE} FROM line LEFT JOIN turn ON turn.id = line.id LIMIT -1
), sums (name, turns, first_id, size_bytes, is_readable) AS (
    SELECT name, COUNT(*), MIN(id), SUM(CASE WHEN is_readable THEN size_bytes END), MIN(is_readable)
    FROM checked GROUP BY name
)
SELECT
    sums.is_readable AND typeof(chat.name) = 'text' AND first.parent_id IS NULL
    AND {CHECKS["datetime"].format("chat.used_at")},
    chat.turn_id, chat.name, turns, newest.endpoint, chat.used_at, sums.size_bytes, first.opening
FROM chat JOIN sums ON sums.name = chat.name
LEFT JOIN turn AS newest ON newest.id = chat.turn_id LEFT JOIN turn AS first ON first.id = sums.first_id
ORDER BY chat.used_at DESC, chat.turn_id DESC
"""  # noqa: S608 - constants
"""The chats, the last used first."""
FORGET_UNREACHED: Final = """
WITH RECURSIVE reached (id) AS (
    SELECT turn_id FROM chat
    UNION
    SELECT parent_id FROM reached JOIN turn ON turn.id = reached.id WHERE parent_id IS NOT NULL
)
DELETE FROM turn WHERE id NOT IN (SELECT id FROM reached)
"""
"""Delete the turns that no name leads to."""


def values_of(turn: Turn, parent_id: int | None, seal: str) -> list[object]:
    """What `INSERT` takes."""
    values = [stored(getattr(turn, name)) for name in _NAMES]
    texts = (turn.context, *(as_bytes(text) for text in (turn.sections, turn.prompt, turn.asked, turn.answer)))
    return [*values, parent_id, seal, sum(map(len, texts)), as_bytes(opening_of(turn.prompt))]


def turn_of(row: tuple[Any, ...]) -> tuple[StoredTurn, str] | None:
    """The turn of a row of `PATH`, and its seal; None where it is none."""
    is_readable, number, parent_id, seal, *values = row
    if not is_readable:
        return None
    record = dict(zip(_NAMES, values, strict=True))
    record["at"] = moment(record["at"])
    record["references"] = strings(record["references"])
    return None if record["references"] is None else (StoredTurn(number, parent_id, Turn(**record)), seal)


def is_line(turns: Sequence[StoredTurn]) -> bool:
    """Whether the first of them begins a conversation, and each of the others follows the one before it."""
    return [one.parent_id for one in turns] == [None, *(one.id for one in turns)][: len(turns)]

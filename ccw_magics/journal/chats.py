"""Conversations: a tree of turns, as commits are in git; a chat is a name for its newest turn.

Two kernels that go on with one conversation at once, or a cell that is run again further up, make a branch. The name
follows whoever came last, and what it named before is kept under a name of its own: so no turn is ever lost.
"""

from __future__ import annotations

import itertools
import shlex
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from ccw_magics.errors import CcwError
from ccw_magics.journal.file import JournalFile
from ccw_magics.journal.rows import as_bytes, microseconds, moment
from ccw_magics.journal.turn import ChatRow, Kept, StoredTurn, Turn
from ccw_magics.journal.turnrows import (
    FORGET_UNREACHED,
    IDS,
    INSERT,
    LEADS_TO,
    PATH,
    ROWS,
    SAME,
    is_whole,
    turn_of,
    values_of,
)

NAME_CHARS: Final = 100
"""The longest name of a conversation."""
_CONTROLS: Final = ("Cc", "Zl", "Zp")
"""Unicode's categories of what ends a line, or steers a terminal."""
_POINT: Final = """
INSERT INTO chat VALUES (CAST(? AS TEXT), ?, ?)
ON CONFLICT (name) DO UPDATE SET turn_id = excluded.turn_id, used_at = excluded.used_at
"""


class _ParentGone(Exception):
    """The turn that another one was to follow is no longer there."""


class Chats:
    """The conversations of one project. For several threads and processes, as its journal is.

    Args:
        file: The journal's.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def path(self, name: str) -> list[StoredTurn]:
        """The turns of a conversation, from the first to the newest; none where there is no such conversation.

        Raises:
            CcwError: A turn cannot be read, nor the file, or this is no name.
        """
        check_name(name)
        nothing: list[tuple[Any, ...]] = []
        rows = self._file.use(lambda: self._file.execute(PATH, [as_bytes(name)]).fetchall(), nothing)
        found = [turn_of(row) for row in rows]
        turns = [turn for turn in found if turn is not None]
        if len(turns) < len(found) or not is_whole(rows[0] if rows else None):
            raise _unreadable(name)
        return turns

    def append(self, name: str, parent_id: int | None, turn: Turn, *, is_replayed: bool = False) -> Kept | None:
        """Keep a turn as the newest of a conversation; what was returned is on file, whatever happens to this process.

        Where the conversation's newest turn is neither the parent nor before it, since another kernel went on or this
        turn branches off further up, the line that it ends stays, under the first free of `NAME~1`, `NAME~2`, ...

        Args:
            name: The conversation; begun where it is not there.
            parent_id: The turn that this one follows; None for a first one.
            turn: What to keep.
            is_replayed: Whether its answer is a recorded one: the turn may be there already, and is not kept twice.

        Returns:
            None where it could not be kept, and the journal's `take_trouble` says why: the file cannot be written, or
            the parent is no longer there, since the conversation was forgotten while the answer came.

        Raises:
            CcwError: This is no name.
        """
        check_name(name)
        try:
            return self._file.keep(lambda: self._append(name, parent_id, turn, is_replayed), "this turn is not kept")
        except _ParentGone:
            self._file.tell(f"this turn is not kept: the conversation {name!r} was cleared while the answer came")
            return None

    def touch(self, name: str) -> None:
        """Note that a conversation was used, which keeps it from being pruned; nothing happens where that fails."""
        values = [microseconds(datetime.now(UTC)), as_bytes(name)]
        statement = "UPDATE chat SET used_at = ? WHERE name = CAST(? AS TEXT)"
        with suppress(CcwError):
            self._file.use(lambda: self._file.execute(statement, values), None)

    def names(self) -> list[ChatRow]:
        """The conversations, the last used first; those that cannot be read are left out, and `take_trouble` says so.

        Raises:
            CcwError: The file cannot be read.
        """
        nothing: list[tuple[Any, ...]] = []
        rows = self._file.use(lambda: self._file.execute(ROWS).fetchall(), nothing)
        for is_readable, name, *_ in rows:
            if not is_readable:
                self._file.tell_once(f"chat {name!r}", str(_unreadable(name)).replace("\n", ": "))
        return [
            ChatRow(name, turns, endpoint, moment(used_at), size_bytes, opening)
            for is_readable, name, turns, endpoint, used_at, size_bytes, opening in rows
            if is_readable
        ]

    def fork(self, name: str, new_name: str, *, turns: int | None = None) -> bool:
        """Give the newest turn of a conversation, or an earlier one, another name to go on with; nothing is copied.

        Args:
            name: The conversation.
            new_name: The other one.
            turns: So many of its turns, from the first; None for all.

        Returns:
            False where there is no such conversation.

        Raises:
            CcwError: The new name is none, or taken; there are not as many turns; the file cannot be used.
        """
        check_name(new_name)
        return self._file.use(lambda: self._fork(name, new_name, turns), False)

    def clear(self, name: str) -> bool:
        """Forget a name, and the turns that no other name leads to.

        Returns:
            False where there is no such conversation.

        Raises:
            CcwError: The file cannot be written.
        """
        was_there = self._file.use(lambda: self._clear(name), False)
        if was_there:
            self._file.shrink()
        return was_there

    def forget_unused(self, before: int) -> int:
        """Forget the conversations that were last used earlier, in an action of the file's.

        Args:
            before: In microseconds since 1970.

        Returns:
            How many went.
        """
        return self._forget("used_at < ?", before)

    def forget_least_used(self) -> bool:
        """Forget the conversation that was not used for longest, in an action of the file's; False where none is."""
        return self._forget("rowid = (SELECT rowid FROM chat ORDER BY used_at, turn_id LIMIT ?)", 1) > 0

    def _append(self, name: str, parent_id: int | None, turn: Turn, is_replayed: bool) -> Kept:
        execute = self._file.execute
        with self._file.transaction():
            if parent_id is not None and not execute("SELECT 1 FROM turn WHERE id = ?", [parent_id]).fetchone():
                raise _ParentGone
            number = self._same(parent_id, turn) if is_replayed else None
            set_aside = self._set_aside(name, parent_id, number)
            number = number or execute(INSERT, values_of(turn, parent_id)).lastrowid
            assert number is not None
            execute(_POINT, [as_bytes(name), number, microseconds(turn.at)])
        return Kept(number, set_aside)

    def _same(self, parent_id: int | None, turn: Turn) -> int | None:
        """The turn that is there already with this key and answer: a line that was walked before, by replay."""
        texts = [as_bytes(text) for text in (turn.key, turn.prompt, turn.answer)]
        found = self._file.execute(SAME, [parent_id, *texts]).fetchone()
        return None if found is None else int(found[0])

    def _set_aside(self, name: str, parent_id: int | None, same_id: int | None) -> str:
        """Give the line that a conversation has now a name of its own, unless it ends at the parent, or has one."""
        execute = self._file.execute
        found = execute("SELECT turn_id, used_at FROM chat WHERE name = CAST(? AS TEXT)", [as_bytes(name)]).fetchone()
        if found is None or execute(LEADS_TO, [same_id or parent_id, found[0]]).fetchone():
            return ""
        others = execute("SELECT turn_id FROM chat WHERE name != CAST(? AS TEXT)", [as_bytes(name)]).fetchall()
        if any(execute(LEADS_TO, [other, found[0]]).fetchone() for (other,) in others):
            return ""
        free = next(other for number in itertools.count(1) if not self._is_taken(other := _aside(name, number)))
        execute(_POINT, [as_bytes(free), *found])
        return free

    def _is_taken(self, name: str) -> bool:
        found = self._file.execute("SELECT 1 FROM chat WHERE name = CAST(? AS TEXT)", [as_bytes(name)])
        return found.fetchone() is not None

    def _fork(self, name: str, new_name: str, turns: int | None) -> bool:
        with self._file.transaction():
            rows = self._file.execute(IDS, [as_bytes(name)]).fetchall()
            if not rows:
                return False
            if self._is_taken(new_name):
                hint = f"Take another name, or `chat clear {shlex.quote(new_name)}`."
                raise CcwError(f"there is a conversation {new_name!r} already", hint=hint)
            count = len(rows) if turns is None else turns
            if not 1 <= count <= len(rows):
                raise CcwError(f"there are no {count:,} turns in {name!r}", hint=f"It has {len(rows):,}.")
            if not is_whole(rows[0]) or not all(is_readable for is_readable, *_ in rows):
                raise _unreadable(name)
            self._file.execute(_POINT, [as_bytes(new_name), rows[count - 1][1], microseconds(datetime.now(UTC))])
        return True

    def _clear(self, name: str) -> bool:
        with self._file.transaction():
            return self._forget("name = CAST(? AS TEXT)", as_bytes(name)) > 0

    def _forget(self, condition: str, value: object) -> int:
        count = self._file.execute(f"DELETE FROM chat WHERE {condition}", [value]).rowcount  # noqa: S608 - constants
        if count:
            self._file.execute(FORGET_UNREACHED)
        return count


def check_name(name: str) -> None:
    """Refuse what cannot name a conversation.

    Raises:
        CcwError: It is blank, longer than `NAME_CHARS`, or has control characters.
    """
    if not name.strip():
        raise CcwError("a conversation's name cannot be empty", hint="Such as `--chat review`.")
    if len(name) > NAME_CHARS:
        raise CcwError(f"a conversation's name has {len(name):,} characters", hint=f"It may have {NAME_CHARS}.")
    if any(unicodedata.category(character) in _CONTROLS for character in name):
        raise CcwError(f"a conversation's name has control characters: {name!r}", hint="It must be one line of text.")


def _aside(name: str, number: int) -> str:
    suffix = f"~{number}"
    return f"{name[: NAME_CHARS - len(suffix)]}{suffix}"


def _unreadable(name: str) -> CcwError:
    return CcwError(f"the conversation {name!r} cannot be read", hint=f"`chat clear {shlex.quote(name)}` forgets it.")

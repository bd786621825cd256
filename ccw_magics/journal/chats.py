"""Conversations: a tree of turns, as commits are in git; a chat is a name for its newest turn.

Two kernels that go on with one conversation at once, or a cell that is run again further up, make a branch. The name
follows whoever came last, and what it named before is kept under a name of its own: so no turn is ever lost.

What a turn refers to is read and sent again as the talk goes on. So only turns that this user wrote are ever used, not
those that came with somebody's project: each is sealed with a secret of his, and by its seal the line before it.
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
from ccw_magics.journal.seals import is_sealed, seal_of, sealed_ids
from ccw_magics.journal.turn import ChatRow, Kept, StoredTurn, Turn
from ccw_magics.journal.turnrows import (
    ALL,
    FORGET_UNREACHED,
    INSERT,
    LEADS_TO,
    PATH,
    ROWS,
    SAME,
    is_line,
    turn_of,
    values_of,
)
from ccw_magics.journal.userkey import UserKey

NAME_CHARS: Final = 100
"""The longest name of a conversation."""
_NOT_KEPT: Final = "this turn is not kept"
_NOT_OWN: Final = "was not written by you on this machine"
_MOST_TOLD: Final = 3
"""So many names are told; a project that came from elsewhere may have any number."""
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
        self._key = UserKey()
        self._sealed: tuple[tuple[object, ...], set[int]] = ((), set())

    def path(self, name: str) -> list[StoredTurn]:
        """The turns of a conversation, from the first to the newest; none where there is no such conversation.

        Raises:
            CcwError: A turn cannot be read, or was not written by this user; nor can the file, or this is no name.
        """
        check_name(name)
        nothing: list[StoredTurn] = []
        return self._file.use(lambda: self._line(name), nothing)

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
            None where it could not be kept, and the journal's `take_trouble` says why: the file cannot be written, nor
            the user's key be used, or the parent is no longer there, since the conversation was forgotten while the
            answer came.

        Raises:
            CcwError: This is no name.
        """
        check_name(name)
        try:
            key = self._key.made()
        except CcwError as error:
            self._file.tell_once(_NOT_KEPT, f"{_NOT_KEPT}: {error.message}")
            return None
        try:
            return self._file.keep(lambda: self._append(name, parent_id, turn, is_replayed, key), _NOT_KEPT)
        except _ParentGone:
            self._file.tell(f"{_NOT_KEPT}: the conversation {name!r} was cleared while the answer came")
            return None

    def touch(self, name: str) -> None:
        """Note that a conversation was used, which keeps it from being pruned; nothing happens where that fails."""
        values = [microseconds(datetime.now(UTC)), as_bytes(name)]
        statement = "UPDATE chat SET used_at = ? WHERE name = CAST(? AS TEXT)"
        with suppress(CcwError):
            self._file.use(lambda: self._file.execute(statement, values), None)

    def names(self) -> list[ChatRow]:
        """The conversations, the last used first.

        Those that cannot be read, or were not written by this user, are left out, and `take_trouble` says so.

        Raises:
            CcwError: The file cannot be read, nor the user's key.
        """
        nothing: tuple[list[tuple[Any, ...]], set[int]] = ([], set())
        rows, sealed = self._file.use(self._rows, nothing)
        self._tell_left_out([row[2] for row in rows if not row[0]], "cannot be read")
        self._tell_left_out([row[2] for row in rows if row[0] and row[1] not in sealed], _NOT_OWN)
        return [
            ChatRow(name, turns, endpoint, moment(used_at), size_bytes, opening)
            for is_readable, newest, name, turns, endpoint, used_at, size_bytes, opening in rows
            if is_readable and newest in sealed
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
            CcwError: The new name is none, or taken; there are not as many turns; the conversation cannot be
                read, or was not written by this user; the file cannot be used.
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

    def _line(self, name: str) -> list[StoredTurn]:
        """What `path` returns, in an action of the file's."""
        found = [turn_of(row) for row in self._file.execute(PATH, [as_bytes(name)])]
        sealed = [each for each in found if each is not None]
        turns = [turn for turn, _ in sealed]
        if len(turns) < len(found) or not is_line(turns):
            raise _unreadable(name)
        if turns and turns[-1].id not in sealed_ids(self._key.found(), sealed):
            raise _not_own(name)
        return turns

    def _rows(self) -> tuple[list[tuple[Any, ...]], set[int]]:
        """The chats, and the turns whose seals hold, both of one state."""
        self._file.execute("BEGIN")
        try:
            rows = self._file.execute(ROWS).fetchall()
            return rows, self._sealed_of_all() if rows else set()
        finally:
            self._file.execute("ROLLBACK")

    def _sealed_of_all(self) -> set[int]:
        """Looked at again only once something has changed: to list chats, all their texts are read."""
        key = self._key.found()
        connection = self._file.connection
        (others,) = connection.execute("PRAGMA data_version").fetchone()
        state = (connection, others, connection.total_changes, key)
        if self._sealed[0] != state:
            found = (turn_of(row) for row in self._file.execute(ALL)) if key is not None else ()
            self._sealed = (state, sealed_ids(key, (each for each in found if each is not None)))
        return self._sealed[1]

    def _tell_left_out(self, names: list[object], why: str) -> None:
        """Once, until others are left out."""
        if names:
            more = f" and {len(names) - _MOST_TOLD:,} more" if len(names) > _MOST_TOLD else ""
            shown = ", ".join(map(repr, names[:_MOST_TOLD]))
            what = "the conversation" if len(names) == 1 else "each of the conversations"
            self._file.tell_once(
                f"chats: {why}", f"{what} {shown}{more} {why}, and left out: `chat clear NAME` forgets it"
            )

    def _append(self, name: str, parent_id: int | None, turn: Turn, is_replayed: bool, key: bytes) -> Kept:
        execute = self._file.execute
        with self._file.transaction():
            parent_seal = self._seal(parent_id)
            number = self._same(parent_id, parent_seal, turn, key) if is_replayed else None
            set_aside = self._set_aside(name, parent_id, number)
            if number is None:
                number = execute(INSERT, values_of(turn, parent_id, seal_of(key, parent_seal, turn))).lastrowid
            assert number is not None
            execute(_POINT, [as_bytes(name), number, microseconds(turn.at)])
        return Kept(number, set_aside)

    def _seal(self, turn_id: int | None) -> str:
        """Of a turn that is to be a parent; as it stands there, since whoever reads the line checks all of it."""
        if turn_id is None:
            return ""
        found = self._file.execute("SELECT CAST(seal AS TEXT) FROM turn WHERE id = ?", [turn_id]).fetchone()
        if found is None:
            raise _ParentGone
        return str(found[0])

    def _same(self, parent_id: int | None, parent_seal: str, turn: Turn, key: bytes) -> int | None:
        """The turn that is there already with this key and answer: a line that was walked before, by replay."""
        texts = [as_bytes(text) for text in (turn.key, turn.prompt, turn.answer)]
        for row in self._file.execute(SAME, [parent_id, *texts]).fetchall():
            found = turn_of(row)
            if found is not None and is_sealed(key, parent_seal, found[0].turn, found[1]):
                return found[0].id
        return None

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
            line = self._line(name)
            if not line:
                return False
            if self._is_taken(new_name):
                hint = f"Take another name, or `chat clear {shlex.quote(new_name)}`."
                raise CcwError(f"there is a conversation {new_name!r} already", hint=hint)
            count = len(line) if turns is None else turns
            if not 1 <= count <= len(line):
                raise CcwError(f"there are no {count:,} turns in {name!r}", hint=f"It has {len(line):,}.")
            self._file.execute(_POINT, [as_bytes(new_name), line[count - 1].id, microseconds(datetime.now(UTC))])
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


def _not_own(name: str) -> CcwError:
    begin = f"It may have come with the project. `chat clear {shlex.quote(name)}` forgets it;"
    return CcwError(f"the conversation {name!r} {_NOT_OWN}", hint=f"{begin} --chat=OTHER begins another.")

"""The record of every call of a project: one row a call, written once, never changed.

Prompts and answers are kept in a table of their own, so that sums over all calls read none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ccw_magics.journal.call import Call, Entry, JournalStatus
from ccw_magics.journal.chats import Chats
from ccw_magics.journal.file import JournalFile
from ccw_magics.journal.ledger import Ledger
from ccw_magics.journal.rows import (
    COLUMNS,
    INSERT,
    INSERT_TEXT,
    MICROSECOND,
    SELECT,
    as_bytes,
    entry_of,
    microseconds,
    opening_of,
    stored,
)
from ccw_magics.journal.sums import FUNCTION, SUM_KEYS, Sums, local_day, statement, sums_of

_MOST_ROWS: Final = 2**63 - 1
"""sqlite's largest integer."""


class Journal:
    """The record of one project. For several threads and processes; nothing is made before the first `append`.

    Args:
        root: The project's root.

    Attributes:
        chats: Its conversations, in the same file.
        ledger: What its calls may cost, likewise.
    """

    def __init__(self, root: Path) -> None:
        self._file = JournalFile(root)
        self.chats = Chats(self._file)
        self.ledger = Ledger(self._file)
        self._has_told_unreadable = False

    def append(self, call: Call) -> int | None:
        """Record a call; what was returned is on file, whatever happens to this process.

        Another process that writes is waited for, at most `WAIT_S`.

        Returns:
            The entry's id; None where it could not be kept, and `take_trouble` says why.
        """
        return self._file.keep(lambda: self._insert(call), "this call is not recorded")

    def take_trouble(self) -> str:
        """Why calls or turns are not kept, or what is wrong with those that are; said once, empty otherwise."""
        return self._file.take_trouble()

    def calls(
        self,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        endpoint: str | None = None,
        with_text: bool = False,
    ) -> list[Entry]:
        """The recorded calls, newest first; those that cannot be read are left out, and `take_trouble` says so.

        Args:
            limit: At most so many; None for all.
            since: Those asked at this time or later; local where it has no time zone.
            endpoint: Those of this endpoint.
            with_text: Whether to read prompts and answers too.

        Raises:
            CcwError: The file cannot be read.
        """
        conditions = ["at >= ?"]
        values: list[object] = [microseconds(since) if since is not None else 0]
        if endpoint is not None:
            conditions.append("endpoint = CAST(? AS TEXT)")
            values.append(as_bytes(endpoint))
        nothing: list[Entry] = []
        order = f"WHERE {' AND '.join(conditions)} ORDER BY at DESC, id DESC LIMIT ?"
        values.append(-1 if limit is None else min(limit, _MOST_ROWS))
        return self._file.use(lambda: self._select(order, values, with_text), nothing)

    def sums(self, *, by: Sequence[str] = SUM_KEYS, since: datetime | None = None) -> list[Sums]:
        """Sums over the recorded calls, in no order; those that cannot be read are left out likewise.

        Args:
            by: Some of `SUM_KEYS`: one result for each combination of them that there is.
            since: Calls asked at this time or later; local where it has no time zone.

        Raises:
            KeyError: `by` names something else.
            CcwError: The file cannot be read.
        """
        nothing: list[Sums] = []
        query, oldest = statement(by), microseconds(since) if since is not None else 0
        return self._file.use(lambda: [sums_of(row, by) for row in self._sums(query, oldest, len(by))], nothing)

    def get(self, id: int) -> Entry | None:  # noqa: A002 - what the tables call it
        """One recorded call with its prompt and answer; None where there is none of this id.

        Raises:
            CcwError: The file cannot be read.
        """
        nothing: list[Entry] = []
        if not 0 < id <= _MOST_ROWS:
            return None
        found = self._file.use(lambda: self._select("WHERE id = ?", [id], with_text=True), nothing)
        return found[0] if found else None

    def prune(self, *, older_than: timedelta | None = None, max_bytes: int | None = None) -> int:
        """Forget calls and conversations, the oldest first, and give their space back.

        What forgotten calls cost stays spent: see `Ledger`.

        Args:
            older_than: Calls asked longer ago, and conversations that were not used since.
            max_bytes: As many as it takes for the file to have at most this size: calls, and only where none is left,
                conversations, those first that were not used for longest. Calls are looked back at, conversations gone
                on with.

        Returns:
            How many calls went.

        Raises:
            CcwError: The file cannot be written.
        """
        count = self._file.use(lambda: self._prune(older_than, max_bytes), 0)
        self._file.shrink()
        return count

    def status(self) -> JournalStatus:
        """How much the journal holds.

        Raises:
            CcwError: The file cannot be read.
        """
        count = self._file.use(lambda: self._file.execute("SELECT COUNT(*) FROM call").fetchone()[0], 0)
        return JournalStatus(count, self._file.size_bytes(), self._file.path)

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        self._file.close()

    def _insert(self, call: Call) -> int:
        record = vars(call)
        values = [stored(record[column]) for column in COLUMNS]
        with self._file.transaction() as connection:
            number = connection.execute(INSERT, [*values, as_bytes(opening_of(call.prompt or ""))]).lastrowid
            assert number is not None
            if call.prompt is not None or call.answer is not None:
                connection.execute(INSERT_TEXT, [number, stored(call.prompt), stored(call.answer)])
        return number

    def _select(self, rest: str, values: Sequence[object], with_text: bool) -> list[Entry]:
        source = "call LEFT JOIN call_text ON call_id = id" if with_text else "call"
        texts = "prompt, answer" if with_text else "NULL, NULL"
        found = [entry_of(row) for row in self._file.execute(f"{SELECT}, {texts} FROM {source} {rest}", values)]
        self._tell_unreadable(found.count(None))
        return [entry for entry in found if entry is not None]

    def _sums(self, query: str, oldest: int, count_place: int) -> list[tuple[Any, ...]]:
        self._file.connection.create_function(*FUNCTION, local_day)
        self._file.execute("BEGIN")  # both of one state
        try:
            rows = self._file.execute(query, [oldest]).fetchall()
            total = self._file.execute("SELECT COUNT(*) FROM call WHERE at >= ?", [oldest]).fetchone()[0]
        finally:
            self._file.execute("ROLLBACK")
        self._tell_unreadable(total - sum(row[count_place] for row in rows))
        return rows

    def _prune(self, older_than: timedelta | None, max_bytes: int | None) -> int:
        count = 0
        with self._file.transaction():
            if older_than is not None:
                oldest = max(microseconds(datetime.now(UTC)) - older_than // MICROSECOND, 0)
                count += self._delete("at < ?", oldest)
                self.chats.forget_unused(oldest)
            if max_bytes is not None:
                count += self._delete_until(max_bytes)
                while self._file.used_bytes() > max_bytes and self.chats.forget_least_used():
                    pass
        return count

    def _delete_until(self, max_bytes: int) -> int:
        count = 0
        for (number,) in self._file.execute("SELECT id FROM call ORDER BY at, id").fetchall():
            if self._file.used_bytes() <= max_bytes:
                break
            count += self._delete("id = ?", number)
        return count

    def _delete(self, condition: str, value: int) -> int:
        execute = self._file.execute
        self.ledger.take_over(condition, value)
        execute(f"DELETE FROM call_text WHERE call_id IN (SELECT id FROM call WHERE {condition})", [value])  # noqa: S608 - constants
        return execute(f"DELETE FROM call WHERE {condition}", [value]).rowcount  # noqa: S608 - constants

    def _tell_unreadable(self, count: int) -> None:
        if count and not self._has_told_unreadable:
            self._has_told_unreadable = True
            calls = "1 recorded call" if count == 1 else f"{count:,} recorded calls"
            self._file.tell(f"{calls} in {self._file.path} cannot be read, and left out")

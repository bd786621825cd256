"""The record of every call of a project: one row a call, written once, never changed.

It lies in `<root>/.ccw/journal/`, readable by its owner alone and out of git. Prompts and answers are kept in a table
of their own, so that sums over all calls read none of them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from ccw_magics.database import Database, is_busy
from ccw_magics.errors import CcwError
from ccw_magics.journal.call import Call, Entry, JournalStatus
from ccw_magics.journal.place import Place
from ccw_magics.journal.rows import (
    COLUMNS,
    INSERT,
    INSERT_TEXT,
    MICROSECOND,
    OPENING_CHARS,
    SELECT,
    VERSIONS,
    as_bytes,
    as_text,
    entry_of,
    microseconds,
    stored,
)
from ccw_magics.journal.sums import FUNCTION, SUM_KEYS, Sums, local_day, statement, sums_of

WAIT_S: Final = 1.0
"""How long another process that holds the file may hold a call up: its record is not worth more of a user's time."""
_POLL_S: Final = 0.005
"""Between tries in that time; writing a call takes less, so that a process that writes many leaves gaps enough."""
_MOST_ROWS: Final = 2**63 - 1
"""sqlite's largest integer."""

T = TypeVar("T")


class Journal:
    """The record of one project. For several threads and processes; nothing is made before the first `append`.

    Args:
        root: The project's root.
    """

    def __init__(self, root: Path) -> None:
        self._place = Place(root)
        self._path = self._place.path
        # Waits are made here, without the lock: other threads' calls must not queue for one that waits.
        self._database = Database(self._path, VERSIONS, keeps_damaged=True, busy_s=0)
        self._trouble = ""
        self._said = ""
        self._has_told_unreadable = False

    def append(self, call: Call) -> int | None:
        """Record a call; what was returned is on file, whatever happens to this process.

        Another process that writes is waited for, at most `WAIT_S`.

        Returns:
            The entry's id; None where it could not be kept, and `take_trouble` says why.
        """
        try:
            number = self._in_turn(lambda: self._append(call))
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            self._tell(self._reason(error))
            return None
        self._said = ""
        return number

    def take_trouble(self) -> str:
        """Why calls are not recorded, or what is wrong with those that are; said once, empty otherwise."""
        trouble, self._trouble = self._trouble, ""
        return trouble

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
        return self._read(lambda: self._select(order, values, with_text), nothing)

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
        return self._read(lambda: [sums_of(row, by) for row in self._sums(query, oldest, len(by))], nothing)

    def get(self, id: int) -> Entry | None:  # noqa: A002 - what the tables call it
        """One recorded call with its prompt and answer; None where there is none of this id.

        Raises:
            CcwError: The file cannot be read.
        """
        nothing: list[Entry] = []
        if not 0 < id <= _MOST_ROWS:
            return None
        found = self._read(lambda: self._select("WHERE id = ?", [id], with_text=True), nothing)
        return found[0] if found else None

    def prune(self, *, older_than: timedelta | None = None, max_bytes: int | None = None) -> int:
        """Forget calls, the oldest first, and give their space back.

        Args:
            older_than: Those asked longer ago.
            max_bytes: As many as it takes for the file to have at most this size.

        Returns:
            How many went.

        Raises:
            CcwError: The file cannot be written.
        """
        count = self._read(lambda: self._prune(older_than, max_bytes), 0)
        self._read(self._database.shrink, None)
        return count

    def status(self) -> JournalStatus:
        """How much the journal holds.

        Raises:
            CcwError: The file cannot be read.
        """
        count = self._read(lambda: self._execute("SELECT COUNT(*) FROM call").fetchone()[0], 0)
        return JournalStatus(count, self._place.size_bytes(), self._path)

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        self._database.close()

    def _append(self, call: Call) -> int:
        if not self._database.is_in_place():
            self._database.close()
            self._place.require_ordinary()
            self._place.make()
            self._keep_private()
        return self._twice(lambda: self._insert(call))

    def _insert(self, call: Call) -> int:
        record = vars(call)
        opening = " ".join((call.prompt or "")[: 4 * OPENING_CHARS].split())[:OPENING_CHARS]
        values = [stored(record[column]) for column in COLUMNS]
        with self._database.transaction() as connection:
            number = connection.execute(INSERT, [*values, as_bytes(opening)]).lastrowid
            assert number is not None
            if call.prompt is not None or call.answer is not None:
                connection.execute(INSERT_TEXT, [number, stored(call.prompt), stored(call.answer)])
        return number

    def _select(self, rest: str, values: Sequence[object], with_text: bool) -> list[Entry]:
        source = "call LEFT JOIN call_text ON call_id = id" if with_text else "call"
        texts = "prompt, answer" if with_text else "NULL, NULL"
        found = [entry_of(row) for row in self._execute(f"{SELECT}, {texts} FROM {source} {rest}", values)]
        self._tell_unreadable(found.count(None))
        return [entry for entry in found if entry is not None]

    def _sums(self, query: str, oldest: int, count_place: int) -> list[tuple[Any, ...]]:
        self._database.connection.create_function(*FUNCTION, local_day)
        self._execute("BEGIN")  # both of one state
        try:
            rows = self._execute(query, [oldest]).fetchall()
            total = self._execute("SELECT COUNT(*) FROM call WHERE at >= ?", [oldest]).fetchone()[0]
        finally:
            self._execute("ROLLBACK")
        self._tell_unreadable(total - sum(row[count_place] for row in rows))
        return rows

    def _prune(self, older_than: timedelta | None, max_bytes: int | None) -> int:
        count = 0
        with self._database.transaction():
            if older_than is not None:
                oldest = max(microseconds(datetime.now(UTC)) - older_than // MICROSECOND, 0)
                count += self._delete("at < ?", oldest)
            if max_bytes is not None:
                for (number,) in self._execute("SELECT id FROM call ORDER BY at, id").fetchall():
                    if self._used_bytes() <= max_bytes:
                        break
                    count += self._delete("id = ?", number)
        return count

    def _delete(self, condition: str, value: int) -> int:
        self._execute(f"DELETE FROM call_text WHERE call_id IN (SELECT id FROM call WHERE {condition})", [value])  # noqa: S608 - constants
        return self._execute(f"DELETE FROM call WHERE {condition}", [value]).rowcount  # noqa: S608 - constants

    def _used_bytes(self) -> int:
        pages, free, page_bytes = (
            self._execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_bytes)

    def _execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        connection = self._database.connection
        connection.text_factory = as_text
        return connection.execute(statement, values)

    def _read(self, action: Callable[[], T], otherwise: T) -> T:
        """Do something with the file where there is one; reading makes none."""
        try:
            return self._in_turn(lambda: self._where_it_is(action, otherwise))
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            raise CcwError(f"the journal {self._path} cannot be used: {_problem(error)}") from None

    def _where_it_is(self, action: Callable[[], T], otherwise: T) -> T:
        self._place.require_ordinary()
        if not self._path.exists():
            return otherwise
        if not self._database.is_in_place():
            self._database.close()
            self._keep_private()
        return self._twice(action)

    def _in_turn(self, action: Callable[[], T]) -> T:
        """Do something with the lock; where another process is in the way, again and again for `WAIT_S`."""
        deadline_s = float("inf")
        while True:
            try:
                with self._database.lock:
                    return action()
            except sqlite3.Error as error:
                now_s = time.monotonic()
                deadline_s = min(deadline_s, now_s + WAIT_S)
                if now_s >= deadline_s or not is_busy(error):
                    raise
            time.sleep(_POLL_S)

    def _twice(self, action: Callable[[], T]) -> T:
        """Once more where a damaged file was set aside, or WAL was given up."""
        try:
            return action()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not self._database.recover(error):
                raise
            return action()
        finally:
            if self._database.damaged is not None:
                self._tell(f"the journal was damaged: set aside as {self._database.damaged}, and a new one begun")
                self._database.damaged = None

    def _keep_private(self) -> None:
        if trouble := self._place.make_private():
            self._tell(trouble)

    def _reason(self, error: Exception) -> str:
        return f"this call is not recorded: the journal {self._path} cannot be written ({_problem(error)})"

    def _tell_unreadable(self, count: int) -> None:
        if count and not self._has_told_unreadable:
            self._has_told_unreadable = True
            calls = "1 recorded call" if count == 1 else f"{count:,} recorded calls"
            self._tell(f"{calls} in {self._path} cannot be read, and left out")

    def _tell(self, trouble: str) -> None:
        if trouble != self._said:
            self._trouble = self._said = trouble


def _problem(error: Exception) -> str:
    return "another process keeps it locked" if is_busy(error) else str(error)

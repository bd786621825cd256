"""The record of every call of a project: one row a call, written once, never changed.

It lies in `<root>/.ccw/journal/`, readable by its owner alone and out of git. Prompts and answers are kept in a table
of their own, so that sums over all calls read none of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from ccw_magics.database import Database, is_busy
from ccw_magics.errors import CcwError
from ccw_magics.journal.call import Call, Entry, JournalStatus
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

FILE_NAME: Final = "calls.sqlite3"

T = TypeVar("T")


class Journal:
    """The record of one project. For several threads and processes; nothing is made before the first `append`.

    Args:
        root: The project's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / ".ccw" / "journal" / FILE_NAME
        self._database = Database(self._path, VERSIONS, keeps_damaged=True)
        self._trouble = ""
        self._said = ""

    def append(self, call: Call) -> int | None:
        """Record a call; what was returned is on file, whatever happens to this process.

        Returns:
            The entry's id; None where it could not be kept, and `take_trouble` says why.
        """
        try:
            with self._database.lock:
                self._make_folder()
                number = self._twice(lambda: self._append(call))
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            self._tell(self._reason(error))
            return None
        self._said = ""
        return number

    def take_trouble(self) -> str:
        """Why calls are not recorded, or that a damaged file was set aside; said once, empty otherwise."""
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
        """The recorded calls, newest first.

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
        return self._read(lambda: self._select(order, [*values, -1 if limit is None else limit], with_text), nothing)

    def get(self, id: int) -> Entry | None:  # noqa: A002 - what the tables call it
        """One recorded call with its prompt and answer; None where there is none of this id.

        Raises:
            CcwError: The file cannot be read.
        """
        nothing: list[Entry] = []
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
        return self._read(lambda: self._prune(older_than, max_bytes), 0)

    def status(self) -> JournalStatus:
        """How much the journal holds.

        Raises:
            CcwError: The file cannot be read.
        """
        count = self._read(lambda: self._execute("SELECT COUNT(*) FROM call").fetchone()[0], 0)
        sizes = (_size_bytes(Path(f"{self._path}{suffix}")) for suffix in ("", "-wal", "-journal"))
        return JournalStatus(count, sum(sizes), self._path)

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        self._database.close()

    def _append(self, call: Call) -> int:
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
        return [entry_of(row) for row in self._execute(f"{SELECT}, {texts} FROM {source} {rest}", values)]

    def _prune(self, older_than: timedelta | None, max_bytes: int | None) -> int:
        count = 0
        if older_than is not None:
            oldest = max(microseconds(datetime.now(UTC)) - older_than // MICROSECOND, 0)
            with self._database.transaction():
                count += self._delete("at < ?", oldest)
        if max_bytes is not None:
            with self._database.transaction():
                for (number,) in self._execute("SELECT id FROM call ORDER BY at, id").fetchall():
                    if self._used_bytes() <= max_bytes:
                        break
                    count += self._delete("id = ?", number)
        self._database.shrink()
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
            with self._database.lock:
                self._require_inside()
                if not self._path.exists():
                    return otherwise
                if not self._database.is_in_place():
                    self._database.close()
                return self._twice(action)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise CcwError(f"the journal {self._path} cannot be used: {error}") from None

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

    def _make_folder(self) -> None:
        if self._database.is_in_place():
            return
        self._database.close()
        self._require_inside()
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")

    def _require_inside(self) -> None:
        """A link in somebody's project must not lead the user's prompts elsewhere, nor sqlite to another file."""
        if not self._path.resolve().is_relative_to(self._root.resolve()):
            raise OSError(f"{self._path} is a link that leads outside the project")

    def _reason(self, error: Exception) -> str:
        problem = "another process keeps it locked" if is_busy(error) else str(error)
        return f"this call is not recorded: the journal {self._path} cannot be written ({problem})"

    def _tell(self, trouble: str) -> None:
        if trouble != self._said:
            self._trouble = self._said = trouble


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

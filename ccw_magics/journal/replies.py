"""Recorded replies, given again where the same is asked: in the cache's folder, since they can be had anew.

A reply is one JSON text with its checksum. Whatever is wrong with the file costs at most a call.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from ccw_magics.database import Database, is_busy, is_out_of_order
from ccw_magics.journal.rows import as_bytes, microseconds, moment

FILE_NAME: Final = "replies.sqlite3"
TOUCH_PERIOD_US: Final = 30_000_000
"""A use is noted at most this often, in microseconds: the order of use matters, the second does not."""
WAIT_S: Final = 1.0
"""How long another process that holds the file may hold a call up: a recorded reply is not worth more of its time."""
_VERSIONS: Final = (
    (
        # `used_at` is in microseconds since 1970, in UTC.
        """
        CREATE TABLE reply (
            key TEXT PRIMARY KEY, used_at INTEGER NOT NULL, size_bytes INTEGER NOT NULL, checksum BLOB NOT NULL,
            data BLOB NOT NULL
        )
        """,
        "CREATE INDEX reply_used ON reply (used_at, size_bytes)",
    ),
)
_SELECT: Final = "SELECT used_at, checksum, data FROM reply WHERE key = ?"
_SIZE: Final = "SELECT COUNT(*), TOTAL(size_bytes) FROM reply"
# The sums go from the last used one on: the first that passes the limit goes, and all that were used before it.
_EVICT: Final = """
DELETE FROM reply WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, TOTAL(size_bytes) OVER (ORDER BY used_at DESC, rowid DESC) AS total FROM reply
    ) WHERE total > ?
)
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Recorded:
    """A reply as it was recorded.

    Attributes:
        at: When it was asked, in UTC.
        output: The answer.
        model: The model that answered, as its provider names it.
        provider: The provider's type.
        endpoint: The id of the endpoint that answered.
        input_tokens: All tokens of the prompt, cached and written ones included; None where nobody said.
        cached_tokens: Those of them read from the provider's cache.
        written_tokens: Those of them written to the provider's cache.
        output_tokens: Of the answer.
        cost_usd: What it cost then, in US dollars; None where unknown.
        uncached_cost_usd: What it would have cost without the provider's cache; None where unknown.
        duration_s: Seconds from the request to its end.
        is_cut: Whether the answer ends at its limit of tokens.
        asked: What was sent behind the files: the prompt, and what was added to it.
    """

    at: datetime
    output: str
    model: str
    provider: str
    endpoint: str
    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    uncached_cost_usd: float | None
    duration_s: float
    is_cut: bool
    asked: str = ""


class RepliesStatus(NamedTuple):
    """How much is recorded.

    Attributes:
        replies: How many.
        size_bytes: What they take together, as the limit counts them.
    """

    replies: int
    size_bytes: int


class Replies:
    """The recorded replies of all projects. For several threads and processes; nothing is made before the first `put`.

    Nothing raises for a disk that cannot be used: nothing is found there then, and nothing kept.

    Args:
        settings: Gives the folder, None for nowhere, and how many bytes all replies may have together. Asked at each
            use, since the config may change; what it raises passes through.
    """

    def __init__(self, settings: Callable[[], tuple[Path | None, int]]) -> None:
        self._settings = settings
        self._database: Database | None = None
        self._trouble = ""
        self._said = ""

    def get(self, key: str) -> Recorded | None:
        """The reply that is recorded under a key; None where there is none, or it does not stand up to its checksum."""
        return self._use(lambda database: _get(database, key), None)

    def put(self, key: str, recorded: Recorded) -> None:
        """Record a reply in place of another one of its key; once this returned it is on file, whatever happens.

        What was not used for longest goes where all together pass the limit.
        """
        directory, max_bytes = self._settings()
        if directory is None:
            self._tell("answers are not recorded: the cache is off (globalCacheSettings.enabled)")
        if self._use(lambda database: _put(database, key, recorded, max_bytes), 0, makes=True):
            self._use(Database.shrink, None)

    def clear(self) -> int:
        """Forget all replies, and a damaged file that was set aside; how many there were."""
        count = self._use(_clear, 0)
        self._use(Database.shrink, None)
        return count

    def status(self) -> RepliesStatus:
        """How much is recorded."""
        return self._use(_status, RepliesStatus(0, 0))

    def take_trouble(self) -> str:
        """Why nothing is recorded or found; said once, empty otherwise."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        if self._database is not None:
            self._database.close()

    def _use(self, action: Callable[[Database], T], otherwise: T, *, makes: bool = False) -> T:
        directory = self._settings()[0]
        if directory is None:
            return otherwise
        database = self._at(directory / FILE_NAME)
        try:
            if not makes and not database.path.exists():
                return otherwise
            done = _in_place(database, action)
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            self._tell(f"replies in {directory} cannot be {'recorded' if makes else 'used'} ({_problem(error)})")
            return otherwise
        if makes:
            self._said = ""
        return done

    def _at(self, path: Path) -> Database:
        """The file, another one once the settings name another folder."""
        database = self._database
        if database is None or database.path != path:
            self.close()
            # No lock, which a forked child might find held: of two that are made at once, one is soon forgotten.
            self._database = database = Database(path, _VERSIONS, busy_s=WAIT_S)
        return database

    def _tell(self, trouble: str) -> None:
        if trouble != self._said:
            self._trouble = self._said = trouble


def _in_place(database: Database, action: Callable[[Database], T]) -> T:
    with database.lock:
        if not database.is_in_place():
            database.close()
        return database.retried(lambda: action(database))


def _get(database: Database, key: str) -> Recorded | None:
    row = _row(database, key)
    if row is None:
        return None
    recorded = _recorded(key, row)
    with suppress(sqlite3.Error, OSError):  # neither is worth the reply
        now = time.time_ns() // 1000
        if recorded is None:
            database.connection.execute("DELETE FROM reply WHERE key = ?", [key])
        elif not isinstance(row[0], int) or abs(now - row[0]) >= TOUCH_PERIOD_US:
            database.connection.execute("UPDATE reply SET used_at = ? WHERE key = ?", [now, key])
    return recorded


def _row(database: Database, key: str) -> tuple[Any, ...] | None:
    try:
        row: tuple[Any, ...] | None = database.connection.execute(_SELECT, [key]).fetchone()
    except sqlite3.OperationalError as error:
        # sqlite opens no file in WAL mode where it cannot put another one beside it, unless nobody writes to it.
        if not is_out_of_order(error) or os.access(database.path.parent, os.W_OK):
            raise
        with closing(sqlite3.connect(f"{database.path.as_uri()}?immutable=1", uri=True)) as connection:
            row = connection.execute(_SELECT, [key]).fetchone()
    return row


def _put(database: Database, key: str, recorded: Recorded, max_bytes: int) -> int:
    """Write it, and forget what is over the limit; how many went."""
    data = as_bytes(json.dumps({**asdict(recorded), "at": microseconds(recorded.at)}, ensure_ascii=False))
    values = [key, time.time_ns() // 1000, len(data), _checksum(key, data), data]
    with database.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO reply VALUES (?, ?, ?, ?, ?)", values)
        if connection.execute(_SIZE).fetchone()[1] <= max_bytes:
            return 0
        return connection.execute(_EVICT, [max_bytes]).rowcount


def _clear(database: Database) -> int:
    with database.transaction() as connection:
        count = connection.execute("DELETE FROM reply").rowcount
    database.forget_damaged()
    return count


def _status(database: Database) -> RepliesStatus:
    with database.lock:
        count, size_bytes = database.connection.execute(_SIZE).fetchone()
    return RepliesStatus(count, int(size_bytes))


def _recorded(key: str, row: tuple[Any, ...]) -> Recorded | None:
    _, checksum, data = row
    if not isinstance(data, bytes) or checksum != _checksum(key, data):
        return None
    try:
        record = json.loads(data.decode(errors="surrogatepass"))
        return Recorded(**{**record, "at": moment(record["at"])})
    except (ValueError, TypeError, KeyError, OverflowError):  # another version's
        return None


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + data, digest_size=16).digest()


def _problem(error: Exception) -> str:
    return "another process keeps the file locked" if is_busy(error) else str(error)

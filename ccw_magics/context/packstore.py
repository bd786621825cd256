"""Packs on disk: one sqlite file that several processes share.

A revision is written in one transaction that first checks that nobody wrote another: so no two texts share a session id
and a revision. Blocks never change, and are written once, with a checksum; the tail and what is known of the files are
written with each revision. Contents are files of the user's, so the file is for the user's eyes alone.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Final

from ccw_magics.context import packload
from ccw_magics.context.pack import PackKey
from ccw_magics.context.packload import FILE_NAME
from ccw_magics.context.packrows import Row, checksum_of, described, key_text, read_key, state_of, time_of
from ccw_magics.context.session import Session
from ccw_magics.database import Database

_FIRST_VERSION: Final = (
    """
    CREATE TABLE IF NOT EXISTS pack (
        key TEXT PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, created_at REAL NOT NULL,
        used_at REAL NOT NULL, expires_at REAL NOT NULL, hits INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        reused_bytes INTEGER NOT NULL, status TEXT NOT NULL, tail BLOB NOT NULL, state TEXT NOT NULL,
        checksum BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS block (
        session_id TEXT NOT NULL, position INTEGER NOT NULL, data BLOB NOT NULL, sections TEXT NOT NULL,
        checksum BLOB NOT NULL, PRIMARY KEY (session_id, position)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS seen (
        session_id TEXT NOT NULL, path TEXT NOT NULL, known TEXT NOT NULL, PRIMARY KEY (session_id, path)
    ) WITHOUT ROWID
    """,
)


class PackStore:
    """The file and its connection. For several threads, one at a time.

    Args:
        directory: Where the file lies; made where it is missing.
        max_bytes: Packs together have at most this; those that were not used for longest go first.

    Raises:
        OSError: The directory or file cannot be made.
        sqlite3.Error: The file cannot be used, and could not be set aside.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._database = Database(directory / FILE_NAME, [_FIRST_VERSION])
        self._lock = self._database.lock
        with self._lock:
            _ = self._database.connection

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._database.connection

    def is_in_place(self) -> bool:
        """Whether the file is still the one that was opened, and not removed or set aside by somebody else."""
        return self._database.is_in_place()

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def set_aside(self) -> None:
        """Put a damaged file out of the way, beside its name, and forget what was in it."""
        self._database.set_aside()

    def current(self, key: PackKey) -> tuple[str, int] | None:
        """The session id and revision that hold for a key; None where there is no pack."""
        with self._lock:
            return packload.current(self._connection, key)

    def load(self, key: PackKey) -> Session | None:
        """The kept pack of a key; None where there is none, or where it does not stand up to its checksums."""
        with self._lock:
            try:
                return packload.load(self._connection, key)
            except (ValueError, KeyError, TypeError, UnicodeDecodeError):
                self._forget("key = ?", key_text(key))
                return None

    def save(self, key: PackKey, session: Session, revision_before: int) -> bool:
        """Write a session's newest revision, unless another process wrote one since `revision_before`.

        Returns:
            Whether it was written.
        """
        with self._database.transaction():
            if self.current(key) not in (None, (session.session_id, revision_before)):
                return False
            self._write(key, session)
            forgotten = self._evict(session)
        if forgotten:
            self._database.shrink()
        return True

    def _write(self, key: PackKey, session: Session) -> None:
        pack, packing = session.pack, session.packing
        assert pack is not None
        execute = self._connection.execute
        same = sum(1 for a, b in zip(pack.kept, session.stored_blocks, strict=False) if a is b)
        execute("DELETE FROM block WHERE session_id = ? AND position >= ?", (session.session_id, same))
        for position, block in enumerate(packing.blocks[same:], same):
            sections = json.dumps([described(section) for section in block.sections])
            checksum = checksum_of(block.data, sections.encode())
            execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?)",
                (session.session_id, position, block.data, sections, checksum),
            )
        self._write_seen(session)
        state = json.dumps(state_of(packing))
        execute(
            "INSERT OR REPLACE INTO pack VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key_text(key),
                session.session_id,
                session.revision,
                pack.created_at.timestamp(),
                (session.used_at or pack.created_at).timestamp(),
                pack.expires_at.timestamp(),
                session.hits,
                pack.size_bytes,
                pack.reused_bytes,
                pack.status,
                pack.rest,
                state,
                checksum_of(pack.rest, state.encode()),
            ),
        )
        session.stored_blocks = pack.kept

    def _write_seen(self, session: Session) -> None:
        name, seen = session.session_id, session.seen
        new = [(name, path, json.dumps(seen[path])) for path in session.unsaved if path in seen]
        gone = [(name, path) for path in session.unsaved if path not in seen]
        self._connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", new)
        self._connection.executemany("DELETE FROM seen WHERE session_id = ? AND path = ?", gone)
        session.unsaved = set()

    def touch(self, session: Session) -> None:
        """Note that a pack was used."""
        assert session.used_at is not None
        with self._lock:
            self._connection.execute(
                "UPDATE pack SET used_at = ?, hits = ?, status = 'hit', reused_bytes = size_bytes WHERE session_id = ?",
                (session.used_at.timestamp(), session.hits, session.session_id),
            )

    def rows(self) -> list[Row]:
        """The kept packs, the last used first."""
        columns = "key, session_id, revision, created_at, used_at, expires_at, hits, size_bytes, reused_bytes, status"
        count = "(SELECT COUNT(*) FROM seen WHERE seen.session_id = pack.session_id)"
        with self._lock:
            found = self._connection.execute(f"SELECT {columns}, {count} FROM pack ORDER BY used_at DESC").fetchall()  # noqa: S608 - constants
        return [
            Row(read_key(key), session_id, revision, time_of(created), time_of(used), time_of(expires), *rest)
            for key, session_id, revision, created, used, expires, *rest in found
        ]

    def release(self, session_id: str) -> bool:
        """Forget a pack; False where there is none of this name."""
        with self._database.transaction():
            count = self._forget("session_id = ?", session_id)
        self._database.shrink()
        return count > 0

    def clear(self) -> int:
        """Forget all packs; how many there were."""
        with self._database.transaction():
            count = self._forget("1 = ?", 1)
        self._database.shrink()
        self._database.forget_damaged()
        return count

    def drop_expired(self, now: datetime) -> int:
        """Forget the packs whose time is over; how many there were."""
        with self._database.transaction():
            count = self._forget("expires_at <= ?", now.timestamp())
        self._database.shrink()
        return count

    def _forget(self, condition: str, value: object) -> int:
        chosen = f"(SELECT session_id FROM pack WHERE {condition})"  # noqa: S608 - constants
        for table in ("block", "seen"):
            self._connection.execute(f"DELETE FROM {table} WHERE session_id IN {chosen}", (value,))  # noqa: S608 - constants
        return self._connection.execute(f"DELETE FROM pack WHERE {condition}", (value,)).rowcount  # noqa: S608 - constants

    def size_bytes(self) -> int:
        """What all packs take together."""
        with self._lock:
            return int(self._connection.execute("SELECT TOTAL(size_bytes) FROM pack").fetchone()[0])

    def _evict(self, session: Session) -> int:
        """Forget what is over its time, and what was not used for longest until the rest is within the limit."""
        assert session.used_at is not None
        forgotten = self._forget("expires_at <= ?", session.used_at.timestamp())
        rows = self._connection.execute("SELECT session_id, size_bytes FROM pack ORDER BY used_at DESC").fetchall()
        total = 0
        for name, size_bytes in sorted(rows, key=lambda row: row[0] != session.session_id):
            total += size_bytes
            if total > self._max_bytes:
                forgotten += self._forget("session_id = ?", name)
        return forgotten

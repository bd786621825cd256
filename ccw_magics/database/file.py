"""One sqlite file that several processes share, and what goes wrong with such a file.

In WAL mode a commit waits for no disk, and readers wait for no writer. WAL needs memory that all who use the file
share, which network file systems cannot give (JupyterHub homes): there, and where it fails in use, a rollback journal
does.

A trap of POSIX decides how the file is opened: a process that closes any descriptor of a file loses all its locks on
it. So only a file that was just made here is opened beside sqlite. (`fork` is about another one.)
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from ccw_magics.database.fork import CREATING, close_before_fork
from ccw_magics.database.mounts import is_on_network
from ccw_magics.database.trouble import is_busy, is_damage, lacks_shared_memory

BUSY_S: Final = 5.0
"""How long a process waits for another one's transaction, unless told otherwise."""
DAMAGED: Final = ".damaged"
"""What is added to the name of a file that was set aside."""

_RETRY_S: Final = 0.01
_RECOVERIES: Final = 2
"""An opening may give up WAL and set a file aside, each once."""


T = TypeVar("T")


class Database:
    """The file and this process's connection to it. For several threads, one at a time.

    Nothing is made or opened before the first use. The directory is made 0700, the file 0600 from its first byte. A
    file that sqlite calls damaged when it is opened is set aside, and a new one begun.

    Args:
        path: The file.
        versions: For each version of the schema, the statements that make it of the one before; `user_version` counts
            them. A newer version's file is used as it is: versions only add.
        keeps_damaged: Whether each damaged file is kept, under a name of its own; else the last one is.
        busy_s: How long each use waits for another process's transaction, holding `lock`; 0 for not at all.

    Attributes:
        path: The file.
        lock: Held by whoever uses `connection`.
        has_wal: Whether the file was in WAL mode when it was last opened.
        damaged: Where a damaged file was put; None where there was none.
    """

    def __init__(
        self,
        path: Path,
        versions: Sequence[Sequence[str]],
        *,
        keeps_damaged: bool = False,
        busy_s: float = BUSY_S,
    ) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.has_wal = False
        self.damaged: Path | None = None
        self._versions = versions
        self._keeps_damaged = keeps_damaged
        self._busy_s = busy_s
        self._wal_failed = False
        self._inode = 0
        self._open_connection: sqlite3.Connection | None = None
        self._close: weakref.finalize[[], Database] | None = None
        close_before_fork(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """This process's connection, opened where it is not; for those who hold `lock`.

        Raises:
            OSError: The directory or file cannot be made.
            sqlite3.Error: The file cannot be used.
        """
        if self._open_connection is None:
            self._open_connection = self._open()
            self._close = weakref.finalize(self, self._open_connection.close)
        return self._open_connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the file for writing; everything written in the block is kept, or nothing.

        Raises:
            OSError: The directory or file cannot be made.
            sqlite3.Error: The file cannot be used.
        """
        with self.lock:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def shrink(self) -> None:
        """Give the space of what was deleted back: contents must not lie on in free pages or in the WAL.

        Whoever reads elsewhere is waited for, `BUSY_S` whatever `busy_s` is: a checkpoint would else leave contents.
        """
        with self.lock, self._waiting(BUSY_S) as connection:
            # Stepped through to its end by `executescript`; `execute` would free one page.
            connection.executescript("PRAGMA incremental_vacuum")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def is_in_place(self) -> bool:
        """Whether the file is still the one that was opened, and not removed or set aside by somebody else."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        with self.lock:
            if self._close is not None:
                self._close()
            self._open_connection = self._close = None

    def set_aside(self) -> None:
        """Put a damaged file and its WAL out of the way, beside their names, unless somebody else did."""
        with self.lock:
            was_in_place = self.is_in_place()
            self.close()
            if was_in_place:
                self.damaged = self._name_aside()
                for suffix in ("-wal", ""):
                    with suppress(FileNotFoundError):
                        Path(f"{self.path}{suffix}").replace(f"{self.damaged}{suffix}")
                Path(f"{self.path}-shm").unlink(missing_ok=True)

    def forget_damaged(self) -> None:
        """Delete what was set aside."""
        for path in self.path.parent.glob(f"{self.path.name}{DAMAGED}*"):
            path.unlink(missing_ok=True)

    def recover(self, error: Exception) -> bool:
        """Do what can be done about an error: give up WAL, or set a damaged file aside.

        Returns:
            Whether to try once more what failed.
        """
        with self.lock:
            if not self._wal_failed and lacks_shared_memory(error):
                self._wal_failed = True
                self.close()
                return True
            if is_damage(error):
                self.set_aside()
                return True
            return False

    def retried(self, action: Callable[[], T]) -> T:
        """Do something with the file, and once more where the first error led to a recovery.

        Raises:
            OSError: The directory or file cannot be made.
            sqlite3.Error: The file cannot be used.
        """
        try:
            return action()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not self.recover(error):
                raise
            return action()

    @contextmanager
    def _waiting(self, busy_s: float) -> Iterator[sqlite3.Connection]:
        """The connection, with another length of waiting in the block."""
        connection = self.connection
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * busy_s)}")
        try:
            yield connection
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self._busy_s)}")

    def _name_aside(self) -> Path:
        first = Path(f"{self.path}{DAMAGED}")
        number, name = 1, first
        while self._keeps_damaged and name.exists():
            number += 1
            name = Path(f"{first}-{number}")
        return name

    def _open(self) -> sqlite3.Connection:
        deadline_s, recoveries = time.monotonic() + self._busy_s, 0
        while True:
            try:
                return self._connect()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if is_busy(error) and time.monotonic() < deadline_s:
                    time.sleep(_RETRY_S)  # of changes of the mode, sqlite itself waits for none
                    continue
                recoveries += 1
                if recoveries > _RECOVERIES or not self.recover(error):
                    raise

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with CREATING:
            _create_privately(self.path)
            connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            self._inode = self.path.stat().st_ino
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may have come with somebody's project
        may_use_wal = not self._wal_failed and not is_on_network(self.path)
        if not may_use_wal:
            _leave_wal(connection)
        if _version(connection) < len(self._versions):
            self._upgrade(connection, may_use_wal=may_use_wal)
        self.has_wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        # In WAL mode a power cut may lose the last commits, never the file; a killed process loses none.
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if self.has_wal else 'FULL'}")

    def _upgrade(self, connection: sqlite3.Connection, *, may_use_wal: bool) -> None:
        if _version(connection) == 0:
            # A new file that a power cut spoils holds nothing yet; waiting for the disk here would delay a call.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if may_use_wal:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection)  # another process may have come first, and be newer
        for statements in self._versions[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, len(self._versions))}")
        connection.execute("COMMIT")


def _create_privately(path: Path) -> None:
    """Make the file, readable by its owner; sqlite gives its own beside it the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _leave_wal(connection: sqlite3.Connection) -> None:
    """Turn a file that is in WAL mode to a rollback journal without shared memory: whoever is alone needs none."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    connection.execute("PRAGMA locking_mode = NORMAL")
    connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # gives the lock back


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])

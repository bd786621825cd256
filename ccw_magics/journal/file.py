"""The journal's file: who may open it, how long one that is held is waited for, and what is told of its troubles.

It lies in `<root>/.ccw/journal/`, readable by its owner alone and out of git. Calls, conversations and spending are in
this one file, so that one transaction sees all of them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

from ccw_magics.database import DAMAGED, Database, is_busy
from ccw_magics.errors import CcwError
from ccw_magics.journal.place import Place
from ccw_magics.journal.rows import as_text
from ccw_magics.journal.tables import VERSIONS

WAIT_S: Final = 1.0
"""How long another process that holds the file may hold a call up: its record is not worth more of a user's time."""
LONG_WAIT_S: Final = 10.0
"""The same where a limit of spending hangs on it: a call that costs money may wait for its turn."""
_POLL_S: Final = 0.005
"""Between tries in that time; writing a call takes less, so that a process that writes many leaves gaps enough."""
_UNUSABLE: Final = (sqlite3.Error, OSError, ValueError, OverflowError)
"""What an action on a file may raise that cannot be used, or that holds what nobody wrote there."""

T = TypeVar("T")


class JournalFile:
    """The file of one project. For several threads and processes; nothing is made before it is first written to.

    Args:
        root: The project's root.

    Attributes:
        path: The file.
    """

    def __init__(self, root: Path) -> None:
        self._place = Place(root)
        self.path = self._place.path
        # Waits are made here, without the lock: other threads' calls must not queue for one that waits.
        self._database = Database(self.path, VERSIONS, keeps_damaged=True, busy_s=0)
        self._troubles: dict[str, None] = {}
        self._said: dict[str, str] = {}

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for an action that one of the methods below runs."""
        connection = self._database.connection
        connection.text_factory = as_text
        return connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute a statement, in such an action."""
        return self.connection.execute(statement, values)

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the file for writing, in such an action; everything written in the block is kept, or nothing."""
        return self._database.transaction()

    def keep(self, action: Callable[[], T], what: str) -> T | None:
        """Write something whose loss stops nobody, into a file that is made where it is missing.

        Another process that writes is waited for, at most `WAIT_S`.

        Args:
            action: What writes it; run again where it failed and the file could be mended.
            what: Begins the trouble, which is told once until this succeeds: `this call is not recorded`.

        Returns:
            What the action did; None where it failed, and `take_trouble` says why.
        """
        try:
            kept = self._in_turn(lambda: self._made(action))
        except _UNUSABLE as error:
            self.tell_once(what, f"{what}: the journal {self.path} cannot be written ({_problem(error)})")
            return None
        self._said.pop(what, None)
        return kept

    def write(self, action: Callable[[], T]) -> T:
        """Write something that must be on file, into a file that is made where it is missing.

        Another process that writes is waited for, at most `LONG_WAIT_S`.

        Raises:
            CcwError: The file cannot be written.
        """
        try:
            return self._in_turn(lambda: self._made(action), LONG_WAIT_S)
        except _UNUSABLE as error:
            raise self._unusable(error) from None

    def use(self, action: Callable[[], T], otherwise: T, *, wait_s: float = WAIT_S) -> T:
        """Read or write what is there; no file is made, and without one the answer is `otherwise`.

        Args:
            action: What is to be done.
            otherwise: The answer where there is no file.
            wait_s: How long another process that writes is waited for.

        Raises:
            CcwError: The file cannot be used.
        """
        try:
            return self._in_turn(lambda: self._where_it_is(action, otherwise), wait_s)
        except _UNUSABLE as error:
            raise self._unusable(error) from None

    def shrink(self) -> None:
        """Give the space of what was deleted back: contents must not lie on in the file.

        Raises:
            CcwError: The file cannot be written.
        """
        self.use(self._database.shrink, None)

    def used_bytes(self) -> int:
        """What the pages in use take; in an action."""
        pages, free, page_bytes = (
            self.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_bytes)

    def size_bytes(self) -> int:
        """What the file, and those beside it, take on disk."""
        return self._place.size_bytes()

    def set_aside(self) -> list[Path]:
        """The damaged files beside this one, the newest last, whichever process set them aside."""
        return self._place.set_aside(DAMAGED)

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        self._database.close()

    def tell(self, trouble: str) -> None:
        """Have something told with the next `take_trouble`."""
        self._troubles[trouble] = None

    def tell_once(self, about: str, trouble: str) -> None:
        """Likewise, unless that is what was told last about the same."""
        if self._said.get(about) != trouble:
            self._said[about] = trouble
            self.tell(trouble)

    def take_trouble(self) -> str:
        """What there is to tell, said once; empty otherwise."""
        troubles, self._troubles = self._troubles, {}
        return "; ".join(troubles)

    def _made(self, action: Callable[[], T]) -> T:
        if not self._database.is_in_place():
            self._database.close()
            self._place.require_ordinary()
            self._place.make()
            self._keep_private()
        return self._retried(action)

    def _where_it_is(self, action: Callable[[], T], otherwise: T) -> T:
        self._place.require_ordinary()
        if not self.path.exists():
            return otherwise
        if not self._database.is_in_place():
            self._database.close()
            self._keep_private()
        return self._retried(action)

    def _in_turn(self, action: Callable[[], T], wait_s: float = WAIT_S) -> T:
        """Do something with the lock; where another process is in the way, again and again for so many seconds."""
        deadline_s = float("inf")
        while True:
            try:
                with self._database.lock:
                    return action()
            except sqlite3.Error as error:
                now_s = time.monotonic()
                deadline_s = min(deadline_s, now_s + wait_s)
                if now_s >= deadline_s or not is_busy(error):
                    raise
            time.sleep(_POLL_S)

    def _retried(self, action: Callable[[], T]) -> T:
        try:
            return self._database.retried(action)
        finally:
            if self._database.damaged is not None:
                self.tell(f"the journal was damaged: set aside as {self._database.damaged}, and a new one begun")
                self._database.damaged = None

    def _keep_private(self) -> None:
        if trouble := self._place.make_private():
            self.tell_once("modes", trouble)

    def _unusable(self, error: Exception) -> CcwError:
        return CcwError(f"the journal {self.path} cannot be used: {_problem(error)}")


def _problem(error: Exception) -> str:
    return "another process keeps it locked" if is_busy(error) else str(error)

"""Forks of a process that has sqlite files open.

sqlite keeps a list of its locks that a forked child takes over without the locks themselves; then the parent, closing,
deletes a WAL that the child still writes to. So connections are closed before a fork, and each process opens its own
when it next needs one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import suppress
from typing import Final, Protocol


class Lock(Protocol):
    """What `threading` makes: re-entrant or not."""

    def acquire(self) -> bool:
        """Wait for it."""
        ...

    def release(self) -> None:
        """Leave it to the next."""
        ...


class Closable(Protocol):
    """What has a file open."""

    @property
    def lock(self) -> Lock:
        """Held by whoever uses the file."""
        ...

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        ...


CREATING: Final = threading.Lock()
"""From making a file to sqlite's opening it: no other thread's lock on it may be lost."""
_OPEN: Final[weakref.WeakSet[Closable]] = weakref.WeakSet()
_FORKING: Final = threading.Lock()
_HELD: Final[list[Lock]] = []
"""What a thread that forks holds meanwhile, so that the child finds all of it free."""


def close_before_fork(database: Closable) -> None:
    """Have a file closed whenever this process forks, as long as `database` lives."""
    _OPEN.add(database)


def _hold(lock: Lock) -> None:
    lock.acquire()
    _HELD.append(lock)


def _before_fork() -> None:
    _hold(_FORKING)
    for database in list(_OPEN):
        _hold(database.lock)
        with suppress(sqlite3.Error):
            database.close()
    _hold(CREATING)


def _after_fork() -> None:
    while _HELD:
        _HELD.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

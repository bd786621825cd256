"""The store of packs as far as it can be used: damaged files are set aside, and trouble never reaches a call."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from ccw_magics.context import slots
from ccw_magics.context.packload import opened_to_look
from ccw_magics.context.packstore import PackStore
from ccw_magics.database import is_busy, is_out_of_order

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_MAX_BYTES: Final = 100 * 1024 * 1024
_INHERITED: Final[list[PackStore]] = []
"""Stores of a parent process: forgetting them would close their connections."""


@dataclass(frozen=True)
class CacheSettings:
    """Where packs are kept.

    Attributes:
        directory: None for memory alone.
        max_bytes: Limit of all packs together.
    """

    directory: Path | None = None
    max_bytes: int = DEFAULT_MAX_BYTES


class Disk:
    """Opens the store that the settings name, and uses it as long as that works.

    Args:
        settings: Asked at each use, since the config may change.
    """

    def __init__(self, settings: Callable[[], CacheSettings]) -> None:
        self._settings = settings
        self._opened: CacheSettings | None = None
        self._store: PackStore | None = None
        self._trouble = ""

    @property
    def settings(self) -> CacheSettings:
        """Where packs are kept now, and within which limit."""
        return self._settings()

    @property
    def is_usable(self) -> bool:
        """Whether there is a store."""
        return self.current() is not None

    @property
    def slots_bytes(self) -> int:
        """What saved slots take."""
        directory = self.settings.directory
        return 0 if directory is None else slots.size_bytes(directory)

    def use(self, action: Callable[[PackStore], T], otherwise: U) -> T | U:
        """Do something with the store; what fails there leaves memory, and the call, alone."""
        store = self.current()
        return otherwise if store is None else self.use_this(store, action, otherwise)

    def use_this(self, store: PackStore, action: Callable[[PackStore], T], otherwise: U) -> T | U:
        """The same with a store that was current a moment ago: asks for no settings, so for other threads."""
        try:
            return action(store)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._fail(error, store)
        return otherwise

    def look(self, action: Callable[[sqlite3.Connection], T | None]) -> T | None:
        """Read something from where the store is, or would be, and leave all as it is; None where that cannot be."""
        settings = self.settings
        is_given_up = settings == self._opened and self._store is None
        if settings.directory is None or is_given_up:
            return None
        try:
            with opened_to_look(settings.directory) as connection:
                return action(connection)
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError):
            return None

    def close(self) -> None:
        """Give the store back; the next use opens it again."""
        if self._store is not None:
            self._store.close()
        self._store, self._opened = None, None

    def leave_to_parent(self) -> None:
        """After a fork: the parent's connection must not be used here, nor closed."""
        if self._store is not None:
            _INHERITED.append(self._store)
        self._store, self._opened = None, None

    def clear_slots(self) -> None:
        """Delete the slots."""
        directory = self.settings.directory
        if directory is not None:
            slots.clear(directory)

    def take_trouble(self) -> str:
        """Why nothing is kept on disk, to be said once; empty where that was said, or all is well."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def current(self) -> PackStore | None:
        """The store, opened anew where the settings name another place, or its file is no longer the one it was."""
        settings = self.settings
        if settings != self._opened or (self._store is not None and not self._store.is_in_place()):
            self.close()
            self._opened = settings
            self._store = self._open(settings)
        return self._store

    def _open(self, settings: CacheSettings) -> PackStore | None:
        if settings.directory is None:
            return None
        try:
            return PackStore(settings.directory, settings.max_bytes)
        except (sqlite3.Error, OSError) as error:
            self._fail(error, None)
            return None

    def _fail(self, error: Exception, store: PackStore | None) -> None:
        """Wait for a busy file; put a damaged one aside; where the place cannot be used, go on in memory."""
        if is_busy(error):
            self._opened = self._opened if store is not None else None  # a store that could not be opened: next time
            return
        if store is not None and not is_out_of_order(error):
            store.set_aside()
            self._store, self._opened = None, None
            return
        self._store = None
        directory = self._opened.directory if self._opened is not None else None
        self._trouble = f"the cache in {directory} cannot be used ({error}); packs are kept in memory only"

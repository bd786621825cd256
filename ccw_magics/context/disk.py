"""The store of packs as far as it can be used: damaged files are set aside, and trouble never reaches a call."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from ccw_magics.context import slots
from ccw_magics.context.packstore import PackStore, is_busy, is_out_of_order

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_MAX_BYTES: Final = 100 * 1024 * 1024


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
        return self._current() is not None

    @property
    def slots_bytes(self) -> int:
        """What saved slots take."""
        directory = self.settings.directory
        return 0 if directory is None else slots.size_bytes(directory)

    def use(self, action: Callable[[PackStore], T], otherwise: U) -> T | U:
        """Do something with the store; what fails there leaves memory, and the call, alone."""
        store = self._current()
        if store is None:
            return otherwise
        try:
            return action(store)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._fail(error)
        return otherwise

    def close(self) -> None:
        """Give the store back; the next use opens it again."""
        if self._store is not None:
            self._store.close()
        self._store, self._opened = None, None

    def evict_slots(self, packs_bytes: int) -> None:
        """Leave the slots what the packs do not take of the limit."""
        settings = self.settings
        if settings.directory is not None:
            slots.evict(settings.directory, settings.max_bytes - packs_bytes)

    def clear_slots(self) -> None:
        """Delete the slots."""
        directory = self.settings.directory
        if directory is not None:
            slots.clear(directory)

    def take_trouble(self) -> str:
        """Why nothing is kept on disk, to be said once; empty where that was said, or all is well."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def _current(self) -> PackStore | None:
        settings = self.settings
        if settings != self._opened:
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
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        """Wait for a busy file; put a damaged one aside; where the place cannot be used, go on in memory."""
        if is_busy(error):
            return
        if self._store is not None and not is_out_of_order(error):
            self._store.set_aside()
            self._store, self._opened = None, None
            return
        self._store = None
        directory = self.settings.directory
        self._trouble = f"the cache in {directory} cannot be used ({error}); packs are kept in memory only"

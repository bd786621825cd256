"""A stand-in for the package `keyring`: entries in memory, and backends that fail in each of their ways."""

from __future__ import annotations

import sys
import types

import pytest


class LockedError(Exception):
    """What a backend raises; like a real one, it repeats what it was given."""


class FakeKeyring:
    """The package, with one backend.

    Attributes:
        entries: By service and name.
        priority: As the backend says of itself: real ones have 1 or more, the two that store nothing 0 and -1.
        fails: Names of its functions that raise.
        drops: Whether it takes keys without keeping them.
    """

    def __init__(self, priority: float = 5) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.priority = priority
        self.fails: set[str] = set()
        self.drops = False

    def get_keyring(self) -> FakeKeyring:
        if "get_keyring" in self.fails:
            raise LockedError
        return self

    def get_password(self, service: str, name: str) -> str | None:
        if "get_password" in self.fails:
            raise LockedError(self.entries)
        return self.entries.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        if "set_password" in self.fails:
            raise LockedError(password)
        if not self.drops:
            self.entries[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        if "delete_password" in self.fails:
            raise LockedError(self.entries[service, name])
        del self.entries[service, name]

    def install(self, patch: pytest.MonkeyPatch) -> FakeKeyring:
        """Stand in for the package until the test ends."""
        module = types.ModuleType("keyring")
        for name in ("get_keyring", "get_password", "set_password", "delete_password"):
            setattr(module, name, getattr(self, name))
        patch.setitem(sys.modules, "keyring", module)
        return self

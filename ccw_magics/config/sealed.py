"""What may hold keys in plain text, and is in the hands of code that reads and writes the config file.

A verbose traceback prints the locals of each frame: these print nothing of what they hold.
"""

from __future__ import annotations

from typing import Any


class Sealed(dict[str, Any]):
    """A JSON object whose `repr` tells its names alone. What is made from it by `{**sealed}` is no longer sealed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Sealed({', '.join(sorted(map(str, self)))})"


def seal(value: Any) -> Any:
    """The same JSON value with every object in it sealed."""
    if isinstance(value, dict):
        return Sealed({name: seal(item) for name, item in value.items()})
    return [seal(item) for item in value] if isinstance(value, list) else value


class SealedBytes(bytes):
    """Bytes whose `repr` tells their number alone."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SealedBytes({len(self)})"

"""The slots that the embedded model saves beside the packs: what it has read, so contents of files too.

Whoever writes them (`backends`) knows nothing of the cache; the cache counts them, evicts the least used together with
the packs' limit, and clears them with the rest. A slot is `ID.slot` with a note `ID.json`, or a `.part` while it is
written; nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = "slots"
SUFFIX: Final = ".slot"
NOTE_SUFFIX: Final = ".json"
PARTIAL_SUFFIX: Final = ".part"
"""Of what a kernel that was killed while saving left."""


class Slot(NamedTuple):
    """A saved slot.

    Attributes:
        used_at: Its mtime, in seconds since the epoch.
        size_bytes: Of the slot.
        path: Where it lies.
    """

    used_at: float
    size_bytes: int
    path: Path


def size_bytes(directory: Path) -> int:
    """What the slots below a cache directory take."""
    return sum(slot.size_bytes for slot in _slots(directory))


def evict(directory: Path, room_bytes: int) -> None:
    """Delete the least used slots until the rest takes at most `room_bytes`."""
    taken = 0
    for slot in sorted(_slots(directory), reverse=True):
        taken += slot.size_bytes
        if taken > room_bytes:
            _delete(slot.path)


def clear(directory: Path) -> None:
    """Delete all slots."""
    for slot in _slots(directory):
        _delete(slot.path)


def _slots(directory: Path) -> Iterator[Slot]:
    with suppress(OSError):
        for path in sorted((directory / FOLDER).iterdir()):
            if path.suffix in (SUFFIX, PARTIAL_SUFFIX):
                with suppress(OSError):  # the embedded model's own process may take one away at any time
                    status = path.stat()
                    yield Slot(status.st_mtime, status.st_size, path)


def _delete(path: Path) -> None:
    for victim in (path.with_suffix(NOTE_SUFFIX), path):
        with suppress(OSError):
            victim.unlink(missing_ok=True)

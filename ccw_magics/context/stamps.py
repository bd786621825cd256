"""What `stat` says of paths, kept so that a later look tells which of them may have changed.

A stamp can lie: something written twice within one tick of the file system's clock, at the same size, keeps it. As git
does with "racily clean" files, a stamp is trusted only if it was taken well after the last change that it shows.
"""

# A path is bytes here, which pathlib does not take.

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import compress
from operator import attrgetter, ne
from typing import Final, cast

Signature = tuple[int, int, int, int]
"""mtime in ns, size in bytes, inode, ctime in ns."""

Stat = Callable[[bytes], os.stat_result]

TICK_NS: Final = 20_000_000
"""The clock's grain, doubled: Linux stamps by a clock of 1 to 10 ms, Windows by one of up to 15.6 ms."""

COARSE_TICK_NS: Final = 2_000_000_000
"""Likewise where stamps are whole seconds: FAT's grain."""

signature_of: Final = cast(
    "Callable[[os.stat_result], Signature]", attrgetter("st_mtime_ns", "st_size", "st_ino", "st_ctime_ns")
)
"""The signature in a status."""

# Every change moves ctime, and nobody can set it; Windows has none and gives the time of creation instead.
_CHANGED = 3 if os.name == "posix" else 0


def is_settled(signature: Signature, now_ns: int) -> bool:
    """Whether a change after `now_ns` must show in the signature.

    Args:
        signature: Taken at `now_ns` or later.
        now_ns: Nanoseconds since the epoch.
    """
    changed_ns = signature[_CHANGED]
    return changed_ns < now_ns - (TICK_NS if changed_ns % 1_000_000_000 else COARSE_TICK_NS)


def stamp(path: bytes, now_ns: int, stat: Stat = os.lstat) -> Signature | None:
    """The path's signature, marked as `Stamps.get` marks it; None where there is nothing to see.

    Args:
        path: Any path.
        now_ns: The time before the call.
        stat: `os.lstat`, or `os.stat` to follow links.
    """
    stamps = Stamps(now_ns, stat)
    stamps.look([path])
    return stamps.get(path)


class Stamps:
    """Paths and their signatures.

    Args:
        now_ns: The time, before any path is looked at.
        stat: `os.lstat`, or `os.stat` to follow links.
    """

    def __init__(self, now_ns: int, stat: Stat = os.lstat) -> None:
        self._now_ns = now_ns
        self._stat = stat
        self._taken: dict[bytes, Signature | None] = {}
        self._unsettled: set[bytes] = set()

    def look(self, paths: Iterable[bytes]) -> None:
        """Stamp those of the paths that have no stamp yet."""
        new = [path for path in paths if path not in self._taken]
        self._note(new, self._signatures(new))

    def look_at(self, path: bytes) -> None:
        """Stamp one path anew; a short cut, for walks."""
        signature = self._taken[path] = self._signature(path)
        if signature is not None and not is_settled(signature, self._now_ns):
            self._unsettled.add(path)

    def get(self, path: bytes) -> Signature | None:
        """The path's signature; None where there was nothing to see.

        An unsettled one has, in place of its ctime, the time of the look below zero: it equals no signature of another
        look, so who keeps something under it will fetch that anew.
        """
        signature = self._taken.get(path)
        if signature is None or path not in self._unsettled:
            return signature
        return (*signature[:3], -self._now_ns)

    def refresh(self, now_ns: int) -> set[bytes]:
        """Stamp every path again.

        Args:
            now_ns: The time.

        Returns:
            The paths that changed, and those that may have, as their last stamps were unsettled.
        """
        changed, self._unsettled = self._unsettled | self._differing(), set()
        self._now_ns = now_ns
        self._note(changed, self._signatures(changed))
        return changed

    def drop(self, path: bytes) -> None:
        """Forget a path."""
        self._taken.pop(path, None)
        self._unsettled.discard(path)

    def keep_only(self, paths: Iterable[bytes]) -> None:
        """Forget all other paths."""
        self._taken = {path: self._taken[path] for path in paths}
        self._unsettled &= self._taken.keys()

    def _note(self, paths: Collection[bytes], signatures: Sequence[Signature | None]) -> None:
        self._taken.update(zip(paths, signatures, strict=True))
        doubtful_ns = self._now_ns - COARSE_TICK_NS
        for path, signature in zip(paths, signatures, strict=True):
            if signature is not None and signature[_CHANGED] >= doubtful_ns and not is_settled(signature, self._now_ns):
                self._unsettled.add(path)

    def _differing(self) -> set[bytes]:
        taken = self._taken
        try:
            # No Python runs for a path and nothing is kept of it: checking thousands takes little more than their stat.
            now = map(signature_of, map(self._stat, taken))
            return set(compress(taken, map(ne, now, taken.values())))
        except OSError:
            return {path for path, signature in taken.items() if self._signature(path) != signature}

    def _signatures(self, paths: Collection[bytes]) -> list[Signature | None]:
        try:
            return list(map(signature_of, map(self._stat, paths)))
        except OSError:
            return [self._signature(path) for path in paths]

    def _signature(self, path: bytes) -> Signature | None:
        try:
            return signature_of(self._stat(path))
        except OSError:
            return None

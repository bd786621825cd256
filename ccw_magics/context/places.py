"""Directories listed once each, with git's ignore rules applied, and listed again only where they changed.

A `Place` is a directory that references may reach into: the project root, or an included directory. Paths are bytes:
every file name on disk is bytes, so are git's rules, and nothing is decoded that is not asked for.
"""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH112

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ccw_magics.context.git import Repository, TrackedFiles, repository_at, settings_files, top_level
from ccw_magics.context.gitignore import IgnoreRules, compile_rules
from ccw_magics.context.listing import Layers, Listing, sort_out
from ccw_magics.context.paths import join
from ccw_magics.context.stamps import Stamps

_LARGEST_IGNORE_FILE_BYTES = 100 * 1024 * 1024  # git's own limit (dir.c, PATTERN_MAX_FILE_SIZE)
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class Place:
    """A directory that references may reach into.

    Args:
        directory: Its real path.
        now_ns: The time, before anything is looked at.
    """

    def __init__(self, directory: bytes, now_ns: int) -> None:
        self.directory = directory
        top = top_level(directory)
        self._repository = repository_at(top) if top else None
        self._layers: dict[bytes, Layers] = {}
        self._listings: dict[bytes, Listing] = {}
        self._directories = Stamps(now_ns)
        self._unreadable: set[bytes] = set()  # for having too many files open, say, which no stamp shows
        self._rules = Stamps(now_ns)
        self._outside = Stamps(now_ns, os.stat)
        self._index = Stamps(now_ns, os.stat)
        self._tracked: TrackedFiles | None = None
        self._surroundings = self._look_around()

    def listing(self, directory: bytes) -> Listing:
        """What a directory of this place holds; read once.

        Args:
            directory: Its real path.
        """
        listing = self._listings.get(directory)
        if listing is None:
            self._directories.look_at(directory)  # before it is listed: what happens in between must show next time
            listing = self._listings[directory] = self._list(directory)
        return listing

    def tracked_but_ignored(self) -> list[bytes]:
        """Paths below this place that git ignores and tracks; none where nothing was ignored so far."""
        return self._tracked.paths() if self._tracked else []

    def is_outdated(self, now_ns: int) -> bool:
        """Whether git's rules may have changed, and nothing of this place holds any more.

        Args:
            now_ns: The time.
        """
        stale = self._rules.refresh(now_ns) | self._outside.refresh(now_ns)
        return bool(stale) or self._surroundings != self._look_around()

    def refresh(self, now_ns: int) -> bool | None:
        """List again what changed; all else is taken from memory.

        Args:
            now_ns: The time.

        Returns:
            Whether what it holds has changed; None where an ignore file came or went, and nothing holds any more.
        """
        before = self._tracked
        if before and self._repository and self._index.refresh(now_ns):
            self._track(self._repository)
        changed = False
        for directory in self._directories.refresh(now_ns) | self._unreadable:
            old, new = self._listings.pop(directory), self._list(directory)
            if old.has_rules != new.has_rules:
                return None
            if new.error and not os.path.isdir(directory):
                self._directories.drop(directory)
                self._unreadable.discard(directory)
                self._layers.pop(directory, None)
                changed = True
            else:
                self._listings[directory] = new
                changed = changed or old.in_order() != new.in_order()
        if before and self._tracked is not before:
            changed = changed or self.tracked_but_ignored() != before.paths()
        return changed

    def close(self) -> None:
        """End what was started on the side."""
        if self._tracked:
            self._tracked.close()

    def _look_around(self) -> tuple[object, ...]:
        """Where git's rules come from; the files themselves are stamped."""
        repository = self._repository
        if repository is None:
            return (top_level(self.directory),)
        is_linked = not os.path.isdir(join(repository.top, b".git"))
        return top_level(self.directory), is_linked, settings_files(repository)

    def _track(self, repository: Repository) -> None:
        self._index.look((repository.index,))
        self._tracked = TrackedFiles(self.directory)

    def _list(self, directory: bytes) -> Listing:
        self._unreadable.discard(directory)
        try:
            with os.scandir(join(directory, b"")) as entries:
                found = list(entries)
        except OSError as error:
            self._unreadable.add(directory)
            return Listing(error=f"cannot be read: {error.strerror}")
        has_rules = b".gitignore" in [entry.name for entry in found]
        listing = sort_out(found, self._layers_of(directory, has_rules=has_rules), has_rules=has_rules)
        if listing.ignores and self._repository and self._tracked is None:
            self._track(self._repository)
        return listing

    def _layers_of(self, directory: bytes, *, has_rules: bool = True) -> Layers:
        layers = self._layers.get(directory)
        if layers is None:
            above = self._layers_above(directory)
            own = self._read_rules(join(directory, b".gitignore")) if has_rules else None
            layers = self._layers[directory] = above.under(own, directory)
        return layers

    def _layers_above(self, directory: bytes) -> Layers:
        """The parent's rules, up to the repository's top, where those outside its tree end the list."""
        if self._repository and directory == self._repository.top:
            return self._layers_outside(self._repository)
        if self._repository is None and directory == self.directory:
            return Layers()
        return self._layers_of(directory.rpartition(b"/")[0] or b"/")

    def _layers_outside(self, repository: Repository) -> Layers:
        self._outside.look((*repository.links, *settings_files(repository)))
        layers = Layers()
        for path in reversed(list(repository.exclude_files())):
            self._outside.look((path,))
            layers = layers.under(_read_rules(path, follow_links=True), repository.top)
        return layers

    def _read_rules(self, path: bytes) -> IgnoreRules | None:
        self._rules.look((path,))
        return _read_rules(path)


def _read_rules(path: bytes, *, follow_links: bool = False) -> IgnoreRules | None:
    """Compile an ignore file; None where there is none. git follows no link to one within a tree, nor do we."""
    try:
        descriptor = os.open(path, _READ_FLAGS | (0 if follow_links else _NO_LINK))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_IGNORE_FILE_BYTES:
                return None
            return compile_rules(b"".join(_chunks(descriptor)))
        finally:
            os.close(descriptor)
    except OSError:
        return None


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, 1 << 16):
        yield chunk

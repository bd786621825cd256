"""Directories listed once each, with git's ignore rules applied.

A `Place` is a directory that references may reach into: the project root, or an included directory. Paths are bytes:
every file name on disk is bytes, so are git's rules, and nothing is decoded that is not asked for.
"""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH116

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ccw_magics.context.git import TrackedFiles, exclude_files, top_level
from ccw_magics.context.gitignore import Decision, IgnoreRules, compile_rules
from ccw_magics.context.paths import containing, join, real
from ccw_magics.context.sensitive import LEFT_OUT_DIRECTORIES

IGNORED = "ignored by git's rules"
LEFT_OUT = "left out unless named"
LINK_OUTSIDE = "a symbolic link that leads outside"
LINK_BROKEN = "a symbolic link that leads nowhere"
LINK_TO_DIRECTORY = "a symbolic link to a directory"

_LARGEST_IGNORE_FILE_BYTES = 100 * 1024 * 1024  # git's own limit (dir.c, PATTERN_MAX_FILE_SIZE)
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Layers(NamedTuple):
    """The rules that hold in a directory, the strongest first.

    With each set of rules goes the place in an absolute path where the part that they read starts.

    Attributes:
        files: Those that say something of files.
        directories: Those that say something of directories.
    """

    files: tuple[tuple[Decision, int], ...] = ()
    directories: tuple[tuple[Decision, int], ...] = ()

    def under(self, rules: IgnoreRules | None, directory: bytes) -> Layers:
        """These, below the rules of one ignore file; the same object where there is none.

        Args:
            rules: The file's rules.
            directory: The directory that they are relative to.
        """
        if rules is None:
            return self
        position = len(join(directory, b""))
        files = ((rules.files, position), *self.files) if rules.files else self.files
        directories = ((rules.directories, position), *self.directories) if rules.directories else self.directories
        return Layers(files, directories)


@dataclass(slots=True)
class Listing:
    """What a directory holds.

    Attributes:
        files: Regular files, and links to regular files, that nothing leaves out.
        directories: Directories to go into, by base name.
        files_left_out: Base names of other files, each with the reason.
        directories_left_out: Base names of directories, each with the reason.
        error: Why it cannot be read, or an empty string.
        ignores: Whether git's rules leave out any of these.
    """

    files: list[os.DirEntry[bytes]] = field(default_factory=list)
    directories: list[bytes] = field(default_factory=list)
    files_left_out: dict[bytes, str] = field(default_factory=dict)
    directories_left_out: dict[bytes, str] = field(default_factory=dict)
    error: str = ""
    ignores: bool = False


class Place:
    """A directory that references may reach into.

    Args:
        directory: Its real path.
        places: The real paths of all such directories: where symbolic links may lead.
    """

    def __init__(self, directory: bytes, places: Sequence[bytes]) -> None:
        self.directory = directory
        self._places = places
        self._top = top_level(directory)
        self._layers: dict[bytes, Layers] = {}
        self._listings: dict[bytes, Listing] = {}
        self._tracked: TrackedFiles | None = None

    def listing(self, directory: bytes) -> Listing:
        """What a directory of this place holds; read once.

        Args:
            directory: Its real path.
        """
        listing = self._listings.get(directory)
        if listing is None:
            listing = self._listings[directory] = self._list(directory)
        return listing

    def tracked_but_ignored(self) -> list[bytes]:
        """Paths below this place that git ignores and tracks; none where nothing was ignored so far."""
        return self._tracked.paths() if self._tracked else []

    def close(self) -> None:
        """End what was started on the side."""
        if self._tracked:
            self._tracked.close()

    def _list(self, directory: bytes) -> Listing:
        try:
            with os.scandir(join(directory, b"")) as entries:
                found = list(entries)
        except OSError as error:
            return Listing(error=f"cannot be read: {error.strerror}")
        has_rules = b".gitignore" in [entry.name for entry in found]
        by_file, by_directory = self._layers_of(directory, has_rules=has_rules)
        listing = Listing()
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                self._add_directory(listing, entry, by_directory)
            elif by_file and _is_ignored(entry.path, by_file):
                listing.files_left_out[entry.name] = IGNORED
                listing.ignores = True
            elif entry.is_file(follow_symlinks=False) and entry.name not in LEFT_OUT_DIRECTORIES:
                listing.files.append(entry)
            else:
                self._add_other(listing, entry)
        if self._tracked is None and listing.ignores and self._top:
            self._tracked = TrackedFiles(self.directory)
        return listing

    def _add_directory(
        self, listing: Listing, entry: os.DirEntry[bytes], rules: Sequence[tuple[Decision, int]]
    ) -> None:
        if entry.name in LEFT_OUT_DIRECTORIES:
            listing.directories_left_out[entry.name] = LEFT_OUT
        elif rules and _is_ignored(entry.path, rules):
            listing.directories_left_out[entry.name] = IGNORED
            listing.ignores = True
        else:
            listing.directories.append(entry.name)

    def _add_other(self, listing: Listing, entry: os.DirEntry[bytes]) -> None:
        """File a link, a FIFO, or a worktree's `.git` file."""
        if entry.name in LEFT_OUT_DIRECTORIES:
            listing.files_left_out[entry.name] = LEFT_OUT
            return
        reason = link_reason(entry.path, self._places) if entry.is_symlink() else kind(entry)
        if reason:
            listing.files_left_out[entry.name] = reason
        else:
            listing.files.append(entry)

    def _layers_of(self, directory: bytes, *, has_rules: bool = True) -> Layers:
        layers = self._layers.get(directory)
        if layers is None:
            own = _read_rules(join(directory, b".gitignore")) if has_rules else None
            layers = self._layers[directory] = self._layers_above(directory).under(own, directory)
        return layers

    def _layers_above(self, directory: bytes) -> Layers:
        """The parent's rules, up to the repository's top, where those outside its tree end the list."""
        if directory == self._top:
            layers = Layers()
            for path in reversed(list(exclude_files(directory))):
                layers = layers.under(_read_rules(path), directory)
            return layers
        if self._top is None and directory == self.directory:
            return Layers()
        return self._layers_of(directory.rpartition(b"/")[0] or b"/")


def kind(entry: os.DirEntry[bytes]) -> str:
    """What something that is no file, directory or link is; empty for a regular file."""
    try:
        return kind_of(entry.stat(follow_symlinks=False).st_mode)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def kind_of(mode: int) -> str:
    """What a file of this mode is, in words; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "not a regular file")


def link_reason(path: bytes, places: Sequence[bytes]) -> str:
    """Why a symbolic link is not taken; empty where it leads to a regular file inside the places.

    Args:
        path: The link.
        places: Real paths that it may lead into.
    """
    target = real(path)
    place = containing(target, places)
    if place is None:
        return LINK_OUTSIDE
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return LINK_BROKEN
    if not LEFT_OUT_DIRECTORIES.isdisjoint(target[len(place) :].split(b"/")):
        return LEFT_OUT
    return LINK_TO_DIRECTORY if stat.S_ISDIR(mode) else kind_of(mode)


def _is_ignored(path: bytes, rules: Sequence[tuple[Decision, int]]) -> bool:
    """What the strongest of the rules that mention the path says."""
    for (pattern, ignored), position in rules:
        match = pattern.match(path, position)
        if match:
            return ignored[match.lastindex or 0]
    return False


def _read_rules(path: bytes) -> IgnoreRules | None:
    """Compile an ignore file; None where there is none. git follows no link here, nor do we."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
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

"""A directory's entries by what they are, and why some are left out."""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH112, PTH116

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from ccw_magics.context.gitignore import Decision, IgnoreRules
from ccw_magics.context.paths import containing, join, real
from ccw_magics.context.sensitive import LEFT_OUT_DIRECTORIES

IGNORED = "ignored by git's rules"
LEFT_OUT = "left out unless named"
LINK_OUTSIDE = "a symbolic link that leads outside"
LINK_BROKEN = "a symbolic link that leads nowhere"
LINK_TO_DIRECTORY = "a symbolic link to a directory"
CHANGED = "changed while it was looked at"

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


class Listing(NamedTuple):
    """What a directory holds, by base name.

    Attributes:
        files: Regular files that nothing leaves out.
        directories: Directories to go into.
        links: Symbolic links that nothing leaves out so far; where they lead is `resolve_link`'s to tell.
        files_left_out: Other files, each with the reason.
        directories_left_out: Directories, each with the reason.
        error: Why it cannot be read, or an empty string.
        has_rules: Whether there is an ignore file.
    """

    files: tuple[bytes, ...] = ()
    directories: tuple[bytes, ...] = ()
    links: tuple[bytes, ...] = ()
    files_left_out: tuple[tuple[bytes, str], ...] = ()
    directories_left_out: tuple[tuple[bytes, str], ...] = ()
    error: str = ""
    has_rules: bool = False

    @property
    def ignores(self) -> bool:
        """Whether git's rules leave out any of these."""
        return any(reason == IGNORED for _, reason in self.files_left_out + self.directories_left_out)

    def in_order(self) -> Listing:
        """The same, sorted: the file system's own order is a whim."""
        return Listing(
            tuple(sorted(self.files)),
            tuple(sorted(self.directories)),
            tuple(sorted(self.links)),
            tuple(sorted(self.files_left_out)),
            tuple(sorted(self.directories_left_out)),
            self.error,
            self.has_rules,
        )


def sort_out(entries: Sequence[os.DirEntry[bytes]], layers: Layers, *, has_rules: bool) -> Listing:
    """The entries by what they are.

    Args:
        entries: A directory's.
        layers: The rules that hold there.
        has_rules: Whether an ignore file is among the entries.
    """
    by_file, by_directory = layers
    files, directories, links = [], [], []
    files_left_out, directories_left_out = [], []
    for entry in entries:
        name = entry.name
        if entry.is_dir(follow_symlinks=False):
            if name in LEFT_OUT_DIRECTORIES:
                directories_left_out.append((name, LEFT_OUT))
            elif by_directory and _is_ignored(entry.path, by_directory):
                directories_left_out.append((name, IGNORED))
            else:
                directories.append(name)
        elif by_file and _is_ignored(entry.path, by_file):
            files_left_out.append((name, IGNORED))
        elif name in LEFT_OUT_DIRECTORIES:
            files_left_out.append((name, LEFT_OUT))  # a worktree's `.git` file
        elif entry.is_file(follow_symlinks=False):
            files.append(name)
        elif entry.is_symlink():
            links.append(name)
        else:
            files_left_out.append((name, kind(entry)))
    return Listing(
        tuple(files),
        tuple(directories),
        tuple(links),
        tuple(files_left_out),
        tuple(directories_left_out),
        "",
        has_rules,
    )


def kind(entry: os.DirEntry[bytes]) -> str:
    """What something that is no file, directory or link is."""
    try:
        return kind_of(entry.stat(follow_symlinks=False).st_mode) or CHANGED
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def kind_of(mode: int) -> str:
    """What a file of this mode is, in words; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "not a regular file")


class Look(NamedTuple):
    """What a path names.

    Attributes:
        exists: Whether it names anything.
        is_link: Whether that is a symbolic link.
        is_directory: Whether it is a directory, or a link to one.
        kind: As `kind_of` gives it, or why it cannot be seen.
    """

    exists: bool
    is_link: bool = False
    is_directory: bool = False
    kind: str = ""


def look_at(path: bytes) -> Look:
    """What a path names.

    Args:
        path: Any path.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return Look(exists=False, kind=f"cannot be read: {error.strerror}")
    except ValueError as error:  # a NUL
        return Look(exists=False, kind=f"cannot be read: {error}")
    is_link = stat.S_ISLNK(mode)
    is_directory = os.path.isdir(path) if is_link else stat.S_ISDIR(mode)
    return Look(True, is_link, is_directory, kind_of(mode))


def resolve_link(path: bytes, places: Sequence[bytes]) -> tuple[bytes, str]:
    """Where a symbolic link leads, and why it is not taken; empty where that is a regular file inside the places.

    Args:
        path: The link.
        places: Real paths that it may lead into.
    """
    target = real(path)
    place = containing(target, places)
    if place is None:
        return target, LINK_OUTSIDE
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return target, LINK_BROKEN
    if not LEFT_OUT_DIRECTORIES.isdisjoint(target[len(place) :].split(b"/")):
        return target, LEFT_OUT
    return target, LINK_TO_DIRECTORY if stat.S_ISDIR(mode) else kind_of(mode)


def _is_ignored(path: bytes, rules: Sequence[tuple[Decision, int]]) -> bool:
    """What the strongest of the rules that mention the path says."""
    for (pattern, ignored), position in rules:
        match = pattern.match(path, position)
        if match:
            return ignored[match.lastindex or 0]
    return False

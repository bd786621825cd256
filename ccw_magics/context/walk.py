"""A glob led through a place: the files it means, found by entering only directories that can hold them."""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH120

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ccw_magics.context.globs import Glob, NameTest, Plan, name_filter, parse_glob
from ccw_magics.context.listing import Listing
from ccw_magics.context.paths import join
from ccw_magics.context.places import Place
from ccw_magics.context.sensitive import LEFT_OUT_DIRECTORIES


@dataclass
class Hits:
    """What answers to a glob, as absolute paths.

    Attributes:
        files: Regular files.
        links: Symbolic links that are not directories' names.
        left_out: Files that are left out, each with the reason.
        not_entered: Directories that are left out though they might hold more, each with the reason.
    """

    files: list[bytes] = field(default_factory=list)
    links: list[bytes] = field(default_factory=list)
    left_out: dict[bytes, str] = field(default_factory=dict)
    not_entered: dict[bytes, str] = field(default_factory=dict)


class FileFilter:
    """Which files a reference to a directory brings in.

    Args:
        patterns: Globs for the base name, or, where they hold a slash, for the path in the place; empty for all.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._name = name_filter(pattern for pattern in patterns if "/" not in pattern)
        paths = [pattern.lstrip("/") for pattern in patterns if "/" in pattern]
        self._path = Glob(part for pattern in paths for part in parse_glob(pattern)) if paths else None
        self.takes_all = not patterns

    def allows(self, name: bytes, parents: Sequence[bytes]) -> bool:
        """Whether it lets a file through.

        Args:
            name: The file's base name.
            parents: The directories from the place down to it.
        """
        if self.takes_all or (self._name and self._name(name)):
            return True
        plan = _descend(self._path, parents) if self._path else None
        return bool(plan and (plan.everything or (plan.names and plan.names(name))))


def walk(place: Place, glob: Glob, start: bytes, file_filter: FileFilter) -> Hits:
    """The files below a directory that a glob means.

    Args:
        place: Where to look.
        glob: What to look for, relative to `start`.
        start: A real path in the place.
        file_filter: What to take of a directory that is meant as a whole.
    """
    hits = Hits()
    pending = [(start, glob.start)]
    while pending:
        directory, states = pending.pop()
        listing = place.listing(directory)
        if listing.error:
            hits.not_entered[directory] = listing.error
        plan = glob.plan(states)
        wanted = _either(plan, _test(place, directory, file_filter)) if plan.everything else plan.names
        if wanted:
            _add(hits, listing, join(directory, b""), wanted)
        for name in listing.directories:
            if inside := glob.enter(states, name):
                pending.append((join(directory, name), inside))  # noqa: PERF401 - a name for it saves the second call
        for name, reason in listing.directories_left_out:
            path = join(directory, name)
            if inside := glob.enter(states, name, spelled=True):
                pending.append((path, inside))
            elif glob.enter(states, name):
                hits.not_entered[path] = reason
    return hits


def tracked(place: Place, glob: Glob, start: bytes, file_filter: FileFilter) -> Iterator[bytes]:
    """Files that the glob means, that git ignores, and that it tracks all the same.

    Args:
        place: Where to look.
        glob: What to look for, relative to `start`.
        start: A real path in the place.
        file_filter: What to take of a directory that is meant as a whole.
    """
    prefix = join(start, b"")
    for below_place in place.tracked_but_ignored():
        path = join(place.directory, below_place)
        if not path.startswith(prefix):
            continue
        *parents, name = path[len(prefix) :].split(b"/")
        plan = _descend(glob, parents)
        in_directory = plan.everything and _test(place, os.path.dirname(path), file_filter)
        named = plan.names and plan.names(name)
        if named or (in_directory and in_directory(name)):
            yield path


def _add(hits: Hits, listing: Listing, prefix: bytes, wanted: NameTest) -> None:
    hits.files += [prefix + name for name in listing.files if wanted(name)]
    if listing.links:
        hits.links += [prefix + name for name in listing.links if wanted(name)]
    if listing.files_left_out:
        hits.left_out |= {prefix + name: reason for name, reason in listing.files_left_out if wanted(name)}


def _either(plan: Plan, allows: NameTest) -> NameTest:
    names = plan.names
    return allows if names is None else (lambda name: names(name) or allows(name))


def _test(place: Place, directory: bytes, file_filter: FileFilter) -> NameTest:
    if file_filter.takes_all:
        return _always
    parents = [part for part in directory[len(place.directory) :].split(b"/") if part]
    return lambda name: file_filter.allows(name, parents)


def _always(name: bytes) -> bool:  # noqa: ARG001 - a NameTest
    return True


def _descend(glob: Glob, parents: Iterable[bytes]) -> Plan:
    """What a glob says of the files in a directory, some levels down."""
    states = glob.start
    for name in parents:
        states = glob.enter(states, name, spelled=name in LEFT_OUT_DIRECTORIES)
    return glob.plan(states)

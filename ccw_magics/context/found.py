"""What finding files hands on: the files, and an account of what was not taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class FoundFile(NamedTuple):
    r"""A file to pack.

    Attributes:
        path: Relative to the root with forward slashes, as `names.show_name` writes it (control characters and bytes
            that are not UTF-8 as `\xNN`, a backslash doubled); below an included directory outside the root, the way
            there: `../lib/a.py`.
        location: Where to read it: an absolute path as the file system has it; for a symbolic link, its target.
        size_bytes: Its size when it was found.
        signature: mtime in ns, size in bytes, inode, ctime in ns. What was read under an equal one is still the file's
            content; two that differ mean that it may have changed. One taken within the clock's grain of a change
            has a number below zero at its end and equals none taken later (`stamps.Stamps.get`).
    """

    path: str
    location: bytes
    size_bytes: int
    signature: tuple[int, int, int, int]


class Skipped(NamedTuple):
    """Something that was not taken.

    Attributes:
        path: As in `FoundFile`; a directory ends in a slash and stands for all below it.
        reason: Why, in a few words.
    """

    path: str
    reason: str


class Match(NamedTuple):
    """What a reference led to.

    Attributes:
        base: Where it was found: `cwd`, `root`, or the path of an included directory as the caller gave it.
        paths: The files, sorted.
    """

    base: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The files that references mean.

    Attributes:
        files: Each once, sorted by path (by code point, which is the order of the UTF-8 bytes).
        skipped: What was left out, sorted by path; at most `files.SKIPPED_SHOWN` rows for one reason, the last of
            them saying how many more there are.
        unmatched: References that nothing answers to, in the order given; they stay prose.
        warnings: What the user should know, one line each.
        matches: For each reference that matched, where and what.
    """

    files: tuple[FoundFile, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unmatched: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    matches: dict[str, Match] = field(default_factory=dict)

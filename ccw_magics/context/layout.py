"""How files stand in a pack's text: whole, as what changed since, or as gone.

The text is read from top to bottom, and the last section about a file holds::

    === FILE: src/a.py ( 2 lines) ===
    def port():
        return 8080

    === CHANGED: src/a.py (now 2 lines) ===
    Lines 1-2 of it now read (2 lines):
    def port():
        return 9090

    === REMOVED: src/b.py ===

Every heading gives the number of lines that follow, which makes the text unambiguous whatever a file contains, a line
that looks like a heading included. A `CHANGED` section restates every part in which the file differs from its last
whole copy, so that section and copy together are the file; earlier `CHANGED` sections no longer matter. Paths are
written so that they hold no line break (`FoundFile.path`). Everything here is bytes: one emoji would make a whole str
four bytes a character.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final, NamedTuple

CONTEXT_LINES: Final = 1
"""Unchanged lines shown around a change, which also give an insertion a place; more cost more (measured)."""
JOINED_LINES: Final = 3
"""Changes with at most so many unchanged lines between them are shown as one."""
LARGEST_SHARE: Final = 0.5
"""A file of whose text more than this would be restated is restated whole: it reads better, and costs little more."""
EXACT_LINES_MAX: Final = 2000
"""With more lines than this between the first and the last change, difflib leaves frequent lines out of its search,
without which it may take a time that is quadratic."""
DIFFED_LINES_MAX: Final = 50_000
"""With more than this, they count as one change."""

NO_NEWLINE: Final = b", no newline at the end"
WHOLE_FIXED_BYTES: Final = len(b"=== FILE:  ( lines) ===\n") + len(b"\n")


class Hunk(NamedTuple):
    """Lines `old_start` to `old_stop` gave way to lines `new_start` to `new_stop`; from 0, the stops excluded."""

    old_start: int
    old_stop: int
    new_start: int
    new_stop: int


class Whole:
    """A file in full: heading, content, end. Its size is known at once; its lines are counted when it is joined.

    Counting the lines of a large pack takes a sixth of the time to find and read it, so a pack whose text nobody asks
    for yet goes without. For that the number of lines stands in a field as wide as the number of bytes would be.

    Args:
        path: As `FoundFile.path`.
        content: The file.
    """

    __slots__ = ("_complete", "_content", "_path", "_size")

    def __init__(self, path: str, content: bytes) -> None:
        self._path = path.encode()
        self._content = content
        self._complete = not content or content.endswith(b"\n")
        size = WHOLE_FIXED_BYTES + len(self._path) + len(content) + _width(content)
        self._size = size if self._complete else size + len(NO_NEWLINE) + 1

    def __len__(self) -> int:
        return self._size

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """The text, in parts, so that joining a pack copies each content once."""
        content, ending = self._content, b"" if self._complete else NO_NEWLINE
        lines = content.count(b"\n") + (not self._complete)
        heading = b"=== FILE: %b (%*d lines%b) ===\n" % (self._path, _width(content), lines, ending)
        return heading, content, b"\n" if self._complete else b"\n\n"


def joined(parts: Iterable[bytes | Whole]) -> bytes:
    """The text of parts."""
    return b"".join(piece for part in parts for piece in (part.parts() if isinstance(part, Whole) else (part,)))


def _width(content: bytes) -> int:
    return len(str(len(content)))


def content_of(section: bytes) -> bytes:
    """The file in a section that `whole` made, exactly."""
    heading, _, rest = section.partition(b"\n")
    return rest[:-2] if heading.endswith(NO_NEWLINE + b") ===") else rest[:-1]


def gone(path: str) -> bytes:
    """A file that is no longer there, or no longer sent: it may have become binary, too large, or ignored."""
    return b"=== REMOVED: %b ===\n\n" % path.encode()


def changed(path: str, before: bytes, now: bytes) -> bytes | None:
    """What differs from the whole copy `before`; None where restating the file whole is better."""
    old, new = _lines(before), _lines(now)
    parts = [b"=== CHANGED: %b (now %b) ===\n" % (path.encode(), _extent(now))]
    for hunk in _joined(_hunks(old, new), len(old), len(new)):
        lines = new[hunk.new_start : hunk.new_stop]
        parts.append(b"Lines %d-%d of it now read (%b):\n" % (hunk.old_start + 1, hunk.old_stop, _count(len(lines))))
        parts.extend(line + b"\n" for line in lines)
    if len(parts) == 1:
        parts.append(b"Its lines are those of its last whole copy again.\n")
    section = b"".join((*parts, b"\n"))
    return section if len(section) <= LARGEST_SHARE * len(now) else None


def _extent(content: bytes) -> bytes:
    incomplete = bool(content) and not content.endswith(b"\n")
    return _count(content.count(b"\n") + incomplete) + (NO_NEWLINE if incomplete else b"")


def _count(lines: int) -> bytes:
    return b"1 line" if lines == 1 else b"%d lines" % lines


def _lines(content: bytes) -> list[bytes]:
    """The lines without their ends; whether the last one has one is said in the heading."""
    return content.removesuffix(b"\n").split(b"\n") if content else []


def _hunks(old: list[bytes], new: list[bytes]) -> Iterator[Hunk]:
    """Where two lists of lines differ. Their common ends are cut off first, which leaves little of a usual edit."""
    head = _common(old, new)
    tail = _common(old[: head - 1 if head else None : -1], new[: head - 1 if head else None : -1])
    old_middle, new_middle = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(old_middle) + len(new_middle) > DIFFED_LINES_MAX:
        yield Hunk(head, len(old) - tail, head, len(new) - tail)
        return
    frequent_out = len(old_middle) + len(new_middle) > EXACT_LINES_MAX
    matcher = SequenceMatcher(None, old_middle, new_middle, autojunk=frequent_out)
    for tag, old_start, old_stop, new_start, new_stop in matcher.get_opcodes():
        if tag != "equal":
            yield Hunk(head + old_start, head + old_stop, head + new_start, head + new_stop)


def _common(one: list[bytes], other: list[bytes]) -> int:
    """How many lines both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _joined(hunks: Iterator[Hunk], old_lines: int, new_lines: int) -> list[Hunk]:
    """The hunks with their context; those that then lie close together as one."""
    joined: list[Hunk] = []
    for hunk in hunks:
        old_start, new_start = max(0, hunk.old_start - CONTEXT_LINES), max(0, hunk.new_start - CONTEXT_LINES)
        old_stop = min(old_lines, hunk.old_stop + CONTEXT_LINES)
        new_stop = min(new_lines, hunk.new_stop + CONTEXT_LINES)
        if joined and old_start - joined[-1].old_stop <= JOINED_LINES:
            last = joined.pop()
            old_start, new_start = last.old_start, last.new_start
        joined.append(Hunk(old_start, old_stop, new_start, new_stop))
    return joined

"""What a careful reader makes of a pack's text, from top to bottom: the files as they are now.

Written from the description in `ccw_magics.context.layout` alone, without its code.
"""

from __future__ import annotations

import re

HEADING = re.compile(rb"=== (FILE|CHANGED): (.*) \((?:now )? *(\d+) lines?(, no newline at the end)?\) ===", re.DOTALL)
GONE = re.compile(rb"=== REMOVED: (.*) ===", re.DOTALL)
PART = re.compile(rb"Lines (\d+)-(\d+) of it now read \((\d+) lines?\):")
SAME = b"Its lines are those of its last whole copy again."


def unpack(text: str) -> dict[str, str]:
    """The files that a pack's text gives."""
    reader = _Reader(text.encode())
    while not reader.at_end:
        reader.section()
    return {path: content.decode() for path, content in reader.files.items()}


class _Reader:
    def __init__(self, text: bytes) -> None:
        self._lines = text.split(b"\n")
        self._place = 0
        self._copies: dict[str, list[bytes]] = {}
        self.files: dict[str, bytes] = {}

    @property
    def at_end(self) -> bool:
        return self._place >= len(self._lines) - 1

    def section(self) -> None:
        heading = self._next()
        if gone := GONE.fullmatch(heading):
            path = gone[1].decode()
            del self.files[path], self._copies[path]
        elif found := HEADING.fullmatch(heading):
            kind, path, count, is_open = found[1], found[2].decode(), int(found[3]), bool(found[4])
            lines = self._take(count) if kind == b"FILE" else self._patched(self._copies[path])
            assert len(lines) == count
            self.files[path] = b"\n".join(lines) + (b"" if is_open or not count else b"\n")
            if kind == b"FILE":
                self._copies[path] = lines
        else:
            raise AssertionError(f"not a heading: {heading!r}")
        assert self._next() == b""

    def _patched(self, old: list[bytes]) -> list[bytes]:
        lines: list[bytes] = []
        place = 0
        if self._lines[self._place] == SAME:
            self._next()
        while part := PART.fullmatch(self._lines[self._place]):
            self._next()
            start, stop, count = map(int, part.groups())
            lines += old[place : start - 1] + self._take(count)
            place = stop
        return lines + old[place:]

    def _next(self) -> bytes:
        self._place += 1
        return self._lines[self._place - 1]

    def _take(self, count: int) -> list[bytes]:
        self._place += count
        return self._lines[self._place - count : self._place]

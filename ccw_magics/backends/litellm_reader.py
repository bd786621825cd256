"""A stream of server-sent events, or of JSON lines, read as its bytes come."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ccw_magics.backends.litellm_formats import Fault, Seen


@dataclass
class Reader:
    """Cuts a stream into events as its bytes come, and has each looked at.

    Attributes:
        seen: What takes note.
    """

    seen: Seen
    _line: list[bytes] = field(default_factory=list)
    _data: list[bytes] = field(default_factory=list)
    _strange: bool = False

    def feed(self, chunk: bytes) -> None:
        """Read on."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._line.append(line)
            self._take(b"".join(self._line).strip())
            self._line.clear()
        if rest:
            self._line.append(rest)

    def end(self) -> None:
        """The stream has ended: what stands unfinished was cut; a stream without any event is just empty."""
        known = self.seen.fault
        self._take(b"".join(self._line).strip())
        self._take(b"")
        if known is None and self.seen.fault is not None:
            self.seen.fault = Fault.CUT if self.seen.events else Fault.UNREADABLE
        elif self.seen.fault is None and not self.seen.is_whole and not self.seen.is_error:
            self.seen.fault = Fault.CUT if self.seen.events else Fault.UNREADABLE if self._strange else None

    def _take(self, line: bytes) -> None:
        assert self.seen.format is not None
        if self.seen.format.is_lines:
            if line:
                self._parse([line])
        elif line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif not line and self._data:
            self._parse(self._data)
            self._data = []
        elif line and not line.startswith((b":", b"event:", b"id:", b"retry:")):
            self._strange = True

    def _parse(self, data: list[bytes]) -> None:
        """One event; where its lines make none together, a server has left out the empty lines between several."""
        if data == [b"[DONE]"]:
            return
        try:
            events = [json.loads(b"\n".join(data))]
        except ValueError:
            events = self._one_by_one(data)
        for event in events:
            self.seen.look_at(event)

    def _one_by_one(self, data: list[bytes]) -> list[Any]:
        try:
            return [json.loads(line) for line in data if line not in {b"", b"[DONE]"}]
        except ValueError:
            self.seen.fault = Fault.UNREADABLE
            return []

"""A reply as it streams in a terminal: the answer on standard output, everything else on standard error."""

from __future__ import annotations

import sys

from ccw_magics.calls.reply import Reply


class TerminalDisplay:
    """Text as it comes; notes one over the other where standard error is a terminal.

    Args:
        footer: Whether to end with the line on what the call took.
    """

    def __init__(self, *, footer: bool = True) -> None:
        self._footer = footer
        self._last = ""
        self._note_chars = 0

    def add(self, kind: str, text: str) -> None:
        """Write a piece of the answer (`stdout`) or a note (`stderr`)."""
        if kind == "stdout":
            self._clear_note()
            self._last = text
            sys.stdout.write(text)
            sys.stdout.flush()
        elif sys.stderr.isatty():
            self._clear_note()
            self._note_chars = len(text)
            sys.stderr.write(text)
            sys.stderr.flush()
        else:
            sys.stderr.write(f"{text}\n")

    @property
    def has_shown(self) -> bool:
        """Whether anything was written."""
        return bool(self._last or self._note_chars)

    def tick(self) -> None:
        """Nothing is held back in a terminal."""

    def finish(self, reply: Reply) -> None:
        """End the line; then remarks and footer on standard error, since they are not part of the answer."""
        self._clear_note()
        if self._last and not self._last.endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()
        lines = [*reply.remarks(), f"[{reply.summary()}]"] if self._footer else reply.remarks()
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()

    def _clear_note(self) -> None:
        if self._note_chars:
            sys.stderr.write("\r" + " " * self._note_chars + "\r")
            sys.stderr.flush()
            self._note_chars = 0

"""A reply as it streams in a terminal: the answer on standard output, everything else on standard error."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from ccw_magics.cli.shell import exits
from ccw_magics.cli.shell.colours import dimmed
from ccw_magics.errors import CallInterrupted

if TYPE_CHECKING:
    from ccw_magics.calls.reply import Reply

REPEAT_S: Final = 15.0
"""Seconds after which a note that differs only in its figures is written once more, where lines stay: in a file."""
QUIET_S: Final = 1
"""Whole seconds of silence after which a terminal is told that there is one."""
REMARK_S: Final = 4.0
"""Seconds that a note which does not last, such as an agent's remark, stands before the waiting is told again."""
WAITING: Final = "waiting for the answer…"
_ELLIPSIS: Final = "…"
_STEERS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""The control characters of ASCII and Latin-1 but tab and line feed."""


class TerminalDisplay:
    """Text as it comes; notes one over the other where standard error is a terminal, else in lines.

    A terminal shows no note while the answer stands in the middle of a line: the note would have to go there, and
    taking it away would take a part of the answer along. What would steer a terminal is written out on one; a file
    gets the answer as it is.

    Args:
        footer: Whether to end with the line on what the call took.
        holds: Whether to write the answer only when it is complete, so that parts of it that did not do are not seen.
        clock: Seconds that only go up.
    """

    def __init__(
        self, *, footer: bool = True, holds: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._footer = footer
        self._holds = holds
        self._clock = clock
        self._last = ""
        self._note = ""
        self._row = ""
        self._noted_at_s = self._awaited_since_s = clock()
        self._written_at_s: dict[str, float] = {}

    def add(self, kind: str, text: str) -> None:
        """Write a piece of the answer (`stdout`) or a note (`stderr`)."""
        if kind == "stdout":
            self._awaited_since_s = self._clock()
            if not self._holds:
                self._write(text)
        elif not sys.stderr.isatty():
            self._write_line(text)
        elif self._has_room():
            if text != self._note or not text.endswith(_ELLIPSIS):
                self._note, self._noted_at_s = text, self._clock()
                self._show_note(text)
            self.tick()

    @property
    def has_shown(self) -> bool:
        """Whether anything was written that is still there."""
        return bool(self._last or self._row)

    def tick(self) -> None:
        """Say on a terminal for how long a note has stood that ends in `…`, since that lasts.

        Without such a note, or after another one has stood for a while: how long no answer has come.
        """
        if not sys.stderr.isatty() or not self._has_room():
            return
        note, now_s, since_s = self._note, self._clock(), self._noted_at_s
        if not note.endswith(_ELLIPSIS):
            if note and now_s - since_s < REMARK_S:
                return
            note, since_s = WAITING, self._awaited_since_s
        quiet_s = int(now_s - since_s)
        if quiet_s >= QUIET_S:
            self._show_note(f"{note} {quiet_s} s")

    def finish(self, reply: Reply, shown: str = "") -> None:
        """End the line; then remarks and footer on standard error, since they are not part of the answer.

        There is no footer where nobody was asked: it would have nothing to account for.

        Args:
            reply: What came; of one that was interrupted, nothing is remarked.
            shown: What is written in the place of its text, where that was held back; empty for the text itself.
        """
        self._clear_note()
        if self._holds:
            self._write(shown or reply.output)
        if not self._is_at_line_start():
            sys.stdout.write("\n")
            sys.stdout.flush()
        remarks = [] if self._footer and isinstance(reply.failure, CallInterrupted) else reply.remarks()
        lines = [printable(remark) for remark in remarks]
        if self._footer and not was_unsent(reply):
            lines.append(dimmed(printable(f"[{reply.summary()}]"), sys.stderr))
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()

    def _write(self, text: str) -> None:
        self._clear_note()
        self._last = text or self._last
        sys.stdout.write(printable(text.replace("\r\n", "\n")) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    def _is_at_line_start(self) -> bool:
        return not self._last or self._last.endswith("\n")

    def _has_room(self) -> bool:
        """Whether a note would not stand in the answer."""
        return self._is_at_line_start() or not sys.stdout.isatty()

    def _show_note(self, text: str) -> None:
        # A note that fills the last column would go on in a second row, which `\r` does not reach.
        row = fitted(text, width_of(sys.stderr) - 1)
        if row == self._row:
            return
        self._erase()
        self._row = row
        sys.stderr.write(dimmed(row, sys.stderr))
        sys.stderr.flush()

    def _clear_note(self) -> None:
        self._erase()
        self._note = ""

    def _erase(self) -> None:
        if self._row:
            sys.stderr.write("\r" + " " * columns_of(self._row) + "\r")
            sys.stderr.flush()
            self._row = ""

    def _write_line(self, text: str) -> None:
        """A line for a file: what counts down or up is said now and then, and no more once the answer has begun."""
        now_s, shape = self._clock(), re.sub(r"\d[\d.,]*", "0", text)
        written_at_s = self._written_at_s.get(shape)
        if written_at_s is not None and (self._last or now_s - written_at_s < REPEAT_S):
            return
        self._written_at_s[shape] = now_s
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def was_unsent(reply: Reply) -> bool:
    """Whether a call failed before anybody was asked: there is nothing to account for."""
    failure = reply.failure
    if failure is None or isinstance(failure, CallInterrupted):
        return False
    if reply.output or reply.usage is not None or len(reply.attempts) > 1:
        return False
    return not reply.provider or exits.exit_code(failure) in {exits.MISCONFIGURED, exits.REFUSED}


def printable(text: str) -> str:
    """A recorded text for a terminal: what would steer it is written out, line ends and tabs aside."""
    return _STEERS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def columns_of(text: str) -> int:
    """How many columns a terminal takes for a text of printable characters."""
    return sum(map(_columns_of_character, text))


def fitted(text: str, columns: int) -> str:
    """The text in one row of at most so many columns, its end replaced by `…` where it has more."""
    row = "".join(character if character.isprintable() else " " for character in text)
    if columns_of(row) <= columns:
        return row
    taken, kept = 0, ""
    for character in row:
        taken += _columns_of_character(character)
        if taken > columns - len(_ELLIPSIS):
            break
        kept += character
    return (kept + _ELLIPSIS)[: max(columns, 0)]


def _columns_of_character(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width_of(stream: TextIO) -> int:
    """The columns of the terminal that a stream goes to; `shutil` knows of standard output alone, perhaps a file."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):  # no descriptor, a closed one, or an object in its place
        columns = 0
    return columns or shutil.get_terminal_size().columns

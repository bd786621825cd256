"""A reply as it streams in a notebook: throttled Markdown, and a footer below it."""

from __future__ import annotations

import html
import time
from typing import TYPE_CHECKING, Final, Protocol

from IPython.display import DisplayHandle, display

from ccw_magics.calls.reply import Reply
from ccw_magics.cli.shell.terminal import TerminalDisplay

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SMALL_BYTES: Final = 8_192
LARGE_BYTES: Final = 20_480
FAST_S: Final = 0.1
SLOW_S: Final = 0.25
"""Ten updates a second below 8 kB of Markdown, four above 20 kB: JupyterLab renders the whole text each time."""
GATHER_S: Final = 0.02
"""The first piece waits this long for others: an answer that comes at once is then drawn once, not twice."""
PLACES: Final = {"cwd": "from the current folder", "root": "from the project root", "absolute": "an absolute path"}
"""Where a reference was found, in words; an included directory stands for itself."""
LISTED_MAX: Final = 200
"""Rows of the manifest; a notebook is saved with every one of them."""


class ReplyDisplay(Protocol):
    """Where the pieces of one reply are shown."""

    def add(self, kind: str, text: str) -> None:
        """Show a piece of the answer (`stdout`) or a note (`stderr`)."""

    @property
    def has_shown(self) -> bool:
        """Whether anything of this reply, be it a note, is on the screen."""
        ...

    def tick(self) -> None:
        """Show what was held back, if it is due; called while nothing comes."""

    def finish(self, reply: Reply) -> None:
        """Show the rest, and the footer."""


def reply_display(shell: InteractiveShell, *, raw: bool, is_data: bool = False) -> ReplyDisplay:
    """The display for this front end: Markdown in a kernel, plain text in a terminal or with `--raw`.

    Args:
        shell: The kernel's, or the terminal's.
        raw: Whether plain text is wanted.
        is_data: Whether the answer is JSON.
    """
    if not hasattr(shell, "kernel"):
        return IPythonDisplay(is_data=is_data)
    return NotebookDisplay(raw=raw, is_data=is_data)


def show_again(reply: Reply) -> None:
    """Show a reply in a kernel that is there already: what came of the answer, the error, the footer."""
    if reply.output or reply.success:
        display(_content(reply, is_data=reply.data is not None))
    if reply.failure is not None:
        display(_Error(reply))
    display(_Footer(reply))


def error_text(reply: Reply) -> str:
    """The error as it was shown when it was raised: its name, what happened, the next step; empty for success."""
    return "" if reply.failure is None else f"{type(reply.failure).__name__}: {reply.failure}"


class IPythonDisplay(TerminalDisplay):
    """Plain text in IPython's terminal, without a footer: the reply's repr follows as `Out[n]`.

    Args:
        is_data: The answer is JSON: written once it is complete, or in its place the table that was made of it.
    """

    def __init__(self, *, is_data: bool = False) -> None:
        super().__init__(footer=False, holds=is_data)

    def finish(self, reply: Reply, shown: str = "") -> None:
        """End the line; then remarks on standard error."""
        super().finish(reply, shown or (repr(reply.data) if is_table(reply.data) else ""))


class NotebookDisplay:
    """One output that is updated in place, and a footer below it.

    Args:
        raw: Show the answer as plain text instead of Markdown.
        is_data: The answer is JSON, which Markdown is to leave as it is.
    """

    def __init__(self, *, raw: bool = False, is_data: bool = False) -> None:
        self._raw = raw
        self._is_data = is_data
        self._pieces: list[str] = []
        self._size = 0
        self._note = ""
        self._handle: DisplayHandle | None = None
        self._stale = False
        self._due_at = 0.0

    def add(self, kind: str, text: str) -> None:
        """Take a piece of the answer, or a note, which stands below the answer until the next piece."""
        if kind == "stdout":
            if not self._pieces:
                self._due_at = time.monotonic() + GATHER_S
            self._pieces.append(text)
            self._size += len(text)
            self._note = ""
        else:
            self._note = text
        self._stale = True
        self.tick()

    @property
    def has_shown(self) -> bool:
        """Whether there is an output."""
        return self._handle is not None

    def tick(self) -> None:
        """Update the output, unless the last update is too recent."""
        if self._stale and time.monotonic() >= self._due_at:
            self._show()

    def finish(self, reply: Reply) -> None:
        """Show all of the answer without notes, or parts of earlier tries, then the footer."""
        if "".join(self._pieces) != reply.output:
            self._pieces, self._stale = [reply.output], True
        if is_table(reply.data):
            self._note = ""
            self._put(reply.data)
        elif self._note or self._stale:
            self._note = ""
            self._show()
        display(_Footer(reply))

    def _show(self) -> None:
        text = "".join(self._pieces)
        self._put(_Plain(text + self._note) if self._raw else _Answer(text, self._note, is_data=self._is_data))

    def _put(self, content: object) -> None:
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)
        self._stale = False
        self._due_at = time.monotonic() + interval_s(self._size)


def is_table(data: object) -> bool:
    """Whether a reply's data is shown instead of its text: a DataFrame, which only `--table` makes."""
    return hasattr(data, "to_html")


def _content(reply: Reply, *, is_data: bool) -> object:
    return reply.data if is_table(reply.data) else _Answer(reply.output, "", is_data=is_data)


class _Answer:
    """Markdown for a notebook, JSON in a fence; as plain text, the answer alone."""

    def __init__(self, text: str, note: str, *, is_data: bool = False) -> None:
        self._text = text
        self._note = note
        self._is_data = is_data

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        note = f"\n\n*{self._note}*" if self._note else ""
        text = f"```json\n{self._text}\n```" if self._is_data and self._text else self._text
        return {"text/markdown": text + note, "text/plain": self._text or self._note}


class _Error:
    """What went wrong, as text: it may quote a server."""

    def __init__(self, reply: Reply) -> None:
        text = error_text(reply)
        self._bundle = {
            "text/html": f'<div style="white-space: pre-wrap">{html.escape(text)}</div>',
            "text/plain": text,
        }

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self._bundle


class _Footer:
    """What the call took; the reply itself is not held, only what is shown of it."""

    def __init__(self, reply: Reply) -> None:
        self._bundle = {"text/html": footer_html(reply), "text/plain": f"[{reply.summary()}]"}

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self._bundle


class _Plain:
    """Plain text, kept from being read as anything else."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self._text}


def interval_s(size: int) -> float:
    """Seconds between two updates of a text of `size` characters."""
    share = (size - SMALL_BYTES) / (LARGE_BYTES - SMALL_BYTES)
    return FAST_S + (SLOW_S - FAST_S) * min(1.0, max(0.0, share))


def footer_html(reply: Reply) -> str:
    """One small line on what the call took, which unfolds to the files, and to what was left out and why."""
    summary = html.escape(reply.summary())
    remarks = "".join(f"<div>⚠ {html.escape(remark)}</div>" for remark in reply.remarks())
    rows = _manifest(reply)
    line = f"<details><summary>{summary}</summary><ul>{rows}</ul></details>" if rows else summary
    return f'<div style="font-size: 85%; opacity: 0.75">{remarks}{line}</div>'


def _manifest(reply: Reply) -> str:
    pack = reply.pack
    if pack is None:
        return ""
    rows = [f"{html.escape(reference)} ({html.escape(PLACES.get(base, base))})" for reference, base in pack.found_in]
    rows += [f"<code>{html.escape(path)}</code>" for path in pack.files]
    rows += [f"left out: <code>{html.escape(item.path)}</code> ({html.escape(item.reason)})" for item in pack.skipped]
    more = len(rows) - LISTED_MAX
    rows = [*rows[:LISTED_MAX], f"and {more:,} more"] if more > 0 else rows
    return "".join(f"<li>{row}</li>" for row in rows)

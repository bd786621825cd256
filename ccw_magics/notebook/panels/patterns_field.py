"""The field of `cacheStrategy.filePatterns`, and what they would bring in here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ipywidgets

from ccw_magics.context.pack import readable_size
from ccw_magics.notebook.panels.background import Background
from ccw_magics.notebook.panels.buttons import WRAPPED, button
from ccw_magics.notebook.panels.fields import INDENT, LinesField
from ccw_magics.notebook.panels.model_field import PAUSE_S

if TYPE_CHECKING:
    from ccw_magics.context.preview import Preview
    from ccw_magics.workspace import Workspace


class PatternsField(LinesField):
    """Globs, one a line, with a preview; once that was asked for, it follows what is typed.

    Args:
        workspace: The project that is looked through.
        limit_kb: The pack's limit in KiB, as the form has it; None where it says none, or no number.
    """

    def __init__(self, workspace: Workspace, limit_kb: Callable[[], int | None]) -> None:
        hint = "globs, one a line: which files a folder brings in; none for every text file"
        super().__init__("cacheStrategy.filePatterns", "File patterns", hint=hint, placeholder="**/*.py\ndocs/**/*.md")
        self._workspace = workspace
        self._limit_kb = limit_kb
        self._previewed: tuple[tuple[str, ...], int | None] | None = None
        self._status = Background()
        self._status.widget.layout.flex = "1 1 200px"
        look = button("Preview", self.preview, "eye")
        look.tooltip = "What @./ would bring in here"
        look.layout.margin = f"2px 8px 2px {INDENT}"
        row = ipywidgets.HBox([look, self._status.widget], layout=ipywidgets.Layout(**WRAPPED))
        self.widget = ipywidgets.VBox([self.widget, row])

    def preview(self, pause_s: float = 0.0) -> None:
        """Look through the project, in the background.

        Args:
            pause_s: To wait for further typing.
        """
        self._previewed = patterns, limit_kb = self._wanted()
        work = _preview(self._workspace, patterns, limit_kb, pause_s)
        self._status.start("Looking through the project …", work, self._show)

    def follow(self) -> None:
        """What is typed in the form has changed: where a preview is shown, make it anew."""
        if self._previewed is not None and self._previewed != self._wanted():
            self.preview(PAUSE_S)

    def forget(self) -> None:
        """Another entry is shown: take the preview away."""
        self._previewed = None
        self._status.stop()
        self._status.say("")

    def _wanted(self) -> tuple[tuple[str, ...], int | None]:
        return tuple(self.value or ()), self._limit_kb()

    def _show(self, found: Preview) -> None:
        self._status.say(in_words(found), "" if found.fits and found.files else "doubt")


def in_words(found: Preview) -> str:
    """A preview in a few lines."""
    if not found.files:
        return "\n".join(filter(None, ("@./ would bring in no file here.", _left_out(found))))
    about = "at most " if found.is_estimate else ""
    files = "1 file" if found.files == 1 else f"{found.files:,} files"
    size, limit = readable_size(found.size_bytes), readable_size(found.max_size_bytes)
    fits = f"within maxSizeKB ({limit})."
    passes = f"passes maxSizeKB ({limit}): such a call would be refused. Name a folder, or fewer patterns."
    largest = ", ".join(f"{path} ({readable_size(size_bytes)})" for path, size_bytes in found.largest)
    lines = (f"@./ would bring in {about}{files}, {size}; {fits if found.fits else passes}", f"Largest: {largest}.")
    return "\n".join(filter(None, (*lines, _left_out(found))))


def _left_out(found: Preview) -> str:
    reasons = ", ".join(f"{count:,} ({reason})" for reason, count in found.left_out)
    return f"Left out: {reasons}." if reasons else ""


async def _preview(workspace: Workspace, patterns: Sequence[str], limit_kb: int | None, pause_s: float) -> Preview:
    await asyncio.sleep(pause_s)
    return await asyncio.to_thread(workspace.preview, patterns, max_size_kb=limit_kb)

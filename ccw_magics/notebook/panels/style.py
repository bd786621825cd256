"""Texts as HTML, in the classes of `frame.css`."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Final

CLASS: Final = "ccw-panel"
"""Of the panel's outermost element; everything below hangs on it."""


def said(text: str, kind: str = "") -> str:
    """A text as HTML, line breaks kept.

    Args:
        text: Plain text; it is escaped.
        kind: `wrong`, `right`, `doubt`, `faint`, or empty for the ordinary colour.
    """
    body = escape(text).replace("\n", "<br>")
    return f'<span class="ccw-{kind}">{body}</span>' if kind else f"<span>{body}</span>"


def place(path: Path) -> str:
    """A path as people write it: `~` for the home directory."""
    home = Path.home()
    return f"~{os.sep}{path.relative_to(home)}" if path != home and path.is_relative_to(home) else str(path)


def live(body: str) -> str:
    """HTML that a screen reader reads out when it changes."""
    return f'<div role="status" aria-live="polite">{body}</div>'


def code(text: str) -> str:
    """A text to be copied: one click selects it all."""
    return f'<pre class="ccw-code" tabindex="0">{escape(text)}</pre>'

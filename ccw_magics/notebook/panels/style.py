"""Texts as HTML, in the classes of `frame.css`."""

from __future__ import annotations

import os
import re
from html import escape
from pathlib import Path
from typing import Final

CLASS: Final = "ccw-panel"
"""Of the panel's outermost element; everything below hangs on it."""

_HALF: Final = re.compile("[\ud800-\udfff]")
_UNKNOWN: Final = "\ufffd"


def plain(text: str) -> str:
    """A text as it can be sent to a front end: JSON can spell half a surrogate pair, and UTF-8 cannot."""
    return _HALF.sub(_UNKNOWN, text)


def escaped(text: str) -> str:
    """A plain text as HTML, and as it can be sent."""
    return escape(plain(text))


def said(text: str, kind: str = "") -> str:
    """A text as HTML, line breaks kept.

    Args:
        text: Plain text; it is escaped.
        kind: `wrong`, `right`, `doubt`, `faint`, or empty for the ordinary colour.
    """
    body = escaped(text).replace("\n", "<br>")
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
    return f'<pre class="ccw-code" tabindex="0">{escaped(text)}</pre>'

"""A question that must be answered before something is done, where the user is looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets

from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.buttons import WRAPPED, button


class Question:
    """Nothing, until something is asked.

    Attributes:
        widget: What is shown.
    """

    def __init__(self) -> None:
        self.widget = ipywidgets.VBox()

    def ask(self, html: str, buttons: Sequence[Any]) -> None:
        """Show a question and the buttons that answer it."""
        body = ipywidgets.HTML(f'<div class="ccw-notice" role="alert">{html}</div>')
        self.widget.children = (body, ipywidgets.HBox(list(buttons), layout=ipywidgets.Layout(**WRAPPED)))

    def sure(self, text: str, yes: str, action: Callable[[], None]) -> None:
        """Ask whether something that cannot be undone is really to be done.

        Args:
            text: What it is, as plain text.
            yes: What the button says that does it.
            action: What does it.
        """

        def do() -> None:
            self.drop()
            action()

        self.ask(style.said(text), [button(yes, do, "trash", kind="danger"), button("Keep it", self.drop)])

    def drop(self) -> None:
        """Take the question away."""
        self.widget.children = ()


def side_by_side(rows: Iterable[tuple[str, str, str]]) -> str:
    """What somebody else has set beside what was typed here, as a table in HTML.

    Args:
        rows: Place, their value, and the value typed here, as they may be shown.
    """
    cells = "".join(f"<tr>{''.join(f'<td>{style.said(text)}</td>' for text in row)}</tr>" for row in rows)
    return f'<table class="ccw-table"><tr><th></th><th>theirs</th><th>yours</th></tr>{cells}</table>'

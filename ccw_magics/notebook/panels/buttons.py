"""Buttons, and the rows that they stand in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ipywidgets

WRAPPED: Final = {"flex_flow": "row wrap", "width": "100%"}
"""Of a row that goes on in the next line where it is narrow."""


def button(text: str, on_click: Callable[[], None], icon: str = "", *, kind: str = "") -> Any:
    """A button as wide as its text.

    Args:
        text: What it says.
        on_click: What it does.
        icon: A name of Font Awesome's 4.7.
        kind: `primary`, `danger` and so on, as ipywidgets names them.
    """
    made = ipywidgets.Button(description=text, icon=icon, button_style=kind, layout=ipywidgets.Layout(width="auto"))
    made.on_click(lambda _: on_click())
    return made

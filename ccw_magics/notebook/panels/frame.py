"""What makes a box of widgets a panel: how it looks, and that the keys pressed in it are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anywidget
import traitlets

from ccw_magics.notebook.panels.style import CLASS

_HERE: Final = Path(__file__).parent


class PanelFrame(anywidget.AnyWidget):  # type: ignore[misc]  # ipywidgets, its base, carries no annotations
    """Shows nothing itself; stands in the panel, and gives it its style sheet and its keyboard.

    Without it, JupyterLab takes `d d` on a button of the panel for "delete the cell".
    """

    _esm = _HERE / "frame.js"
    _css = _HERE / "frame.css"
    panel_class = traitlets.Unicode(CLASS).tag(sync=True)

"""The one widget into which a key is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from ccw_magics.config.credentials import Secret

_HERE: Final = Path(__file__).parent


class SecretInput(anywidget.AnyWidget):  # type: ignore[misc]  # ipywidgets, its base, carries no annotations
    """An input whose text reaches the kernel as the bytes of one custom message, and is in no trait.

    A `Password`'s value is a trait: nbclient, nbconvert and JupyterLab's "Save Widget State Automatically" write it
    into the notebook. A message's content is written to the kernel's log at DEBUG; its buffers are not.

    Args:
        label: What stands before it.
        on_typed: Called with what was typed, once the input is left.
        shown: What the empty input shows: the mask of the key that is kept.
        hint: What it shows under the mouse.
    """

    _esm = _HERE / "secret.js"
    _css = _HERE / "secret.css"
    label = traitlets.Unicode("").tag(sync=True)
    shown = traitlets.Unicode("").tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, label: str, on_typed: Callable[[Secret], None], *, shown: str = "", hint: str = "") -> None:
        super().__init__(label=label, shown=shown, hint=hint)
        self._on_typed = on_typed
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, content: Any, buffers: Sequence[Any]) -> None:
        if content == {"kind": "typed"} and buffers:
            typed = Secret(bytes(buffers[0]).decode("utf-8", "replace").strip())
            if typed:
                self._on_typed(typed)

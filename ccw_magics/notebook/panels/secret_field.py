"""A value that may hold a password, as a field of a form: only its mask is ever shown."""

from __future__ import annotations

from typing import Any

import ipywidgets

from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.fields import Field
from ccw_magics.notebook.panels.secret import SecretInput


class SecretField(Field):
    """An input for a secret, and a button that takes it away.

    Args:
        name: Its place in the entry.
        label: What stands before it.
        hint: What stands beside it.
    """

    def __init__(self, name: str, label: str, *, hint: str = "") -> None:
        self._kept: str | Secret | None = None
        self._secret = SecretInput(label, self._typed)
        self._secret.layout = ipywidgets.Layout(width="auto", flex="1 1 200px", min_width="0")
        self._remove = button("", self.remove, "times")
        self._remove.tooltip = f"Remove {label.lower()}"
        control = ipywidgets.HBox(
            [self._secret, self._remove], layout=ipywidgets.Layout(flex="3 1 300px", min_width="0", width="auto")
        )
        super().__init__(name, control, hint=hint)

    @property
    def value(self) -> str | Secret | None:
        """What was typed, or the mask of what is stored; None for nothing."""
        return self._kept

    def remove(self) -> None:
        """Take the value away."""
        self._put(None)
        self._edited()

    def _put(self, value: Any) -> None:
        self._kept = value or None
        self._show()

    def _typed(self, value: Secret) -> None:
        self._kept = value
        self._show()
        self._edited()

    def _show(self) -> None:
        self._secret.shown = str(self._kept or "")
        self._remove.disabled = self._kept is None

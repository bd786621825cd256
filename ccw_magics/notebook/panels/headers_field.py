"""Further HTTP headers of a provider, as a field of its form: names, and values that only their masks are shown of."""

from __future__ import annotations

from typing import Any, Final

import ipywidgets

from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.fields import INDENT, LABEL_WIDTH, Field
from ccw_magics.notebook.panels.secret import SecretInput

_ROWS: Final = 3
_WIDE: Final = {"width": "auto", "min_width": "0"}


class HeadersField(Field):
    """A list of headers; a name and a value typed below it make one, or replace the one of that name."""

    def __init__(self) -> None:
        self._headers: dict[str, str | Secret] = {}
        self._value: Secret | None = None
        described: dict[str, Any] = {
            "style": {"description_width": LABEL_WIDTH},
            "layout": ipywidgets.Layout(**_WIDE),
        }
        self._list = ipywidgets.Select(description="Headers", rows=_ROWS, **described)
        self._name = ipywidgets.Text(description="Header's name", placeholder="X-Team", **described)
        self._secret = SecretInput("its value", self._typed, hint="${NAME} stands for an environment variable")
        self._remove = button("Remove this header", self.remove, "minus")
        self._remove.layout = ipywidgets.Layout(margin=f"2px 2px 2px {INDENT}", align_self="flex-start", width="auto")
        super().__init__(
            "advancedSettings.customHeaders",
            ipywidgets.VBox(
                [self._list, self._remove, self._name, self._secret],
                layout=ipywidgets.Layout(flex="3 1 300px", min_width="0"),
            ),
            hint="A name and a value make a header, or replace it; ${NAME} stands for a variable.",
        )
        self._list.observe(self._select, "value")
        self._name.observe(self._named, "value")

    @property
    def value(self) -> dict[str, str | Secret] | None:
        """Name to value; stored values stand in it as their masks."""
        return dict(self._headers) or None

    @property
    def problem(self) -> str:
        """What half of a header is missing, in words."""
        name = self._name.value.strip()
        if self._value is not None:
            return "name the header whose value was typed"
        if name and not self._stored_name(name):
            return f"type the value of {name}, or empty its name"
        return ""

    def remove(self) -> None:
        """Take the selected header out."""
        if self._headers.pop(self._list.value or "", None) is not None:
            self._show(None)
            self._edited()

    def _put(self, value: Any) -> None:
        self._headers, self._value = dict(value or {}), None
        self._show(None)

    def _stored_name(self, name: str) -> str | None:
        """The name as it stands in the list: headers know no case."""
        return next((known for known in self._headers if known.lower() == name.lower()), None)

    def _show(self, selected: str | None) -> None:
        was_filling, self._is_filling = self._is_filling, True
        try:
            with self._list.hold_sync():
                self._list.options = [(f"{name}: {value}", name) for name, value in self._headers.items()]
                self._list.value = selected
            self._name.value = selected or ""
            self._show_value()
        finally:
            self._is_filling = was_filling

    def _show_value(self) -> None:
        known = self._headers.get(self._stored_name(self._name.value.strip()) or "", "")
        self._secret.shown = str(known if self._value is None else self._value)
        self._remove.disabled = self._list.value is None

    def _select(self, change: Any) -> None:
        if not self._is_filling:
            self._value = None
            self._show(change["new"])

    def _named(self, _change: object) -> None:
        if self._is_filling:
            return
        self._show_value()
        self._edited()

    def _typed(self, value: Secret) -> None:
        name = self._name.value.strip()
        if name:
            self._headers = {known: kept for known, kept in self._headers.items() if known.lower() != name.lower()}
            self._headers[name] = value
            self._value = None
            self._show(None)
        else:
            self._value = value
            self._show_value()
        self._edited()

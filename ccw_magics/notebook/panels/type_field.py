"""The type of a provider: chosen from a list that says what each needs, or the name of another."""

from __future__ import annotations

from typing import Final

import ipywidgets

from ccw_magics.notebook.panels.fields import LABEL_WIDTH, Field
from ccw_magics.notebook.panels.provider_types import OTHERS, TYPES

_ANOTHER: Final = ""
_WIDE: Final = {"width": "auto", "min_width": "0"}


class TypeField(Field):
    """See the module."""

    def __init__(self) -> None:
        described = {"style": {"description_width": LABEL_WIDTH}}
        self._chosen = ipywidgets.Dropdown(
            description="Type",
            options=[
                *((f"{name} — {listed.needs}", name) for name, listed in TYPES.items()),
                ("another that litellm knows …", _ANOTHER),
            ],
            layout=ipywidgets.Layout(**_WIDE),
            **described,
        )
        self._typed = ipywidgets.Combobox(
            description="Its name",
            placeholder="groq",
            options=OTHERS,
            layout=ipywidgets.Layout(**_WIDE, display="none"),
            **described,
        )
        layout = ipywidgets.Layout(flex="3 1 300px", min_width="0")
        super().__init__("type", ipywidgets.VBox([self._chosen, self._typed], layout=layout))
        self._chosen.observe(self._show, "value")
        self._chosen.observe(self._edited, "value")
        self._typed.observe(self._edited, "value")

    @property
    def value(self) -> str | None:
        """The type's name; None where the other one's is still to be typed."""
        return self._chosen.value or self._typed.value.strip() or None

    def _put(self, value: str | None) -> None:
        self._chosen.value = value if value in TYPES else _ANOTHER
        self._typed.value = "" if value is None or value in TYPES else value
        self._show()

    def _show(self, _change: object = None) -> None:
        self._typed.layout.display = None if self._chosen.value == _ANOTHER else "none"

"""Several keys of a provider, as a field of its form: a list, and the selected one beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ipywidgets

from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.fields import INDENT, LABEL_WIDTH, Field
from ccw_magics.notebook.panels.key_source import KeySource
from ccw_magics.notebook.panels.key_text import KeyPlace
from ccw_magics.notebook.panels.provider_types import type_named

_ROWS: Final = 4
_NO_KEY: Final = "say where the key comes from"
_WIDE: Final = {"width": "auto", "min_width": "0"}


@dataclass
class _Entry:
    """One key as it is being edited: the file's fields, what is on its way into the keyring, and what is amiss."""

    fields: dict[str, Any]
    pending: dict[str, Secret] = field(default_factory=dict)
    problem: str = ""

    @property
    def row(self) -> str:
        """How it looks in the list."""
        name = self.fields.get("label") or self.fields["id"]
        weight = self.fields.get("weight", 1)
        parts = [str(name), str(self.fields.get("key") or "no key"), f"weight {weight:g}" if _is_number(weight) else ""]
        return f"{'●' if self.fields.get('enabled', True) else '○'} {' · '.join(filter(None, parts))}"


class KeysField(Field):
    """Further keys, each with a label and a weight; what is changed beside the list is changed at once in the list.

    Args:
        place: To whom the keys belong.
    """

    def __init__(self, place: KeyPlace) -> None:
        self._place = place
        self._entries: list[_Entry] = []
        described: dict[str, Any] = {
            "style": {"description_width": LABEL_WIDTH},
            "layout": ipywidgets.Layout(**_WIDE),
        }
        self._list = ipywidgets.Select(description="Further keys", rows=_ROWS, **described)
        self._label = ipywidgets.Text(description="Label", placeholder="such as whose it is", **described)
        self._weight = ipywidgets.Text(description="Weight", placeholder="1", **described)
        self._enabled = ipywidgets.Checkbox(
            description="Used", indent=False, layout=ipywidgets.Layout(width="auto", margin=f"0 0 0 {INDENT}")
        )
        self._source = KeySource(place, self._changed)
        self._editor = ipywidgets.VBox([self._label, self._source.widget, self._weight, self._enabled])
        self._remove = button("Remove this key", self.remove, "minus")
        buttons = ipywidgets.HBox(
            [button("Add a key", self.add, "plus"), self._remove],
            layout=ipywidgets.Layout(flex_flow="row wrap", margin=f"0 0 0 {INDENT}"),
        )
        super().__init__(
            "apiKeys",
            ipywidgets.VBox(
                [self._list, buttons, self._editor], layout=ipywidgets.Layout(flex="3 1 300px", min_width="0")
            ),
            hint="The key above is the first of them.",
        )
        self._list.observe(self._select, "value")
        for control in (self._label, self._weight, self._enabled):
            control.observe(self._changed, "value")

    @property
    def value(self) -> list[dict[str, Any]] | None:
        """The entries as the file would hold them; stored keys stand in it as their masks."""
        return [dict(entry.fields) for entry in self._entries] or None

    @property
    def pending(self) -> dict[str, Secret]:
        """Entries of the keyring, and the keys that are to be put into them."""
        return {name: key for entry in self._entries for name, key in entry.pending.items()}

    @property
    def problem(self) -> str:
        """What is missing of the first key that was added or edited and lacks something, in words."""
        for entry in self._entries:
            if entry.problem:
                return f"{entry.fields.get('label') or entry.fields['id']}: {entry.problem}"
        return ""

    def keep_in_file(self) -> None:
        """Have the file itself hold the keys that were typed, which the keyring does not take."""
        waiting = [entry for entry in self._entries if entry.pending]
        for entry in waiting:
            (entry.fields["key"],) = entry.pending.values()
            entry.pending = {}
        if waiting:
            self._show(self._list.value)
            self._edited()

    def add(self) -> None:
        """Begin another key."""
        taken = {entry.fields["id"] for entry in self._entries}
        number = next(number for number in range(2, len(taken) + 3) if f"key-{number}" not in taken)
        self._entries.append(_Entry({"id": f"key-{number}", "key": "", "weight": 1, "enabled": True}, problem=_NO_KEY))
        self._show(len(self._entries) - 1)
        self._edited()

    def remove(self) -> None:
        """Take the selected key out."""
        index = self._list.value
        if index is not None:
            del self._entries[index]
            self._show(min(index, len(self._entries) - 1) if self._entries else None)
            self._edited()

    def _put(self, value: Any) -> None:
        self._entries = [_Entry(_given(entry)) for entry in value or ()]
        self._show(None)

    def _show(self, index: int | None) -> None:
        """Show the list, with one selected, and that one beside it."""
        was_filling, self._is_filling = self._is_filling, True
        try:
            with self._list.hold_sync():
                self._list.options = [(entry.row, place) for place, entry in enumerate(self._entries)]
                self._list.value = index
            self._show_editor(None if index is None else self._entries[index])
        finally:
            self._is_filling = was_filling

    def _show_editor(self, entry: _Entry | None) -> None:
        self._editor.layout.display = "none" if entry is None else None
        self._remove.disabled = entry is None
        if entry is None:
            return
        self._label.value = entry.fields.get("label") or ""
        weight = entry.fields.get("weight", 1)
        self._weight.value = f"{weight:g}" if _is_number(weight) else str(weight)
        self._enabled.value = bool(entry.fields.get("enabled", True))
        self._source.fill(entry.fields["key"], suggestion=type_named(self._place.provider_type).key_name)

    def _select(self, change: Any) -> None:
        if not self._is_filling:
            self._show(change["new"])

    def _changed(self, _change: object = None) -> None:
        """Something beside the list was changed: it goes into the list."""
        index = self._list.value
        if self._is_filling or index is None:
            return
        entry, key = self._entries[index], self._source.value
        is_same = key == entry.fields["key"]
        entry.pending = self._source.pending or (entry.pending if is_same else {})
        if not is_same:
            entry.problem = self._source.problem or ("" if key else _NO_KEY)
        typed = self._weight.value.strip()
        changes = {
            "key": key,
            "label": self._label.value.strip() or None,
            "weight": float(typed) if _is_number(typed) else typed or 1,
            "enabled": self._enabled.value,
        }
        entry.fields = _given({**entry.fields, **changes})
        self._is_filling = True
        try:
            with self._list.hold_sync():
                self._list.options = [(entry.row, place) for place, entry in enumerate(self._entries)]
                self._list.value = index
        finally:
            self._is_filling = False
        self._edited()


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return False
    return True

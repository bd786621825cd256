"""A form for one entry of the config: filled from it, judged by its model as it is typed, saved as what was changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ipywidgets
from pydantic import BaseModel

from ccw_magics.config.problems import problems
from ccw_magics.errors import ConfigError
from ccw_magics.notebook.panels.fields import Field

Judge = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""What else is wrong with an entry than its model knows: place to words."""
Fields = Sequence[Field] | Callable[[], Sequence[Field]]
"""Fields, or a function that makes them once the user opens their group: most never do."""
_STAMPS: Final = frozenset({"createdAt", "updatedAt"})


class ChangedMeanwhile(ConfigError):
    """Somebody else changed the entry after the form was filled from it.

    Attributes:
        stored: The entry as it is now.
    """

    def __init__(self, stored: BaseModel) -> None:
        super().__init__("it was changed meanwhile by someone else")
        self.stored = stored


class Form:
    """Fields that make up one entry.

    Args:
        model: The entry's model.
        groups: Fields under their headings; those under an empty heading stand open, the others are folded away.
        judge: What else may be wrong.

    Attributes:
        widget: What is shown.
        base: The entry that the form was filled from; None for a new one.
    """

    def __init__(self, model: type[BaseModel], groups: Sequence[tuple[str, Fields]], judge: Judge) -> None:
        self.base: BaseModel | None = None
        self._model = model
        self._judge = judge
        self._fields: list[Field] = []
        self._folded: dict[Field, Any] = {}
        self._shown: Mapping[str, Any] = {}
        self._on_edit: Callable[[], None] | None = None
        self.widget = ipywidgets.VBox([self._group(title, fields) for title, fields in groups])

    def on_edit(self, callback: Callable[[], None]) -> None:
        """Call back after each edit of the user's, once it has been judged."""
        self._on_edit = callback

    def fill(self, entry: BaseModel | None, defaults: Mapping[str, Any] | None = None) -> None:
        """Show an entry.

        Args:
            entry: The entry; None for a new one.
            defaults: Place to value, of a new one.
        """
        self.base = entry
        self._shown = _flat(entry.model_dump(by_alias=True)) if entry is not None else dict(defaults or {})
        for field in self._fields:
            field.fill(self._shown.get(field.name))

    @property
    def is_edited(self) -> bool:
        """Whether anything differs from what the form was filled with."""
        return any(field.was_edited for field in self._fields)

    def entry(self) -> dict[str, Any]:
        """What the fields say, nested as in the file; what is empty is left out."""
        return _nested({field.name: value for field in self._fields if (value := field.value) is not None})

    def changes(self) -> dict[str, Any]:
        """Place to value of what was edited; None for what is to go."""
        return {field.name: field.value for field in self._fields if field.was_edited}

    def check(self, *, everywhere: bool = True) -> bool:
        """Say beside each field what is wrong with it, and return whether nothing is.

        Args:
            everywhere: Also where nothing was typed yet.
        """
        entry = self.entry()
        found = {**problems(self._model, entry), **self._judge(entry)}
        for field in self._fields:
            told = next((words for place, words in found.items() if _is_of(place, field.name)), "")
            field.say(told if everywhere or field.was_edited else "")
            if told and everywhere and field in self._folded:
                self._folded[field].selected_index = 0
        return not found

    def changed(self, stored: BaseModel) -> dict[str, Any]:
        """What is to be written over an entry: for the function form of the store's `update_...`.

        Raises:
            ChangedMeanwhile: It is not the one that the form was filled from.
        """
        if stored != self.base:
            raise ChangedMeanwhile(stored)
        return patched(stored, self.changes())

    def against(self, stored: BaseModel) -> list[tuple[str, str, str]]:
        """Where an entry differs from the one that the form was filled from, or from what was typed.

        Returns:
            Place, its value in the entry, and the value typed here, as they may be shown.
        """
        theirs, mine = _flat(stored.model_dump(by_alias=True)), self.changes()
        before = _flat(self.base.model_dump(by_alias=True)) if self.base is not None else {}
        differing = [
            name
            for name in {**before, **theirs}
            if theirs.get(name) != before.get(name) and name not in _STAMPS and not _is_split(name, theirs)
        ]
        places = dict.fromkeys([*mine, *differing])
        return [
            (place, _shown(theirs.get(place)), _shown(mine[place]) if place in mine else "(as theirs)")
            for place in places
        ]

    def _group(self, title: str, fields: Fields) -> Any:
        box = ipywidgets.VBox()
        if not title:
            self._put(box, fields() if callable(fields) else fields)
            return box
        folded = ipywidgets.Accordion([box], titles=[title], selected_index=None)
        if callable(fields):
            folded.observe(lambda _: self._open(folded, fields), "selected_index")
        else:
            self._put(box, fields, folded)
        return folded

    def _open(self, folded: Any, make: Callable[[], Sequence[Field]]) -> None:
        """Make the fields of a group that is opened for the first time."""
        (box,) = folded.children
        if not box.children:
            self._put(box, make(), folded)

    def _put(self, box: Any, fields: Sequence[Field], folded: Any = None) -> None:
        """Let fields be part of the form, filled as the others were."""
        for field in fields:
            field.fill(self._shown.get(field.name))
            field.on_edit(self._edited)
        self._fields += fields
        self._folded |= dict.fromkeys(fields, folded) if folded is not None else {}
        box.children = [field.widget for field in fields]

    def _edited(self) -> None:
        self.check(everywhere=False)
        if self._on_edit is not None:
            self._on_edit()


def patched(stored: BaseModel, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes by place as changes of whole fields, with the rest of each nested setting as it is stored.

    Keys stand in it as their masks, which the store takes for the keys that it holds.

    Args:
        stored: The entry.
        changes: Place to value; None for what is to go.
    """
    old = stored.model_dump(by_alias=True, exclude_unset=True)
    result: dict[str, Any] = {}
    for place, value in changes.items():
        name, dot, rest = place.partition(".")
        if not dot:
            result[name] = value
            continue
        inner = result.setdefault(name, dict(old.get(name) or {}))
        inner.pop(rest, None)
        if value is not None:
            inner[rest] = value
    return result


def _shown(value: Any) -> str:
    """A value as it may be shown: of keys, their masks."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(inner)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return "; ".join(map(_shown, value))
    return "" if value is None else str(value)


def _is_split(name: str, flat: Mapping[str, Any]) -> bool:
    """Whether a setting stands there one by one as well."""
    return any(place.startswith(f"{name}.") for place in flat)


def _is_of(place: str, name: str) -> bool:
    return place == name or place.startswith(f"{name}.")


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry by place; settings one level down, such as `advancedSettings.timeout`, stand there one by one."""
    flat = dict(entry)
    for name, value in entry.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": item for inner, item in value.items()}
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for place, value in flat.items():
        name, dot, rest = place.partition(".")
        if dot:
            nested.setdefault(name, {})[rest] = value
        else:
            nested[name] = value
    return nested

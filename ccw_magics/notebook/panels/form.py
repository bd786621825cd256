"""A form for one entry of the config: filled from it, judged by its model as it is typed, saved as what was changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ipywidgets
from pydantic import BaseModel

from ccw_magics.config.models import STORED
from ccw_magics.config.problems import problems
from ccw_magics.errors import ConfigError
from ccw_magics.notebook.panels.entry_values import given, places, shown, to_fill_in, with_keys
from ccw_magics.notebook.panels.fields import Field

Judge = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""What else is wrong with an entry than its model knows: place to words."""
Fields = Sequence[Field] | Callable[[], Sequence[Field]]
"""Fields, or a function that makes them once the user opens their group: most never do."""
_STAMPS: Final = frozenset({"createdAt", "updatedAt"})
_STAYS: Final = frozenset({"cacheStrategy"})
"""Settings that stand in the file even where they say nothing: CCW reads them without asking whether they do."""


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
        self._held: Mapping[str, Any] = {}
        self._accepted: dict[str, str] = {}
        self._on_edit: Callable[[], None] | None = None
        self.widget = ipywidgets.VBox([self._group(title, fields) for title, fields in groups])

    def on_edit(self, callback: Callable[[], None]) -> None:
        """Call back after each edit of the user's, once it has been judged."""
        self._on_edit = callback

    def fill(
        self, entry: BaseModel | None, defaults: Mapping[str, Any] | None = None, *, is_copied: bool = False
    ) -> None:
        """Show an entry.

        Args:
            entry: The entry; None for a new one.
            defaults: Place to value, of a new one.
            is_copied: Whether a new one begins as a copy of the entry.
        """
        self.base = None if is_copied else entry
        self._shown = to_fill_in(entry) if entry is not None else dict(defaults or {})
        self._held = places(entry) if entry is not None else {}
        self._accepted = {}
        self._fill(self._fields)

    def _fill(self, fields: Sequence[Field]) -> None:
        """Let fields show the entry; what is wrong with it as it is stored keeps nobody from changing what is not."""
        for field in fields:
            field.fill(self._shown.get(field.name), is_new=self.base is None)
        if self.base is not None:
            found = self._wrong()
            self._accepted |= {place: found[place] for place in found if _field_of(place, fields) is not None}

    @property
    def is_edited(self) -> bool:
        """Whether anything differs from what the form was filled with."""
        return any(field.was_edited for field in self._fields)

    def entry(self) -> dict[str, Any]:
        """What the fields say, nested as in the file; what is empty is left out."""
        return _nested({field.name: value for field in self._fields if (value := field.value) is not None})

    def changes(self) -> dict[str, Any]:
        """Place to value of what was edited, with the keys that the form was filled with; None for what is to go."""
        return {
            field.name: with_keys(field.value, self._held.get(field.name)) for field in self._fields if field.was_edited
        }

    def whole(self) -> dict[str, Any]:
        """The entry that the form was filled from, with what was edited: all of it, nested as in the file."""
        base = self.base
        entry = {**given(base), **patched(base, self.changes())} if base is not None else self.entry()
        return {name: value for name, value in entry.items() if value is not None}

    def check(self, *, everywhere: bool = True) -> bool:
        """Say beside each field what is wrong with it, and return whether nothing is.

        Args:
            everywhere: Also where nothing was typed yet.
        """
        found = self._found()
        for field in self._fields:
            told = next((words for place, words in found.items() if _is_of(place, field.name)), "")
            field.say(told if everywhere or field.was_edited else "")
            if told and everywhere and field in self._folded:
                self._folded[field].selected_index = 0
        return not found

    @property
    def unseen(self) -> str:
        """What is wrong and beside no field that is shown, in words."""
        fields = [field for field in self._fields if field.widget.layout.display != "none"]
        found = self._found().items()
        return "; ".join(f"{place} {words}".strip() for place, words in found if _field_of(place, fields) is None)

    def _found(self) -> dict[str, str]:
        """Place to what is wrong there and was not before."""
        edited = [field for field in self._fields if field.was_edited]
        found = self._wrong()
        return {
            place: words
            for place, words in found.items()
            if self._accepted.get(place) != words or _field_of(place, edited) is not None
        }

    def _wrong(self) -> dict[str, str]:
        entry = self.entry()
        return {**problems(self._model, entry, is_stored=self.base is not None), **self._judge(entry)}

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
        mine = places(self._model.model_validate(self.whole(), context={STORED: True}))
        before, theirs = places(self.base) if self.base is not None else {}, places(stored)
        differing = [name for name in {**before, **theirs} if theirs.get(name) != before.get(name)]
        typed = self.changes()
        return [
            (place, shown(theirs.get(place)), shown(mine.get(place)) if place in typed else "(as theirs)")
            for place in dict.fromkeys([*typed, *differing])
            if place not in _STAMPS
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
            field.on_edit(self._edited)
        self._fields += fields
        self._fill(fields)
        self._folded |= dict.fromkeys(fields, folded) if folded is not None else {}
        box.children = [field.widget for field in fields]

    def _edited(self) -> None:
        self.check(everywhere=False)
        if self._on_edit is not None:
            self._on_edit()


def patched(stored: BaseModel, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes by place as changes of whole fields, with the rest of each nested setting as it is stored.

    Args:
        stored: The entry.
        changes: Place to value; None for what is to go.

    Returns:
        File's name to value; None for what is to go, such as settings of which none is left.
    """
    old = given(stored)
    result: dict[str, Any] = {}
    for place, value in changes.items():
        name, dot, rest = place.partition(".")
        if not dot:
            result[name] = value
            continue
        inner = result.setdefault(name, given(old[name]) if name in old else {})
        inner.pop(rest, None)
        if value is not None:
            inner[rest] = value
    return {name: None if value == {} and name not in _STAYS else value for name, value in result.items()}


def _field_of(place: str, fields: Sequence[Field]) -> Field | None:
    return next((field for field in fields if _is_of(place, field.name)), None)


def _is_of(place: str, name: str) -> bool:
    return place == name or place.startswith(f"{name}.")


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for place, value in flat.items():
        name, dot, rest = place.partition(".")
        if dot:
            nested.setdefault(name, {})[rest] = value
        else:
            nested[name] = value
    return nested

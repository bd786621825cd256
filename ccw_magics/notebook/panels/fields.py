"""The fields of a form: a label, an input, and beside it what is wrong with what was typed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import ipywidgets

from ccw_magics.notebook.panels import style

if TYPE_CHECKING:
    from ccw_magics.config.credentials import Secret

LABEL_WIDTH: Final = "9em"
INDENT: Final = f"calc({LABEL_WIDTH} + 10px)"
"""Where inputs begin, behind their labels and margins."""
_INPUT: Final = {"width": "auto", "flex": "3 1 300px", "min_width": "0"}
_BESIDE: Final = {"flex": "1 1 160px", "min_width": "0", "margin": "2px 0 2px 6px"}
_ROW: Final = {"flex_flow": "row wrap", "width": "100%", "align_items": "center"}

_NOTHING: Final = ""
"""Stands for None among the choices: to ipywidgets a value of None is no selection, and shown as a blank."""


class Field(ABC):
    """One value of an entry.

    Attributes:
        name: Its place in the entry under the file's names, joined by dots: `advancedSettings.timeout`.
        widget: What is shown.
        was_edited: Whether it differs by the user's hand from what it was last filled with.
    """

    def __init__(self, name: str, control: Any, *, hint: str = "") -> None:
        """Put an input into a row.

        Args:
            name: Its place in the entry.
            control: The input's widget, with its label.
            hint: What stands beside it while nothing is wrong.
        """
        self.name = name
        self.was_edited = False
        self._before: object = None
        self._hint = hint
        self._advice = (hint, "faint")
        self._problem = ""
        self._on_edit: Callable[[], None] | None = None
        self._is_filling = False
        self._control = control
        self._beside = ipywidgets.HTML(layout=ipywidgets.Layout(**_BESIDE))
        self.widget = ipywidgets.HBox([control, self._beside], layout=ipywidgets.Layout(**_ROW))
        self.say("")

    @property
    @abstractmethod
    def value(self) -> Any:
        """What the file would hold; None for nothing."""

    @property
    def problem(self) -> str:
        """What is half typed, in words; empty where nothing is."""
        return ""

    @property
    def pending(self) -> Mapping[str, Secret]:
        """What saving would change beside the file: entries of the keyring, and the keys to be put into them."""
        return {}

    @abstractmethod
    def _put(self, value: Any) -> None:
        """Show a value of the file in the input."""

    def fill(self, value: Any, *, is_new: bool = False) -> None:
        """Show what the file holds; this is no edit.

        Args:
            value: As `value` gives it.
            is_new: Whether the file does not hold it yet: then there is nothing that an edit could be undone to.
        """
        self._is_filling = True
        try:
            self._put(value)
        finally:
            self._is_filling = False
        self.was_edited = False
        self._before = object() if is_new else self.value
        self.say("")

    def say(self, problem: str) -> None:
        """Show beside the input what is wrong, or its hint where nothing is."""
        self._problem = problem
        self._beside.value = style.live(style.said(problem, "wrong") if problem else style.said(*self._advice))

    def advise(self, text: str, kind: str = "faint") -> None:
        """Show something else than the hint while nothing is wrong.

        Args:
            text: What is known of the value; empty for the hint itself.
            kind: As in `style.said`.
        """
        self._advice = (text, kind) if text else (self._hint, "faint")
        self.say(self._problem)

    def widen(self) -> Self:
        """Let the input have the whole row while there is nothing to say beside it, and return the field."""
        self._beside.layout = ipywidgets.Layout(flex="0 1 auto", min_width="0")
        return self

    def on_edit(self, callback: Callable[[], None]) -> None:
        """Call back after each edit of the user's."""
        self._on_edit = callback

    def _edited(self, _change: object = None) -> None:
        if self._is_filling:
            return
        self.was_edited = self.value != self._before or bool(self.problem or self.pending)
        if self._on_edit is not None:
            self._on_edit()


class _TraitField(Field):
    """A field whose input is one widget with a `value`."""

    def __init__(self, name: str, control: Any, *, hint: str = "") -> None:
        super().__init__(name, control, hint=hint)
        control.observe(self._edited, "value")

    @property
    def value(self) -> Any:
        """What the input shows; None where it is empty."""
        value = self._control.value
        return (value.strip() or None) if isinstance(value, str) else value

    def _put(self, value: Any) -> None:
        self._control.value = "" if value is None else str(value)


class TextField(_TraitField):
    """A text or a number in one line: the model reads it, and says what is wrong with it."""

    def __init__(self, name: str, label: str, *, hint: str = "", placeholder: str = "", lines: int = 1) -> None:
        """Make one.

        Args:
            name: Its place in the entry.
            label: What stands before it.
            hint: What stands beside it.
            placeholder: What the empty input shows, such as the default.
            lines: Height; more than one makes a text of several lines.
        """
        kind = ipywidgets.Text if lines == 1 else ipywidgets.Textarea
        control = kind(**_described(label), placeholder=placeholder, layout=ipywidgets.Layout(**_INPUT))
        if lines > 1:
            control.rows = lines
        super().__init__(name, control, hint=hint)

    def _put(self, value: Any) -> None:
        is_whole = isinstance(value, float) and value.is_integer()
        super()._put(int(value) if is_whole else value)

    def type_in(self, text: str) -> None:
        """Put a text in as if the user had typed it."""
        self._control.value = text


class LinesField(TextField):
    """A list of texts, one a line."""

    def __init__(self, name: str, label: str, *, hint: str = "", placeholder: str = "", lines: int = 3) -> None:
        """Make one; see `TextField`."""
        super().__init__(name, label, hint=hint, placeholder=placeholder, lines=lines)

    @property
    def value(self) -> list[str] | None:
        """The lines that are not empty; None where all are."""
        return [line.strip() for line in self._control.value.splitlines() if line.strip()] or None

    def _put(self, value: Any) -> None:
        self._control.value = "\n".join(value or [])


class SuggestField(_TraitField):
    """A text for which there are suggestions, which need not be taken."""

    def __init__(self, name: str, label: str, *, hint: str = "", placeholder: str = "") -> None:
        """Make one; see `TextField`."""
        control = ipywidgets.Combobox(
            **_described(label), placeholder=placeholder, ensure_option=False, layout=ipywidgets.Layout(**_INPUT)
        )
        super().__init__(name, control, hint=hint)

    def suggest(self, options: Sequence[str]) -> None:
        """Show other suggestions."""
        self._control.options = tuple(map(style.plain, options))


class ChoiceField(_TraitField):
    """One of a few values."""

    def __init__(self, name: str, label: str, choices: Sequence[tuple[str, Any]], *, hint: str = "") -> None:
        """Make one.

        Args:
            name: Its place in the entry.
            label: What stands before it.
            choices: What is shown, and the value that it stands for; a value of None stands for nothing.
            hint: What stands beside it.
        """
        self._choices = _selectable(choices)
        self._is_unset = False
        control = ipywidgets.Dropdown(
            **_described(label), options=self._choices, layout=ipywidgets.Layout(**_INPUT), value=self._choices[0][1]
        )
        super().__init__(name, control, hint=hint)

    @property
    def value(self) -> Any:
        """The chosen value; None where the file says nothing, and what then holds was left."""
        value = self._control.value
        is_left = self._is_unset and value == self._choices[0][1]
        return None if value == _NOTHING or is_left else value

    def _put(self, value: Any) -> None:
        self._is_unset = value is None
        wanted = _NOTHING if value is None else value
        known = [choice for _, choice in self._choices]
        if wanted == _NOTHING and _NOTHING not in known:
            wanted = known[0]
        # What the file holds is shown, even where this list does not know it.
        options = self._choices if wanted in known else [*self._choices, (style.plain(str(wanted)), wanted)]
        if list(self._control.options) != options:
            self._control.options = options
        self._control.value = wanted

    def offer(self, choices: Sequence[tuple[str, Any]]) -> None:
        """Replace the choices; the chosen value stays where it is among them, and is else the first."""
        chosen = self.value
        self._choices = _selectable(choices)
        self._is_filling = True
        try:
            self._put(chosen if chosen in [choice for _, choice in self._choices] else None)
        finally:
            self._is_filling = False


class FlagField(_TraitField):
    """Yes or no."""

    def __init__(self, name: str, label: str, *, default: bool, hint: str = "") -> None:
        """Make one.

        Args:
            name: Its place in the entry.
            label: What stands behind the box.
            default: What holds where the file says nothing.
            hint: What stands beside it.
        """
        self._default = default
        self._is_unset = False
        layout = ipywidgets.Layout(**{**_INPUT, "margin": f"0 0 0 {INDENT}"})
        super().__init__(
            name, ipywidgets.Checkbox(description=label, indent=False, value=default, layout=layout), hint=hint
        )

    @property
    def value(self) -> bool | None:
        """Whether it is ticked; None where the file says nothing, and what then holds was left."""
        is_ticked = bool(self._control.value)
        return None if self._is_unset and is_ticked == self._default else is_ticked

    def _put(self, value: Any) -> None:
        self._is_unset = value is None
        self._control.value = self._default if value is None else bool(value)


def _selectable(choices: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(style.plain(shown), _NOTHING if value is None else value) for shown, value in choices]


def _described(label: str) -> dict[str, Any]:
    return {"description": label, "style": {"description_width": LABEL_WIDTH}}

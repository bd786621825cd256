"""Where a key comes from: an environment variable, the system's keyring, or typed; and the inputs for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import ipywidgets
import traitlets

from ccw_magics.config import keyring
from ccw_magics.config.credentials import Secret, is_mask
from ccw_magics.notebook.panels import key_text, style
from ccw_magics.notebook.panels.fields import INDENT, LABEL_WIDTH
from ccw_magics.notebook.panels.key_text import KeyPlace
from ccw_magics.notebook.panels.secret import SecretInput

_CHOICES: Final = [
    ("from an environment variable", "variable"),
    ("from an entry of the system keyring", "entry"),
    ("typed here", "typed"),
    ("no key", "none"),
]
_KEPT: Final = "kept"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WIDE: Final = {"width": "auto", "min_width": "0"}
_TAKEN_OUT: Final = (
    "That does not look like a name, so it was taken out again. "
    "If it was a key: choose “typed here”, which shows it to nobody."
)


class _NameInput(ipywidgets.Combobox):  # type: ignore[misc]  # ipywidgets carries no annotations
    """A `Combobox` that does not repeat to the front ends what was typed: it may be a key, in the wrong place.

    Args:
        may_be_name: Whether what was typed may be, or become, a name.
        traits: As a `Combobox` takes them.
    """

    value = traitlets.CUnicode("").tag(sync=True, echo_update=False)

    def __init__(self, may_be_name: Callable[[str], bool], **traits: Any) -> None:
        super().__init__(layout=ipywidgets.Layout(**_WIDE), **traits)
        self.may_be_name = may_be_name


class KeySource:
    """The choice, with the inputs of what was chosen.

    Args:
        place: To whom the key belongs.
        on_edit: Called after each edit of the user's.

    Attributes:
        widget: What is shown.
        pending: Entries of the keyring, and the keys that are to be put into them when the provider is saved.
    """

    def __init__(self, place: KeyPlace, on_edit: Callable[[], None]) -> None:
        self._place = place
        self._on_edit = on_edit
        self._is_filling = False
        self._kept: str | Secret = ""
        self._key: Secret | None = None
        self._new_entry = ""
        self._was_taken_out = False
        described: dict[str, Any] = {"style": {"description_width": LABEL_WIDTH}}
        self._chosen = ipywidgets.Dropdown(
            description="Key", options=_CHOICES, layout=ipywidgets.Layout(**_WIDE), **described
        )
        self._variable = _NameInput(
            lambda typed: key_text.may_be_name(key_text.variable_name(typed)),
            description="Variable",
            placeholder="NAME_API_KEY",
            **described,
        )
        self._entry = _NameInput(lambda typed: key_text.may_be_entry(typed.strip()), description="Entry", **described)
        self._secret = SecretInput("Key itself", self._typed)
        self._note = ipywidgets.HTML(layout=ipywidgets.Layout(margin=f"0 0 0 {INDENT}", min_width="0"))
        self.widget = ipywidgets.VBox(
            [self._chosen, self._variable, self._entry, self._secret, self._note],
            layout=ipywidgets.Layout(width="100%"),
        )
        self._chosen.observe(self._was_chosen, "value")
        self._variable.observe(self._named, "value")
        self._entry.observe(self._named, "value")

    @property
    def value(self) -> str | Secret:
        """What the file would hold: a reference, a key that was typed, or the mask of the one that it holds."""
        match self._chosen.value:
            case "variable":
                name = key_text.variable_name(self._variable.value)
                return f"${{{name}}}" if name else ""
            case "entry":
                return keyring.reference(self._entry.value.strip()) if self._entry.value.strip() else ""
            case "typed" if self._key is not None:
                return keyring.reference(self._new_entry) if self._new_entry else self._key
            case "kept":
                return self._kept
            case _:
                return ""

    @property
    def pending(self) -> dict[str, Secret]:
        """See the class."""
        name = keyring.name_in(text) if isinstance(text := self.value, str) else ""
        return {name: self._key} if name and self._key is not None else {}

    @property
    def problem(self) -> str:
        """What is still missing, in words; empty where nothing is."""
        match self._chosen.value:
            case "variable" if not self.value:
                return "name the variable, or choose another source"
            case "entry" if not keyring.name_in(str(self.value)):
                return "name the entry, without white space"
            case "typed" if self._key is None:
                return "type the key, or choose another source"
            case "typed" if self._new_entry and not self.pending:
                return f"{self._new_entry!r} cannot name an entry of the keyring: choose the source again"
        return ""

    def keep_in_file(self) -> None:
        """Have the file itself hold the key that was typed, which the keyring does not take."""
        if not self.pending:
            return
        self._is_filling = True
        self._chosen.value, self._new_entry = "typed", ""
        self._is_filling = False
        self._edited()

    def fill(self, value: str | Secret, *, suggestion: str) -> None:
        """Show where a key comes from; this is no edit.

        Args:
            value: As `value` gives it.
            suggestion: The name of the variable in which such a key usually stands.
        """
        self._is_filling = True
        try:
            text = str(value)
            named, entry = _VARIABLE.fullmatch(text), keyring.name_in(text)
            self._key, self._new_entry, self._was_taken_out, self._kept = None, "", False, value
            self._variable.value, self._entry.value = named[1] if named else "", entry
            self.suggest(suggestion)
            is_kept = bool(text) and not named and not entry
            options = [(f"as it is: {text}", _KEPT), *_CHOICES] if is_kept else _CHOICES
            if list(self._chosen.options) != options:
                self._chosen.options = options
            self._chosen.value = "variable" if named else "entry" if entry else _KEPT if is_kept else "none"
        finally:
            self._is_filling = False
        self.show()

    def suggest(self, name: str) -> None:
        """Offer another variable first."""
        names = tuple(key_text.suggested_names(name))
        if names != self._variable.options:
            self._variable.options = names
        self._variable.placeholder = name

    def show(self) -> None:
        """Show the inputs of what was chosen, and what is to be said about them."""
        chosen = self._chosen.value
        has_secret = chosen == "typed" or (chosen == "entry" and keyring.is_usable())
        for widget, is_shown in (
            (self._variable, chosen == "variable"),
            (self._entry, chosen == "entry"),
            (self._secret, has_secret),
        ):
            display = None if is_shown else "none"
            if widget.layout.display != display:
                widget.layout.display = display
        self._secret.shown = str(self._key) if self._key is not None else ""
        note = self._told(chosen)
        self._note.value = style.live(note) if note else ""

    def _told(self, chosen: str) -> str:
        match chosen:
            case "variable" | "entry" if self._was_taken_out:
                return style.said(_TAKEN_OUT, "wrong")
            case "variable":
                return key_text.on_variable(key_text.variable_name(self._variable.value))
            case "entry":
                return key_text.on_entry(self._entry.value.strip())
            case "typed":
                typed = f"{style.said(f'{self._key} was typed.', 'right')} " if self._key is not None else ""
                return typed + key_text.on_typing(self._new_entry, self._place.file)
            case "kept" if isinstance(self._kept, str) and is_mask(self._kept):
                return style.said("The key itself stands in the file.", "faint")
        return ""

    def _was_chosen(self, _change: object) -> None:
        if self._is_filling:
            return
        self._key, self._new_entry, self._was_taken_out = None, "", False
        if self._chosen.value == "typed" and keyring.is_usable():
            self._new_entry = keyring.new_name(self._place.provider_type or "key")
        if self._chosen.value == "variable" and not self._variable.value:
            self._variable.value = self._variable.placeholder  # which calls `_named`
            return
        self._edited()

    def _named(self, change: Any) -> None:
        if self._is_filling:
            return
        typed: _NameInput = change["owner"]
        if not typed.may_be_name(typed.value):
            self._is_filling = True
            typed.value = ""
            self._is_filling = False
            self._was_taken_out = True
        elif typed.value:
            self._was_taken_out = False
        self._edited()

    def _typed(self, key: Secret) -> None:
        self._key = key
        self._edited()

    def _edited(self, _change: object = None) -> None:
        if not self._is_filling:
            self.show()
            self._on_edit()

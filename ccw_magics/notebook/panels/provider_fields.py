"""The fields of a provider, what hangs together among them, and what is said beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import traitlets
from ipywidgets import Text

from ccw_magics.config import trust
from ccw_magics.config.credentials import Secret, shown_base
from ccw_magics.config.models import AdvancedSettings, Provider
from ccw_magics.notebook.panels.fields import LABEL_WIDTH, ChoiceField, Field, FlagField, TextField
from ccw_magics.notebook.panels.form import Fields
from ccw_magics.notebook.panels.headers_field import HeadersField
from ccw_magics.notebook.panels.key_field import KeyField
from ccw_magics.notebook.panels.key_text import KeyPlace
from ccw_magics.notebook.panels.keys_field import KeysField
from ccw_magics.notebook.panels.provider_types import ProviderType, type_named
from ccw_magics.notebook.panels.secret_field import SecretField
from ccw_magics.notebook.panels.type_field import TypeField

_SETTINGS: Final = (
    ("timeout", "Timeout", "seconds for a whole call, all its tries included"),
    ("connectTimeout", "Until connected", "seconds"),
    ("firstTokenTimeout", "Until it answers", "seconds to the first sign of an answer"),
    ("betweenTokensTimeout", "Between signs", "seconds between two signs of an answer that has begun"),
    ("maxRetries", "Retries", "further tries after a transient failure"),
    ("organization", "Organization", "OpenAI's"),
    ("apiVersion", "API version", "Azure's, such as 2024-10-21"),
    ("rpm", "Requests/minute", "held by each kernel for itself"),
    ("tpm", "Tokens/minute", "held by each kernel for itself"),
)
_STRATEGIES: Final = [
    ("the first that works — it keeps the provider's cache of your files", None),
    ("simple-shuffle — any, by chance", "simple-shuffle"),
    ("weighted — by chance, in proportion to the weights", "weighted"),
    ("latency-based — the quickest to answer lately", "latency-based"),
    ("cost-based — the one that has cost least so far", "cost-based"),
    ("least-busy — the one with the fewest calls under way", "least-busy"),
]


_SCHEME: Final = re.compile(r"\A(?:[^/?#]*://)?")
_WITH_USER: Final = re.compile(r"((?:[^/?#]*://)?)([^/?#]*@)(.*)", re.DOTALL)
"""A URL up to the name of its user, that name with its password, and the rest."""


class _Unrepeated(Text):  # type: ignore[misc]  # ipywidgets carries no annotations
    """A `Text` that does not repeat to the front ends what was typed."""

    value = traitlets.CUnicode("").tag(sync=True, echo_update=False)


class BaseUrlField(Field):
    """The base URL, with a word on what the type needs, or on where the key would go.

    Of one that is stored, user name, password and query are not shown, and stay there unless it is edited. Of one that
    is typed, user name and password vanish from the input, and are part of the value.
    """

    def __init__(self) -> None:
        self._stored = ""
        self._user = ""
        control = _Unrepeated(
            description="Base URL",
            style={"description_width": LABEL_WIDTH},
            layout={"width": "auto", "flex": "3 1 300px", "min_width": "0"},
        )
        super().__init__("apiBase", control)
        control.observe(self._edited, "value")

    @property
    def value(self) -> str | None:
        """What was typed, what is not shown of it included; what is stored where nothing else was."""
        text = self._control.value.strip()
        if not self._user and text == shown_base(self._stored):
            return self._stored or None
        return _SCHEME.sub(lambda scheme: scheme[0] + self._user, text, count=1) or None

    @property
    def _unshown(self) -> str:
        """What is to be said of what is not shown; empty where everything is."""
        if self._user:
            return "The user name and password that were typed are kept, and not shown; empty the input to forget them."
        if not self._stored or self._stored == shown_base(self._stored):
            return ""
        if self.value == self._stored:
            return "Its user name, password or query is kept, and not shown: an edit takes it away."
        return "Its user name, password or query goes away with this edit: type the whole URL to keep it."

    def _put(self, value: Any) -> None:
        self._stored, self._user = value or "", ""
        self._control.value = shown_base(self._stored)

    def _edited(self, change: object = None) -> None:
        if not self._is_filling:
            self._hide_user()
        super()._edited(change)

    def _hide_user(self) -> None:
        if typed := _WITH_USER.fullmatch(self._control.value):
            self._user = typed[2]
            self._is_filling = True
            self._control.value = typed[1] + typed[3]
            self._is_filling = False
        elif not self._control.value.strip():
            self._user = ""

    def adapt(self, kind: ProviderType, going: Sequence[trust.Risk]) -> None:
        """Say what is missing for a type, or which host the key goes to that is not the type's own.

        Args:
            kind: The type that is now chosen.
            going: What `trust.risks` says of the provider.
        """
        self._control.placeholder = kind.example_base
        if kind.must_have_base and not self.value:
            self.advise(f"{kind.name} needs one, such as {kind.example_base}", "doubt")
        elif going or self._unshown:
            told = [f"The key goes to {risk.target}: {risk.why}." for risk in going]
            self.advise("\n".join(filter(None, [*told, self._unshown])), "doubt")
        elif kind.example_base and not self.value:
            self.advise("empty for the type's own")
        else:
            self.advise("")


class ProviderFields:
    """All fields of a provider's form; those that are folded away are made when their group is opened.

    Attributes:
        place: To whom the keys belong that are typed.
    """

    def __init__(self) -> None:
        self.place = KeyPlace()
        self._type = TypeField()
        self._key = KeyField(self.place)
        self._base = BaseUrlField()
        self._keys: KeysField | None = None
        self._headers: HeadersField | None = None

    def groups(self) -> list[tuple[str, Fields]]:
        """The form's groups."""
        first = [
            self._type.widen(),
            TextField("name", "Name", placeholder="for display"),
            self._key.widen(),
            self._base,
            FlagField("enabled", "Enabled", default=True),
        ]
        return [("", first), ("Advanced settings", self._advanced), ("Several keys", self._several)]

    @property
    def pending(self) -> dict[str, Secret]:
        """Entries of the keyring, and the keys that are to be put into them when the provider is saved."""
        return {**self._key.pending, **(self._keys.pending if self._keys is not None else {})}

    def keep_in_file(self) -> None:
        """Have the file itself hold the keys that were typed, which the keyring does not take."""
        self._key.keep_in_file()
        if self._keys is not None:
            self._keys.keep_in_file()

    def judge(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with a provider than its model does not know: place to words."""
        kind = type_named(str(entry.get("type") or ""))
        found = {
            "apiKey": self._key.problem,
            "apiBase": f"{kind.name} needs one" if kind.must_have_base and not entry.get("apiBase") else "",
        }
        if self._keys is not None:
            found["apiKeys"] = self._keys.problem
        if self._headers is not None:
            found["advancedSettings.customHeaders"] = self._headers.problem
        return {place: words for place, words in found.items() if words}

    def adapt(self, entry: Mapping[str, Any], file: str, *, is_new: bool) -> None:
        """Let each field take notice of what the others say.

        Args:
            entry: What the form says now, nested as in the file, stored values included.
            file: The config file that the provider stands in, or will.
            is_new: Whether it is still to be added.
        """
        former, self.place.provider_type, self.place.file = self.place.provider_type, self._type.value or "", file
        if is_new and former != self.place.provider_type:
            self._key.propose()
        self._key.adapt()
        self._base.adapt(type_named(self.place.provider_type), list(_going(entry)))

    def _advanced(self) -> list[Field]:
        texts = [
            TextField(f"advancedSettings.{name}", label, hint=hint, placeholder=_default(name))
            for name, label, hint in _SETTINGS
        ]
        self._headers = HeadersField()
        proxy = SecretField("advancedSettings.proxy", "Proxy", hint="a URL; it may hold a password")
        return [*texts, proxy, self._headers]

    def _several(self) -> list[Field]:
        self._keys = KeysField(self.place)
        return [self._keys, ChoiceField("routingStrategy", "They take turns", _STRATEGIES).widen()]


def _default(name: str) -> str:
    """What holds where the file says nothing of a setting."""
    fields = AdvancedSettings.model_fields.values()
    default = next(field.default for field in fields if field.alias == name)
    return "" if default is None else str(default)


def _going(entry: Mapping[str, Any]) -> Iterator[trust.Risk]:
    """Where the keys of a provider go that is not its type's own place, be they references or keys themselves."""
    from pydantic import ValidationError

    try:
        provider = Provider.model_validate({name: value for name, value in entry.items() if value is not None})
    except ValidationError:  # which is said beside its field
        return
    yield from trust.risks_of(provider)

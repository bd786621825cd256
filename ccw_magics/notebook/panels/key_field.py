"""A provider's key, as a field of its form."""

from __future__ import annotations

from typing import Any

from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.fields import Field
from ccw_magics.notebook.panels.key_source import KeySource
from ccw_magics.notebook.panels.key_text import KeyPlace
from ccw_magics.notebook.panels.provider_types import type_named


class KeyField(Field):
    """The key; whatever the source, what is shown of a key is its mask.

    Args:
        place: To whom the key belongs.
    """

    def __init__(self, place: KeyPlace) -> None:
        self._place = place
        self._source = KeySource(place, self._edited)
        super().__init__("apiKey", self._source.widget)
        self._source.widget.layout.flex = "3 1 300px"
        self._source.widget.layout.width = "auto"

    @property
    def value(self) -> str | Secret:
        """See `KeySource.value`: empty for no key."""
        return self._source.value

    @property
    def pending(self) -> dict[str, Secret]:
        """See `KeySource.pending`."""
        return self._source.pending

    @property
    def problem(self) -> str:
        """See `KeySource.problem`."""
        return self._source.problem

    def keep_in_file(self) -> None:
        """See `KeySource.keep_in_file`."""
        self._source.keep_in_file()

    def propose(self) -> None:
        """Offer what the type that is now chosen usually needs, unless the user has said something else."""
        if not self.was_edited:
            kind = type_named(self._place.provider_type)
            self._source.fill(f"${{{kind.key_name}}}" if kind.has_key else "", suggestion=kind.key_name)

    def adapt(self) -> None:
        """Take notice of another type, or of another file."""
        self._source.suggest(type_named(self._place.provider_type).key_name)
        self._source.show()

    def _put(self, value: Any) -> None:
        self._source.fill(value or "", suggestion=type_named(self._place.provider_type).key_name)

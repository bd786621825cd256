"""Keeps keys out of a streamed answer: a server may echo what it was sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ccw_magics.config.credentials import Secret, redact, spellings

LONGEST_HINT_CHARS: Final = 8
"""Keys begin with a prefix that everybody knows, such as `sk-proj-`; more than that is not shown."""


class Redactor:
    """Masks secrets in a text that comes in pieces, a secret cut between two of them included.

    Args:
        secrets: What must not be shown.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = tuple(secrets)
        # A cut may fall into any form that `redact` knows: the key of `Bearer KEY` alone, or URL-encoded.
        forms = {form for secret in self._secrets for form in spellings(secret)}
        # In one case, since `redact` takes `%2F` and `%2f` for the same: at worst a little more is held.
        self._forms = frozenset(form.casefold() for form in forms)
        self._beginnings = frozenset(form[:length] for form in self._forms for length in range(1, len(form)))
        self._longest = max(map(len, self._beginnings), default=0)
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that may be shown now; what may be the beginning of a secret is held back."""
        text = self._held + text
        folded = text.casefold()
        if any(form in folded for form in self._forms):  # spares nearly every piece the dearer search
            text = redact(text, self._secrets)
        shown = len(text) - self._open_chars(text)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """What was held back, once it is known that nothing follows; the better part of a secret is one too."""
        text, self._held = self._held, ""
        return text if len(text) < LONGEST_HINT_CHARS else "…"

    def _open_chars(self, text: str) -> int:
        """The length of the longest end of `text` that begins a secret; 0 for nearly every piece."""
        ends = range(min(len(text), self._longest), 0, -1)
        return next((length for length in ends if text[-length:].casefold() in self._beginnings), 0)

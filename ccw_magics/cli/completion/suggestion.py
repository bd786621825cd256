"""What may stand at the cursor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

MOST: Final = 500
"""So many are shown at most: IPython's own limit (`MATCHES_LIMIT` in its completer)."""


class Suggestion(NamedTuple):
    """One completion.

    Attributes:
        text: What replaces the fragment.
        note: What it is, shown beside it.
    """

    text: str
    note: str


@dataclass(frozen=True)
class Suggestions:
    """What may stand at the cursor.

    Attributes:
        fragment: What is replaced: the end of the text before the cursor.
        found: The completions, in the order in which they are shown.
        goes_on: Whether the word may go on behind each of them, as a question does behind a reference.
    """

    fragment: str = ""
    found: tuple[Suggestion, ...] = ()
    goes_on: bool = False


def unrepeated(suggestions: Suggestions, behind: str) -> Suggestions:
    """Leave out of each completion what stands behind the cursor already: `@sr|/a.py` does not become `@src//a.py`.

    A completion ends where the cursor is: IPython's matchers have no way to replace what follows. One that would add
    nothing is dropped.

    Args:
        suggestions: The completions.
        behind: What follows the cursor in its line.
    """
    return Suggestions(suggestions.fragment, tuple(_cut(suggestions.fragment, suggestions.found, behind)))


def _cut(fragment: str, found: Iterable[Suggestion], behind: str) -> Iterable[Suggestion]:
    for text, note in found:
        longest = min(len(text) - len(fragment), len(behind))
        repeated = next((size for size in range(longest, 0, -1) if behind.startswith(text[-size:])), 0)
        if not repeated or text[:-repeated] != fragment:
            yield Suggestion(text[: len(text) - repeated], note)

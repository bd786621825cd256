"""The words of a command line that is still being typed, read as `shlex` reads the finished one."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import Final

_RAW_WORD: Final = re.compile(
    r"""(?:\\. | "(?:\\.|[^"\\])*(?:"|\\?\Z) | '[^']*(?:'|\Z) | [^\s"'\\] | \\\Z)+""", re.DOTALL | re.VERBOSE
)
_PROBE: Final = "x"
"""Stands for what is to come, so that an empty word and a backslash at the end are words too."""
_ESCAPED: Final = {"": re.compile(r"""([\s"'\\])"""), '"': re.compile(r'(["\\])'), "'": None}

_SPECIAL: Final = re.compile(r"([^\w@%+=:,./-])")
_SPECIAL_IN_QUOTES: Final = re.compile(r'(["\\$`])')


@dataclass(frozen=True)
class Word:
    """The word at the cursor.

    Attributes:
        raw: As typed, up to the cursor.
        value: What it says, without quotes and escapes.
        quote: The quotation mark that is open, or an empty string.
    """

    raw: str = ""
    value: str = ""
    quote: str = ""

    def behind(self, mark: str) -> Word:
        """What stands behind the last of such marks (`=`, `,`, `/`), which none of the quotes hides; or behind a quote.

        Args:
            mark: One character.
        """
        raw, value = self.raw.rpartition(mark)[2], self.value.rpartition(mark)[2]
        return replace(self, raw=raw.removeprefix(self.quote) if self.quote else raw, value=value)

    def behind_option(self) -> Word:
        """The value of `--option=value`."""
        return replace(self, raw=self.raw.partition("=")[2], value=self.value.partition("=")[2])

    def whole(self, text: str) -> str | None:
        """A text as this word: quoted as it was begun, or where it needs quotes; None where it cannot be written so.

        Args:
            text: What the word is to say.
        """
        if not self.quote:
            return shlex.quote(text)
        inner = self.part(text)
        return None if inner is None else f"{self.quote}{inner}{self.quote}"

    def part(self, text: str) -> str | None:
        """A text as a part of this word, its quote left open; None where it cannot be written so.

        Args:
            text: What the part is to say.
        """
        escaped = _ESCAPED[self.quote]
        if escaped is None:
            return None if "'" in text else text
        return escaped.sub(r"\\\1", text)


class BashWord(Word):
    """A word that bash reads, which takes more characters for its own than the notebook does."""

    def part(self, text: str) -> str | None:
        """A text as a part of this word; None where it cannot be written so: `!` is history within double quotes."""
        if self.quote == '"':
            return None if "!" in text else _SPECIAL_IN_QUOTES.sub(r"\\\1", text)
        return super().part(text) if self.quote else _SPECIAL.sub(r"\\\1", text)


class PlainWord(Word):
    """A word whose quotes and escapes are the shell's business: what it says is all there is of it."""

    def whole(self, text: str) -> str:
        """The text as it is."""
        return text

    def part(self, text: str) -> str:
        """Likewise."""
        return text


def words_of(line: str) -> tuple[list[str], Word]:
    """The words before the one at the line's end, and that one, which is empty behind a space.

    Args:
        line: What stands behind the magic's name, up to the cursor.
    """
    for quote in ("", '"', "'"):
        try:
            *before, last = shlex.split(line + _PROBE + quote)
        except ValueError:
            continue
        *_, found = [None, *_RAW_WORD.finditer(line)]
        raw = found[0] if found and found.end() == len(line) else ""
        return before, Word(raw, last.removesuffix(_PROBE), quote)
    return [], Word()

"""The pieces of a short form, and the complaints about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from ccw_magics.errors import SchemaError

EXAMPLE: Final = "title, severity: high|medium|low, line?: int, tags: str[]"
"""Shown with a complaint that has no better hint."""

_TOKEN: Final = re.compile(
    r"""(?P<space>[^\S\n\r]+)|(?P<line>[\n\r])|(?P<quoted>"[^"\n\r\ud800-\udfff]*"|'[^'\n\r\ud800-\udfff]*')"""
    r"""|(?P<word>[+-]?\w(?:[\w.+/-]*\w)?)|(?P<sign>[][{}():,|?])"""
)


@dataclass(frozen=True)
class Token:
    """A piece of a short form.

    Attributes:
        kind: `word`, `quoted`, `sign`, `line` (a line's end) or `end`.
        text: As it stands there; of a quoted one, without the quotes.
        start: The index of its first character.
    """

    kind: str
    text: str
    start: int


class Tokens:
    """The tokens of a text, taken from left to right.

    Args:
        text: A short form.

    Raises:
        SchemaError: A character cannot stand in a short form.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[Token] = []
        self._at = 0
        self._split()

    @property
    def here(self) -> Token:
        """The next token, not taken yet; at the end, always the same."""
        return self._tokens[self._at]

    def take(self) -> Token:
        """The next token, taken."""
        token = self.here
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def is_sign(self, sign: str) -> bool:
        """Whether this sign comes next."""
        return self.here.kind == "sign" and self.here.text == sign

    def takes(self, sign: str) -> bool:
        """Take this sign if it comes next; whether it did."""
        is_sign = self.is_sign(sign)
        self._at += is_sign
        return is_sign

    def expect(self, sign: str) -> None:
        """Take this sign, which must come next.

        Raises:
            SchemaError: Something else does.
        """
        if not self.takes(sign):
            self.complain(repr(sign))

    def skip_lines(self) -> None:
        """Take the line ends that come next."""
        while self.here.kind == "line":
            self.take()

    def complain(self, expected: str) -> NoReturn:
        """Say that what comes next is not what is expected."""
        found = {"end": "it ends", "line": "the line ends"}.get(self.here.kind, f"there is {self.here.text[:20]!r}")
        self.fail(f"{found} where {expected} should be", self.here)

    def fail(self, what: str, token: Token, hint: str | None = None) -> NoReturn:
        """Say what is wrong with a token, with its place: the character, counted from 1, and what is before it."""
        before = " ".join(self._text[max(0, token.start - 20) : token.start].split())
        place = f"character {token.start + 1}" + (f", after {before!r}" if before else "")
        raise SchemaError(f"The schema cannot be read at {place}: {what}", hint=hint or f"For example: {EXAMPLE}")

    def _split(self) -> None:
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:
                self.fail(f"{self._text[at]!r} cannot stand here", Token("", "", at))
            kind, text = str(found.lastgroup), found.group()
            if kind != "space":
                self._tokens.append(Token(kind, text[1:-1] if kind == "quoted" else text, at))
            at = found.end()
        self._tokens.append(Token("end", "", at))

r"""Globs over relative paths, matched one component at a time.

`*` and `?` stay within a component, `**` as a whole component means any number of them, `[abc]`, `[a-z]` and `[!a]`
(or `[^a]`) one character, `{a,b}` alternatives that nest and may hold slashes, `\` the next character itself. An
unclosed `[` or `{` is an ordinary character. A leading dot matches only where the pattern has one, as in a shell.

A glob means files. Where its last component has no wildcard, or where it ends in a slash, it means directories of that
name too, and with these everything below them, leading dots or not.

Matching is a walk over states: a set of places in the pattern, as the bits of an integer, advanced by one name. So a
walker sees early what cannot match, and no pattern takes more than linear time, however many stars it has: within a
component, each star but the last takes the nearest fit for good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ccw_magics.context.braces import PIECE, expand_braces
from ccw_magics.context.paths import encode

_PLAIN_ENDING = re.compile(r"\*([^*?\[\]\\]*)")

NameTest = Callable[[bytes], bool]
"""Whether a base name matches."""


@dataclass(frozen=True)
class Literal:
    """A component without wildcards."""

    name: bytes


@dataclass(frozen=True)
class Wild:
    """A component with wildcards; `ending` instead of `expression` where it is one star and plain text."""

    expression: str
    ending: bytes | None = None


@dataclass(frozen=True)
class Deep:
    """Any number of directories; `hidden` says whether they may start with a dot."""

    hidden: bool = False


@dataclass(frozen=True)
class Below:
    """Every file: what is left of a pattern that named the directory."""


Component = Literal | Wild | Deep | Below


class Plan(NamedTuple):
    """What a set of states says of the files in a directory.

    Attributes:
        everything: The directory itself was meant: each of its files, filtered as a directory's files are.
        names: The files that the pattern names, or None where it names none.
        descends: The states in every subdirectory, where its name does not matter but for a leading dot; else 0.
        skips_hidden: Whether such a dot ends it there.
    """

    everything: bool
    names: NameTest | None
    descends: int
    skips_hidden: bool


class Glob:
    """One or more alternatives, each a sequence of components, matched together.

    Args:
        alternatives: Sequences as `parse_glob` gives them.
    """

    def __init__(self, alternatives: Iterable[Sequence[Component]]) -> None:
        self._components: list[Component | None] = []
        self.start = 0
        for alternative in alternatives:
            self.start |= 1 << len(self._components)
            self._components += [*alternative, None]
        self._tests = [_name_test([part]) for part in self._components]
        self._plans: dict[int, Plan] = {}
        self._closures: dict[int, tuple[int, ...]] = {}

    def enter(self, states: int, name: bytes, *, spelled: bool = False) -> int:
        """The states within the subdirectory `name`, 0 where nothing in it can match.

        Args:
            states: Those of the directory.
            name: The subdirectory's base name.
            spelled: Follow only components that spell the name, not those that match it with a wildcard.
        """
        plan = self.plan(states)
        if plan.descends and not spelled:
            return 0 if plan.skips_hidden and name.startswith(b".") else plan.descends
        after = 0
        for index in self._places(states):
            part = self._components[index]
            if isinstance(part, Deep):
                stays = not spelled and (part.hidden or not name.startswith(b"."))
                after |= stays << index
            elif (not spelled or isinstance(part, Literal)) and self._tests[index](name):
                after |= (self._components[index + 1] is not None) << (index + 1)
        return after

    def plan(self, states: int) -> Plan:
        """What the states say of a directory's files."""
        plan = self._plans.get(states)
        if plan is None:
            last = [self._components[index] for index in self._places(states) if self._ends(index)]
            named = [part for part in last if part is not None and not isinstance(part, Below)]
            names = _name_test(named) if named else None
            plan = self._plans[states] = Plan(len(named) < len(last), names, *self._descent(states))
        return plan

    def _descent(self, states: int) -> tuple[int, bool]:
        """The commonest case, `**/*.py` and all below a directory: one `**`, and otherwise only names of files."""
        going_on = [index for index in self._places(states) if not self._ends(index)]
        deep = self._components[going_on[0]] if len(going_on) == 1 else None
        return (1 << going_on[0], not deep.hidden) if isinstance(deep, Deep) else (0, False)

    def _ends(self, index: int) -> bool:
        return self._components[index] is not None and self._components[index + 1] is None

    def _places(self, states: int) -> tuple[int, ...]:
        """The places in the pattern that the states stand for: `**` may also be nothing."""
        places = self._closures.get(states)
        if places is None:
            closed = states
            for index, part in enumerate(self._components):
                if isinstance(part, Deep) and closed >> index & 1:
                    closed |= 1 << (index + 1)
            places = tuple(index for index, part in enumerate(self._components) if part and closed >> index & 1)
            self._closures[states] = places
        return places


EVERYTHING: tuple[Component, ...] = (Deep(hidden=True), Below())
"""The alternative that means every file below a directory."""


def parse_glob(pattern: str) -> list[tuple[Component, ...]]:
    """The alternatives of a pattern, each at least one component.

    Args:
        pattern: A relative pattern with forward slashes; `.` components are dropped.

    Raises:
        PatternError: Its braces multiply out to more than `braces.MAX_ALTERNATIVES`.
    """
    alternatives: dict[tuple[Component, ...], None] = {}
    for plain in expand_braces(pattern):
        components = tuple(_component(part) for part in _split(plain) if part not in {"", "."})
        is_directory = plain.endswith("/") or not components
        if not is_directory:
            ends_deep = isinstance(components[-1], Deep)
            alternatives[(*components, Wild(r"(?!\.).*", b"")) if ends_deep else components] = None
        if is_directory or isinstance(components[-1], Literal):
            alternatives[(*components, *EVERYTHING)] = None
    return list(alternatives)


def has_wildcards(pattern: str) -> bool:
    """Whether a pattern holds an unescaped character that a glob reads."""
    return any(piece[0] in "*?[{" for piece in PIECE.findall(pattern))


def unescape(pattern: str) -> str:
    """A pattern without its backslashes: the path it spells if none of its characters is a wildcard."""
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL)


def name_filter(patterns: Iterable[str]) -> NameTest | None:
    """A test that any of these single-component patterns makes; None where there are none."""
    parts = [_component(plain) for pattern in patterns for plain in expand_braces(pattern)]
    return _name_test(parts) if parts else None


def _split(pattern: str) -> list[str]:
    parts = [""]
    for piece in PIECE.findall(pattern):
        if piece == "/":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _component(part: str) -> Component:
    pieces = PIECE.findall(part)
    if part == "**":
        return Deep()
    if not any(piece[0] in "*?" or (piece[0] == "[" and len(piece) > 1) for piece in pieces):
        return Literal(encode(unescape(part)))
    plain = _PLAIN_ENDING.fullmatch(part)
    return Wild(_expression(pieces), encode(plain[1]) if plain else None)


def _expression(pieces: Sequence[str]) -> str:
    chunks = [""]
    for piece in pieces:
        if piece == "*":
            chunks.append("")
        elif piece == "?":
            chunks[-1] += "."
        elif piece[0] == "[" and len(piece) > 1:
            chunks[-1] += _bracket(piece[1:-1])
        else:
            chunks[-1] += re.escape(piece[-1])
    first, *middle = chunks
    guard = "" if pieces[0] in {".", "\\."} else r"(?!\.)"
    if not middle:
        return guard + first
    last = middle.pop()
    return guard + first + "".join(f"(?>.*?{chunk})" for chunk in middle if chunk) + ".*" + last


def _bracket(content: str) -> str:
    negated = content[0] in "!^"
    members = re.findall(r"(?:\\.|.)(?:-(?:\\.|.))?", content[negated:], re.DOTALL)
    chosen = "".join(filter(None, map(_member, members)))
    if not chosen:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{chosen}]"


def _member(member: str) -> str:
    characters: list[str] = re.findall(r"\\.|.", member, re.DOTALL)
    first, last = characters[0][-1], characters[-1][-1]
    if len(characters) == 1:
        return re.escape(first)
    return f"{re.escape(first)}-{re.escape(last)}" if first <= last else ""


def _name_test(parts: Sequence[Component | None]) -> NameTest:
    """One test for all of the components; those of the commonest shape need no regular expression."""
    names = frozenset(part.name for part in parts if isinstance(part, Literal))
    wild = [part for part in parts if isinstance(part, Wild)]
    endings = tuple(part.ending for part in wild if part.ending is not None)
    rest = [part.expression for part in wild if part.ending is None]
    match = re.compile("|".join(f"(?:{one})" for one in rest), re.DOTALL).fullmatch if rest else None

    def matches_simply(name: bytes) -> bool:
        return name.endswith(endings) and not name.startswith(b".")

    def matches(name: bytes) -> bool:
        if name in names or (endings and matches_simply(name)):
            return True
        return match is not None and match(name.decode("utf-8", "surrogateescape")) is not None

    return matches_simply if endings and not names and not rest else matches

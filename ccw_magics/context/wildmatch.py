"""One pattern of git's to a regular expression, as `wildmatch.c` reads it.

Everything is bytes, as in git: `?` and a bracket match one byte. Repeated stars cannot make a match slow: a star that
has another one behind it in the same component takes the nearest place where what follows it fits, for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SPECIAL = b"*?[\\"
_ANY = rb"[^/]"
_STAR = b"*"  # within a component
_SLASH = b"/"
_DEEP = b"**/"  # any number of components, none included
_DEEPER = b"**\\/"  # likewise, but at least one slash: an escaped slash behind `**`
_REST = b"**"  # everything to the end

_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\v\f",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}


class NeverMatchesError(Exception):
    """The pattern is malformed in a way that makes git match nothing with it."""


def translate_name(pattern: bytes) -> bytes:
    """The regular expression of a pattern for base names.

    Args:
        pattern: A pattern without a slash.

    Raises:
        NeverMatchesError: It is malformed.
    """
    return _component([_STAR if token == _REST else token for token in _tokens(pattern, 0, in_path=False)])


def translate_path(pattern: bytes) -> bytes:
    """The regular expression of a pattern for paths; split where `**` stands, of which only the last may look further.

    Args:
        pattern: A pattern with slashes, none of them in front.

    Raises:
        NeverMatchesError: It is malformed.
    """
    groups: list[tuple[bytes, list[bytes]]] = [(b"", [])]
    for token in _tokens(pattern, _literal_length(pattern), in_path=True):
        if token in {_DEEP, _DEEPER, _REST}:
            groups.append((token, []))
        else:
            groups[-1][1].append(token)
    out = []
    for index, (lead, tokens) in enumerate(groups):
        is_last = index >= len(groups) - 1
        out.append(_deep_group(lead, _components(tokens), is_last=is_last))
    return b"".join(out)


def _deep_group(lead: bytes, body: bytes, *, is_last: bool) -> bytes:
    if not lead:
        return body
    if lead == _REST:
        return rb".*+"
    repeat = b"+" if lead == _DEEPER else b"*"
    if is_last:
        return rb"(?:[^/]*+/)%b%b" % (repeat, body)
    return rb"(?>(?:[^/]*+/)%b?%b)" % (repeat, body)


def _components(tokens: list[bytes]) -> bytes:
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == _SLASH:
            parts.append([])
        else:
            parts[-1].append(token)
    return b"/".join(map(_component, parts))


def _component(tokens: list[bytes]) -> bytes:
    """One path component: every star but the last one takes the nearest fit and keeps it."""
    chunks: list[list[bytes]] = [[]]
    for token in tokens:
        if token == _STAR:
            chunks.append([])
        else:
            chunks[-1].append(token)
    first, *middle = [b"".join(chunk) for chunk in chunks]
    if not middle:
        return first
    last = middle.pop()
    return first + b"".join(rb"(?>[^/]*?%b)" % chunk for chunk in middle) + rb"[^/]*" + last


def _literal_length(pattern: bytes) -> int:
    """How much of the pattern git compares byte by byte; only behind that does `wildmatch` see a start."""
    return next((index for index, byte in enumerate(pattern) if byte in _SPECIAL), len(pattern))


def _tokens(pattern: bytes, start: int, *, in_path: bool) -> Iterator[bytes]:
    """The pattern's pieces; `start` is where `wildmatch` would begin to read it."""
    index = 0
    while index < len(pattern):
        char = pattern[index : index + 1]
        if char == b"*":
            token, index = _stars(pattern, index, start) if in_path else (_STAR, _behind_stars(pattern, index))
        elif char == b"[":
            token, index = _bracket(pattern, index + 1)
        elif char == b"?":
            token, index = _ANY, index + 1
        elif char == b"\\":
            token, index = _escaped(pattern, index), index + 2
        else:
            token, index = (_SLASH if char == b"/" else re.escape(char)), index + 1
        yield token


def _escaped(pattern: bytes, index: int) -> bytes:
    if index + 1 >= len(pattern):
        raise NeverMatchesError
    char = pattern[index + 1 : index + 2]
    return _SLASH if char == b"/" else re.escape(char)


def _behind_stars(pattern: bytes, index: int) -> int:
    while pattern[index : index + 1] == b"*":
        index += 1
    return index


def _stars(pattern: bytes, index: int, start: int) -> tuple[bytes, int]:
    """A run of stars: deep where it is two or more and fills a component."""
    end = _behind_stars(pattern, index)
    opens = index == start or pattern[index - 1 : index] == b"/"
    if end - index == 1 or not opens:
        return _STAR, end
    if end == len(pattern):
        return _REST, end
    if pattern[end : end + 1] == b"/":
        return _DEEP, end + 1
    if pattern[end : end + 2] == b"\\/":
        return _DEEPER, end + 2
    return _STAR, end


def _bracket(pattern: bytes, index: int) -> tuple[bytes, int]:
    """A bracket expression whose content starts at `index`: its regular expression, and the place behind it."""
    negated = pattern[index : index + 1] in {b"!", b"^"}
    index += negated
    members: list[bytes] = []
    previous: int | None = None
    first = True
    while first or pattern[index : index + 1] != b"]":
        first = False
        previous, index = _member(pattern, index, previous, members)
    chosen = b"".join(members)
    if negated:
        return b"[^/%b]" % chosen, index + 1
    return (b"(?!/)[%b]" % chosen if chosen else rb"(?!)"), index + 1


def _member(pattern: bytes, index: int, previous: int | None, members: list[bytes]) -> tuple[int | None, int]:
    """Read one member; gives what a range may start from, and the place behind the member."""
    char = pattern[index : index + 1]
    if char == b"-" and previous is not None and pattern[index + 1 : index + 2] not in {b"", b"]"}:
        end, index = _one_byte(pattern, index + 1)
        if previous <= end:
            members.append(_byte(previous) + b"-" + _byte(end))
        return None, index
    if pattern[index : index + 2] == b"[:":
        close = pattern.find(b"]", index + 2)
        if close < 0:
            raise NeverMatchesError
        name = pattern[index + 2 : close]
        if name.endswith(b":"):
            members.append(_class(name[:-1]))
            return None, close + 1
        members.append(_byte(ord("[")))
        return ord("["), index + 1
    value, index = _one_byte(pattern, index)
    members.append(_byte(value))
    return value, index


def _one_byte(pattern: bytes, index: int) -> tuple[int, int]:
    index += pattern[index : index + 1] == b"\\"
    if index >= len(pattern):
        raise NeverMatchesError
    return pattern[index], index + 1


def _class(name: bytes) -> bytes:
    if name not in _CLASSES:
        raise NeverMatchesError
    return _CLASSES[name]


def _byte(value: int) -> bytes:
    return b"\\x%02x" % value

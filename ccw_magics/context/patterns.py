r"""A prompt to its `@` references, by syntax alone: nothing here looks at a disk.

The grammar, in the order in which it is read:

- An `@` counts at the start of the prompt, after white space, after an opening bracket or a quotation mark, and after
  full-width punctuation, which carries its own space. `user@host` and `\@` never count.
- `@"..."` carries spaces, up to the closing quote on the same line; `\"` is a quote inside, and a `/` right behind
  the closing quote goes on unquoted: `@"my notes"/*.md`. Globs work inside quotes too.
- Anything else runs to white space or to full-width punctuation: Chinese and Japanese prose has no spaces, so
  `@a.py，看看` ends before the comma. A name that holds such a character is quoted or escaped.
- `\ ` is a space, `\` before any other character takes its meaning as punctuation; before `* ? [ ] { } \` it stays in
  the pattern, as the glob's own escape.
- A trailing `. , ; : ! ?`, a closing bracket that the reference did not open, and a closing quote are prose. A last
  component that is `.` or `..` is a path.

A decorator in a fenced code block is a reference by this syntax. It stays prose because it matches no file, which
`ccw_magics.context.files` reports: nothing is guessed here.
"""

# Full-width punctuation is what this module reads.
# ruff: noqa: RUF001, RUF002

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_OPENING = "([{<\"'`"
_WIDE_OPENING = "（「『【《〈〔［｛“‘"
_WIDE_CLOSING = "）」』】》〉〕］｝”’"
_WIDE_MARKS = "，。；：！？、…"
_WIDE = _WIDE_OPENING + _WIDE_CLOSING + _WIDE_MARKS

_MARKS = frozenset(".,;:!?")
_QUOTES = frozenset("\"'`")
_OPENER_OF = {")": "(", "]": "[", "}": "{", ">": "<"}
_GLOB_ESCAPED = frozenset("*?[]{}\\")

_START = re.compile(rf"(?<![^\s{re.escape(_OPENING + _WIDE)}])@")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\[^\n])*+)"')
_RUN = re.compile(rf"(?:\\.|[^\s\\{re.escape(_WIDE)}]|\\\Z)*+", re.DOTALL)
_PIECE = re.compile(r"\\.|.", re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """One `@` reference in a prompt.

    Attributes:
        start: Index of its `@` in the prompt.
        end: Index behind its last character.
        text: The reference as typed, `prompt[start:end]`.
        pattern: The path or glob meant: no `@`, unquoted, escapes resolved except those that a glob reads.
    """

    start: int
    end: int
    text: str
    pattern: str


def extract_patterns(prompt: str) -> list[str]:
    """The references of a prompt, in order and with repetitions, each as `@` and its pattern.

    Args:
        prompt: What the user typed.

    Returns:
        `Reference.pattern` of each, with an `@` before it: `@my notes/*.md` for `@"my notes"/*.md`.
    """
    return ["@" + reference.pattern for reference in find_references(prompt)]


def find_references(prompt: str) -> list[Reference]:
    """The references of a prompt, in order, with their places in it.

    Takes time linear in the prompt's length and never raises.

    Args:
        prompt: What the user typed.
    """
    found: list[Reference] = []
    position = 0
    while match := _START.search(prompt, position):
        position = match.end()
        pieces = _read(prompt, position)
        pattern = "".join(_meaning(piece) for piece in pieces)
        if pattern:
            end = position + sum(map(len, pieces))
            found.append(Reference(match.start(), end, prompt[match.start() : end], pattern))
            position = end
    return found


def _read(prompt: str, position: int) -> list[str]:
    """The pieces (characters, escapes, one quoted string) of the reference whose `@` ends at `position`."""
    if prompt.startswith('"', position):
        quoted = _QUOTED.match(prompt, position)
        if quoted is None or not quoted[1]:
            return []
        rest = _run(prompt, quoted.end()) if prompt.startswith("/", quoted.end()) else []
        return [quoted[0], *rest]
    return _run(prompt, position)


def _run(prompt: str, position: int) -> list[str]:
    """An unquoted reference's pieces from `position` on, without what trails it."""
    match = _RUN.match(prompt, position)
    return _without_trail(_PIECE.findall(match[0])) if match else []


def _without_trail(pieces: list[str]) -> list[str]:
    """Drop trailing punctuation, quotes, and closing brackets that were not opened."""
    count = Counter(pieces)
    end = len(pieces)
    while end:
        last = pieces[end - 1]
        unopened = last in _OPENER_OF and count[last] > count[_OPENER_OF[last]]
        is_path = last == "." and _ends_in_dots(pieces, end) and pieces[end : end + 1] != ["."]
        if is_path or not (last in _MARKS or last in _QUOTES or unopened):
            break
        count[last] -= 1
        end -= 1
    return pieces[:end]


def _ends_in_dots(pieces: list[str], end: int) -> bool:
    """Whether the last path component is `.` or `..`: a directory, not the end of a sentence."""
    tail = "".join(pieces[max(0, end - 3) : end])
    return tail in {".", ".."} or tail.endswith(("/.", "/.."))


def _meaning(piece: str) -> str:
    """What one piece stands for in the pattern."""
    if len(piece) > 1 and piece[0] == '"':
        return "".join(_meaning(inner) for inner in _PIECE.findall(piece[1:-1]))
    if len(piece) > 1 and piece[1] not in _GLOB_ESCAPED:
        return piece[1:]
    return piece

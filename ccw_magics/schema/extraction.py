"""The JSON in a model's answer: the whole of it, a fenced block, or a piece of the prose."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

MAX_PIECES: Final = 50
"""So many pieces of JSON within the prose are looked at, the last ones: a text full of `{}` has half a million."""

MAX_FAILURES: Final = 10_000
"""So many brackets in the prose may turn out not to begin a JSON: json counts the lines before each."""

_THINKING: Final = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_THOUGHT: Final = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_FENCE: Final = re.compile(r"^[ \t]*+(```+|~~~+)([^\n`]*+)$", re.MULTILINE)
_OPENING: Final = re.compile(r'\{(?=\s*+["}])|\[(?=\s*+(?:["{}\[\]\-\dNI]|true|false|null))')
_CUT_BEHIND: Final = re.compile(r'[^{}\[\]",:]{0,6}')  # such as `tru`, `-`, or the end of a fence


@dataclass(frozen=True)
class Piece:
    """A JSON that an answer holds.

    Attributes:
        value: What it says.
        text: How it stands there.
    """

    value: Any
    text: str


@dataclass
class Found:
    """All the JSON in an answer.

    Attributes:
        pieces: The one that is most likely meant comes first.
        fault: What is wrong with a JSON that could not be read, in plain words; empty where there is none.
        is_cut: Whether the answer ends within a JSON.
    """

    pieces: list[Piece] = field(default_factory=list)
    fault: str = ""
    is_cut: bool = False


def find_json(text: str) -> Found:
    """The JSON in an answer, in time that grows with its length only."""
    text = _without_thoughts(text).strip("\ufeff \t\r\n")
    whole = _decoded(text)
    if isinstance(whole, Piece):
        return Found([whole])
    found = _in_prose(text)
    fenced = _fenced(text)[: -MAX_PIECES - 1 : -1]
    blocks = [(block, _decoded(block)) for block in fenced]
    found.pieces = [*(read for _, read in blocks if isinstance(read, Piece)), *found.pieces]
    faults = [read for block, read in [(text, whole), *blocks] if isinstance(read, str) and _begins_json(block)]
    found.fault = found.fault or next(iter(faults), "")
    return found


def _begins_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _without_thoughts(text: str) -> str:
    """The text behind what the model thought, which some models write at the beginning of their answer.

    The opening mark may be missing: some templates write it into the prompt.
    """
    is_thinking = _THINKING.match(text) is not None
    if not is_thinking and _begins_json(text):
        return text
    *_, end = (0, *(mark.end() for mark in _THOUGHT.finditer(text)))
    return "" if is_thinking and not end else text[end:]


def _fenced(text: str) -> list[str]:
    """The contents of the fenced blocks; the last one may lack its end."""
    blocks: list[str] = []
    mark, start = "", 0
    for fence in _FENCE.finditer(text):
        if not mark:
            mark, start = fence[1], fence.end()
        elif fence[1].startswith(mark) and not fence[2].strip():
            blocks.append(text[start : fence.start()])
            mark = ""
    return [*blocks, text[start:]] if mark else blocks


def _decoded(text: str) -> Piece | str:
    """The JSON that a text is, or why it is none."""
    text, reader = text.strip(), _Reader()
    try:
        value, end = reader.read(text, 0)
    except json.JSONDecodeError as error:
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        return _TOO_DEEP
    return reader.fault or (Piece(value, text) if end == len(text) else f"{text[end:][:1]!r} comes behind its end")


def _in_prose(text: str) -> Found:
    """The objects and arrays in a text, the last first; none where the text ends within one.

    After a piece that is no JSON, the search goes on where it stopped being one: each character is read once, and no
    part of a broken object is taken for the answer.
    """
    found, pieces, reader = Found(), deque[Piece](maxlen=MAX_PIECES), _Reader()
    at = failures = 0
    while failures < MAX_FAILURES and (opening := _OPENING.search(text, at)):
        try:
            start = opening.start()
            value, at = reader.read(text, start)
        except json.JSONDecodeError as error:
            failures += 1
            at = max(error.pos, opening.end())
            if error.msg.startswith("Unterminated string") or _CUT_BEHIND.fullmatch(text, error.pos):
                return Found(is_cut=True)
        except RecursionError:
            return Found(fault=_TOO_DEEP)
        else:
            found.fault = found.fault or reader.fault
            if not reader.fault:
                pieces.append(Piece(value, text[start:at]))
    found.pieces = list(reversed(pieces))
    return found


_TOO_DEEP: Final = "too many brackets within each other"


class _Reader:
    """Reads a JSON, and what is not quite one: line ends within texts pass, numbers that are none are a fault.

    Attributes:
        fault: The first number in what was read last that JSON, or Python, does not know; empty where there is none.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._decoder = json.JSONDecoder(
            strict=False, parse_constant=self._refuse, parse_float=self._float, parse_int=self._int
        )

    def read(self, text: str, start: int) -> tuple[Any, int]:
        """The value that begins at `start`, and where it ends.

        Raises:
            json.JSONDecodeError: There is none.
            RecursionError: It is too deep.
        """
        self.fault = ""
        return self._decoder.raw_decode(text, start)

    def _float(self, digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            self._refuse(digits)
        return number

    def _int(self, digits: str) -> int:
        try:
            return int(digits)
        except ValueError:  # Python's limit of digits
            self._refuse(digits)
            return 0

    def _refuse(self, digits: str) -> None:
        self.fault = self.fault or f"{digits[:20]} is not a number that JSON knows"

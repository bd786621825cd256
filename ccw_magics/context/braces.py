"""The braces of a glob, multiplied out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ccw_magics.errors import PatternError

MAX_ALTERNATIVES = 1000
"""Alternatives that the braces of one pattern may multiply out to; a person writes a dozen."""

# A set is looked for no further than a name can be long: a row of unclosed brackets would take quadratic time.
PIECE = re.compile(r"\\.|\[[!^]?+\]?+(?:\\.|[^\]\\/]){0,255}+\]|.", re.DOTALL)
"""One piece of a pattern: an escape, a set in brackets, or a character."""


def expand_braces(pattern: str) -> list[str]:
    """Multiply out `{a,b}`; what is not a closed group with a comma in it stays as it is.

    Args:
        pattern: A glob.

    Raises:
        PatternError: There would be more than `MAX_ALTERNATIVES`.
    """
    pieces = PIECE.findall(pattern)
    partner = _partners(pieces)
    # Frames of: alternatives finished in this group, alternatives of the current branch.
    frames: list[tuple[list[str], list[str]]] = [([], [""])]
    open_groups: list[int] = []
    for index, piece in enumerate(pieces):
        done, current = frames[-1]
        if piece == "{" and index in partner:
            open_groups.append(partner[index])
            frames.append(([], [""]))
        elif open_groups and index == open_groups[-1]:
            open_groups.pop()
            frames.pop()
            inner = done + current
            _require_few(len(inner) * len(frames[-1][1]), pattern)
            frames[-1] = (frames[-1][0], [head + tail for head in frames[-1][1] for tail in inner])
        elif open_groups and piece == ",":
            frames[-1] = (done + current, [""])
            _require_few(len(done) + len(current), pattern)
        else:
            current[:] = [text + piece for text in current]
    return frames[0][1]


def _partners(pieces: Sequence[str]) -> dict[int, int]:
    """For each `{` that a `}` closes with a comma between them, at its own depth, the place of that `}`."""
    partner: dict[int, int] = {}
    open_braces: list[tuple[int, bool]] = []
    for index, piece in enumerate(pieces):
        if piece == "{":
            open_braces.append((index, False))
        elif piece == "," and open_braces:
            open_braces[-1] = (open_braces[-1][0], True)
        elif piece == "}" and open_braces:
            start, has_comma = open_braces.pop()
            if has_comma:
                partner[start] = index
    return partner


def _require_few(count: int, pattern: str) -> None:
    if count > MAX_ALTERNATIVES:
        shown = pattern if len(pattern) <= 80 else pattern[:77] + "..."  # noqa: PLR2004 - one line of a terminal
        raise PatternError(
            f"@{shown} stands for more than {MAX_ALTERNATIVES} alternatives",
            hint="Use fewer braces, or * in their place.",
        )

"""A table as wide as the terminal that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from ccw_magics.cli.shell.terminal import columns_of, fitted, printable

NARROWEST: Final = 8
"""Columns of a terminal below which a shortened cell says nothing; its heading is never shortened either."""
_GAP: Final = "  "


def narrowed(lines: Sequence[Sequence[str]], columns: int) -> tuple[list[str], list[str]]:
    """A table in rows of at most so many columns, and the names of what had to be left out.

    Long cells lose their ends, those of the widest columns first; where that is not enough, the last columns are left
    out. The first column keeps its cells whole, unless it alone is too wide.

    Args:
        lines: The columns' names, then each row's cells.
        columns: The terminal's width, at least 1.
    """
    cleaned = [[_one_row(cell) for cell in line] for line in lines]
    widths = [max(map(columns_of, cells)) for cells in zip(*cleaned, strict=True)]
    least = [min(width, max(NARROWEST, columns_of(name))) for width, name in zip(widths, cleaned[0], strict=True)]
    least[:1] = widths[:1]
    kept = max((count for count in range(1, len(least) + 1) if _total(least[:count]) <= columns), default=1)
    given = _shared_out(widths[:kept], least[:kept], columns)
    return [_row(line[:kept], given) for line in cleaned], cleaned[0][kept:]


def left_out(names: Sequence[str], columns: int) -> list[str]:
    """Lines that say what a terminal of so many columns had no room for; none where it had."""
    said = f"not shown for want of room: {', '.join(names)}; pipe the output to see all"
    return [fitted(line, columns) for line in wrap(said, columns)] if names else []


def _shared_out(widths: Sequence[int], least: Sequence[int], columns: int) -> list[int]:
    """The widths, all cut down to one level that fits, and no column below its least; to one column's all there is."""
    if len(widths) == 1:
        return [min(widths[0], columns)]
    levels = (
        [max(low, min(width, level)) for width, low in zip(widths, least, strict=True)]
        for level in range(columns, -1, -1)
    )
    return next(given for given in levels if _total(given) <= columns)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _one_row(cell: str) -> str:
    text = printable(cell)
    return fitted(text, columns_of(text))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    short = [fitted(cell, width) for cell, width in zip(cells, widths, strict=True)]
    padded = [cell + " " * (width - columns_of(cell)) for cell, width in zip(short, widths, strict=True)]
    return _GAP.join(padded).rstrip()

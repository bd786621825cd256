"""Rows below named columns, and how their cells are shown to a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd


def _local_time(when: datetime) -> str:
    # By way of seconds: a pandas Timestamp's own `astimezone` asks for a zone.
    return datetime.fromtimestamp(when.timestamp(), UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _size(size_bytes: int) -> str:
    from ccw_magics.context.pack import readable_size

    return readable_size(size_bytes)


def _usd(amount: float) -> str:
    from ccw_magics.journal import readable_usd

    return readable_usd(amount)


def _day(day: Any) -> str:
    return str(day.strftime("%Y-%m-%d"))


_HASH_CHARS: Final = 12
_FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    "size_bytes": _size,
    "day": _day,
    **dict.fromkeys(("at", "created_at", "updated_at", "used_at", "expires_at"), _local_time),
    **dict.fromkeys(("reused", "cached_share"), "{:.0%}".format),
    "window_share": "{:.1%}".format,
    **dict.fromkeys(("cost_usd", "uncached_cost_usd", "saved_usd", "cold_usd", "cached_usd"), _usd),
    **dict.fromkeys(("duration_s", "first_token_s"), "{:.1f} s".format),
    **dict.fromkeys(("prompt_hash", "pack_hash"), lambda text: text[:_HASH_CHARS]),
    **dict.fromkeys(
        ("tokens", "tokens_estimate", "changes", "input_tokens", "cached_tokens", "written_tokens", "output_tokens"),
        "{:,}".format,
    ),
}


@dataclass(frozen=True)
class Table:
    """Named columns and the rows below them.

    Attributes:
        columns: The columns' names, in order.
        rows: One tuple of cells a row, in the columns' order; None for what is not known.
        empty: What to say where there are no rows.
        dtypes: pandas' types of columns whose cells alone do not tell them.
        brief: The columns that a text shows; none for all.
        is_data: Whether the cells are the user's own data, which a text shows as they are.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    empty: str = "nothing here yet"
    dtypes: Mapping[str, str] = field(default_factory=dict)
    brief: tuple[str, ...] = ()
    is_data: bool = False

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame, one row for each row."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(self.columns)).astype(dict(self.dtypes))

    def text(self) -> str:
        """The table in columns of plain text."""
        if not self.rows:
            return self.empty
        lines = self.lines()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def lines(self) -> list[tuple[str, ...]]:
        """The columns' names, then each row's cells, as a person reads them."""
        names = self.brief or self.columns
        places = [self.columns.index(name) for name in names]
        return [names, *(tuple(self._cell(place, row[place]) for place in places) for row in self.rows)]

    def _cell(self, place: int, cell: object) -> str:
        if self.is_data:
            return "" if cell is None else str(cell)
        name = self.columns[place]
        return shown(name, cell) if name in _FORMATS else _word(cell)


def _word(cell: object) -> str:
    """A cell of no special column, in a text: yes or no, and no `.0` behind a whole number."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer():
        return f"{cell:.0f}"
    return "" if cell is None else str(cell)


def shown(column: str, cell: Any) -> str:
    """A cell as a person reads it; empty for None."""
    return "" if cell is None else _FORMATS.get(column, str)(cell)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of a frame for the eye: sizes, shares, money and times as a person reads them, as text.

    What is not known is shown as nothing.
    """
    import pandas as pd

    def show(name: str) -> list[str]:
        return ["" if pd.isna(cell) else shown(name, cell) for cell in frame[name]]

    return frame.assign(**{name: show(name) for name in _FORMATS if name in frame.columns})

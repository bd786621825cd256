"""A DataFrame that a notebook shows with sizes and times as a person reads them."""

from __future__ import annotations

import pandas as pd

from ccw_magics.stats import readable


class ReadableFrame(pd.DataFrame):
    """An ordinary DataFrame, and what is made from it is one too; only how it is shown differs.

    Of more rows than pandas' option `display.max_rows` the first and the last are shown, and the count of all: a
    notebook keeps what it shows. The frame itself has them all.
    """

    def _repr_html_(self) -> str:
        count = self._count()
        return str(_shown(self).to_html(index=False)) + (f"<p>{count}</p>" if count else "")

    def __repr__(self) -> str:
        count = self._count()
        return str(_shown(self).to_string(index=False)) + (f"\n\n[{count}]" if count else "")

    def _count(self) -> str:
        return f"{len(self):,} rows" if _half(self) else ""


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """What there is to see of a frame, as text."""
    plain = pd.DataFrame(frame)
    if not (half := _half(plain)):
        return readable(plain)
    gap = pd.DataFrame([["..."] * len(plain.columns)], columns=plain.columns)
    ends = (readable(plain.head(half)), readable(plain.tail(half)))
    return pd.concat([part.astype(object) for part in (ends[0], gap, ends[1])])


def _half(frame: pd.DataFrame) -> int:
    """How many rows to show of either end; 0 for all of them."""
    most = pd.get_option("display.max_rows")  # None, or 0, for all
    return max(most // 2, 1) if most and len(frame) > most else 0

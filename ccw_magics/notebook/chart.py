"""What calls cost by day, drawn: for those who have matplotlib. pyplot and its state are left alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SIZE_INCHES: Final = (8.0, 3.0)
_DPI: Final = 144
"""Twice what a browser shows, for screens of high density."""
_LINE_COLOR: Final = "0.25"
_BAR_WIDTH: Final = 0.7
_MOST_LABELS: Final = 10
_LEGEND_COLUMNS: Final = 5


def is_drawable(frame: pd.DataFrame) -> bool:
    """Whether a frame of `ccw_magics.stats.usage` has days and something to draw."""
    return "day" in frame.columns and bool(frame[_measure(frame)].fillna(0).sum() > 0)


def usage_chart(frame: pd.DataFrame) -> Figure:
    """Cost by day, stacked by endpoint, and the cached share of the input as a line.

    Where no call has cost anything, as with the embedded model, input tokens are drawn instead. Days without calls are
    left out.

    Args:
        frame: Of `ccw_magics.stats.usage_frame`, summed by day, and by whatever else.
    """
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    shares = axes.twinx()
    days = [day.strftime("%b %d") for day in sorted(frame["day"].unique())]
    _draw_amounts(axes, frame)
    _draw_shares(shares, frame)
    step = -(-len(days) // _MOST_LABELS)
    axes.set_xticks(range(0, len(days), step), days[::step])
    figure.legend(loc="outside upper left", ncols=_LEGEND_COLUMNS, frameon=False, fontsize="small")
    return figure


def png(figure: Figure) -> bytes:
    """A figure as a picture, twice as large as it is to be shown."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _measure(frame: pd.DataFrame) -> str:
    return "cost_usd" if frame["cost_usd"].sum() > 0 else "input_tokens"


def _draw_amounts(axes: Axes, frame: pd.DataFrame) -> None:
    measure = _measure(frame)
    named = frame if "endpoint" in frame.columns else frame.assign(endpoint="all endpoints")
    amounts = named.pivot_table(index="day", columns="endpoint", values=measure, aggfunc="sum", dropna=False)
    table = amounts.astype("float64").fillna(0.0).sort_index()
    bottom = [0.0] * len(table)
    for endpoint in table.columns:
        heights = [float(height) for height in table[endpoint]]
        axes.bar(range(len(table)), heights, width=_BAR_WIDTH, bottom=bottom, label=str(endpoint))
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    axes.set_ylabel("US dollars" if measure == "cost_usd" else "input tokens")


def _draw_shares(axes: Axes, frame: pd.DataFrame) -> None:
    sums = frame.groupby("day")[["cached_tokens", "input_tokens"]].sum().astype("float64").sort_index()
    shares = sums["cached_tokens"] / sums["input_tokens"]  # a day without tokens has no share, and leaves a gap
    axes.plot(range(len(shares)), list(shares), color=_LINE_COLOR, marker="o", markersize=4, label="cached share")
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))

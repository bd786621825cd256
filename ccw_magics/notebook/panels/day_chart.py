"""Cost by day and the cached share of the input, drawn as SVG: no library, and in the theme's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Final

from ccw_magics.journal import readable_usd

DAYS_MAX: Final = 30
"""Days with calls that are drawn, the latest."""
_WIDTH, _HEIGHT = 560, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 44, 14, 26
_BAR_SHARE: Final = 0.7
_BAR_MAX: Final = 40.0
_LABELS_MAX: Final = 8


@dataclass(frozen=True)
class Day:
    """What was asked on a day.

    Attributes:
        day: The local date.
        calls: How many.
        cost_usd: US dollars; None where nothing of it is known.
        unpriced: Calls whose cost is not known, and not in the sum.
        input_tokens: None where nobody said.
        cached_share: Of the input, from 0 to 1; None where it is not known.
    """

    day: date
    calls: int
    cost_usd: float | None
    unpriced: int
    input_tokens: int | None
    cached_share: float | None


def day_chart(days: Sequence[Day]) -> str:
    """Bars of cost, and a line of the cached share; where nothing has cost anything, bars of input tokens.

    A day of which no cost is known has a question mark and no bar; one with some calls of unknown cost has a star.

    Args:
        days: The oldest first; the last `DAYS_MAX` are drawn.

    Returns:
        HTML; empty where there is nothing to draw.
    """
    days = days[-DAYS_MAX:]
    is_money = any(day.cost_usd for day in days)
    amounts = [day.cost_usd if is_money else day.input_tokens for day in days]
    most = max((amount for amount in amounts if amount), default=0)
    if not most:
        return ""
    what = "Cost by day in US dollars" if is_money else "Input tokens by day (no call has cost anything)"
    shown = readable_usd(most) if is_money else f"{most:,}"
    bars = enumerate(zip(days, amounts, strict=True))
    parts = [_axes(shown), *(_bar(place, len(days), day, amount, most, is_money) for place, (day, amount) in bars)]
    parts += [_date(place, len(days), days[place]) for place in _labelled(len(days))]
    parts.append(_line(days))
    marks = " * some, ? all calls of unknown cost;" if is_money and any(day.unpriced for day in days) else ""
    legend = f"{what};{marks} line: cached share of the input."
    return (
        f'<figure class="ccw-chart"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(legend)}">'
        f"{''.join(parts)}</svg><figcaption>{escape(legend)}</figcaption></figure>"
    )


def _x(place: int, count: int) -> float:
    return _LEFT + (place + 0.5) * (_WIDTH - _LEFT - _RIGHT) / count


def _y(share: float) -> float:
    return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(most: str) -> str:
    base, right = _y(0), _WIDTH - _RIGHT
    lines = f'<path class="ccw-axis" d="M{_LEFT} {_y(1)}H{right}M{_LEFT} {base}H{right}"/>'
    left = "".join(_text(_LEFT - 6, _y(share) + 4, text, "end") for share, text in ((1, most), (0, "0")))
    return lines + left + "".join(_text(right + 6, _y(share) + 4, f"{share:.0%}", "start") for share in (1, 0))


def _bar(place: int, count: int, day: Day, amount: float | None, most: float, is_money: bool) -> str:
    width = min(_BAR_SHARE * (_WIDTH - _LEFT - _RIGHT) / count, _BAR_MAX)
    top = _y((amount or 0) / most)
    mark = ("*" if amount else "?") if is_money and day.unpriced else ""
    bar = f'<rect x="{_x(place, count) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_y(0) - top:.1f}"/>'
    return f"<g>{bar}{_text(_x(place, count), top - 3, mark, 'middle')}<title>{escape(_told(day))}</title></g>"


def _told(day: Day) -> str:
    cost = "nothing to pay" if day.cost_usd is None else readable_usd(day.cost_usd)
    if day.unpriced:
        cost = "cost unknown" if day.cost_usd is None else f"{cost}, {day.unpriced:,} of unknown cost"
    share = "" if day.cached_share is None else f", {day.cached_share:.0%} cached"
    return f"{day.day:%Y-%m-%d}: {day.calls:,} {'call' if day.calls == 1 else 'calls'}, {cost}{share}"


def _line(days: Sequence[Day]) -> str:
    """The shares of days that follow each other, joined; a day that has none leaves a gap."""
    path, dots, is_joined = "", "", False
    for place, day in enumerate(days):
        if day.cached_share is not None:
            x, y = _x(place, len(days)), _y(day.cached_share)
            path += f"{'L' if is_joined else 'M'}{x:.1f} {y:.1f}"
            dots += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        is_joined = day.cached_share is not None
    return f'<path class="ccw-share" d="{path}"/>{dots}'


def _labelled(count: int) -> range:
    return range(0, count, -(-count // _LABELS_MAX))


def _date(place: int, count: int, day: Day) -> str:
    return _text(_x(place, count), _HEIGHT - _BOTTOM + 16, f"{day.day:%m-%d}", "middle")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""

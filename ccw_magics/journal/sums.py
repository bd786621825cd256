"""Sums over many calls, made by sqlite: a hundred thousand rows need not become objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final

from ccw_magics.journal.rows import IS_READABLE

_LOCAL_DAY: Final = "local_day"
_KEYS: Final = {"day": f"{_LOCAL_DAY}(at)", "endpoint": "endpoint", "model": "model"}
SUM_KEYS: Final = tuple(_KEYS)
"""What calls can be summed by."""


@dataclass(frozen=True)
class Sums:
    """Calls, summed. A sum of which nothing is known is None.

    Attributes:
        key: What these calls have in common, in the order that was asked for; a day is the local date.
        calls: How many.
        failed: Those that ended in an error; an interrupt is none.
        replayed: Those that gave a recorded answer, at no cost.
        input_tokens: All tokens of the prompts, cached and written ones included.
        cached_tokens: Those of them read from the providers' caches.
        written_tokens: Those of them written to the providers' caches.
        output_tokens: Of the answers.
        cached_share: Cached to input tokens, of the calls where both are known.
        cost_usd: US dollars.
        unpriced: Calls whose cost is not known, and not in the sum, though there was something to pay for: they
            succeeded (`ok`, `cut`), or used tokens, or text came. A call that was refused, or never left, is none.
        saved_usd: By the providers' caches; below 0 where writing to them cost more.
    """

    key: tuple[Any, ...]
    calls: int
    failed: int
    replayed: int
    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    cached_share: float | None
    cost_usd: float | None
    unpriced: int
    saved_usd: float | None


UNPRICED: Final = (
    "SUM(cost_usd IS NULL AND (outcome IN ('ok', 'cut') OR COALESCE(input_tokens, 0) > 0"
    " OR COALESCE(output_tokens, 0) > 0 OR first_token_s IS NOT NULL))"
)
"""How many calls have no cost, though there was something to pay for; NULL where there are no calls."""
_SUMS: Final = {
    "calls": "COUNT(*)",
    "failed": "SUM(outcome NOT IN ('ok', 'cut', 'replayed', 'interrupted'))",
    "replayed": "SUM(outcome = 'replayed')",
    **{name: f"SUM({name})" for name in ("input_tokens", "cached_tokens", "written_tokens", "output_tokens")},
    # Of no tokens there is no share: what is divided by 0 is NULL.
    "cached_share": (
        "CAST(SUM(CASE WHEN input_tokens IS NOT NULL THEN cached_tokens END) AS REAL)"
        " / SUM(CASE WHEN cached_tokens IS NOT NULL THEN input_tokens END)"
    ),
    "cost_usd": "SUM(cost_usd)",
    "unpriced": UNPRICED,
    "saved_usd": "SUM(uncached_cost_usd - cost_usd)",
}
_SELECT: Final = ", ".join(_SUMS[field.name] for field in fields(Sums) if field.name in _SUMS)
FUNCTION: Final = (_LOCAL_DAY, 1)
"""The name of what a connection needs for `statement`, and its count of arguments: `local_day`."""


def statement(by: Sequence[str]) -> str:
    """Sums of the calls since its one parameter, in microseconds since 1970.

    Args:
        by: Some of `SUM_KEYS`.

    Raises:
        KeyError: It names something else.
    """
    keys = [_KEYS[name] for name in by]
    groups = ", ".join(keys or ["NULL"])  # one group, and none where there are no calls
    return f"SELECT {', '.join([*keys, _SELECT])} FROM call WHERE at >= ? AND {IS_READABLE} GROUP BY {groups}"  # noqa: S608 - constants


def sums_of(row: tuple[Any, ...], by: Sequence[str]) -> Sums:
    """The sums of a row of `statement`."""
    parts = zip(by, row, strict=False)
    key = tuple(date.fromordinal(part) if name == "day" else part for name, part in parts)
    return Sums(key, *row[len(by) :])


def local_day(at: int) -> int:
    """The ordinal of the local date of a point in time in microseconds since 1970."""
    return datetime.fromtimestamp(at // 1_000_000).toordinal()  # noqa: DTZ006 - the local date is what is asked for

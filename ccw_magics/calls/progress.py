"""What has come of one request so far: written by the worker, read by whoever waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from ccw_magics.backends.base import Done, Usage
from ccw_magics.calls.reply import Attempt


@dataclass
class Progress:
    """The answer as far as it has come, and the tries it took.

    Attributes:
        started: When the request began, on `time.perf_counter`'s clock.
        pieces: The answer until now.
        first_token_s: Seconds until the first piece; None before it.
        ends: The account of each try that came to one, in order.
        attempts: The tries that ended, whatever their outcome.
        has_untold: Whether a try that may have been billed ended without an account of what it cost.
    """

    started: float = field(default_factory=time.perf_counter)
    pieces: list[str] = field(default_factory=list)
    first_token_s: float | None = None
    ends: list[Done] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    has_untold: bool = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.started

    def total(self) -> Done:
        """The account of all tries together: each was paid for. Model and end are those of the last."""
        if not self.ends:
            return Done()
        costs = [(end.cost_usd, end.uncached_cost_usd) for end in self.ends] + [(None, None)] * self.has_untold
        usages = [end.usage for end in self.ends if end.usage is not None]
        return replace(
            self.ends[-1],
            usage=_together(usages),
            cost_usd=sum_of_known([cost for cost, _ in costs]),
            uncached_cost_usd=sum_of_known([uncached for _, uncached in costs]),
        )

    def add(self, text: str) -> None:
        """Take a piece of the answer."""
        if self.first_token_s is None:
            self.first_token_s = self.elapsed_s
        self.pieces.append(text)

    def begin_anew(self) -> None:
        """Drop what came of an answer that broke off, before it is asked for again."""
        self.pieces.clear()
        self.first_token_s = None


def _together(usages: Sequence[Usage]) -> Usage | None:
    """The tokens of several tries; None where none was told."""
    if not usages:
        return None
    return Usage(*(sum(getattr(usage, field.name) for usage in usages) for field in fields(Usage)))


def sum_of_known(amounts: Sequence[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None

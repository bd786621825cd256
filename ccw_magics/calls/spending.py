"""What calls may cost: of one call, of a kernel, of a day. Asked before each try, so that nothing is sent beyond it.

A call that is under way has its expected cost reserved: in this process for the kernel's limit, in the journal's file
for the day's, which all kernels of the project share. So no two calls are let through on the same money. What a call
costs beyond what was expected of it is the most by which a limit can be passed.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import Final

from ccw_magics.backends.base import Backend, ModelCall
from ccw_magics.calls.budget import ANSWER_RESERVE_TOKENS
from ccw_magics.calls.estimate import Estimate, estimate, limit_of, sample_usd
from ccw_magics.config.models import Budget
from ccw_magics.errors import BudgetExceeded
from ccw_magics.journal import Journal, Overspent, readable_usd

OWN_SERVERS: Final = frozenset({"custom", "ollama"})
"""Types whose servers are somebody's own: mostly free, and not stopped by a budget, which cannot count them."""
UNBOUNDED: Final = frozenset(
    {
        "best_of",
        "generationConfig",
        "generation_config",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "n",
    }
)
"""Fields of a body that set or multiply an answer's length, past the limit that is sent beside them."""
EFFORT_TOKENS: Final = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 4096, "max": 4096}
"""What litellm makes of `reasoning_effort` for a Claude (`litellm.constants`, DEFAULT_REASONING_EFFORT_*)."""
_KERNEL: Final = ("this kernel", "perKernelUsd")
_DAY: Final = ("today", "perDayUsd")
TOLERANCE_USD: Final = 1e-9
"""What sums of floating point numbers may be off."""


class _KernelPurse:
    """What this process has spent on one project, and what is reserved for calls under way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.spent_usd = 0.0
        self.reserved_usd = 0.0


_purses: dict[tuple[int, Path], _KernelPurse] = {}


def purse_of(root: Path) -> _KernelPurse:
    """This process's purse for the project at `root`."""
    return _purses.setdefault((os.getpid(), root), _KernelPurse())


def midnight() -> datetime:
    """When the local day began."""
    # By the calendar: on a day when clocks change, midnight has another offset than now.
    return datetime.combine(datetime.now().astimezone().date(), time.min).astimezone()


@dataclass
class Allowance:
    """What one request may spend, over all its tries and fallbacks.

    Attributes:
        root: The project.
        journal: What was spent today, and what is reserved.
        budget: The project's limits.
        max_cost_usd: The request's own limit; None for none.
        unpriced: Models that a limit does not count, since nobody knows their price.
        has_lowered: Whether `max_cost_usd` gave an answer a lower limit than it had.
        spent_usd: What the tries that ended have cost; what was expected, of those that were billed and nobody told.
        expected_usd: What the try under way is expected to cost.
    """

    root: Path
    journal: Journal
    budget: Budget
    max_cost_usd: float | None

    def __post_init__(self) -> None:
        self.unpriced: set[str] = set()
        self.has_lowered = False
        self._lock = threading.Lock()  # an interrupted call may be settled while its reservation is still being made
        self._is_settled = False
        self.expected_usd = 0.0
        self.spent_usd = 0.0
        self._kernel_usd = 0.0
        self._day_usd = 0.0
        self._days: list[int] = []

    @property
    def has_limit(self) -> bool:
        """Whether there is anything to hold."""
        budget = self.budget
        return any(limit is not None for limit in (self.max_cost_usd, budget.per_kernel_usd, budget.per_day_usd))

    async def allow(self, backend: Backend, call: ModelCall, expected_tokens: int) -> ModelCall:
        """Let one try through, its expected cost reserved.

        Args:
            backend: Who is asked.
            call: What is sent.
            expected_tokens: Of its answer.

        Returns:
            The call; with `max_cost_usd`, its answer limited to what that leaves room for. A free one is always let
            through, and so is one to a server of somebody's own, whose price nobody knows, unless there is a
            `max_cost_usd`.

        Raises:
            BudgetExceeded: The try could pass a limit; nothing was sent.
            CcwError: The day's spending cannot be read or written down.
        """
        if not self.has_limit:
            return call
        call, usd = await self._judged(backend, call, expected_tokens)
        if usd is not None:
            await asyncio.to_thread(self._reserve, usd, call.model)
        return call

    async def refusal(self, backend: Backend, call: ModelCall, expected_tokens: int) -> str:
        """Why `allow` would not let the try through now; empty where it would. Nothing is reserved."""
        if not self.has_limit:
            return ""
        try:
            call, usd = await self._judged(backend, call, expected_tokens)
            if usd is not None:
                await asyncio.to_thread(self._require_room, usd, call.model)
        except BudgetExceeded as error:
            return error.message
        return ""

    async def _judged(self, backend: Backend, call: ModelCall, expected_tokens: int) -> tuple[ModelCall, float | None]:
        """The call within `max_cost_usd`, and what it is expected to cost; None for what no limit counts."""
        sample = await sample_usd(backend, call)
        if sample == 0:
            return call, None
        guess = None if sample is None else await estimate(backend, call, expected_tokens)
        if guess is None or guess.cold_usd is None:
            if not self._may_be_uncounted(call):
                raise _unpriced(call, "the budget" if self.max_cost_usd is None else "--max-cost")
            self.unpriced.add(call.model or call.provider_type)
            return call, None
        if self.max_cost_usd is None:
            return call, guess.cold_usd
        call = await self._within(backend, call, guess)
        return call, min(guess.cold_usd, self.max_cost_usd - self.spent_usd)

    def _may_be_uncounted(self, call: ModelCall) -> bool:
        """Whether a limit lets a call through that nobody can price: it costs somebody's own server, or own login."""
        return self.max_cost_usd is None and (call.provider_type in OWN_SERVERS or call.agent is not None)

    def tried(self, cost_usd: float | None, *, is_billed: bool) -> None:
        """A try has ended.

        Args:
            cost_usd: What it cost; None where nobody said.
            is_billed: Whether it may have cost anything: it was sent, and not refused before a word of an answer.
        """
        with self._lock:
            unknown_usd = self.expected_usd if is_billed else 0.0
            self.spent_usd += unknown_usd if cost_usd is None else cost_usd
            self.expected_usd = 0.0

    def settle(self, recorded_usd: float | None) -> None:
        """Put what the request cost in the place of what was reserved; a try that is still under way, as expected.

        Args:
            recorded_usd: What the journal has of that, so that it is not counted twice; None for nothing.
        """
        with self._lock:
            self._is_settled = True
            spent_usd, purse = self.spent_usd + self.expected_usd, purse_of(self.root)
            with purse.lock:
                purse.reserved_usd -= self._kernel_usd
                purse.spent_usd += spent_usd
            unrecorded_usd = spent_usd - (recorded_usd or 0.0)
            for number in self._days:
                self.journal.ledger.settle(number, unrecorded_usd if unrecorded_usd > TOLERANCE_USD else None)
                unrecorded_usd = 0.0

    def remark(self) -> str:
        """What the user should know: that a limit does not count a model; empty for nothing."""
        models = ", ".join(sorted(self.unpriced))
        return f"what {models} costs is not known, and not counted in the budget" if models else ""

    async def _within(self, backend: Backend, call: ModelCall, guess: Estimate) -> ModelCall:
        """The call with its answer limited to what `max_cost_usd` leaves for it."""
        if unbounded := sorted(UNBOUNDED & (call.params.get("extra_body") or {}).keys()):
            raise BudgetExceeded(
                f"extra_body sets {', '.join(unbounded)}, so --max-cost cannot be held",
                hint="Leave it out of params.extra_body, or leave --max-cost out.",
            )
        wanted = limit_of(call) or await backend.max_output_tokens(call)
        room, thoughts = self._room(guess), thinking_tokens(call)
        # Asked this way round, what is not a number leaves no room.
        if not room >= thoughts + min(ANSWER_RESERVE_TOKENS, wanted or ANSWER_RESERVE_TOKENS):
            raise self._too_dear(guess, room, thoughts)
        if room >= (wanted or math.inf):
            return call
        self.has_lowered = True
        limit = "max_completion_tokens" if "max_completion_tokens" in call.params else "max_tokens"
        return replace(call, params={**call.params, limit: int(room)})

    def _room(self, guess: Estimate) -> float:
        """The answer's tokens that `max_cost_usd` pays for; below 0 where it does not pay for the prompt."""
        assert self.max_cost_usd is not None
        assert guess.prompt_usd is not None
        left_usd = self.max_cost_usd - self.spent_usd - guess.prompt_usd
        if not guess.token_usd:
            return math.inf if left_usd >= -TOLERANCE_USD else -1.0
        return (left_usd + TOLERANCE_USD) / guess.token_usd

    def _too_dear(self, guess: Estimate, room: float, thoughts: int) -> BudgetExceeded:
        assert self.max_cost_usd is not None
        assert guess.prompt_usd is not None
        thinking = f", of which thinking takes {thoughts:,}" if thoughts else ""
        leaves = f", which leaves room for {room:.0f} tokens of an answer{thinking}" if room > 0 else ""
        spent = f", {readable_usd(self.spent_usd)} of it spent" if self.spent_usd > 0 else ""
        return BudgetExceeded(
            f"the prompt alone costs about {readable_usd(guess.prompt_usd)} ({guess.input_tokens:,} tokens){leaves}; "
            f"--max-cost allows {readable_usd(self.max_cost_usd)}{spent}",
            hint="Refer to fewer files (--dry-run shows what each costs), or allow more.",
        )

    def _reserve(self, expected_usd: float, model: str) -> None:
        """Reserve the request's expected cost: what that is beyond what is reserved for it already.

        What is reserved is only ever added to, until it is settled: given back in between, another call could take it
        while this one has spent it.
        """
        with self._lock:
            if self._is_settled:
                return
            self._reserve_kernel(self.spent_usd + expected_usd, model)
            self._reserve_day(self.spent_usd + expected_usd, model)
            self.expected_usd = expected_usd

    def _require_room(self, usd: float, model: str) -> None:
        """Refuse what the limits of kernel and day have no room for now, without reserving it."""
        purse, budget = purse_of(self.root), self.budget
        with purse.lock:
            spent_usd, reserved_usd = purse.spent_usd, purse.reserved_usd
        _require(usd, spent_usd, reserved_usd, budget.per_kernel_usd, model, _KERNEL)
        if budget.per_day_usd is not None:
            day = self.journal.ledger.spent(midnight())
            _require(usd, day.calls_usd, day.reserved_usd, budget.per_day_usd, model, _DAY)

    def _reserve_kernel(self, usd: float, model: str) -> None:
        purse, limit = purse_of(self.root), self.budget.per_kernel_usd
        with purse.lock:
            others_usd, wanted_usd = purse.reserved_usd - self._kernel_usd, max(usd, self._kernel_usd)
            if limit is not None and not purse.spent_usd + others_usd + wanted_usd <= limit + TOLERANCE_USD:
                raise _over(usd, purse.spent_usd, others_usd, limit, model, _KERNEL)
            purse.reserved_usd, self._kernel_usd = others_usd + wanted_usd, wanted_usd

    def _reserve_day(self, usd: float, model: str) -> None:
        limit = self.budget.per_day_usd
        if limit is None:
            return
        more_usd = max(0.0, usd - self._day_usd)
        try:
            self._days.append(self.journal.ledger.reserve(more_usd, since=midnight(), cap_usd=limit))
        except Overspent as over:
            spent_usd, reserved_usd = over.spent_usd, over.reserved_usd - self._day_usd
        else:
            self._day_usd += more_usd
            return
        raise _over(usd, spent_usd, reserved_usd, limit, model, _DAY)


def thinking_tokens(call: ModelCall) -> int:
    """The part of an answer's limit that a Claude's thinking takes, which the limit must exceed; 0 without thinking.

    Anthropic refuses a `max_tokens` that is not above `thinking.budget_tokens`; for `reasoning_effort` litellm sets a
    budget.
    """
    if "claude" not in call.model and call.provider_type != "anthropic":
        return 0
    said = (call.params.get("thinking") or {}).get("budget_tokens")
    return int(said or EFFORT_TOKENS.get(call.params.get("reasoning_effort") or "", 0))


def _require(
    usd: float, spent_usd: float, reserved_usd: float, limit: float | None, model: str, which: tuple[str, str]
) -> None:
    if limit is not None and not spent_usd + reserved_usd + usd <= limit + TOLERANCE_USD:
        raise _over(usd, spent_usd, reserved_usd, limit, model, which)


def _over(
    usd: float, spent_usd: float, reserved_usd: float, limit_usd: float, model: str, which: tuple[str, str]
) -> BudgetExceeded:
    when, name = which
    under_way = f" and {readable_usd(reserved_usd)} for calls under way" if reserved_usd > TOLERANCE_USD else ""
    return BudgetExceeded(
        f"the call would cost about {readable_usd(usd)} ({model}); {when} {readable_usd(spent_usd)} are spent"
        f"{under_way}, and the budget is {readable_usd(limit_usd)}",
        hint=f"Refer to fewer files (--dry-run shows what each costs), or raise budget.{name}: `budget` shows it.",
    )


def _unpriced(call: ModelCall, limit: str) -> BudgetExceeded:
    return BudgetExceeded(
        f"what {call.model or 'the model'} costs is not known, so {limit} cannot be held",
        hint=f"Ask an endpoint whose price is known (--dry-run shows it), or take {limit} away.",
    )

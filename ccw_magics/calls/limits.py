"""A provider's requests and tokens a minute (rpm, tpm), held by this process before the provider has to refuse.

What is held is every window of 60 s, not an average: a token bucket, full after a pause, would let twice the limit
through within a minute. So each request is remembered from the moment a ticket is given out until it has left every
window that a later request could share with it.

Requests go in the order in which they asked. A large one is not overtaken by small ones, which could go on for ever.

A limiter belongs to the one loop on which calls run (`ccw_magics.calls.worker`); only `limiter` may be called from
anywhere.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from ccw_magics.errors import ProviderError

WINDOW_S: Final = 60.0
"""What "a minute" means in a provider's limits."""
MARGIN_S: Final = 0.5
"""By how much longer than a later request an earlier one may be on its way without both arriving in one window."""
COUNTED_S: Final = WINDOW_S + MARGIN_S
"""How long a request counts from the moment it is sent."""
TELL_S: Final = 1.0
"""How often somebody who waits hears how long it still takes."""
FIRST_OUTPUT_TOKENS: Final = 512
"""What an answer is taken to be while there has been none: about a page."""
OUTPUT_MEAN_SHARE: Final = 0.25
"""Share of the newest answer in the mean: the last four or so decide."""

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]
OnWait = Callable[[float, str], None]
"""Called with the seconds that are left, as far as known, and with the limit that is waited for."""


class Ticket:
    """Leave to send one request, once; `Limiter.acquire` gives it out, its tokens reserved.

    `sent` is called right before the request goes out. Until then it counts as if it went at any moment. As a context
    manager it ends with `cancel`, so that a request that never went out leaves nothing behind.

    Attributes:
        tokens: The reservation, or what was really used.
        sent_at: When the request left, in the limiter's time; None where it has not.
    """

    def __init__(self, tokens: int, log: _Log, on_freed: Callable[[], None]) -> None:
        self.tokens = tokens
        self.sent_at: float | None = None
        self._log = log
        self._on_freed = on_freed
        log.add(self)

    def sent(self) -> None:
        """Count the window from now on. May be repeated where the request leaves later than thought."""
        self._log.remove(self)
        self.sent_at = self._log.clock()
        self._log.add(self)

    def settle(self, tokens: int | None) -> None:
        """Replace the reservation when the call has ended; one that was never marked as sent counts as sent now.

        Args:
            tokens: Tokens used, input and output; None where nobody said, and the reservation stays.
        """
        if self.sent_at is None:
            self.sent()
        if tokens is not None:
            self._log.change(self, max(tokens, 0))
            self._on_freed()

    def cancel(self) -> None:
        """Give the reservation back, if the request never went out; else do nothing."""
        if self.sent_at is None:
            self._log.remove(self)
            self._on_freed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class _Log:
    """The tickets that count: those not sent yet, and those sent within the window, in the order they were sent in."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.tokens = 0
        self._pending: set[Ticket] = set()
        self._sent: OrderedDict[Ticket, float] = OrderedDict()  # with the moment at which it stops counting

    def __len__(self) -> int:
        return len(self._pending) + len(self._sent)

    def add(self, ticket: Ticket) -> None:
        if ticket.sent_at is None:
            self._pending.add(ticket)
        else:
            self._sent[ticket] = ticket.sent_at + COUNTED_S
        self.tokens += ticket.tokens

    def remove(self, ticket: Ticket) -> None:
        if self._counts(ticket):
            self._pending.discard(ticket)
            self._sent.pop(ticket, None)
            self.tokens -= ticket.tokens

    def change(self, ticket: Ticket, tokens: int) -> None:
        if self._counts(ticket):
            self.tokens += tokens - ticket.tokens
        ticket.tokens = tokens

    def forget(self, now: float) -> None:
        """Drop those whose window has passed."""
        while self._sent and next(iter(self._sent.values())) <= now:
            ticket, _ = self._sent.popitem(last=False)
            self.tokens -= ticket.tokens

    def leaving(self, now: float) -> deque[tuple[float, int]]:
        """When each stops counting, and its tokens, in order; those not sent as if they were sent now."""
        sent = ((leaves_at, ticket.tokens) for ticket, leaves_at in self._sent.items())
        pending = ((now + COUNTED_S, ticket.tokens) for ticket in self._pending)
        return deque((*sent, *pending))

    def _counts(self, ticket: Ticket) -> bool:
        return ticket in self._pending or ticket in self._sent


@dataclass(eq=False)
class _Waiter:
    """Somebody in line; `nap` is what it sleeps in, and cancelling that wakes it."""

    tokens: int
    on_wait: OnWait
    tell_at: float = float("-inf")
    nap: asyncio.Future[None] | None = None


class Limiter:
    """The limits of one provider. They are those that the last `acquire` named, for everybody in line.

    Args:
        clock: Seconds from any beginning, never going back.
        sleep: Waits for so many of the clock's seconds.
    """

    def __init__(self, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._rpm: int | None = None
        self._tpm: int | None = None
        self._log = _Log(clock)
        self._line: deque[_Waiter] = deque()

    async def acquire(self, *, rpm: int | None, tpm: int | None, tokens: int, on_wait: OnWait) -> Ticket:
        """Wait until one more request and its tokens keep every window within the limits.

        Each try of a call needs a ticket of its own. Cancelling the wait leaves nothing behind.

        Args:
            rpm: Requests a minute; None for no limit.
            tpm: Tokens a minute; None for no limit.
            tokens: What the request is expected to use, input and output.
            on_wait: Called where it has to wait, and again each second.

        Raises:
            ProviderError: `tokens` alone are above `tpm`; no wait would help.
        """
        if (rpm, tpm) != (self._rpm, self._tpm):
            self._rpm, self._tpm = rpm, tpm
            self._wake_first()
        waiter = _Waiter(max(tokens, 0), on_wait)
        self._line.append(waiter)
        try:
            while not self._may_go(waiter, now := self._clock()):
                await self._rest(waiter, now)
            # Nothing is awaited between the look and the ticket: there is no moment at which one could be lost.
            return Ticket(waiter.tokens, self._log, self._wake_first)
        finally:
            self._line.remove(waiter)
            self._wake_first()

    def _may_go(self, waiter: _Waiter, now: float) -> bool:
        if self._tpm is not None and waiter.tokens > self._tpm:
            raise _too_large(waiter.tokens, self._tpm)
        self._log.forget(now)
        return waiter is self._line[0] and not self._limit_met(len(self._log), self._log.tokens + waiter.tokens)

    async def _rest(self, waiter: _Waiter, now: float) -> None:
        """Sleep until it may be time to go or is time to tell, or until woken."""
        wait_s, reason = self._outlook(waiter, now)
        if wait_s > 0 and now >= waiter.tell_at:
            waiter.tell_at = now + TELL_S
            waiter.on_wait(wait_s, reason)
        # Without a wait it is only behind somebody who is about to go, and is woken then.
        waiter.nap = asyncio.ensure_future(self._sleep(min(wait_s, waiter.tell_at - now) if wait_s > 0 else TELL_S))
        try:
            await asyncio.wait([waiter.nap])
        finally:
            waiter.nap.cancel()

    def _wake_first(self) -> None:
        if self._line and self._line[0].nap is not None:
            self._line[0].nap.cancel()

    def _outlook(self, waiter: _Waiter, now: float) -> tuple[float, str]:
        """Seconds until it may go, and the last limit met on the way: the line is played through, up to it."""
        leaving, used = self._log.leaving(now), self._log.tokens
        start, reason = now, ""
        for other in self._line:
            while leaving and (limit := self._limit_met(len(leaving), used + other.tokens)):
                start, freed = leaving.popleft()
                used, reason = used - freed, limit
            if other is waiter:
                break
            leaving.append((start + COUNTED_S, other.tokens))
            used += other.tokens
        return start - now, reason

    def _limit_met(self, requests: int, tokens: int) -> str:
        """The limit that one more request, up to this sum of tokens, would pass; empty where none."""
        if self._rpm is not None and requests >= self._rpm:
            return f"limit of {self._rpm:,} {'request' if self._rpm == 1 else 'requests'} a minute (rpm)"
        if self._tpm is not None and tokens > self._tpm:
            return f"limit of {self._tpm:,} tokens a minute (tpm)"
        return ""


def _too_large(tokens: int, tpm: int) -> ProviderError:
    return ProviderError(
        f"the call needs about {tokens:,} tokens, and the provider's limit is {tpm:,} tokens a minute (tpm)",
        hint="Refer to less, or raise `tpm` in the provider's advancedSettings.",
    )


# By process, since a forked child has no part in its parent's calls. `setdefault` is atomic; a lock instead could be
# held by another thread at the moment of the fork, and for ever in the child.
_limiters: dict[tuple[int, str], Limiter] = {}
_output_tokens: dict[tuple[int, str], float] = {}


def limiter(owner: str) -> Limiter:
    """The limiter of a provider, the same one for the same owner in this process.

    Args:
        owner: What tells providers apart: the config's path and the provider's id.
    """
    return _limiters.setdefault((os.getpid(), owner), Limiter())


def expected_output(owner: str) -> int:
    """How many tokens an answer is likely to have: an exponential mean of those before.

    Args:
        owner: What tells endpoints apart: the config's path and the endpoint's id.
    """
    return round(_output_tokens.get((os.getpid(), owner), FIRST_OUTPUT_TOKENS))


def learn_output(owner: str, tokens: int) -> None:
    """Let an answer's tokens count in `expected_output`."""
    key = (os.getpid(), owner)
    mean = _output_tokens.get(key, FIRST_OUTPUT_TOKENS)
    _output_tokens[key] = mean + OUTPUT_MEAN_SHARE * (tokens - mean)

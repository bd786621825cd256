"""The tries at one endpoint: transient failures, several keys, rate limits, the deadline. The only retry layer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from ccw_magics.backends.base import Done, ModelCall, Usage
from ccw_magics.calls import tokens
from ccw_magics.calls.budget import require_fit
from ccw_magics.calls.estimate import answer_tokens, limit_of
from ccw_magics.calls.hearing import hear, late_error
from ccw_magics.calls.keys import Key, cooldown_s, ring
from ccw_magics.calls.limits import Ticket, expected_output, learn_output, limiter
from ccw_magics.calls.model_call import secrets_of
from ccw_magics.calls.preparation import Prepared
from ccw_magics.calls.progress import Progress
from ccw_magics.calls.reply import Attempt
from ccw_magics.calls.spending import Allowance
from ccw_magics.calls.worker import OnOutput
from ccw_magics.errors import CcwError, ProviderError

BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 20.0
JITTER_S: Final = 1.0
"""Waits of 0.5, 1, 2, ... seconds, and up to one second more, so that many callers do not come back at once."""
RETRY_AFTER_JITTER: Final = 0.1
"""`Retry-After` is the least that is waited; up to a tenth of it is added, for the same reason."""
LONGEST_REST_S: Final = 3600.0
"""A key is passed over for an hour at most, whatever a server says: the kernel may run for weeks."""
ASKED_AGAIN: Final = "\n\n---\n\n"
"""Stands between the part of an answer that broke off and the answer to the next try."""


class Tries:
    """Asks one endpoint until it answers or nothing more can be hoped for.

    Args:
        prepared: The call.
        progress: Where the answer goes.
        emit: Told of each piece, and of each wait.
        allowance: What may be spent.
        retry_cut: Whether to ask again where an answer broke off after a part of it was shown.
    """

    def __init__(
        self,
        prepared: Prepared,
        progress: Progress,
        emit: OnOutput,
        allowance: Allowance,
        *,
        retry_cut: bool = False,
    ) -> None:
        self._prepared = prepared
        self._progress = progress
        self._emit = emit
        self._allowance = allowance
        self._retry_cut = retry_cut
        self._settings = prepared.route.provider.advanced_settings
        self._ring = ring(prepared.owner)
        self._refused: set[str] = set()
        self._last_key_id: str | None = None
        self._retries = 0
        self._switches = 0  # between two waits each key is tried once, even where a server says to come back at once
        self._began = self._ended = time.perf_counter()
        self._deadline = asyncio.Timeout(None)

    async def answer(self) -> None:
        """Fill `progress` with the answer.

        Raises:
            CcwError: The failure of the last try.
        """
        await require_fit(self._prepared)
        try:
            async with self._deadline:
                await self._try_until_done()
        except TimeoutError:
            pass
        else:
            return
        raise late_error(self._prepared.call, "did not finish", self._settings.timeout, "timeout")

    async def _try_until_done(self) -> None:
        while True:
            try:
                return await self._try()
            except ProviderError as error:
                wait_s = self._wait_s(error)
                if wait_s is None:
                    raise
            await rest(wait_s)

    def _wait_s(self, error: ProviderError) -> float | None:
        """After how many seconds to try again; None where nothing can be hoped for, or not in time."""
        if self._progress.pieces and not self._retry_cut:
            return None
        left = [key for key in self._prepared.keys if key.id not in self._refused]
        is_of_key = cooldown_s(error) is not None
        others = [key for key in left if key.id != self._last_key_id and self._ring.cooling_s(key) <= 0]
        if is_of_key and others and self._switches + 1 < len(self._prepared.keys):
            self._switches += 1
            self._note(error, "trying another key")
            return 0.0
        has_hope = error.retryable or (is_of_key and bool(left))
        if not has_hope or self._retries >= self._settings.max_retries:
            return None
        wait_s = self._asked_s(error, left if is_of_key else [])
        if wait_s is not None and wait_s > self._remaining_s():
            return None
        return self._back_off(error, wait_s)

    def _asked_s(self, error: ProviderError, left: Sequence[Key]) -> float | None:
        """The wait that the provider asks for; with several keys, until the first of them may be used."""
        if len(self._prepared.keys) > 1 and left and (error.retry_after_s is not None or not error.retryable):
            return min(self._ring.cooling_s(key) for key in left)
        return error.retry_after_s

    def _back_off(self, error: ProviderError, asked_s: float | None) -> float:
        least_s = min(BACKOFF_S * 2.0**self._retries, BACKOFF_MAX_S)
        self._retries, self._switches = self._retries + 1, 0
        self._note(error, "asking again" if asked_s is None else f"asking again in {asked_s:,.0f} s")
        # Nobody gains by guessing how long we wait.
        if asked_s is None:
            return least_s + random.uniform(0, JITTER_S)  # noqa: S311
        return max(least_s, asked_s * (1 + random.uniform(0, RETRY_AFTER_JITTER)))  # noqa: S311

    def _remaining_s(self) -> float:
        due = self._deadline.when()
        return self._settings.timeout if due is None else due - asyncio.get_running_loop().time()

    def _note(self, error: CcwError, what: str) -> None:
        self._emit("stderr", f"{error.message}; {what}")

    async def _try(self) -> None:
        """Ask once, with one key; the attempt is recorded whatever becomes of it."""
        if self._progress.pieces:
            self._emit("stdout", ASKED_AGAIN)
            self._progress.begin_anew()
        key, error = self._choose(), Attempt.BROKEN_OFF
        self._last_key_id, self._began = key.id, time.perf_counter()
        try:
            await self._ask(key)
            error = ""
        except CcwError as failure:
            error = failure.message
            self._cool(key, failure)
            raise
        finally:
            self._record(key, error)

    def _choose(self) -> Key:
        keys = self._prepared.keys
        chosen = self._ring.choose(keys, self._prepared.route.provider.routing_strategy, exclude=self._refused)
        return chosen or keys[0]

    def _cool(self, key: Key, failure: CcwError) -> None:
        seconds = cooldown_s(failure) if isinstance(failure, ProviderError) else None
        if isinstance(failure, ProviderError) and seconds is not None:
            self._ring.cool(key, min(seconds, LONGEST_REST_S))
            if not failure.retryable:
                self._refused.add(key.id)

    def _record(self, key: Key, error: str) -> None:
        endpoint, waited_s = self._prepared.route.endpoint.id, self._began - self._ended
        self._progress.attempts.append(Attempt(endpoint, str(key.key) if key.key else "", error, waited_s))
        self._ended = time.perf_counter()

    async def _ask(self, key: Key) -> None:
        prepared, progress = self._prepared, self._progress
        call = replace(await self._allowed(), api_key=key.key or None)
        secrets = [*secrets_of(call), *(known.key for known in prepared.keys if known.key)]
        before, end, is_billed = len(progress.ends), Done(), False
        try:
            with await self._ticket() as ticket, self._ring.using(key) as use:
                self._began = time.perf_counter()
                progress.first_token_s = None
                leaves = partial(self._leaves, ticket)
                try:
                    await hear(prepared.backend, call, self._settings, secrets, progress, self._emit, leaves)
                finally:
                    end = progress.ends[-1] if len(progress.ends) > before else end
                    is_billed = ticket.sent_at is not None
                    use.first_token_s, use.cost_usd = self._first_token_s(), end.cost_usd
                    self._settle(ticket, call, end.usage)
        except ProviderError as error:
            # Who refuses, with a status and no word of an answer, bills nothing.
            is_billed = is_billed and (error.status is None or progress.first_token_s is not None)
            raise
        finally:
            self._allowance.tried(end.cost_usd, is_billed=is_billed)
            progress.has_untold |= is_billed and len(progress.ends) == before

    def _first_token_s(self) -> float | None:
        """Seconds from the asking, not from the request's begin: what a key is judged by."""
        since_start_s = self._progress.first_token_s
        return None if since_start_s is None else self._progress.started + since_start_s - self._began

    async def _allowed(self) -> ModelCall:
        """The call, where the budget has room for it."""
        call, expected = self._prepared.call, expected_output(self._prepared.output_owner)
        return await self._allowance.allow(self._prepared.backend, call, answer_tokens(call, expected))

    async def _ticket(self) -> Ticket:
        """Wait until the provider's limits allow one more request."""
        call, settings = self._prepared.call, self._settings
        needed = 0
        if settings.tpm is not None:
            counted = await tokens.count(self._prepared.backend, call)
            needed = (counted or 0) + (limit_of(call) or expected_output(self._prepared.output_owner))
        return await limiter(self._prepared.owner).acquire(
            rpm=settings.rpm,
            tpm=settings.tpm,
            tokens=needed,
            on_wait=lambda left_s, reason: self._emit("stderr", f"waiting {left_s:,.0f} s: {reason}"),
        )

    def _leaves(self, ticket: Ticket) -> None:
        """The request goes out: the first one starts the deadline, which holds for all tries together."""
        ticket.sent()
        if self._deadline.when() is None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._settings.timeout)

    def _settle(self, ticket: Ticket, call: ModelCall, usage: Usage | None) -> None:
        """Put what was really used in place of the estimate."""
        if ticket.sent_at is not None and usage is not None:
            ticket.settle(usage.input_tokens + usage.output_tokens)
            learn_output(self._prepared.output_owner, usage.output_tokens)
            tokens.learn(call, usage.input_tokens)


async def rest(seconds: float) -> None:
    """Wait between two tries."""
    await asyncio.sleep(seconds)

"""Limits a minute: no window above them, no wait longer than needed, in order; all in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import os
import selectors
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.calls import limits
from ccw_magics.calls.limits import COUNTED_S, MARGIN_S, WINDOW_S, Limiter, Ticket
from ccw_magics.errors import ProviderError

T = TypeVar("T")
FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock to where the wait would end."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits and nobody will wake them"
        self.now += timeout
        assert self.now < 1e6, "somebody looks again and again, and will wait for ever"
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Callable[[Limiter], Coroutine[Any, Any, T]]) -> T:
    """Run it in virtual time, with a limiter that lives in that time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        clock = runner.get_loop().time
        return runner.run(main(Limiter(clock=clock)))


def now() -> float:
    """Virtual seconds since the beginning."""
    return asyncio.get_running_loop().time() - 1000.0


@dataclass
class Told:
    """What somebody who waits has heard."""

    calls: list[tuple[float, float, str]] = field(default_factory=list)

    def __call__(self, seconds: float, reason: str) -> None:
        self.calls.append((now(), seconds, reason))


async def send(
    limiter: Limiter,
    told: Callable[[float, str], None] = lambda seconds, reason: None,
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    tokens: int = 1,
) -> Ticket:
    ticket = await limiter.acquire(rpm=rpm, tpm=tpm, tokens=tokens, on_wait=told)
    ticket.sent()
    return ticket


async def settled() -> None:
    """Let everybody who can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


# ---- properties -----------------------------------------------------------------------------------------------------


class Ask(NamedTuple):
    """One request of a random sequence; seconds and tokens."""

    gap_s: float
    tokens: int
    before_sent_s: float
    on_the_way_s: float
    duration_s: float
    used_share: float | None
    cancel_after_s: float | None


class Sent(NamedTuple):
    nth: int
    at: float
    arrived: float
    used: int


TPM = 1000
SECONDS = st.floats(0, 50).map(lambda seconds: round(seconds, 3))
ASKS = st.builds(
    Ask,
    gap_s=st.one_of(st.just(0.0), SECONDS),
    tokens=st.integers(0, TPM),
    before_sent_s=st.one_of(st.just(0.0), SECONDS),
    on_the_way_s=st.floats(0, MARGIN_S - 0.001),
    duration_s=SECONDS,
    used_share=st.one_of(st.none(), st.floats(0.9, 1.1)),
    cancel_after_s=st.one_of(st.none(), st.none(), SECONDS),
)
LIMITS = st.tuples(st.one_of(st.none(), st.integers(1, 5)), st.one_of(st.none(), st.just(TPM)))


async def play(limiter: Limiter, asks: list[Ask], rpm: int | None, tpm: int | None) -> tuple[list[int], list[Sent]]:
    """Send them all, some given up at random moments; who got a ticket, in order, and what was sent."""
    issued: list[int] = []
    sent: list[Sent] = []

    async def one(index: int, ask: Ask) -> None:
        with await limiter.acquire(rpm=rpm, tpm=tpm, tokens=ask.tokens, on_wait=Told()) as ticket:
            issued.append(index)
            await asyncio.sleep(ask.before_sent_s)
            ticket.sent()
            used = ask.tokens if ask.used_share is None else int(ask.tokens * ask.used_share)
            sent.append(Sent(index, now(), now() + ask.on_the_way_s, used))
            try:
                await asyncio.sleep(ask.duration_s)
            finally:
                ticket.settle(None if ask.used_share is None else used)

    tasks = []
    for index, ask in enumerate(asks):
        await asyncio.sleep(ask.gap_s)
        tasks.append(asyncio.create_task(one(index, ask)))
        if ask.cancel_after_s is not None:
            asyncio.get_running_loop().call_later(ask.cancel_after_s, tasks[-1].cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    return issued, sent


def fullest_window(moments_and_amounts: Iterable[tuple[float, int]]) -> int:
    """The largest sum of amounts in any window that begins with one of the moments."""
    pairs = list(moments_and_amounts)
    return max((sum(n for at, n in pairs if begin <= at < begin + WINDOW_S) for begin, _ in pairs), default=0)


@settings(max_examples=150 * FUZZ, deadline=None)
@given(asks=st.lists(ASKS, max_size=25), held=LIMITS)
def test_no_window_is_above_a_limit_and_nobody_overtakes(asks: list[Ask], held: tuple[int | None, int | None]) -> None:
    rpm, tpm = held

    async def main(limiter: Limiter) -> tuple[list[int], list[Sent]]:
        outcome = await play(limiter, asks, rpm, tpm)
        # Nothing may be left of it, whatever was cancelled when: a whole minute's worth goes at once.
        await asyncio.sleep(COUNTED_S)
        told = Told()
        for _ in range(rpm or 5):
            await send(limiter, told, rpm=rpm, tpm=tpm, tokens=TPM // (rpm or 5))
        assert not told.calls
        return outcome

    issued, sent = run(main)
    assert issued == sorted(issued)
    if rpm is not None:
        assert fullest_window((one.at, 1) for one in sent) <= rpm
        assert fullest_window((one.arrived, 1) for one in sent) <= rpm, "as the server sees it"
    if tpm is not None:
        assert fullest_window((one.at, one.used) for one in sent) <= tpm * 1.1, "estimates are within 10 %"


def soonest(asks: list[Ask], rpm: int | None, tpm: int | None) -> list[float]:
    """When each goes if all go as soon as the limits allow, in order; by looking at every moment that matters."""
    gone: list[tuple[float, int]] = []
    asked_at = 0.0
    for ask in asks:
        asked_at += ask.gap_s
        first = max(asked_at, gone[-1][0] if gone else 0.0)
        for moment in sorted({first} | {at + COUNTED_S for at, _ in gone if at + COUNTED_S > first}):
            counted = [tokens for at, tokens in gone if at + COUNTED_S > moment]
            if (rpm is None or len(counted) < rpm) and (tpm is None or sum(counted) + ask.tokens <= tpm):
                gone.append((moment, ask.tokens))
                break
    return [at for at, _ in gone]


@settings(max_examples=100 * FUZZ, deadline=None)
@given(asks=st.lists(ASKS, max_size=25), held=LIMITS)
def test_everybody_goes_as_soon_as_the_limits_allow(asks: list[Ask], held: tuple[int | None, int | None]) -> None:
    rpm, tpm = held
    plain = [ask._replace(before_sent_s=0, used_share=None, cancel_after_s=None) for ask in asks]
    _, sent = run(lambda limiter: play(limiter, plain, rpm, tpm))
    assert [one.at for one in sent] == pytest.approx(soonest(plain, rpm, tpm), abs=1e-6)


@settings(max_examples=50 * FUZZ, deadline=None)
@given(tokens=st.lists(st.integers(0, TPM), min_size=1, max_size=15), held=LIMITS)
def test_what_is_told_first_is_how_long_it_takes(tokens: list[int], held: tuple[int | None, int | None]) -> None:
    rpm, tpm = held

    async def main(limiter: Limiter) -> None:
        async def one(told: Told, amount: int) -> float:
            await send(limiter, told, rpm=rpm, tpm=tpm, tokens=amount)
            return now()

        tolds = [Told() for _ in tokens]
        went = await asyncio.gather(*map(one, tolds, tokens))
        for told, at in zip(tolds, went, strict=True):
            assert bool(told.calls) == (at > 0)
            for when, left_s, _ in told.calls:
                assert when + left_s == pytest.approx(at, abs=1e-6)
            moments = [when for when, _, _ in told.calls]
            assert all(0.999 < after - before < 1.001 for before, after in itertools.pairwise(moments))

    run(main)


# ---- the cases by name ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        pytest.param({"rpm": 2}, "limit of 2 requests a minute (rpm)", id="requests"),
        pytest.param({"tpm": 2000}, "limit of 2,000 tokens a minute (tpm)", id="tokens"),
    ],
)
def test_the_third_waits_for_the_window_and_hears_why(held: dict[str, int], reason: str) -> None:
    async def main(limiter: Limiter) -> None:
        told = Told()
        for _ in range(3):
            await send(limiter, told, **held, tokens=1000)
        assert now() == pytest.approx(COUNTED_S)
        assert told.calls[0] == (0, COUNTED_S, reason)
        assert len(told.calls) == 61

    run(main)


def test_without_limits_nobody_waits_but_what_went_counts_once_there_is_one() -> None:
    async def main(limiter: Limiter) -> None:
        for _ in range(50):
            await send(limiter, tokens=10**9)
        assert now() == 0
        await send(limiter, rpm=50)
        assert now() == pytest.approx(COUNTED_S)

    run(main)


def test_the_window_begins_when_the_request_leaves() -> None:
    async def main(limiter: Limiter) -> None:
        ticket = await limiter.acquire(rpm=1, tpm=None, tokens=1, on_wait=Told())
        asyncio.get_running_loop().call_later(100, ticket.sent)
        await send(limiter, rpm=1)
        assert now() == pytest.approx(100 + COUNTED_S)

    run(main)


def test_a_request_that_leaves_again_counts_from_then() -> None:
    async def main(limiter: Limiter) -> None:
        ticket = await send(limiter, rpm=1)
        asyncio.get_running_loop().call_later(10, ticket.sent)
        await send(limiter, rpm=1)
        assert now() == pytest.approx(10 + COUNTED_S)
        ticket.sent()  # long after it stopped counting
        await send(limiter, rpm=1)
        assert now() == pytest.approx(10 + 2 * COUNTED_S)

    run(main)


@pytest.mark.parametrize(
    ("used", "expected_s"),
    [
        pytest.param(100, 5.25, id="less was used: the next goes at once"),
        pytest.param(0, 5.25, id="nothing was used"),
        pytest.param(None, COUNTED_S, id="unknown: the estimate stays"),
        pytest.param(5000, COUNTED_S, id="more was used"),
    ],
)
def test_settling_replaces_the_reservation(used: int | None, expected_s: float) -> None:
    async def main(limiter: Limiter) -> None:
        ticket = await send(limiter, tpm=1000, tokens=900)
        asyncio.get_running_loop().call_later(5.25, ticket.settle, used)  # between two looks
        await send(limiter, tpm=1000, tokens=800)
        assert now() == pytest.approx(expected_s)

    run(main)


@pytest.mark.parametrize("used", [0, 700, 5000])
def test_settling_after_the_window_changes_nothing(used: int) -> None:
    async def main(limiter: Limiter) -> None:
        ticket = await send(limiter, tpm=1000, tokens=700)
        await asyncio.sleep(COUNTED_S + 1)
        await send(limiter, tpm=1000, tokens=700)
        ticket.settle(used)
        await send(limiter, tpm=1000, tokens=700)
        assert now() == pytest.approx(2 * COUNTED_S + 1)

    run(main)


def test_settled_without_having_been_marked_it_counts_as_sent() -> None:
    async def main(limiter: Limiter) -> None:
        ticket = await limiter.acquire(rpm=1, tpm=None, tokens=1, on_wait=Told())
        await asyncio.sleep(3)
        ticket.settle(1)
        await send(limiter, rpm=1)
        assert now() == pytest.approx(3 + COUNTED_S)

    run(main)


@pytest.mark.parametrize("is_sent", [True, False], ids=["sent", "never sent"])
def test_only_a_request_that_never_went_out_gives_its_place_back(is_sent: bool) -> None:
    async def main(limiter: Limiter) -> None:
        with await limiter.acquire(rpm=1, tpm=100, tokens=100, on_wait=Told()) as ticket:
            if is_sent:
                ticket.sent()
        await send(limiter, rpm=1, tpm=100, tokens=100)
        assert now() == pytest.approx(COUNTED_S if is_sent else 0)

    run(main)


def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    async def main(limiter: Limiter) -> None:
        order: list[str] = []

        async def one(name: str, tokens: int) -> None:
            await send(limiter, tpm=1000, tokens=tokens)
            order.append(name)

        await one("first", 500)
        large = asyncio.create_task(one("large", 1000))
        await settled()
        await asyncio.gather(large, *(one(f"small {n}", 10) for n in range(3)))
        assert order == ["first", "large", "small 0", "small 1", "small 2"]

    run(main)


@pytest.mark.parametrize("cancelled", [0, 1, 2], ids=["the first in line", "one in the middle", "the last"])
@pytest.mark.parametrize("after_s", [0, 0.5, 30, COUNTED_S], ids=lambda seconds: f"after {seconds} s")
def test_who_gives_up_leaves_nothing_behind(cancelled: int, after_s: float) -> None:
    async def main(limiter: Limiter) -> None:
        await send(limiter, rpm=1)
        line = [asyncio.create_task(send(limiter, rpm=1)) for _ in range(3)]
        await settled()
        await asyncio.sleep(after_s)
        is_given_up = line.pop(cancelled).cancel()
        await asyncio.gather(*line)
        assert now() == pytest.approx(2 * COUNTED_S if is_given_up else 3 * COUNTED_S)

    run(main)


def test_cancelled_at_the_moment_of_its_turn_it_has_either_the_ticket_or_nothing() -> None:
    async def main(limiter: Limiter) -> None:
        first = await limiter.acquire(rpm=1, tpm=None, tokens=1, on_wait=Told())
        second = asyncio.create_task(limiter.acquire(rpm=1, tpm=None, tokens=1, on_wait=Told()))
        await settled()
        first.cancel()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await send(limiter, rpm=1)
        assert now() == 0

    run(main)


def test_who_fails_while_being_told_leaves_nothing_behind() -> None:
    async def main(limiter: Limiter) -> None:
        def broken(seconds: float, reason: str) -> None:
            raise BrokenPipeError

        await send(limiter, rpm=1)
        with pytest.raises(BrokenPipeError):
            await limiter.acquire(rpm=1, tpm=None, tokens=1, on_wait=broken)
        await send(limiter, rpm=1)
        assert now() == pytest.approx(COUNTED_S)

    run(main)


@pytest.mark.parametrize(
    ("before", "after", "expected_s"),
    [
        pytest.param((1, None), (9, None), 7.25, id="rpm raised"),
        pytest.param((1, None), (None, None), 7.25, id="rpm taken away"),
        pytest.param((None, 100), (None, 900), 7.25, id="tpm raised"),
        pytest.param((1, None), (None, 100), COUNTED_S, id="the other limit instead"),
    ],
)
def test_a_changed_limit_holds_at_once_for_those_in_line(
    before: tuple[int | None, int | None], after: tuple[int | None, int | None], expected_s: float
) -> None:
    async def main(limiter: Limiter) -> None:
        (rpm, tpm), (new_rpm, new_tpm) = before, after
        await send(limiter, rpm=rpm, tpm=tpm, tokens=100)
        waiting = asyncio.create_task(send(limiter, rpm=rpm, tpm=tpm, tokens=100))
        await asyncio.sleep(7.25)  # between two looks
        newcomer = asyncio.create_task(send(limiter, rpm=new_rpm, tpm=new_tpm, tokens=0))
        await waiting
        assert now() == pytest.approx(expected_s)
        await newcomer

    run(main)


def test_a_call_above_the_limit_is_refused_before_anything_is_sent() -> None:
    async def main(limiter: Limiter) -> None:
        with pytest.raises(ProviderError) as raised:
            await limiter.acquire(rpm=None, tpm=40_000, tokens=50_000, on_wait=Told())
        assert "50,000 tokens" in raised.value.message
        assert "40,000 tokens a minute" in raised.value.message
        assert "tpm" in (raised.value.hint or "")
        assert not raised.value.retryable
        await send(limiter, rpm=1, tpm=40_000, tokens=40_000)
        assert now() == 0

    run(main)


@pytest.mark.parametrize("place", [0, 1], ids=["first in line", "second in line"])
def test_a_limit_lowered_below_what_somebody_in_line_needs_refuses_it(place: int) -> None:
    async def main(limiter: Limiter) -> None:
        await send(limiter, tpm=1000, tokens=1000)
        line = [asyncio.create_task(send(limiter, tpm=1000, tokens=900 if n == place else 1)) for n in range(2)]
        await settled()
        others = [line[1 - place], asyncio.create_task(send(limiter, tpm=800, tokens=1))]
        with pytest.raises(ProviderError):
            await line[place]
        assert now() <= 1
        await asyncio.gather(*others)
        assert now() == pytest.approx(COUNTED_S)

    run(main)


# ---- registries -----------------------------------------------------------------------------------------------------


def test_one_owner_has_one_limiter_whichever_thread_asks() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: limits.limiter("config p1"), range(200)))
    assert len(found) == 1
    assert limits.limiter("config p2") not in found


def test_a_forked_child_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = limits.limiter("config p1")
    limits.learn_output("config e1", 10_000)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert limits.limiter("config p1") is not parents
    assert limits.expected_output("config e1") == 512


def test_the_expected_output_follows_what_was_answered() -> None:
    owner = "config follows"
    assert limits.expected_output(owner) == 512
    limits.learn_output(owner, 112)
    assert limits.expected_output(owner) == 412
    for _ in range(30):
        limits.learn_output(owner, 2000)
    assert limits.expected_output(owner) == pytest.approx(2000, rel=0.01)
    assert limits.expected_output("config another") == 512


@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_the_expected_output_stays_between_the_extremes(answers: list[int]) -> None:
    owner = f"config {answers}"
    before = limits.expected_output(owner)
    for tokens in answers:
        limits.learn_output(owner, tokens)
    assert min([before, *answers]) <= limits.expected_output(owner) <= max([before, *answers])

"""Which of a provider's keys a call takes, and how long one that failed is left alone."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.calls.keys import Key, KeyRing, candidates, cooldown_s, ring
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import Provider, RoutingStrategy
from ccw_magics.errors import ProviderError

STRATEGIES: tuple[RoutingStrategy | None, ...] = (None, *get_args(RoutingStrategy))
A, B, C = (
    Key(name, Secret(f"sk-canary-key-number-{name}"), name, weight) for name, weight in [("a", 1), ("b", 3), ("c", 0)]
)


class Clock:
    """A time that stands until it is moved."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> KeyRing:
    return KeyRing(random.Random(7), clock)


def drawn(keys: KeyRing, strategy: RoutingStrategy | None, among: tuple[Key, ...] = (A, B, C)) -> Counter[str]:
    chosen = [keys.choose(among, strategy) for _ in range(4000)]
    return Counter(key.id for key in chosen if key is not None)


# ---- candidates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, [], id="no key at all"),
        pytest.param({"apiKey": "${ONE}"}, [("", "${ONE}", "apiKey", 1)], id="apiKey alone, unresolved"),
        pytest.param(
            {"apiKeys": [{"id": "x", "key": "${X}"}]}, [("x", "${X}", "x", 1)], id="apiKeys alone, named by their id"
        ),
        pytest.param(
            {"apiKey": "${ONE}", "apiKeys": [{"id": "x", "key": "keyring:x", "label": "Team", "weight": 2.5}]},
            [("", "${ONE}", "apiKey", 1), ("x", "keyring:x", "Team", 2.5)],
            id="apiKey is the first",
        ),
        pytest.param(
            {
                "apiKeys": [
                    {"id": "x", "key": "${X}", "enabled": False},
                    {"id": "y", "key": ""},
                    {"id": "z", "key": "${Z}"},
                ]
            },
            [("z", "${Z}", "z", 1)],
            id="disabled and empty ones are left out",
        ),
    ],
)
def test_the_keys_a_provider_may_be_called_with(
    config: dict[str, Any], expected: list[tuple[str, str, str, float]]
) -> None:
    found = candidates(Provider.model_validate({"id": "p1", "type": "openai", **config}))
    assert [(key.id, key.key.reveal(), key.label, key.weight) for key in found] == expected


# ---- strategies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_there_is_no_key_none_is_chosen(keys: KeyRing, strategy: RoutingStrategy | None) -> None:
    assert keys.choose([], strategy) is None
    assert keys.choose([A, B], strategy, exclude={"a", "b"}) is None
    assert keys.choose([A, B], strategy, exclude={"a"}) is B


@pytest.mark.parametrize(
    ("strategy", "among", "shares"),
    [
        pytest.param(None, (A, B, C), {"a": 1}, id="none: always the first"),
        pytest.param(
            "simple-shuffle", (A, B, C), {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, id="shuffle: equal, whatever the weight"
        ),
        pytest.param("weighted", (A, B, C), {"a": 0.25, "b": 0.75}, id="weighted: by weight, never 0"),
        pytest.param("weighted", (C,), {"c": 1}, id="weighted: 0 where nothing else is left"),
        pytest.param("least-busy", (A, B, C), {"a": 1}, id="least-busy: the first of equals"),
    ],
)
def test_shares(
    keys: KeyRing, strategy: RoutingStrategy | None, among: tuple[Key, ...], shares: dict[str, float]
) -> None:
    found = drawn(keys, strategy, among)
    assert found.keys() == shares.keys()
    for key_id, share in shares.items():
        assert found[key_id] / 4000 == pytest.approx(share, abs=0.03)


def test_weight_zero_serves_while_the_others_cool_down(keys: KeyRing) -> None:
    keys.cool(A, 30)
    keys.cool(B, 30)
    assert keys.choose([A, B, C], "weighted") is C


def test_latency_unmeasured_first_then_the_fastest_mean(keys: KeyRing) -> None:
    order = []
    for first_token_s in (0.9, 0.2, 0.5):
        key = keys.choose([A, B, C], "latency-based")
        assert key is not None
        order.append(key)
        with keys.using(key) as use:
            use.first_token_s = first_token_s
    assert order == [A, B, C]
    assert keys.choose([A, B, C], "latency-based") is B
    chosen = []
    for _ in range(3):  # one slow call is not enough
        keys.begin(B)
        keys.end(B, first_token_s=1.0)
        chosen.append(keys.choose([A, B, C], "latency-based"))
    assert chosen == [B, C, C]


def test_latency_calls_at_the_same_time_measure_different_keys(keys: KeyRing) -> None:
    keys.begin(A)
    assert keys.choose([A, B], "latency-based") is B


def test_latency_one_slow_call_does_not_put_a_key_aside_for_ever(keys: KeyRing, clock: Clock) -> None:
    for key, first_token_s in ((A, 90.0), (B, 1.0)):
        keys.begin(key)
        keys.end(key, first_token_s=first_token_s)
    assert keys.choose([A, B], "latency-based") is B
    clock.now += 3599
    keys.begin(B)
    keys.end(B, first_token_s=1.0)
    assert keys.choose([A, B], "latency-based") is B
    clock.now += 2
    assert keys.choose([A, B], "latency-based") is A
    keys.begin(A)
    keys.end(A, first_token_s=0.5)
    assert keys.choose([A, B], "latency-based") is A, "an outdated mean is not mixed in"


@given(st.lists(st.floats(0.001, 5), min_size=30, max_size=60))
def test_cost_is_spread_evenly(costs: list[float]) -> None:
    keys, spent = KeyRing(), dict.fromkeys("abc", 0.0)
    for cost in costs:
        key = keys.choose([A, B, C], "cost-based")
        assert key is not None
        with keys.using(key) as use:
            use.cost_usd = cost
        spent[key.id] += cost
    assert max(spent.values()) - min(spent.values()) <= max(costs) + 1e-9


def test_cost_unknown_spreads_the_calls(keys: KeyRing) -> None:
    chosen: Counter[str] = Counter()
    for _ in range(30):
        key = keys.choose([A, B, C], "cost-based")
        assert key is not None
        with keys.using(key):
            chosen[key.id] += 1
    assert chosen == {"a": 10, "b": 10, "c": 10}


@given(st.lists(st.booleans(), max_size=60))
def test_the_least_busy_is_one_with_the_fewest_calls_under_way(steps: list[bool]) -> None:
    keys, under_way = KeyRing(), dict.fromkeys((A, B, C), 0)
    rng = random.Random(len(steps))
    for is_begin in steps:
        busy = [key for key, calls in under_way.items() if calls]
        if is_begin or not busy:
            key = keys.choose([A, B, C], "least-busy")
            assert key is not None
            assert under_way[key] == min(under_way.values())
            keys.begin(key)
            under_way[key] += 1
        else:
            key = rng.choice(busy)
            keys.end(key)
            under_way[key] -= 1


def test_a_failed_call_is_no_longer_under_way(keys: KeyRing) -> None:
    def fail() -> None:
        with keys.using(A):
            assert keys.choose([A, B], "least-busy") is B
            raise ProviderError("failed")

    with pytest.raises(ProviderError):
        fail()
    assert keys.choose([A, B], "least-busy") is A


# ---- cooldown -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_cooling_key_is_passed_over_until_nothing_else_is_left(
    keys: KeyRing, clock: Clock, strategy: RoutingStrategy | None
) -> None:
    keys.cool(A, 600)
    assert {keys.choose([A, B], strategy) for _ in range(50)} == {B}
    keys.cool(B, 30)
    assert keys.choose([A, B], strategy) is B, "the one that is ready first"
    assert keys.choose([A, B], strategy, exclude={"b"}) is A
    clock.now += 30
    assert keys.cooling_s(B) == 0
    assert keys.cooling_s(A) == 570
    assert keys.choose([A, B], strategy) is B
    clock.now += 570
    assert keys.choose([A], strategy) is A
    assert keys.cooling_s(A) == 0


def test_a_shorter_cooldown_does_not_end_a_longer_one(keys: KeyRing) -> None:
    keys.cool(A, 600)
    keys.cool(A, 30)
    assert keys.cooling_s(A) == 600


def test_an_edited_key_starts_afresh_and_one_put_back_does_not(keys: KeyRing) -> None:
    keys.cool(A, 600)
    assert keys.cooling_s(Key("a", Secret("sk-canary-another-key"), "a", 1)) == 0
    assert keys.cooling_s(Key("b", A.key, "b", 1)) == 0
    assert keys.cooling_s(Key("a", Secret(A.key.reveal()), "renamed", 9)) == 600


def test_no_key_text_is_kept_or_shown(keys: KeyRing) -> None:
    keys.cool(A, 600)
    text = A.key.reveal()
    assert text not in repr(vars(keys))
    assert text not in repr(A)
    assert text.encode() not in repr(vars(keys)).encode()


@pytest.mark.parametrize(
    ("status", "retry_after_s", "expected"),
    [
        pytest.param(429, None, 30, id="429 without Retry-After"),
        pytest.param(429, 7.5, 7.5, id="429 with Retry-After"),
        pytest.param(429, 0.0, 0, id="429, at once"),
        pytest.param(401, None, 600, id="401"),
        pytest.param(402, None, 600, id="402: the key's account is empty"),
        pytest.param(403, 5.0, 600, id="403"),
        *(pytest.param(status, 5.0, None, id=str(status)) for status in (400, 404, 408, 409, 413, 500, 502, 503, 529)),
        pytest.param(None, None, None, id="no answer"),
    ],
)
def test_what_a_failure_means_for_the_key(
    status: int | None, retry_after_s: float | None, expected: float | None
) -> None:
    assert cooldown_s(ProviderError("failed", status=status, retry_after_s=retry_after_s)) == expected


# ---- registry -------------------------------------------------------------------------------------------------------


def test_one_owner_has_one_ring_and_a_forked_child_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = ring("config p1")
    assert ring("config p1") is parents
    assert ring("config p2") is not parents
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert ring("config p1") is not parents

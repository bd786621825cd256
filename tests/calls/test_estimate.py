"""What a call is expected to take: the share that stays cached, and what both cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.backends.base import Exchange, ModelCall, Usage
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.calls import tokens
from ccw_magics.calls.estimate import Estimate, answer_tokens, estimate, limit_of, sample_usd

FILE = "word " * 5000
CALL = ModelCall("openai", "gpt-4o", "why?")


class Priced:
    """Counts words; prices are of a million tokens: plain, cached, written to the cache, answered.

    As some price maps have it, writing may have a price of 0 though it is billed as input.
    """

    def __init__(self, prices: tuple[float, float, float, float] | None = (1.0, 0.1, 1.25, 5.0)) -> None:
        self._prices = prices

    async def count_tokens(self, _call: ModelCall, text: str) -> int:
        return len(text.split())

    async def price_usd(self, _call: ModelCall, usage: Usage) -> float | None:
        if self._prices is None:
            return None
        plain, cached, written, answered = self._prices
        rest = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        parts = (rest * plain, usage.cached_input_tokens * cached, usage.cache_write_tokens * written)
        return (sum(parts) + usage.output_tokens * answered) / 1e6


def _estimate(call: ModelCall, backend: Any = None, output_tokens: int = 100) -> Estimate:
    tokens._factors.clear()
    found = asyncio.run(estimate(backend or Priced(), call, output_tokens))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("call", "share"),
    [
        pytest.param(CALL, 0.0, id="a question alone"),
        pytest.param(replace(CALL, tail=FILE), 0.0, id="a pack that is not kept"),
        pytest.param(replace(CALL, blocks=(FILE,)), 1.0, id="a kept pack"),
        pytest.param(replace(CALL, blocks=(FILE,), tail=FILE), 0.5, id="with as large a tail"),
        pytest.param(replace(CALL, blocks=("word " * 500,)), 0.0, id="too short to be cached"),
        pytest.param(replace(CALL, blocks=("word " * 500,), provider_type="local"), 1.0, id="but here"),
        pytest.param(replace(CALL, turns=(Exchange(FILE, "so"),)), 1.0, id="a conversation"),
        pytest.param(replace(CALL, turns=(Exchange(FILE, "so"),), tail=FILE), 0.5, id="with news as large"),
        pytest.param(replace(CALL, system=FILE, blocks=(FILE,), tail=FILE), 0.67, id="the system prompt too"),
    ],
)
def test_the_share_that_stays_cached(call: ModelCall, share: float) -> None:
    found = _estimate(call)
    assert found.cached_tokens == pytest.approx(share * found.input_tokens, rel=0.06)


@pytest.mark.parametrize(
    ("prices", "call", "cold", "cached"),
    [
        pytest.param((1, 0.1, 1.25, 5), replace(CALL, blocks=(FILE,)), 1.25, 0.1, id="writing is dearer"),
        pytest.param((1, 0.5, 1, 5), replace(CALL, blocks=(FILE,)), 1, 0.5, id="writing is free"),
        pytest.param((1, 0.1, 0, 5), replace(CALL, blocks=(FILE,)), 1, 0.1, id="writing has no price"),
        pytest.param((1, 0.1, 1.25, 5), replace(CALL, tail=FILE), 1, 1, id="nothing is kept"),
        pytest.param((1, 0.1, 1.25, 5), replace(CALL, prompt=FILE, is_kept=True), 1.25, 1.25, id="the prompt is kept"),
        pytest.param(
            (1, 0.1, 1.25, 5),
            replace(CALL, prompt=FILE, is_kept=True, turns=(Exchange(FILE, "so"),)),
            1.25,
            (1.25 + 0.1) / 2,
            id="and the conversation",
        ),
    ],
)
def test_cost_cold_and_cached(
    prices: tuple[float, float, float, float], call: ModelCall, cold: float, cached: float
) -> None:
    found = _estimate(call, Priced(prices))
    answer_usd = 100 * prices[3] / 1e6
    assert found.answer_usd == pytest.approx(answer_usd)
    assert found.cold_usd == pytest.approx(found.input_tokens * cold / 1e6 + answer_usd, rel=0.01)
    assert found.cached_usd == pytest.approx(found.input_tokens * cached / 1e6 + answer_usd, rel=0.02)


def test_an_unknown_price_is_not_nothing() -> None:
    found = _estimate(CALL, Priced(None))
    assert (found.cold_usd, found.cached_usd, found.prompt_usd, found.answer_usd) == (None, None, None, None)


@pytest.mark.parametrize(("prices", "usd"), [((0, 0, 0, 0), 0.0), (None, None), ((0, 0, 0, 5), 0.005)], ids=str)
def test_a_sample_tells_the_free_from_the_unknown(prices: Any, usd: float | None) -> None:
    backend: Any = Priced(prices)
    assert asyncio.run(sample_usd(backend, CALL)) == usd


@pytest.mark.parametrize(
    ("params", "limit"),
    [({}, None), ({"max_tokens": 9}, 9), ({"max_completion_tokens": 7}, 7), ({"max_tokens": 9, "temperature": 1}, 9)],
    ids=str,
)
def test_the_limit_of_the_answer(params: Mapping[str, Any], limit: int | None) -> None:
    call = replace(CALL, params=params)
    assert limit_of(call) == limit
    assert answer_tokens(call, 512) == (limit or 512)
    assert answer_tokens(call, 5) == 5


@pytest.mark.parametrize(
    ("kind", "model", "input_usd", "written"),
    [
        ("openai", "gpt-4o", 2.5, 1),
        ("anthropic", "claude-sonnet-4-5", 3.0, 1.25),
        ("google", "gemini-2.5-flash", 0.3, 1),
        ("deepseek", "deepseek-chat", 0.28, 1),
    ],
)
def test_real_prices(kind: str, model: str, input_usd: float, written: float) -> None:
    found = _estimate(ModelCall(kind, model, "why?", blocks=(FILE,)), LiteLLMBackend())
    assert found.prompt_usd == pytest.approx(found.input_tokens * input_usd * written / 1e6, rel=0.02)
    assert found.cached_prompt_usd is not None
    assert found.cached_prompt_usd < found.prompt_usd


@given(
    st.tuples(*[st.floats(0, 100)] * 4),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 5000),
    st.booleans(),
)
def test_nothing_costs_less_than_nothing(
    prices: tuple[float, float, float, float], kept: int, rest: int, output_tokens: int, is_kept: bool
) -> None:
    call = replace(CALL, blocks=("word " * kept,) if kept else (), tail="word " * rest, is_kept=is_kept)
    found = _estimate(call, Priced(prices), output_tokens)
    assert 0 <= found.cached_tokens <= found.input_tokens
    assert found.prompt_usd is not None
    assert found.prompt_usd >= 0
    assert found.cached_prompt_usd is not None
    assert found.cached_prompt_usd >= 0
    assert found.cold_usd == pytest.approx(found.prompt_usd + output_tokens * prices[3] / 1e6, abs=1e-9)

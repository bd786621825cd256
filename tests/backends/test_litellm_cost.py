"""What a call cost, against the providers' published prices; streamed and not, by the answer as it goes over the wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_server import Answer, WireServer

from ccw_magics.backends.base import Done, ModelCall, Usage
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.backends.litellm_cost import AnthropicUsage
from ccw_magics.config.credentials import Secret

M = 1_000_000
TABLE = [
    # https://www.anthropic.com/pricing: Sonnet 4.5 $3 in, $15 out; Opus 4.5 $5, $25; Haiku 4.5 $1, $5 a million tokens.
    # https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#pricing: read 0.1, write 1.25 (5 m) and 2 (1 h).
    ("anthropic", "claude-sonnet-4-5", {"input_tokens": 1000, "output_tokens": 200}, 1000 * 3 + 200 * 15, 6000),
    (
        "anthropic",
        "claude-sonnet-4-5",
        {"input_tokens": 100, "cache_read_input_tokens": 50_000, "output_tokens": 200},
        100 * 3 + 50_000 * 0.3 + 200 * 15,
        50_100 * 3 + 200 * 15,
    ),
    (
        "anthropic",
        "claude-sonnet-4-5",
        {"input_tokens": 100, "cache_creation_input_tokens": 40_000, "output_tokens": 200},
        100 * 3 + 40_000 * 3.75 + 200 * 15,
        40_100 * 3 + 200 * 15,
    ),
    (
        "anthropic",
        "claude-sonnet-4-5",
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 20_000,
            "cache_creation_input_tokens": 40_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 10_000, "ephemeral_1h_input_tokens": 30_000},
            "output_tokens": 200,
        },
        100 * 3 + 20_000 * 0.3 + 10_000 * 3.75 + 30_000 * 6 + 200 * 15,
        60_100 * 3 + 200 * 15,
    ),
    (
        "anthropic",
        "claude-opus-4-5",
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30_000},
            "output_tokens": 100,
        },
        10 * 5 + 30_000 * 10 + 100 * 25,
        30_010 * 5 + 100 * 25,
    ),
    (
        "anthropic",
        "claude-haiku-4-5",
        {"input_tokens": 10, "cache_read_input_tokens": 90_000, "output_tokens": 100},
        10 * 1 + 90_000 * 0.1 + 100 * 5,
        90_010 * 1 + 100 * 5,
    ),
    # https://openai.com/api/pricing: gpt-4o $2.50, cached $1.25, out $10; gpt-4.1 $2, $0.50, $8; gpt-5 $1.25, $0.125, $10.
    ("openai", "gpt-4o", (5000, 4096, 100), 904 * 2.5 + 4096 * 1.25 + 100 * 10, 5000 * 2.5 + 100 * 10),
    ("openai", "gpt-4.1", (5000, 4096, 100), 904 * 2 + 4096 * 0.5 + 100 * 8, 5000 * 2 + 100 * 8),
    ("openai", "gpt-5", (5000, 4096, 100), 904 * 1.25 + 4096 * 0.125 + 100 * 10, 5000 * 1.25 + 100 * 10),
    # https://ai.google.dev/gemini-api/docs/pricing: 2.5 Pro $1.25, cached $0.125, out $10; over 200k $2.50, $0.25, $15;
    # 2.5 Flash $0.30, $0.03, $2.50. Thoughts are billed as output.
    ("google", "gemini-2.5-pro", (5000, 4000, 100), 1000 * 1.25 + 4000 * 0.125 + 1000, 5000 * 1.25 + 1000),
    ("google", "gemini-2.5-pro", (250_000, 0, 100), 250_000 * 2.5 + 100 * 15, 250_000 * 2.5 + 100 * 15),
    ("google", "gemini-2.5-pro", (250_000, 200_000, 100), 50_000 * 2.5 + 200_000 * 0.25 + 1500, 250_000 * 2.5 + 1500),
    ("google", "gemini-2.5-flash", (5000, 4000, 100), 1000 * 0.3 + 4000 * 0.03 + 250, 5000 * 0.3 + 250),
    # https://api-docs.deepseek.com/quick_start/pricing: $0.28 for a miss, $0.028 for a hit, out $0.42.
    ("deepseek", "deepseek-chat", (5000, 4000, 100), 1000 * 0.28 + 4000 * 0.028 + 42, 5000 * 0.28 + 42),
]


def done(kind: str, model: str, wire: WireServer, *, stream: bool, ttl: str = "5m") -> Done:
    base = wire.url if kind in {"anthropic", "google", "deepseek"} else f"{wire.url}/v1"
    call = ModelCall(
        kind,
        model,
        "Hi",
        api_key=Secret("sk-canary-01"),
        api_base=base,
        stream=stream,
        provider_ttl=ttl,
        timeout_s=20.0,
    )

    async def last() -> Any:
        backend = LiteLLMBackend()
        try:
            return [event async for event in backend.stream(call)][-1]
        finally:
            await backend.aclose()

    event = asyncio.run(last())
    assert isinstance(event, Done)
    return event


def answer_of(usage: Any, *, stream: bool) -> Answer:
    """An answer with this usage; Anthropic's as it is on the wire, where a stream tells most of it at its start."""
    if isinstance(usage, tuple):
        return Answer("Fine.", input_tokens=usage[0], cached_tokens=usage[1], output_tokens=usage[2])
    message = {"id": "msg", "type": "message", "role": "assistant", "model": "claude", "content": []}
    if not stream:
        said = {"content": [{"type": "text", "text": "Fine."}], "stop_reason": "end_turn", "usage": usage}
        return Answer(body={**message, **said})
    events = [
        {"type": "message_start", "message": {**message, "usage": {**usage, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Fine."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": usage["output_tokens"]},
        },
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Answer(body=body, content_type="text/event-stream")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("kind", "model", "usage", "cost_musd", "uncached_musd"), TABLE)
def test_a_call_costs_what_the_provider_has_published(
    wire: WireServer, kind: str, model: str, usage: Any, cost_musd: float, uncached_musd: float, stream: bool
) -> None:
    wire.answers(answer_of(usage, stream=stream))
    end = done(kind, model, wire, stream=stream)
    assert end.cost_usd == pytest.approx(cost_musd / M)
    assert end.uncached_cost_usd == pytest.approx(uncached_musd / M)


def price(kind: str, model: str, usage: Usage | None, ttl: str = "5m") -> float | None:
    assert usage is not None
    return asyncio.run(LiteLLMBackend().price_usd(ModelCall(kind, model, "Hi", provider_ttl=ttl), usage))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("kind", "model", "usage", "cost_musd", "uncached_musd"), TABLE)
def test_a_price_before_the_call_is_the_cost_after_it(
    wire: WireServer, kind: str, model: str, usage: Any, cost_musd: float, uncached_musd: float, stream: bool
) -> None:
    kept = usage.get("cache_creation", {}) if isinstance(usage, dict) else {}
    if kept.get("ephemeral_5m_input_tokens") and kept.get("ephemeral_1h_input_tokens"):
        pytest.skip("a call asks for one time to keep what is written")
    ttl = "1h" if kept.get("ephemeral_1h_input_tokens") else "5m"
    wire.answers(answer_of(usage, stream=stream))
    end = done(kind, model, wire, stream=stream, ttl=ttl)
    assert price(kind, model, end.usage, ttl) == pytest.approx(end.cost_usd) == pytest.approx(cost_musd / M)
    assert end.usage is not None
    uncached = Usage(end.usage.input_tokens, output_tokens=end.usage.output_tokens)
    assert price(kind, model, uncached) == pytest.approx(uncached_musd / M)


@pytest.mark.parametrize(
    ("kind", "model"),
    [("openai", "house-model"), ("anthropic", "claude-unheard-of"), ("custom", "gpt-4o"), ("ollama", "llama3")],
)
def test_an_unknown_price_is_unknown_before_the_call_too(kind: str, model: str) -> None:
    assert price(kind, model, Usage(1000, 100, 0, 50)) is None


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("ttl", "factor"), [("5m", 1.25), ("1h", 2.0)])
def test_what_was_written_is_priced_by_how_long_it_was_to_be_kept(
    wire: WireServer, ttl: str, factor: float, stream: bool
) -> None:
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 1000, "output_tokens": 5}
    wire.answers(answer_of(usage, stream=stream))
    end = done("anthropic", "claude-sonnet-4-5", wire, stream=stream, ttl=ttl)
    assert end.usage == Usage(1010, 0, 1000, 5)
    assert end.cost_usd == pytest.approx((10 * 3 + 1000 * 3 * factor + 5 * 15) / M)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("kind", "model"), [("openai", "house-model"), ("anthropic", "claude-unheard-of"), ("custom", "gpt-4o")]
)
def test_an_unknown_price_is_none(wire: WireServer, kind: str, model: str, stream: bool) -> None:
    end = done(kind, model, wire, stream=stream)
    assert end.usage is not None
    assert (end.cost_usd, end.uncached_cost_usd) == (None, None)


counts = st.one_of(st.none(), st.integers(0, 10**7))


@given(counts, counts, counts, counts, counts, st.sampled_from(["5m", "1h"]))
def test_anthropics_parts_add_up(
    plain: int | None, read: int | None, written: int | None, hour: int | None, output: int | None, ttl: str
) -> None:
    raw = {
        "input_tokens": plain,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_1h_input_tokens": hour},
        "output_tokens": output,
    }
    used = AnthropicUsage.told(raw, ttl)
    assert used.usage.input_tokens == (plain or 0) + (read or 0) + (written or 0)
    assert min(used.written_5m, used.written_1h) >= 0
    assert 0 <= used.input_share <= 2

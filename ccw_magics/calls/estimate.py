"""What a call will take, before it is sent: tokens, the share of them that stays cached, cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ccw_magics.backends.base import Backend, ModelCall, Usage
from ccw_magics.calls import tokens
from ccw_magics.calls.progress import sum_of_known

CACHED_MIN_TOKENS: Final = 1024
"""A prefix shorter than this is cached by no hosted provider (OpenAI's and most Anthropic models' limit)."""
PROBE_TOKENS: Final = 1000
"""Of a call whose price is looked up, to learn what a token costs."""


@dataclass(frozen=True)
class Estimate:
    """What a call is expected to take.

    Attributes:
        input_tokens: Of the whole prompt.
        cached_tokens: Those of them in the prefix that stays the same from call to call, so that a provider can have
            it in its cache; 0 where the prefix is too short for that.
        output_tokens: Of the answer: its limit where that is lower than what answers had so far.
        prompt_usd: US dollars for the prompt where nothing is cached, what is written to the cache included; None where
            unknown.
        cached_prompt_usd: The same where the prefix is read from the cache.
        token_usd: US dollars for a token of the answer; None where unknown.
    """

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    prompt_usd: float | None
    cached_prompt_usd: float | None
    token_usd: float | None

    @property
    def answer_usd(self) -> float | None:
        """US dollars for the answer; None where unknown."""
        return None if self.token_usd is None else self.token_usd * self.output_tokens

    @property
    def cold_usd(self) -> float | None:
        """US dollars for prompt and answer where nothing is cached; None where unknown."""
        return sum_of_known([self.prompt_usd, self.answer_usd])

    @property
    def cached_usd(self) -> float | None:
        """US dollars for prompt and answer where the prefix is read from the cache; None where unknown."""
        return sum_of_known([self.cached_prompt_usd, self.answer_usd])


async def estimate(backend: Backend, call: ModelCall, output_tokens: int) -> Estimate | None:
    """What a call is expected to take; None where its tokens cannot be counted.

    Args:
        backend: Who would be asked.
        call: What would be sent, complete but for the key.
        output_tokens: What the answer is expected to have.
    """
    counted = await tokens.count(backend, call)
    if counted is None:
        return None
    prefix = _cached(call, counted)
    kept = counted if call.is_kept and _is_cacheable(call, counted) else prefix
    token_usd = await _token_usd(backend, call, counted)
    return Estimate(
        counted,
        prefix,
        output_tokens,
        await _prompt_usd(backend, call, Usage(counted, 0, kept), token_usd),
        await _prompt_usd(backend, call, Usage(counted, prefix, kept - prefix), token_usd),
        token_usd,
    )


async def sample_usd(backend: Backend, call: ModelCall) -> float | None:
    """What some call to the model costs, nothing counted: 0.0 where all are free, None where no price is known."""
    return await backend.price_usd(call, Usage(PROBE_TOKENS, output_tokens=PROBE_TOKENS))


def answer_tokens(call: ModelCall, expected: int) -> int:
    """What an answer is expected to have, within the limit that the call sets."""
    return min(expected, limit_of(call) or expected)


def limit_of(call: ModelCall) -> int | None:
    """The limit of the answer's tokens that the call sets, if any."""
    limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens")
    return int(limit) if limit else None


async def _token_usd(backend: Backend, call: ModelCall, counted: int) -> float | None:
    one = await backend.price_usd(call, Usage(counted, output_tokens=PROBE_TOKENS))
    two = await backend.price_usd(call, Usage(counted, output_tokens=2 * PROBE_TOKENS))
    return None if one is None or two is None else (two - one) / PROBE_TOKENS


async def _prompt_usd(backend: Backend, call: ModelCall, usage: Usage, token_usd: float | None) -> float | None:
    """What a prompt costs; what is written to the cache counts as input where writing has no price of its own."""
    plain = replace(usage, cache_write_tokens=0)
    prices = [await backend.price_usd(call, replace(used, output_tokens=PROBE_TOKENS)) for used in (usage, plain)]
    known = [price for price in prices if price is not None]
    return max(0.0, max(known) - token_usd * PROBE_TOKENS) if known and token_usd is not None else None


def _cached(call: ModelCall, counted: int) -> int:
    """The prefix's share of the tokens, by its share of the bytes."""
    if not (call.blocks or call.turns):
        return 0
    tail = call.asked if call.turns else call.text[len("".join(call.blocks)) :]
    share = 1 - len(tail.encode()) / max(1, len(tokens.text_of(call).encode()))
    prefix = int(counted * share)
    return prefix if _is_cacheable(call, prefix) else 0


def _is_cacheable(call: ModelCall, prefix: int) -> bool:
    return prefix >= CACHED_MIN_TOKENS or call.provider_type in {"local", "ollama", "custom"}

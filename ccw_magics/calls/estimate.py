"""What a call will take, before it is sent: tokens, the share of them that stays cached, cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ccw_magics.backends.base import Backend, ModelCall, Usage
from ccw_magics.calls import tokens

CACHED_MIN_TOKENS: Final = 1024
"""A prefix shorter than this is cached by no hosted provider (OpenAI's and most Anthropic models' limit)."""


@dataclass(frozen=True)
class Estimate:
    """What a call is expected to take.

    Attributes:
        input_tokens: Of the whole prompt.
        cached_tokens: Those of them in the prefix that stays the same from call to call, so that a provider can have
            it in its cache; 0 where the prefix is too short for that.
        output_tokens: Of the answer: its limit where that is lower than what answers had so far.
        cold_usd: US dollars where nothing is cached, what is written to the cache included; None where unknown.
        cached_usd: US dollars where the prefix is read from the cache; None where unknown.
    """

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cold_usd: float | None
    cached_usd: float | None


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
    cold, cached = Usage(counted, 0, prefix, output_tokens), Usage(counted, prefix, 0, output_tokens)
    return Estimate(
        counted, prefix, output_tokens, await backend.price_usd(call, cold), await backend.price_usd(call, cached)
    )


def answer_tokens(call: ModelCall, expected: int) -> int:
    """What an answer is expected to have, within the limit that the call sets."""
    return min(expected, limit_of(call) or expected)


def limit_of(call: ModelCall) -> int | None:
    """The limit of the answer's tokens that the call sets, if any."""
    limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens")
    return int(limit) if limit else None


def _cached(call: ModelCall, counted: int) -> int:
    """The prefix's share of the tokens, by its share of the bytes."""
    tail = call.asked if call.turns else call.text[len("".join(call.blocks)) :]
    whole = len(call.system.encode()) + len(call.text.encode())
    share = 1 - len(tail.encode()) / max(1, whole)
    prefix = int(counted * share) if call.blocks or call.turns else 0
    is_hosted = call.provider_type not in {"local", "ollama", "custom"}
    return 0 if is_hosted and prefix < CACHED_MIN_TOKENS else prefix

"""What a call used and cost: the provider's own count, litellm's price map, and Anthropic's published factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ccw_magics.backends.base import Usage

CACHE_READ: Final = 0.1
CACHE_WRITE_5M: Final = 1.25
CACHE_WRITE_1H: Final = 2.0
"""Anthropic's cache prices, as factors of a model's input price, the same for every model.

litellm's map lacks some of them, and its stream the tokens written for an hour.
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#pricing
"""
OWN_PRICES: Final = frozenset({"custom", "ollama"})
"""Where a model's name says nothing about its price: the server is somebody's own."""


@dataclass(frozen=True)
class AnthropicUsage:
    """Tokens of one call as Anthropic counts them: those from or for the cache are not among the input tokens.

    Attributes:
        plain: Neither read from the cache nor written to it.
        read: Read from the cache.
        written_5m: Written to be kept for five minutes.
        written_1h: Written to be kept for an hour.
        output: Tokens of the answer.
    """

    plain: int
    read: int
    written_5m: int
    written_1h: int
    output: int

    @classmethod
    def told(cls, raw: Mapping[str, Any], provider_ttl: str) -> AnthropicUsage:
        """From the usage on the wire; a server that does not say how long it keeps what it wrote does as told."""
        written = int(raw.get("cache_creation_input_tokens") or 0)
        kept: Any = raw.get("cache_creation")
        if isinstance(kept, Mapping):
            written_1h = min(written, int(kept.get("ephemeral_1h_input_tokens") or 0))
        else:
            written_1h = written if provider_ttl == "1h" else 0
        return cls(
            plain=int(raw.get("input_tokens") or 0),
            read=int(raw.get("cache_read_input_tokens") or 0),
            written_5m=written - written_1h,
            written_1h=written_1h,
            output=int(raw.get("output_tokens") or 0),
        )

    @classmethod
    def of(cls, usage: Usage, provider_ttl: str) -> AnthropicUsage:
        """From tokens as all providers' are told; all that is written is kept for as long as asked."""
        written_1h = usage.cache_write_tokens if provider_ttl == "1h" else 0
        return cls(
            plain=max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
            read=usage.cached_input_tokens,
            written_5m=usage.cache_write_tokens - written_1h,
            written_1h=written_1h,
            output=usage.output_tokens,
        )

    @property
    def usage(self) -> Usage:
        """As all providers' tokens are told."""
        written = self.written_5m + self.written_1h
        return Usage(self.plain + self.read + written, self.read, written, self.output)

    @property
    def input_share(self) -> float:
        """What the input costs, measured in what it would cost without the cache."""
        weighed = CACHE_READ * self.read + CACHE_WRITE_5M * self.written_5m + CACHE_WRITE_1H * self.written_1h
        return (self.plain + weighed) / max(1, self.usage.input_tokens)


def usage_of(reported: Any) -> Usage:
    """Tokens as litellm reports them, which counts those of the cache among the input tokens for every provider."""
    details = getattr(reported, "prompt_tokens_details", None)
    return Usage(
        input_tokens=reported.prompt_tokens or 0,
        cached_input_tokens=getattr(details, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(reported, "cache_creation_input_tokens", None) or 0,
        output_tokens=reported.completion_tokens or 0,
    )


@dataclass(frozen=True)
class Prices:
    """What a model's tokens cost, by litellm's price map.

    Attributes:
        litellm: The library.
        provider: The provider as litellm names it.
        model: The model.
        service_tier: Such as `flex` or `priority`, which cost less or more; None for the usual one.
    """

    litellm: Any
    provider: str
    model: str
    service_tier: str | None = None

    def anthropic_usd(self, used: AnthropicUsage) -> tuple[float | None, float | None]:
        """What a call cost, and what it would have without the cache; None where the price is unknown."""
        usage = used.usage
        reported = self.litellm.Usage(prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens)
        parts = self._parts_usd(reported)
        if parts is None:
            return None, None
        return _known(parts[0] * used.input_share + parts[1]), _known(sum(parts))

    def usd(self, reported: Any) -> tuple[float | None, float | None]:
        """The same from litellm's usage."""
        parts = self._parts_usd(reported)
        used = usage_of(reported)
        if not (used.cached_input_tokens or used.cache_write_tokens):
            cost_usd = _known(sum(parts)) if parts else None
            return cost_usd, cost_usd
        plain = self._parts_usd(
            self.litellm.Usage(
                prompt_tokens=reported.prompt_tokens,
                completion_tokens=reported.completion_tokens,
                completion_tokens_details=getattr(reported, "completion_tokens_details", None),
            )
        )
        return _known(sum(parts)) if parts else None, _known(sum(plain)) if plain else None

    def reported(self, usage: Usage) -> Any:
        """The usage as litellm would report it."""
        return self.litellm.Usage(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            prompt_tokens_details={"cached_tokens": usage.cached_input_tokens},
            **({"cache_creation_input_tokens": usage.cache_write_tokens} if usage.cache_write_tokens else {}),
        )

    def _parts_usd(self, reported: Any) -> tuple[float, float] | None:
        """Input and output."""
        try:
            parts = self.litellm.cost_per_token(
                model=self.model,
                custom_llm_provider=self.provider,
                usage_object=reported,
                service_tier=self.service_tier,
            )
            return float(parts[0]), float(parts[1])
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a model it does not know
            return None


def _known(cost_usd: float) -> float | None:
    """The map says 0 of many a model whose price it does not know."""
    return cost_usd if cost_usd > 0 else None

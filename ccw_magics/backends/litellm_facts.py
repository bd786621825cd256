"""What litellm's map of models says of a model, and which chat models it lists for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ccw_magics.backends.litellm_cost import CACHE_READ, OWN_PRICES
from ccw_magics.backends.model_facts import ModelFacts

MTOK: Final = 1_000_000
"""Tokens that a price is for; the map has prices of one."""
_LISTED_AS: Final = {"google": "gemini"}
"""Config types whose name in the map differs; that of calls is another for some (`litellm_backend.PREFIXES`)."""
_HIRED: Final = frozenset({"input_cost_per_second", "code_interpreter_cost_per_session"})
"""What an entry has that stands for capacity hired by the month, or for a session of a tool."""
_FINE_TUNED: Final = "ft:"
"""Begins a price for models that somebody tuned, not the name of one."""


def facts_of(info: Mapping[str, Any], provider_type: str) -> ModelFacts:
    """What the map says of a model.

    Args:
        info: As `litellm.get_model_info` gives it; empty where it does not know the model.
        provider_type: The config's provider type.
    """
    window, longest = info.get("max_input_tokens") or info.get("max_tokens"), info.get("max_output_tokens")
    prices = {} if provider_type in OWN_PRICES else info
    input_usd = _per_mtok(prices.get("input_cost_per_token"))
    cached_usd = _per_mtok(prices.get("cache_read_input_token_cost"))
    if cached_usd is None and provider_type == "anthropic" and input_usd is not None:
        cached_usd = round(input_usd * CACHE_READ, 6)
    return ModelFacts(
        context_window_tokens=int(window) if window else None,
        max_output_tokens=int(longest) if longest else None,
        input_usd_per_mtok=input_usd,
        cached_input_usd_per_mtok=cached_usd,
        output_usd_per_mtok=_per_mtok(prices.get("output_cost_per_token")),
    )


def chat_models(litellm: Any, provider_type: str) -> tuple[str, ...]:
    """The chat models that litellm lists for a type of provider, without its prefix, sorted.

    Names with a slash of Azure's are prices of a region: no deployment can be called that.

    Args:
        litellm: The library.
        provider_type: The config's provider type; `custom` is somebody's own server, of which no list knows.
    """
    provider = _LISTED_AS.get(provider_type, provider_type)
    grouped = litellm.models_by_provider.get(provider, ())
    listed = {
        name.removeprefix(f"{provider}/")
        for name, entry in litellm.model_cost.items()
        if _is_chat_model(entry) and (entry.get("litellm_provider") == provider or name in grouped)
    }
    return tuple(sorted(name for name in listed if _is_name(name, provider)))


def _is_chat_model(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is of a model that answers prompts, and not a price for hired capacity or of a tool."""
    return entry.get("mode") == "chat" and not _HIRED & entry.keys()


def _is_name(name: str, provider: str) -> bool:
    return not name.startswith(_FINE_TUNED) and not (provider == "azure" and "/" in name)


def _per_mtok(token_usd: Any) -> float | None:
    """The price of a million; the map says 0 of many a model whose price it does not know."""
    return round(float(token_usd) * MTOK, 6) if token_usd else None

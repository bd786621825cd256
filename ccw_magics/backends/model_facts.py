"""What is known of a model before it is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model; None for what is not, never 0.

    Prices are in US dollars for a million tokens, those of the usual service tier and of prompts of the usual length.

    Attributes:
        context_window_tokens: Tokens that the model takes.
        max_output_tokens: The longest answer that it gives.
        input_usd_per_mtok: For input that is not cached.
        cached_input_usd_per_mtok: For input that is read from the provider's cache.
        output_usd_per_mtok: For output.
    """

    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    input_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None

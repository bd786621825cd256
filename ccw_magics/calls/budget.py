"""Whether a call fits the model's context window; checked before anything is sent."""

from __future__ import annotations

from typing import Final

from ccw_magics.calls.preparation import Prepared
from ccw_magics.errors import ContextTooLarge

SURE_BYTES_PER_TOKEN: Final = 2.0
"""A text with at most this many bytes for each token of the window is taken to fit, and not counted.

Common tokenizers give 3 to 4.5 bytes of code or English a token, and no usual text gives under two.
"""
SMALL_BYTES: Final = 4096
"""Fits every window that is not set by hand; spares asking which one the model has."""
ANSWER_RESERVE_TOKENS: Final = 64
"""An answer shorter than this is of no use."""


async def require_fit(prepared: Prepared) -> None:
    """Refuse a call whose pack and prompt cannot fit the model's context window.

    Raises:
        ContextTooLarge: With the figures, the largest files, and what would help.
    """
    call, backend, pack = prepared.call, prepared.backend, prepared.pack
    said = prepared.route.endpoint.context_window
    size_bytes = len(call.text.encode()) + len(call.system.encode())
    if said is None and size_bytes < SMALL_BYTES:
        return
    window = said or await backend.context_window_tokens(call)
    if window is None or size_bytes <= window * SURE_BYTES_PER_TOKEN:
        return
    tokens = await backend.count_tokens(call, f"{call.system}{call.text}")
    if tokens is not None and tokens + ANSWER_RESERVE_TOKENS > window:
        largest = f" Largest: {pack.largest_files()}" if pack is not None and pack.files else ""
        raise ContextTooLarge(
            f"pack and prompt have about {tokens:,} tokens; {call.model} takes {window:,}, its answer included",
            hint=f"Refer to fewer or smaller files, or use an endpoint with a larger window.{largest}",
        )

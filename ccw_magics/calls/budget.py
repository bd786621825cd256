"""Whether a call fits the model's context window; checked before anything is sent."""

from __future__ import annotations

from typing import Final

from ccw_magics.backends.base import Backend, ModelCall
from ccw_magics.context.pack import Pack
from ccw_magics.errors import ContextTooLarge

SURE_BYTES_PER_TOKEN: Final = 2.0
"""A text with at most this many bytes for each token of the window is taken to fit, and not counted.

Common tokenizers give 3 to 4.5 bytes of code or English a token, and no usual text gives under two.
"""
ANSWER_RESERVE_TOKENS: Final = 64
"""An answer shorter than this is of no use."""


async def require_fit(backend: Backend, call: ModelCall, pack: Pack | None) -> None:
    """Refuse a call whose pack and prompt cannot fit the model's context window.

    Raises:
        ContextTooLarge: With the figures, the largest files, and what would help.
    """
    size_bytes = len(call.text.encode()) + len(call.system.encode())
    if size_bytes < 4096:  # noqa: PLR2004 - fits every window there is; saves asking which one this model has
        return
    window = await backend.context_window_tokens(call)
    if window is None or size_bytes <= window * SURE_BYTES_PER_TOKEN:
        return
    tokens = await backend.count_tokens(call, f"{call.system}{call.text}")
    if tokens is not None and tokens + ANSWER_RESERVE_TOKENS > window:
        largest = f" Largest: {pack.largest_files()}" if pack is not None and pack.files else ""
        raise ContextTooLarge(
            f"pack and prompt have about {tokens:,} tokens; {call.model} takes {window:,}, its answer included",
            hint=f"Refer to fewer or smaller files, or use an endpoint with a larger window.{largest}",
        )

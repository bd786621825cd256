"""Whether a call fits the model's context window; checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccw_magics.calls import tokens
from ccw_magics.context.pack import Pack, readable_size
from ccw_magics.errors import ContextTooLarge

if TYPE_CHECKING:
    from ccw_magics.calls.preparation import Prepared

SURE_BYTES_PER_TOKEN: Final = 2.0
"""A text with at most this many bytes for each token of the window is taken to fit, and not counted.

Common tokenizers give 3 to 4.5 bytes of code or English a token, and no usual text gives under two.
"""
SMALL_BYTES: Final = 4096
"""Fits every window that is not set by hand; spares asking which one the model has."""
ANSWER_RESERVE_TOKENS: Final = 64
"""An answer shorter than this is of no use."""
LEFT_OUT_SHOWN: Final = 10
"""Files named at most; where it takes more, other references are wanted."""


async def require_fit(prepared: Prepared) -> None:
    """Refuse a call whose pack and prompt cannot fit the model's context window.

    Raises:
        ContextTooLarge: With the figures, and what to leave out.
    """
    call, backend = prepared.call, prepared.backend
    said = prepared.route.endpoint.context_window
    size_bytes = len(call.text.encode()) + len(call.system.encode())
    if said is None and size_bytes < SMALL_BYTES:
        return
    window = said or await backend.context_window_tokens(call)
    if window is None or size_bytes <= window * SURE_BYTES_PER_TOKEN:
        return
    counted = await tokens.count(backend, call)
    if counted is not None and counted + ANSWER_RESERVE_TOKENS > window:
        advice = what_to_leave_out(prepared.pack, counted + ANSWER_RESERVE_TOKENS - window, counted)
        raise ContextTooLarge(
            f"pack and prompt have about {counted:,} tokens; {call.model} takes {window:,}, its answer included",
            hint=f"{advice} An endpoint with a larger window is the other way.",
        )


def what_to_leave_out(pack: Pack | None, over_tokens: int, tokens_all: int) -> str:
    """Which files to leave out so that a call fits: the fewest, so the largest.

    Args:
        pack: What would be sent.
        over_tokens: By how much it is too large.
        tokens_all: What pack and prompt have together.
    """
    if pack is None or not pack.files:
        return "Shorten the prompt."
    needed_bytes = pack.size_bytes * over_tokens / max(1, tokens_all)
    by_size = sorted(zip(pack.sizes_bytes, pack.files, strict=True), key=lambda item: (-item[0], item[1]))
    chosen: list[str] = []
    for size_bytes, path in by_size:
        if needed_bytes <= 0:
            break
        needed_bytes -= size_bytes
        chosen.append(f"{path} ({readable_size(size_bytes)})")
    if len(chosen) > LEFT_OUT_SHOWN or len(chosen) == len(by_size):
        return f"Refer to fewer or smaller files. Largest: {', '.join(chosen[:LEFT_OUT_SHOWN])}."
    return f"Without {', '.join(chosen)} it fits."

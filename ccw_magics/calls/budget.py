"""Whether a call fits the model's context window; checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccw_magics.backends.base import Backend, ModelCall
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
    if counted is not None and (over := over_tokens(counted, window)) > 0:
        advice = await what_to_leave_out(backend, call, prepared.pack, over, counted)
        raise ContextTooLarge(
            f"pack and prompt have about {counted:,} tokens; {call.model} takes {window:,}, its answer included",
            hint=f"{advice} An endpoint with a larger window is the other way.",
        )


def over_tokens(counted: int, window: int) -> int:
    """By how many tokens a prompt is too large for a window; 0 or less where it fits."""
    return counted + ANSWER_RESERVE_TOKENS - window


async def what_to_leave_out(backend: Backend, call: ModelCall, pack: Pack | None, over: int, tokens_all: int) -> str:
    """Which files to leave out so that a call fits: the fewest, so the largest.

    Args:
        backend: Who counts their tokens.
        call: What would be sent.
        pack: What it would bring of files.
        over: By how many tokens it is too large.
        tokens_all: What it has together.
    """
    if call.turns:
        return "Begin another conversation, or shorten the prompt."
    if pack is None or not pack.files:
        return "Shorten the prompt."
    density = tokens_all / max(1, len(tokens.text_of(call).encode()))
    by_size = sorted(zip(pack.sizes_bytes, pack.files, strict=True), key=lambda item: (-item[0], item[1]))
    left_over, chosen = float(over), list[str]()
    for size_bytes, path in by_size[:LEFT_OUT_SHOWN]:
        chosen.append(f"{path} ({readable_size(size_bytes)})")
        left_over -= await _file_tokens(backend, call, pack, path, size_bytes * density)
        if left_over <= 0 and len(chosen) < len(by_size):
            return f"Without {', '.join(chosen)} it fits."
    return f"Refer to fewer or smaller files. Largest: {', '.join(chosen)}."


async def _file_tokens(backend: Backend, call: ModelCall, pack: Pack, path: str, about: float) -> float:
    """A file's tokens: counted, since a token is of more bytes in one than in another; about, where it is not whole."""
    section = next((section for section in pack.sections if section.path == path and section.kind == "whole"), None)
    if section is None:
        return about
    counted = await tokens.count_part(backend, call, section.text().decode())
    return about if counted is None else counted

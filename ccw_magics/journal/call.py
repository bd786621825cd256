"""What is recorded of a call, and of all calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One request to one endpoint, as it ended.

    Attributes:
        at: When it was asked, in UTC.
        endpoint: The id of the endpoint that answered, or was asked last.
        provider: The provider's type.
        model: The model that answered, as its provider names it.
        mode: What the call could do: `analysis`; of a command-line agent also `write` or `auto`.
        prompt_hash: Of the prompt as typed.
        pack_hash: Of the pack's text; empty where no pack was sent.
        files: The pack's files, relative to the root.
        input_tokens: All tokens of the prompt, cached and written ones included; None where nobody said.
        cached_tokens: Those of them read from the provider's cache.
        written_tokens: Those of them written to the provider's cache.
        output_tokens: Of the answer.
        cost_usd: US dollars; None where unknown.
        uncached_cost_usd: What it would have cost without the provider's cache; None where unknown.
        duration_s: Seconds from the request to its end.
        first_token_s: Seconds until the first text; None where none came.
        retries: How often it was asked again.
        fallback_from: The endpoint that was asked first, where another one answered; else empty.
        key: The key that was used, masked; empty where there was none.
        chat: The conversation that it was a turn of; empty for none.
        outcome: `ok`, `cut` (the answer ended at its limit of tokens), `replayed` (a recorded answer was given again),
            `interrupted`, or the name of the error's class.
        error: The error's message, or empty.
        prompt: As typed; None where it is not kept, or was not asked for.
        answer: As far as it came; None likewise.
    """

    at: datetime
    endpoint: str
    provider: str
    model: str
    mode: str
    prompt_hash: str
    pack_hash: str
    files: tuple[str, ...]
    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    uncached_cost_usd: float | None
    duration_s: float
    first_token_s: float | None
    retries: int
    fallback_from: str
    key: str
    chat: str
    outcome: str
    error: str
    prompt: str | None
    answer: str | None


@dataclass(frozen=True)
class Entry:
    """A recorded call.

    Attributes:
        id: Its number in this journal; a later call has a higher one.
        call: What was recorded.
        opening: The beginning of the prompt on one line; empty where the prompt is not kept.
    """

    id: int
    call: Call
    opening: str


@dataclass(frozen=True)
class JournalStatus:
    """How much a journal holds.

    Attributes:
        calls: Recorded calls.
        size_bytes: What its files take on disk.
        path: The main one of them.
    """

    calls: int
    size_bytes: int
    path: Path

"""A call as it would be made: what would go, what of it the provider may have cached, and what it would cost."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from ccw_magics.backends import command
from ccw_magics.backends.base import joined
from ccw_magics.calls import tokens
from ccw_magics.calls.agent import PreparedAgent
from ccw_magics.calls.budget import over_tokens, what_to_leave_out
from ccw_magics.calls.chat import Talk
from ccw_magics.calls.estimate import CACHED_MIN_TOKENS, Estimate, answer_tokens, estimate, sample_usd
from ccw_magics.calls.limits import expected_output
from ccw_magics.calls.preparation import Prepared
from ccw_magics.calls.request import Request
from ccw_magics.calls.spending import Allowance
from ccw_magics.calls.structured import best_shape


@dataclass(frozen=True)
class Part:
    """A part of what would be sent, or the answer.

    Attributes:
        name: A reference, `prompt`, `system prompt`, `conversation NAME`, `answer`, or `total`.
        files: How many files it brings, or, for an agent, stands for.
        size_bytes: Of its text as sent.
        tokens: Of it, about; None where nothing can count them.
        cold_usd: What it costs where nothing is cached; None where unknown.
        cached_usd: What it costs where the prefix that stays the same is read from the cache; None where unknown.
        window_share: Of the model's context window; None where that is unknown.
    """

    name: str
    files: int
    size_bytes: int
    tokens: int | None
    cold_usd: float | None
    cached_usd: float | None
    window_share: float | None


@dataclass(frozen=True)
class Plan:
    """What a request would send.

    Attributes:
        endpoint: The endpoint's id.
        model: As the provider names it.
        parts: What would go, the expected answer except an agent's, and the total last.
        window_tokens: The model's context window; None where unknown.
        replayed_at: When the answer was recorded that would be given instead, at no cost; None where there is none.
        remarks: What the user should know before sending: references that match nothing, files left out, no room.
    """

    endpoint: str
    model: str
    parts: tuple[Part, ...]
    window_tokens: int | None
    replayed_at: datetime | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Piece:
    """A part before it is priced."""

    name: str
    size_bytes: int
    files: int = 0
    is_prefix: bool = False


@dataclass(frozen=True)
class _Usd:
    """What the whole costs, cold and cached, and the answer alone; None where unknown."""

    cold: float | None
    cached: float | None
    answer: float | None


async def plan(prepared: Prepared, request: Request, allowance: Allowance) -> Plan:
    """What a prepared call would send, counted by a tokenizer here; nothing is sent.

    The tokens of all are counted together, and shared out by size: a tokenizer takes as long for many small texts as
    for a large one, and the parts are of one kind.
    """
    if request.schema is not None:
        call, _ = await best_shape(prepared.backend, prepared.call, request.schema)
        prepared = replace(prepared, call=call)
    call, backend = prepared.call, prepared.backend
    window = prepared.route.endpoint.context_window or await backend.context_window_tokens(call)
    expected = answer_tokens(call, expected_output(prepared.output_owner))
    guess = await estimate(backend, call, expected)
    usd = _usd_of(guess) if guess is not None else _Usd(*[await _free_usd(prepared)] * 3)
    advice = await _advice(prepared, guess, window)
    refusal = await allowance.refusal(backend, call, expected)
    refused = [f"this would be refused: {refusal}"] if refusal and prepared.recorded is None else []
    has_answer = call.agent is None  # an agent's is as long as it likes
    return Plan(
        endpoint=prepared.route.endpoint.id,
        model=call.model,
        parts=tuple(_parts([*_pieces(prepared)], guess, usd, window, has_answer=has_answer)),
        window_tokens=window,
        replayed_at=None if prepared.recorded is None else prepared.recorded.at,
        remarks=(*_remarks(prepared), *advice, *_why_not_cached(prepared, guess), *refused),
    )


def _pieces(prepared: Prepared) -> Iterator[_Piece]:
    call, talk = prepared.call, prepared.talk
    if call.system:
        yield _Piece("system prompt", _size(call.system), is_prefix=bool(call.blocks or call.turns))
    if schema := tokens.schema_text(call):
        yield _Piece("schema", _size(schema), is_prefix=bool(call.blocks or call.turns))
    if talk is not None and talk.before:
        earlier = _size(call.text) - _size(call.asked)
        turns = "1 turn" if len(talk.before) == 1 else f"{len(talk.before)} turns"
        yield _Piece(f"conversation {talk.name}, {turns}", earlier, is_prefix=True)
        if call.tail:
            yield _news(prepared, talk)
    elif prepared.pack is not None and prepared.pack.files:
        yield from _references(prepared)
    elif isinstance(prepared, PreparedAgent):
        yield from (_Piece(_named(told.reference), _size(told.text), told.files) for told in prepared.listings)
    context = call.tail if call.turns else "".join((*call.blocks, call.tail))
    yield _Piece("prompt", _size(joined(context, call.prompt)) - _size(context))


def _news(prepared: Prepared, talk: Talk) -> _Piece:
    """What the newest turn brings of files: its own references, and what changed in those told before."""
    matched = prepared.pack.matched if prepared.pack is not None else ()
    own = {path for reference, paths in matched if _named(reference) in talk.references for path in paths}
    name = ", ".join((*talk.references, "changes in the files")) if own else "changes in the files"
    return _Piece(name, _size(prepared.call.tail), len(own))


def _references(prepared: Prepared) -> Iterator[_Piece]:
    """The context shared out to the references by their files' sizes, a file at the first that brings it."""
    pack = prepared.pack
    assert pack is not None
    left = dict(zip(pack.files, pack.sizes_bytes, strict=True))
    sizes: dict[str, tuple[int, int]] = {}
    for reference, paths in pack.matched:
        own = {path: left.pop(path) for path in paths if path in left}
        sizes[reference] = (len(own), sum(own.values()))
    whole, files_bytes = pack.size_bytes, sum(size for _, size in sizes.values())
    for reference, (files, size_bytes) in sizes.items():
        share = size_bytes / files_bytes if files_bytes else 1 / len(sizes)
        yield _Piece(_named(reference), round(whole * share), files, is_prefix=bool(prepared.call.blocks))


def _named(reference: str) -> str:
    return reference if reference.startswith("@") else f"@{reference}"


def _usd_of(guess: Estimate) -> _Usd:
    return _Usd(guess.cold_usd, guess.cached_usd, guess.answer_usd)


async def _free_usd(prepared: Prepared) -> float | None:
    """What a call costs whose tokens nobody can count: nothing where the model is free, else that is not known."""
    return 0.0 if await sample_usd(prepared.backend, prepared.call) == 0 else None


def _parts(
    pieces: list[_Piece], guess: Estimate | None, usd: _Usd, window: int | None, *, has_answer: bool
) -> Iterator[Part]:
    whole_bytes = sum(piece.size_bytes for piece in pieces)
    prefix_bytes = sum(piece.size_bytes for piece in pieces if piece.is_prefix)
    counted = None if guess is None else guess.input_tokens
    for piece in pieces:
        share = piece.size_bytes / max(1, whole_bytes)
        number = None if counted is None else round(counted * share)
        cold, cached = _part_usd(piece, share, prefix_bytes / max(1, whole_bytes), usd)
        yield Part(piece.name, piece.files, piece.size_bytes, number, cold, cached, _share(number, window))
    answer = None if guess is None else guess.output_tokens
    if has_answer:
        yield Part("answer, about", 0, 0, answer, usd.answer, usd.answer, _share(answer, window))
    total = None if counted is None or answer is None else counted + answer
    files = sum(piece.files for piece in pieces)
    yield Part("total", files, whole_bytes, total, usd.cold, usd.cached, _share(total, window))


def _part_usd(piece: _Piece, share: float, prefix_share: float, usd: _Usd) -> tuple[float | None, float | None]:
    """What a part costs, cold and cached: input is shared out by size, and what caching saves, to the prefix alone."""
    if usd.cold is None or usd.cached is None or usd.answer is None:
        return None, None
    saved = (usd.cold - usd.cached) * (share / prefix_share) if piece.is_prefix and prefix_share else 0.0
    own = (usd.cold - usd.answer) * share
    return own, own - saved


def _remarks(prepared: Prepared) -> Iterator[str]:
    pack = prepared.pack
    yield from prepared.remarks
    if prepared.call.agent is not None:
        words = command(prepared.call)
        yield f"{words[0]}, {prepared.call.agent.mode}, in {prepared.call.agent.directory}"
        # Codex's `--config=projects=…` alone fills lines.
        lines = " \\\n  ".join(map(shlex.quote, words))
        yield f"would run, with the prompt on its standard input:\n  {lines}"
    if pack is not None:
        yield from (f"{reference} matches no file; it would be sent as text only" for reference in pack.unmatched)
        yield from (f"left out: {item.path} ({item.reason})" for item in pack.skipped)
        yield from pack.warnings


async def _advice(prepared: Prepared, guess: Estimate | None, window: int | None) -> list[str]:
    """What to do where the prompt does not fit."""
    if guess is None or window is None or (over := over_tokens(guess.input_tokens, window)) <= 0:
        return []
    advice = await what_to_leave_out(prepared.backend, prepared.call, prepared.pack, over, guess.input_tokens)
    return [f"this does not fit the model's window of {window:,} tokens. {advice}"]


def _why_not_cached(prepared: Prepared, guess: Estimate | None) -> Iterator[str]:
    if guess is not None and not guess.cached_tokens and (prepared.call.blocks or prepared.call.turns):
        yield f"cached costs as much as cold: providers keep no prefix of under {CACHED_MIN_TOKENS:,} tokens"


def _share(tokens: int | None, window: int | None) -> float | None:
    return None if tokens is None or not window else tokens / window


def _size(text: str) -> int:
    return len(text.encode())

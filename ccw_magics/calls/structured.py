"""Answers of a given shape: by the provider's schema mode where it has one, else by prompt, and with one repair."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ccw_magics.backends.base import AnswerSchema, Backend, Exchange, ModelCall
from ccw_magics.calls.model_call import secrets_of
from ccw_magics.calls.preparation import Prepared
from ccw_magics.calls.progress import Progress
from ccw_magics.calls.worker import OnOutput, apart
from ccw_magics.config.credentials import redact
from ccw_magics.errors import CcwError, ProviderError, SchemaError
from ccw_magics.schema import Schema

REFUSES_SCHEMA: Final = frozenset({400, 422})
"""What servers answer to a parameter that they, or the model, do not know."""

_ESCAPE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9a-fA-F])")
"""A character that needs no escape: some servers write `+` or `&` so, or every character."""

Ask = Callable[[Prepared], Awaitable[None]]
"""Asks a model, retries included; the answer goes into the run's progress."""
_Reads = Callable[[], Awaitable[tuple[Any, SchemaError | None]]]


async def ask_in_shape(
    prepared: Prepared,
    schema: Schema,
    progress: Progress,
    emit: OnOutput,
    ask: Ask,
    *,
    has_max_cost: bool = False,
) -> tuple[Any, Prepared]:
    """The answer as an object, and the call as it was made, any repair aside.

    Args:
        prepared: The call, without its schema.
        schema: The shape of the answer.
        progress: Where the answer goes.
        emit: Told when the model is asked once more.
        ask: Asks it.
        has_max_cost: Whether `--max-cost` may have cut the answer.

    Raises:
        SchemaError: The answer does not fit, nor does the one after it; `progress` holds the text.
        CcwError: The model could not be asked.
    """
    asked = await _ask_first(prepared, schema, progress, emit, ask)
    read = partial(_read, schema, progress, has_max_cost=has_max_cost)
    data, misfit = await read()
    if misfit is not None:
        data = await _repair(asked, schema, misfit, progress, emit, ask, read)
    return data, asked


async def best_shape(backend: Backend, call: ModelCall, schema: Schema) -> tuple[ModelCall, bool]:
    """The call with its schema, and whether the provider holds the model to it: where it can, it does."""
    by_provider = await backend.has_schema_mode(in_shape(call, schema, by_provider=True))
    return in_shape(call, schema, by_provider=by_provider), by_provider


def in_shape(call: ModelCall, schema: Schema, *, by_provider: bool) -> ModelCall:
    """The call with its schema: for the provider to hold the model to, or in words behind the prompt."""
    if by_provider:
        return replace(call, schema=AnswerSchema(schema.name, schema.json_schema, schema.is_strict))
    return replace(call, prompt=f"{call.prompt}\n\n{schema.instructions()}")


async def _ask_first(prepared: Prepared, schema: Schema, progress: Progress, emit: OnOutput, ask: Ask) -> Prepared:
    """Ask by the provider's schema mode; by prompt where it has none, or refuses this schema."""
    call, by_provider = await best_shape(prepared.backend, prepared.call, schema)
    asked = replace(prepared, call=call)
    try:
        await _ask(asked, progress, ask)
    except ProviderError as error:
        if not by_provider or error.status not in REFUSES_SCHEMA or progress.pieces:
            raise
        emit("stderr", f"{error.message}; asking without the provider's schema mode")
    else:
        return asked
    asked = replace(prepared, call=in_shape(prepared.call, schema, by_provider=False))
    await _ask(asked, progress, ask)
    return asked


async def _repair(
    asked: Prepared,
    schema: Schema,
    misfit: SchemaError,
    progress: Progress,
    emit: OnOutput,
    ask: Ask,
    read: _Reads,
) -> Any:
    """Ask once more, with the answer and what is wrong with it; where that fails, the answer is kept."""
    text, first_token_s = _text(progress), progress.first_token_s
    emit("stderr", f"{misfit.message}; asking once more")
    progress.begin_anew()
    try:
        await _ask(replace(asked, call=_once_more(asked.call, schema, text, misfit)), progress, ask)
    except (CcwError, asyncio.CancelledError) as error:
        progress.pieces[:] = [text]
        progress.first_token_s = first_token_s
        if isinstance(error, asyncio.CancelledError):
            raise
        failure: CcwError | None = error
    else:
        failure = None
    if failure is not None:
        said = f"{misfit.message}; asked once more, {failure.message}"
        raise SchemaError(said, hint=misfit.hint) from failure.__cause__
    data, misfit_again = await read()
    if misfit_again is not None:
        raise misfit_again
    return data


async def _read(schema: Schema, progress: Progress, *, has_max_cost: bool) -> tuple[Any, SchemaError | None]:
    """The object in the answer, or what is wrong with it, where asking again may help.

    Of an answer that fits, its JSON is kept: what is around it is no part of what was asked for. Validators are the
    user's code: it is read off the loop.

    Raises:
        SchemaError: Nothing fits, and the provider says why: the model refused, or came to its limit.
    """
    found = await apart(partial(_found, schema, _text(progress)))
    if not isinstance(found, SchemaError):
        data, text = found
        progress.pieces[:] = [text]
        return data, None
    misfit, end = found, progress.total()
    if end.is_refused:
        raise SchemaError("the model refused to answer", hint="The reply's text says why, if the model did.")
    if end.is_cut:
        raise SchemaError(
            f"the answer ends at its limit of tokens, and is not whole: {misfit.message}",
            hint=f"--max-tokens{', or --max-cost,' if has_max_cost else ''} allows a longer one.",
        )
    return None, misfit


def _found(schema: Schema, text: str) -> tuple[Any, str] | SchemaError:
    """The object in a text and its JSON, or why there is none.

    Returned, not raised: an error's context has frames, which would keep the context's text alive with the reply.
    """
    try:
        return schema.find(text)
    except SchemaError as error:
        return error.with_traceback(None)


async def _ask(asked: Prepared, progress: Progress, ask: Ask) -> None:
    """Ask, and take keys out of the answer that JSON's escapes hide: reading it would bring them to light."""
    try:
        await ask(asked)
    finally:
        plain = _ESCAPE.sub(_unescaped, _text(progress))
        secrets = [*secrets_of(asked.call), *(known.key for known in asked.keys if known.key)]
        if (masked := redact(plain, secrets)) != plain:
            progress.pieces[:] = [masked]


def _unescaped(escape: re.Match[str]) -> str:
    """What JSON reads in the same way."""
    return escape[1] + json.dumps(chr(int(escape[2], 16)))[1:-1]


def _text(progress: Progress) -> str:
    return "".join(progress.pieces)


def _once_more(call: ModelCall, schema: Schema, text: str, misfit: SchemaError) -> ModelCall:
    """The call with its answer as a turn, and a prompt that says what is wrong with it."""
    complaint = f"{misfit.message}. Answer again.\n\n{schema.instructions()}"
    blocks = call.blocks if call.turns or not call.tail else ()  # a tail would no longer stand behind its blocks
    this = Exchange(call.prompt if blocks and not call.turns else call.asked, text)
    return replace(call, prompt=complaint, blocks=blocks, tail="", turns=(*call.turns, this))

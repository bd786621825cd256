"""Answers that were recorded, given again where nothing that they came of has changed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from ccw_magics.backends.base import Done, ModelCall, Usage
from ccw_magics.calls.routing import Route
from ccw_magics.config.credentials import Secret
from ccw_magics.journal import Recorded
from ccw_magics.schema import Schema

KEY_VERSION = 1
"""Changed whenever the same question comes to be sent in another way."""


def key_of(route: Route, call: ModelCall, content: str, schema: Schema | None) -> str:
    """The name of what an answer comes of.

    The endpoint with its model and where it is asked; parameters; system prompt; prompt; the files' contents and the
    conversation before; the schema. Not: keys, time limits, streaming, and how the files are laid out.

    Args:
        route: Endpoint and provider.
        call: Without context.
        content: A hash of the context and the conversation; empty for none.
        schema: The shape of the answer.
    """
    provider, settings = route.provider, route.provider.advanced_settings
    parts = [
        KEY_VERSION,
        route.endpoint.id,
        provider.id,
        provider.type,
        call.api_base,
        settings.api_version,
        settings.organization,
        {name: _hash(value) for name, value in call.headers.items()},
        call.model,
        dict(call.params),
        call.system,
        call.prompt,
        content,
        schema.digest() if schema is not None else None,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


def recorded(done: Done, output: str, route: Route, asked: str, duration_s: float) -> Recorded:
    """An answer as it is kept.

    Args:
        done: Its account.
        output: Its text.
        route: Who gave it.
        asked: What was sent behind the files: prompt, and instructions.
        duration_s: What it took.
    """
    usage = done.usage
    return Recorded(
        at=datetime.now(UTC),
        output=output,
        model=done.model,
        provider=route.provider.type,
        endpoint=route.endpoint.id,
        input_tokens=None if usage is None else usage.input_tokens,
        cached_tokens=None if usage is None else usage.cached_input_tokens,
        written_tokens=None if usage is None else usage.cache_write_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        cost_usd=done.cost_usd,
        uncached_cost_usd=done.uncached_cost_usd,
        duration_s=duration_s,
        is_cut=done.is_cut,
        asked=asked,
    )


def done_again(answer: Recorded) -> Done:
    """The account of an answer that is given again: nothing was sent, and nothing is paid."""
    return Done(Usage(0), 0.0, 0.0, answer.model, is_cut=answer.is_cut)


def _hash(value: Secret) -> str:
    """A header's value in a form that tells nobody what it is."""
    return hashlib.sha256(value.reveal().encode()).hexdigest()

"""What the embedded model is asked: a request as OpenAI has it, and what of it later calls begin with."""

from __future__ import annotations

from typing import Any, Final

from ccw_magics.backends import local_model
from ccw_magics.backends.base import ModelCall
from ccw_magics.backends.local_slotfiles import Prefix

MAX_ANSWER_TOKENS: Final = 512
"""The default of `max_tokens`: eight seconds of SmolLM2, which does not always find an end by itself."""

SMALL_MODEL_SYSTEM: Final = (
    "You answer questions about the files the user shows you. Be brief and stay with what the files say."
)
"""SmolLM2's own default prompt names its maker, which then turns up in the answers."""

SMALL_MODEL_PARAMS: Final = {"temperature": 0.0, "repeat_penalty": 1.1}
"""Found by reading answers about READMEs: hotter, SmolLM2-135M invents more; at 1.05 and below it repeats itself."""


def body(call: ModelCall) -> dict[str, Any]:
    """The request for an answer, always streamed."""
    defaults: dict[str, Any] = {"max_tokens": MAX_ANSWER_TOKENS}
    if local_model.is_default(call.model):
        defaults |= SMALL_MODEL_PARAMS
    system = _system(call)
    messages = [{"role": "system", "content": system}] if system else []
    return {
        **defaults,
        **call.params,
        **_schema(call),
        "messages": [*messages, *call.messages()],
        "stream": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": True,
        "return_progress": True,
    }


def _system(call: ModelCall) -> str:
    return call.system or (SMALL_MODEL_SYSTEM if local_model.is_default(call.model) else "")


def _schema(call: ModelCall) -> dict[str, Any]:
    """What asks for the call's schema."""
    if call.schema is None:
        return {}
    shape = {"name": call.schema.name, "schema": dict(call.schema.json_schema), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def prefix(call: ModelCall) -> Prefix:
    """The call's text, of which the next turn's begins with all, and another call's with the blocks or the turns."""
    text = call.text
    if call.is_kept:
        kept_length = len(text)
    else:
        kept_length = len(text) - len(call.asked) if call.turns else len("".join(call.blocks))
    return Prefix.of(f"{_system(call)}\0{text[:kept_length]}", text[kept_length:])

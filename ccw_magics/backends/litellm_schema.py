"""How a provider is asked to hold its model to a schema: in its own way, by a tool that the model must call, or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final

from ccw_magics.backends.base import AnswerSchema, ModelCall

UNKNOWN: Final = frozenset({"custom", "deepseek"})
"""Where a schema is not sent, whatever litellm says of the model's name.

What a server of somebody's own can do, nobody knows; DeepSeek's answers 400 to any schema, though litellm's map says
that it takes one. https://api-docs.deepseek.com/api/create-chat-completion#request
"""
ALWAYS: Final = frozenset({"ollama"})
"""Where every model can be held to one: the server does it, by a grammar. https://ollama.com/blog/structured-outputs"""
_SAMPLE: Final = AnswerSchema(
    "sample",
    {
        "type": "object",
        "properties": {"ccw_sample": {"type": "string"}},
        "required": ["ccw_sample"],
        "additionalProperties": False,
    },
    is_strict=True,
)


class SchemaMode(Enum):
    """What a provider can be asked for."""

    NATIVE = auto()
    TOOL = auto()
    NONE = auto()


def schema_mode(litellm: Any, provider: str, call: ModelCall) -> SchemaMode:
    """What can be asked of the call's provider: what litellm knows of the model, and makes of a schema for it.

    A forced call of a tool is what litellm makes of it for Claude before 4.5 and for Azure's older API versions. A
    model that thinks cannot be forced.

    Args:
        litellm: The library.
        provider: The provider as litellm names it.
        call: What would be sent.
    """
    if call.provider_type in UNKNOWN or (call.schema is not None and not _survives(call.schema, provider, call.model)):
        return SchemaMode.NONE
    if call.provider_type in ALWAYS:
        return SchemaMode.NATIVE
    if not litellm.supports_response_schema(model=call.model, custom_llm_provider=provider):
        return SchemaMode.NONE
    thinking = {name: call.params[name] for name in ("reasoning_effort", "thinking") if name in call.params}
    try:
        sent = litellm.get_optional_params(
            model=call.model,
            custom_llm_provider=provider,
            api_version=call.api_version,
            response_format=_response_format(_SAMPLE),
            **thinking,
        )
    except Exception:  # noqa: BLE001 - it raises what the provider's part of it happens to raise
        return SchemaMode.NONE
    if "tools" in sent:
        return SchemaMode.TOOL if sent.get("tool_choice") else SchemaMode.NONE
    return SchemaMode.NATIVE if "ccw_sample" in json.dumps(sent, default=str) else SchemaMode.NONE


def _survives(schema: AnswerSchema, provider: str, model: str) -> bool:
    """Whether a schema reaches the model as it is meant.

    For Claude litellm forbids properties beside those named, so that a dictionary could only come back empty, and
    breaks the references of a recursive one; Gemini takes those in optional properties alone, which ours are not.
    https://ai.google.dev/gemini-api/docs/structured-output
    """
    is_recursive = "$defs" in schema.json_schema
    if "claude" in model or provider == "anthropic":
        return schema.is_strict and not is_recursive
    return not (is_recursive and provider in {"gemini", "vertex_ai"})


def schema_arguments(schema: AnswerSchema, mode: SchemaMode) -> Mapping[str, Any]:
    """The arguments of litellm's that ask for it; where the mode is none, as the provider's own, for it to refuse.

    The tool is ours and not litellm's, which spoils what comes back: it reads each piece of a stream as JSON (` 1.50`
    becomes `1.5`, within strings too), and of an object with a property `values` it hands over no more than that.
    """
    if mode is not SchemaMode.TOOL:
        return {"response_format": _response_format(schema)}
    function = {"name": schema.name, "description": "Gives the answer.", "parameters": dict(schema.json_schema)}
    return {
        "response_format": None,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": schema.name}},
    }


def _response_format(schema: AnswerSchema) -> dict[str, Any]:
    shape = {"name": schema.name, "schema": dict(schema.json_schema), "strict": schema.is_strict}
    return {"type": "json_schema", "json_schema": shape}

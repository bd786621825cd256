"""Which parameters may go along with a call: those of the model, none that says where it goes or with which key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ccw_magics.errors import ConfigError

ALLOWED: Final = frozenset(
    {
        "extra_body",
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "safety_settings",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""Model parameters under OpenAI's names. A closed list: litellm takes 400 others, and each release adds some."""

FORBIDDEN_IN_BODY: Final = re.compile(
    r"(?i)model|messages|input|contents|system|stream|stream_options|client|timeout|headers|metadata|fallbacks"
    r"|base_url|api_?(key|base|type|version)|organization|custom_llm_provider|deployment_id"
    r"|extra_(body|headers|query)|mock_\w+|(aws|azure|vertex|litellm|proxy|secret|token)_\w+|\w+_(token|secret|url|host)"
)
"""Fields that litellm, or a gateway built on it, takes out of a body, or that are what we send ourselves."""


def check_params(params: Mapping[str, Any]) -> None:
    """See that parameters cannot lead a call, or its key, anywhere else.

    Raises:
        ConfigError: One of them could, or is not known.
    """
    for name in params:
        if name not in ALLOWED:
            raise ConfigError(
                f"{name!r} is not a parameter of a model",
                hint=f"Known are {', '.join(sorted(ALLOWED))}; further fields of the request go into extra_body.",
            )
    body = params.get("extra_body")
    if body is not None and not isinstance(body, Mapping):
        raise ConfigError("extra_body must be an object", hint="It holds further fields of the request's body.")
    for name in body or {}:
        if FORBIDDEN_IN_BODY.fullmatch(str(name)):
            raise ConfigError(f"extra_body may not hold {name!r}", hint="Set it on the provider or the endpoint.")

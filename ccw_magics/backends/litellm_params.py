"""What may go along with a call: parameters of the model, none that says where it goes; what a header can carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ccw_magics.backends.base import ModelCall
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


HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""https://www.rfc-editor.org/rfc/rfc9110#name-tokens"""
HEADER_VALUE: Final = re.compile(r"[\t -~]*")
"""Of what the standard allows, that which httpx sends; a line's end would begin another header."""


def check_headers(call: ModelCall) -> None:
    """See that key and headers can be sent: the libraries below fail with anything from a 500 to a lost connection.

    Raises:
        ConfigError: One of them cannot.
    """
    for name, value in call.headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot be the name of a header", hint="Correct the provider's customHeaders.")
        if not HEADER_VALUE.fullmatch(value.reveal()):
            raise ConfigError(f"the header {name} holds a character that no header can carry", hint=PASTED)
    if call.api_key is not None and not HEADER_VALUE.fullmatch(call.api_key.reveal()):
        raise ConfigError(f"the key of {call.provider_type} holds a character that no header can carry", hint=PASTED)


PASTED: Final = "Look for a line's end, a typographic quote or dash, or another letter that was pasted along."

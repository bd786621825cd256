"""How many tokens a call has, before the provider counts them.

A library's tokenizer is near the provider's own for some models and a fifth off for others. So what was counted here is
compared with what the provider then reports, and the next count for the same model is corrected by that.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from typing import Final

from ccw_magics.backends.base import Backend, ModelCall

MESSAGE_TOKENS: Final = 4
"""What a chat format adds to each message: OpenAI's three, and one for the role.

https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
"""
REPLY_TOKENS: Final = 3
"""What opens the answer, likewise."""
FACTOR_MIN: Final = 0.5
FACTOR_MAX: Final = 2.0
"""A correction beyond these is no tokenizer's: something was counted that was not sent, or the other way round."""
SAMPLE_TOKENS: Final = 200
"""Of shorter prompts the chat format is too large a part to tell anything about the tokenizer."""
_REMEMBERED: Final = 32

_Key = tuple[int, str, str | None, str]
_factors: dict[_Key, float] = {}
_counted: OrderedDict[tuple[_Key, int], int] = OrderedDict()


async def count(backend: Backend, call: ModelCall) -> int | None:
    """Tokens of all that a call sends, corrected by what the provider has reported; None where nothing can count them.

    Args:
        backend: Who would be asked.
        call: What would be sent.
    """
    text = text_of(call)
    counted = await backend.count_tokens(call, text)
    if counted is None:
        return None
    messages = len(call.messages()) + bool(call.system)
    counted += MESSAGE_TOKENS * messages + REPLY_TOKENS
    _counted[_key(call), hash(text)] = counted
    while len(_counted) > _REMEMBERED:
        _counted.popitem(last=False)
    return round(counted * _factors.get(_key(call), 1.0))


async def count_part(backend: Backend, call: ModelCall, text: str) -> int | None:
    """Tokens of a part of what a call sends, corrected likewise; None where nothing can count them."""
    counted = await backend.count_tokens(call, text)
    return None if counted is None else round(counted * _factors.get(_key(call), 1.0))


def learn(call: ModelCall, reported: int) -> None:
    """Compare what a provider reported of a call with what was counted before it, where it was.

    Args:
        call: What was sent.
        reported: Its input tokens, cached ones included.
    """
    if not _counted or reported < SAMPLE_TOKENS:
        return
    counted = _counted.pop((_key(call), hash(text_of(call))), None)
    if counted is not None:
        _factors[_key(call)] = min(max(reported / counted, FACTOR_MIN), FACTOR_MAX)


def text_of(call: ModelCall) -> str:
    """All that a call sends and its provider counts: system prompt, schema of the provider's mode, messages."""
    return f"{call.system}{schema_text(call)}{call.text}"


def schema_text(call: ModelCall) -> str:
    """The schema that goes beside the messages, which providers count with them; empty where none does."""
    return json.dumps(call.schema.json_schema) if call.schema is not None else ""


def _key(call: ModelCall) -> _Key:
    return os.getpid(), call.provider_type, call.api_base, call.model

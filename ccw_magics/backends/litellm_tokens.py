"""How many tokens a text has, counted without the network, as near to each provider's own count as that allows."""

from __future__ import annotations

import re
from typing import Any, Final

from ccw_magics.backends.base import ModelCall

_O200K: Final = "gpt-4o"
_CL100K: Final = "gpt-3.5-turbo"
"""Names by which litellm takes one of tiktoken's encodings; both come with it."""
_OLD_GPT: Final = re.compile(r"gpt-(3\.?5|4)(?!o|\.?\d)")
"""The chat models of before GPT-4o."""
CLAUDE: Final = 1.2
CLAUDE_SINCE_4_7: Final = 1.5
"""Tokens of Claude's for one of o200k's.

Code 1.17 to 1.23 and prose 1.12; from Opus 4.7 on 1.42 to 1.59 and 1.47: counted over this package's files with the
reconstruction `ctok`, a package of that name. Others report 1.18 to 1.25 of Claude's bills
(https://github.com/strands-agents/harness-sdk/pull/2031), and Anthropic that the newer tokenizer makes "approximately
30 percent more" (https://platform.claude.com/docs/en/build-with-claude/token-counting).
"""
_CLAUDE_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_NEWER: Final = (4, 7)


def count(litellm: Any, call: ModelCall, text: str) -> int:
    """Tokens of a text for the call's model.

    - OpenAI and Azure: their own encodings, exact but for 0.3 % where litellm counts a text in pieces. By itself it
      takes cl100k for any name that its price map does not have, an Azure deployment's or a new model's; here those
      get o200k, as all models since GPT-4o.
    - Claude: o200k with a factor, within 10 % for code and prose; litellm's own guess was 17 to 37 % too low.
    - Gemini, Mistral, DeepSeek, Llama and others: o200k as it is. Their vocabularies are of 128,000 to 262,000 tokens
      and differ by up to some 15 % for English and code, more for other scripts.

    Args:
        litellm: The library.
        call: For its model.
        text: What to count.
    """
    encoding = _CL100K if _OLD_GPT.search(call.model) else _O200K
    return round(int(litellm.token_counter(model=encoding, text=text)) * factor(call.model))


def factor(model: str) -> float:
    """Tokens of the model's for one of the encoding's; a Claude of unknown version counts as a newer one."""
    if "claude" not in model:
        return 1.0
    version = _CLAUDE_VERSION.search(model)
    if version is None:
        return CLAUDE if "instant" in model else CLAUDE_SINCE_4_7
    return CLAUDE if (int(version[1]), int(version[2] or 0)) < _NEWER else CLAUDE_SINCE_4_7

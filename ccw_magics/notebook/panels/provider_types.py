"""What each type of provider needs: for choosing one, and for saying what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ccw_magics.calls.model_list import BASES
from ccw_magics.config.models import STANDARD_KEY_NAMES


@dataclass(frozen=True)
class ProviderType:
    """A type of provider, as the form offers it.

    Attributes:
        name: The type.
        needs: What it needs, in a few words.
        example_base: What its base URL looks like; its own where it has one.
        must_have_base: Whether nobody can be asked without a base URL.
        has_key: Whether it usually asks for a key.
    """

    name: str
    needs: str
    example_base: str = ""
    must_have_base: bool = False
    has_key: bool = True

    @property
    def key_name(self) -> str:
        """The environment variable in which its key usually stands: litellm's name where the config has none."""
        return STANDARD_KEY_NAMES.get(self.name, f"{self.name.upper().replace('-', '_')}_API_KEY")


_AZURE: Final = "https://NAME.openai.azure.com"
_LISTED: Final = (
    *(
        ProviderType(name, f"key {STANDARD_KEY_NAMES[name]}", BASES[name])
        for name in ("openai", "anthropic", "google", "mistral", "deepseek")
    ),
    ProviderType("azure", f"base URL {_AZURE}, key AZURE_API_KEY, API version", _AZURE, must_have_base=True),
    ProviderType("ollama", f"no key; base {BASES['ollama']}", BASES["ollama"], has_key=False),
    ProviderType("custom", "base URL, OpenAI-compatible", "https://host/v1", must_have_base=True, has_key=False),
    ProviderType("local", "embedded model, no key", has_key=False),
)
TYPES: Final = {listed.name: listed for listed in _LISTED}
"""Those that the config has names for."""

OTHERS: Final = (
    "bedrock",
    "cerebras",
    "cohere",
    "fireworks_ai",
    "groq",
    "openrouter",
    "perplexity",
    "sambanova",
    "together_ai",
    "vertex_ai",
    "xai",
)
"""A few of litellm's names for others, as suggestions: https://docs.litellm.ai/docs/providers."""


def type_named(name: str) -> ProviderType:
    """What is known of a type; of one that is not listed, that it usually asks for a key."""
    return TYPES.get(name) or ProviderType(name, "a name that litellm knows")

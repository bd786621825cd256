"""Where each type of provider lists its models, how it takes its key there, and how the list reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import Provider

if TYPE_CHECKING:
    import httpx

BASES: Final = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "mistral": "https://api.mistral.ai/v1",
    "deepseek": "https://api.deepseek.com",
    "ollama": "http://localhost:11434",
}
"""Provider type to its own base URL, from the providers' API references; the others have none."""

AZURE_V1: Final = frozenset({"v1", "latest", "preview"})
"""API versions that mean Azure's OpenAI-compatible API.

https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle
"""
AZURE_VERSION: Final = "2024-10-21"
"""The version with which the list is asked for where the config has none: the last one that is not a preview.

https://learn.microsoft.com/en-us/rest/api/azureopenai/models/list
"""
ANTHROPIC_VERSION: Final = "2023-06-01"
"""https://docs.anthropic.com/en/api/versioning"""
LONGEST_NAME: Final = 200
HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True)
class ModelList:
    """One provider's list of models.

    Attributes:
        base: The base URL, resolved.
        path: What follows it.
        query: What is added to its query.
        key_header: The header that takes the key; `Authorization` takes it as a bearer's.
        fixed_headers: Headers of the type.
        own_headers: Headers that the config sets; they go first.
        hint: What to check where the list is not there.
        is_told: Whether the names in it are those to be used as a model: Azure's are not.
    """

    base: str
    path: str = "/models"
    query: Mapping[str, str] = field(default_factory=dict)
    key_header: str = "Authorization"
    fixed_headers: Mapping[str, str] = field(default_factory=dict)
    own_headers: Mapping[str, Secret] = field(default_factory=dict)
    hint: str = "Check apiBase: most end in /v1. A few servers answer calls and have no such list."
    is_told: bool = True

    def url(self) -> httpx.URL:
        """Where it is.

        Raises:
            httpx.InvalidURL: The base is no URL, or one without a host.
        """
        import httpx

        base = httpx.URL(self.base)
        if not base.host or (base.port or 0) > HIGHEST_PORT:
            raise httpx.InvalidURL("no host, or no such port")
        return base.copy_with(path=base.path.rstrip("/") + self.path).copy_merge_params(dict(self.query))

    def headers(self, key: Secret) -> httpx.Headers:
        """What it is asked with; an empty key is left out."""
        import httpx

        headers = httpx.Headers({"Accept": "application/json", "Accept-Encoding": "identity", **self.fixed_headers})
        if key:
            scheme = "Bearer " if self.key_header == "Authorization" else ""
            headers[self.key_header] = f"{scheme}{key.reveal()}"
        headers.update({name: value.reveal() for name, value in self.own_headers.items()})
        return headers

    def names(self, body: bytes) -> tuple[str, ...] | None:
        """The models' names, sorted; None where this is no list of models."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return None
        items = _items(document)
        if items is None:
            return None
        names = {_name(item) for item in items if isinstance(item, dict) and _answers_prompts(item)}
        return tuple(sorted(names - {""})) if self.is_told else ()


def model_list(provider: Provider) -> ModelList:
    """Where a provider lists its models; any type that is not known is taken for an OpenAI-compatible one.

    Args:
        provider: References but for its keys resolved. One of a type that has no base of its own has an `api_base`.
    """
    settings, own = provider.advanced_settings, provider.advanced_settings.custom_headers
    base = (provider.api_base or BASES.get(provider.type, "")).rstrip("/")
    match provider.type:
        case "anthropic":
            return ModelList(
                base.removesuffix("/v1/messages"),
                "/v1/models",
                {"limit": "1000"},
                "x-api-key",
                {"anthropic-version": ANTHROPIC_VERSION},
                own,
                hint="Check apiBase: it ends before /v1.",
            )
        case "google":
            hint = "Check apiBase: it ends in /v1beta."
            return ModelList(base, "/models", {"pageSize": "1000"}, "x-goog-api-key", own_headers=own, hint=hint)
        case "ollama":
            hint = "Check apiBase: Ollama's has no path, such as http://localhost:11434."
            return ModelList(base, "/api/tags", own_headers=own, hint=hint)
        case "azure":
            return _azure(base, settings.api_version or AZURE_VERSION, own)
        case _:
            fixed = {"OpenAI-Organization": settings.organization} if settings.organization else {}
            return ModelList(base, fixed_headers=fixed, own_headers=own)


def _azure(base: str, version: str, own: Mapping[str, Secret]) -> ModelList:
    """Its list is of what could be deployed; calls name a deployment."""
    is_v1 = version in AZURE_V1
    return ModelList(
        base.partition("/openai")[0],
        "/openai/v1/models" if is_v1 else "/openai/models",
        {} if is_v1 else {"api-version": version},
        "api-key",
        own_headers=own,
        hint="Check apiBase, such as https://NAME.openai.azure.com, and apiVersion.",
        is_told=False,
    )


def _items(document: object) -> list[Any] | None:
    if isinstance(document, dict):
        document = document.get("data", document.get("models"))
    return document if isinstance(document, list) else None


def _answers_prompts(item: Mapping[str, Any]) -> bool:
    """Whether a model answers prompts: Google says what each can do, and lists those that embed too."""
    methods = item.get("supportedGenerationMethods")
    return "generateContent" in methods if isinstance(methods, list) else True


def _name(item: Mapping[str, Any]) -> str:
    name = item.get("id") or item.get("name")
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not name.isprintable():
        return ""
    return name.removeprefix("models/")

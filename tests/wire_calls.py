"""Calls of the hosted backend to the wire server, one kind of provider each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ccw_magics.backends.base import Event, ModelCall, Text
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.config.credentials import Secret
from ccw_magics.errors import CcwError

KEY = "sk-canary-0123456789abcdef"
FAMILIES = {
    "openai": ("gpt-4o", "/v1"),
    "custom": ("house-model", "/v1"),
    "azure": ("gpt-4o", ""),
    "mistral": ("mistral-small-latest", "/v1"),
    "deepseek": ("deepseek-chat", ""),
    "anthropic": ("claude-sonnet-4-5", ""),
    "google": ("gemini-2.5-flash", ""),
    "ollama": ("llama3", ""),
    "xai": ("grok-4", "/v1"),
}
CASES = [
    pytest.param(kind, stream, id=f"{kind}, {'streamed' if stream else 'whole'}")
    for kind in FAMILIES
    for stream in (True, False)
]


def call_to(kind: str, url: str, **settings: Any) -> ModelCall:
    model, suffix = FAMILIES[kind]
    version = {"api_version": "2024-02-01"} if kind == "azure" else {}
    return ModelCall(
        kind, model, "Hi", api_key=Secret(KEY), api_base=f"{url}{suffix}", timeout_s=20.0, **{**version, **settings}
    )


async def events_of(backend: LiteLLMBackend, call: ModelCall) -> list[Event]:
    return [event async for event in backend.stream(call)]


def ask(*calls: ModelCall) -> list[Any]:
    """The events of each call in turn, or its error."""

    async def all_of_them() -> list[Any]:
        backend, outcomes = LiteLLMBackend(), []
        try:
            for call in calls:
                try:
                    outcomes.append(await events_of(backend, call))
                except CcwError as error:
                    outcomes.append(error)
            return outcomes
        finally:
            await backend.aclose()

    return asyncio.run(all_of_them())


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))

"""Whom we ask: one backend for hosted and self-hosted models, one for the embedded model, one for agents."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from ccw_magics.backends.base import Backend, ModelCall, Tool

if TYPE_CHECKING:
    from ccw_magics.backends.litellm_backend import LiteLLMBackend


AGENT_TYPES: Final[dict[Tool, str]] = {"codex": "codex-cli", "gemini": "gemini-cli", "qwen": "qwen-cli"}
"""Command-line agent to its provider type; litellm has a provider that is called `gemini`."""


@cache
def hosted() -> LiteLLMBackend:
    """The backend for everything litellm can call; one for each process, since it keeps connections open."""
    from ccw_magics.backends.litellm_backend import LiteLLMBackend

    return LiteLLMBackend()


@cache
def embedded() -> Backend:
    """The embedded model's backend; one for each process, since it owns a child process."""
    from ccw_magics.backends.local_backend import LocalBackend

    return LocalBackend()


@cache
def agents() -> Backend:
    """The backend that runs command-line agents; no type of provider leads to it, since a config may be anybody's."""
    from ccw_magics.backends.tool_backend import ToolBackend

    return ToolBackend()


def command(call: ModelCall) -> tuple[str, ...]:
    """The words of the command that a call to an agent runs, its name first."""
    from ccw_magics.backends import tool_commands

    return tool_commands.command(call)


def backend_for(provider_type: str) -> Backend:
    """The backend that answers for a provider of this type."""
    return embedded() if provider_type == "local" else hosted()

"""Whom we ask: one backend for every hosted or self-hosted model, one for the embedded model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ccw_magics.backends.base import Backend

if TYPE_CHECKING:
    from ccw_magics.backends.litellm_backend import LiteLLMBackend


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


def backend_for(provider_type: str) -> Backend:
    """The backend that answers for a provider of this type."""
    return embedded() if provider_type == "local" else hosted()

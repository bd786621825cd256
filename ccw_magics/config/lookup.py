"""Providers and endpoints by their ids, and what is said where there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

from ccw_magics.config.models import LOCAL_ID, Config, Endpoint, Provider
from ccw_magics.errors import EndpointNotFound, ProviderNotFound

NamedT = TypeVar("NamedT", Provider, Endpoint)


def endpoint_not_found(endpoint_id: str, config: Config) -> EndpointNotFound:
    """Return the error for an id that no endpoint has, with the ids that exist and the nearest."""
    if endpoint_id == LOCAL_ID:
        hint = "It needs no entry. `endpoint add ID --provider local` makes one of your own of the same model."
        return EndpointNotFound(f"endpoint {LOCAL_ID} is built in, and cannot be changed", hint=hint)
    known = [endpoint.id for endpoint in config.endpoints]
    message, hint = _not_found("endpoint", endpoint_id, dict.fromkeys([*known, LOCAL_ID]))
    return EndpointNotFound(message, hint=hint)


def provider_not_found(provider_id: str, config: Config) -> ProviderNotFound:
    """Return the error for an id that no provider has, with the ids that exist and the nearest."""
    message, hint = _not_found("provider", provider_id, [provider.id for provider in config.providers])
    return ProviderNotFound(message, hint=hint)


def _not_found(kind: str, wanted: str, known: Iterable[str]) -> tuple[str, str]:
    ids = list(known)
    nearest = difflib.get_close_matches(wanted, ids, n=1)
    hint = f"Configured: {', '.join(ids) or 'none'}."
    return f"{kind} not found: {wanted}", f"{hint} Did you mean {nearest[0]}?" if nearest else hint


def require_provider(config: Config, provider_id: str) -> None:
    """Raise `ProviderNotFound` for an id that no provider has; `local` needs no entry."""
    if provider_id != LOCAL_ID and index_of(config.providers, provider_id) is None:
        raise provider_not_found(provider_id, config)


def index_of(items: Iterable[NamedT], wanted: str) -> int | None:
    """Return the place of the item with an id, or None."""
    return next((index for index, item in enumerate(items) if item.id == wanted), None)


def find(items: Iterable[NamedT], wanted: str) -> NamedT | None:
    """Return the item with an id, or None."""
    return next((item for item in items if item.id == wanted), None)

"""From a route and a request to one complete model call, keys resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ccw_magics.backends.base import ModelCall
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import STANDARD_KEY_NAMES, Provider
from ccw_magics.config.resolution import resolved
from ccw_magics.context.pack import Pack
from ccw_magics.errors import SecretMissing

KEYLESS_TYPES = frozenset({"local", "ollama", "custom"})
"""Provider types whose servers commonly ask for no key."""


def build_call(route: Route, request: Request) -> ModelCall:
    """The call to make, without its context.

    Raises:
        SecretMissing: The provider needs a key and has none, or it names a variable that is not set.
    """
    provider = resolved(route.provider)
    settings = provider.advanced_settings
    return ModelCall(
        provider_type=provider.type,
        model=route.endpoint.model,
        prompt=_sendable(request.prompt),
        provider_ttl=route.endpoint.provider_ttl,
        system=_sendable(request.system),
        api_key=_key(provider),
        api_base=provider.api_base,
        headers=settings.custom_headers,
        organization=settings.organization,
        api_version=settings.api_version,
        proxy=settings.proxy,
        timeout_s=settings.timeout,
        stream=request.stream,
        params=request.params,
    )


def with_context(call: ModelCall, pack: Pack, slots_dir: Path | None, *, kept: bool) -> ModelCall:
    """The call with its context; a pack that is not kept has nothing that a provider should keep either."""
    if not pack.files:
        return call
    if not kept:
        return replace(call, tail=pack.text)
    return replace(call, blocks=pack.blocks, tail=pack.tail, blocks_before=pack.kept_before, slots_dir=slots_dir)


def secrets_of(call: ModelCall) -> Iterator[Secret]:
    """Everything in a call that must not be shown."""
    yield from call.headers.values()
    for secret in (call.api_key, call.proxy):
        if secret is not None:
            yield secret


def _sendable(text: str) -> str:
    """Text without lone surrogates: what a shell passes on of bytes that are not UTF-8 cannot be sent."""
    return text.encode(errors="surrogatepass").decode(errors="replace")


def _key(provider: Provider) -> Secret | None:
    """The provider's key: its own, else the first enabled one of its list."""
    key = provider.api_key or next((entry.key for entry in provider.api_keys if entry.enabled), None)
    if key:
        return key
    if provider.type in KEYLESS_TYPES:
        return None
    name = STANDARD_KEY_NAMES.get(provider.type, "NAME")
    raise SecretMissing(
        f"API key not configured for provider {provider.name} ({provider.id})",
        hint=f'Set its "apiKey" to "${{{name}}}", and the variable {name} before Jupyter starts.',
    )

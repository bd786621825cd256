"""From a route and a request to one complete model call, references resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ccw_magics.backends.base import ModelCall
from ccw_magics.calls.keys import Key, candidates
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route
from ccw_magics.config.credentials import Secret, resolve
from ccw_magics.config.models import STANDARD_KEY_NAMES, Params, Provider
from ccw_magics.config.resolution import resolved
from ccw_magics.context.pack import Pack
from ccw_magics.errors import ConfigError, SecretMissing

KEYLESS_TYPES: Final = frozenset({"local", "ollama", "custom"})
"""Provider types whose servers commonly ask for no key."""
NO_KEY: Final = Key(id="", key=Secret(""), label="", weight=1)


def build_call(route: Route, request: Request) -> ModelCall:
    """The call to make, without its context and without a key.

    Raises:
        SecretMissing: A header, the proxy or the base URL names a variable that is not set.
    """
    provider = resolved(route.provider.model_copy(update={"api_key": Secret(""), "api_keys": []}))
    endpoint, settings = route.endpoint, provider.advanced_settings
    return ModelCall(
        provider_type=provider.type,
        model=endpoint.model,
        prompt=sendable(request.text),
        provider_ttl=endpoint.provider_ttl,
        system=sendable(request.system or endpoint.system_prompt or ""),
        api_base=provider.api_base,
        headers=settings.custom_headers,
        organization=settings.organization,
        api_version=settings.api_version,
        proxy=settings.proxy,
        timeout_s=settings.timeout,
        connect_timeout_s=settings.connect_timeout,
        stream=request.stream,
        params=_params({**endpoint.params.chosen(), **request.params}),
    )


def with_context(call: ModelCall, pack: Pack, slots_dir: Path | None, *, kept: bool) -> ModelCall:
    """The call with its context; a pack that is not kept has nothing that a provider should keep either."""
    if not pack.files:
        return call
    if not kept:
        return replace(call, tail=pack.text)
    return replace(call, blocks=pack.blocks, tail=pack.tail, blocks_before=pack.kept_before, slots_dir=slots_dir)


def usable_keys(provider: Provider) -> tuple[Key, ...]:
    """The provider's keys, references resolved; `NO_KEY` alone where it needs none.

    Of several keys, one whose variable is not set is left out.

    Raises:
        SecretMissing: The provider needs a key and has none, or none whose variable is set.
    """
    keys = candidates(provider)
    if not keys and provider.type in KEYLESS_TYPES:
        return (NO_KEY,)
    found: list[Key] = []
    missing: SecretMissing | None = None
    for key in keys:
        try:
            found.append(replace(key, key=resolve(key.key, f"provider {provider.id}")))
        except SecretMissing as error:
            missing = missing or error
    if found:
        return tuple(found)
    raise missing or _no_key(provider)


def secrets_of(call: ModelCall) -> Iterator[Secret]:
    """Everything in a call that must not be shown."""
    yield from call.headers.values()
    for secret in (call.api_key, call.proxy):
        if secret is not None:
            yield secret


def _params(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return Params.model_validate(given).chosen()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    known = ", ".join(Params.model_fields)
    raise ConfigError(f"model parameter {name}: {first['msg']}", hint=f"Known are {known}.")


def sendable(text: str) -> str:
    """Text without lone surrogates: what a shell passes on of bytes that are not UTF-8 cannot be sent."""
    return text.encode(errors="surrogatepass").decode(errors="replace")


def _no_key(provider: Provider) -> SecretMissing:
    name = STANDARD_KEY_NAMES.get(provider.type, "NAME")
    return SecretMissing(
        f"API key not configured for provider {provider.name} ({provider.id})",
        hint=f'Set its "apiKey" to "${{{name}}}", and the variable {name} before Jupyter starts.',
    )

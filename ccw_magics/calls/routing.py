"""From an endpoint's id to the endpoint and its provider."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ccw_magics.config.models import LOCAL_ID, Config, Endpoint, Provider
from ccw_magics.errors import ConfigError, EndpointNotFound, ProviderNotFound

NOTHING_CONFIGURED_HINT = (
    'For a small model that needs no key: pip install "ccw_magics[local]". '
    "For a provider of your own: %ccw init writes an example config to edit."
)


@dataclass(frozen=True)
class Route:
    """Whom a request goes to."""

    endpoint: Endpoint
    provider: Provider


def embedded_route() -> Route:
    """The endpoint `local` as it is without any config."""
    from ccw_magics.backends import local_model

    provider = Provider(id=LOCAL_ID, name="Embedded model", type="local")
    endpoint = Endpoint(
        id=LOCAL_ID, name="Embedded demonstration model", provider_id=LOCAL_ID, model=local_model.DEFAULT_MODEL
    )
    return Route(endpoint, provider)


def known_endpoints(config: Config) -> list[Endpoint]:
    """All endpoints there are: the configured ones, and `local` where the extra is installed."""
    from ccw_magics.backends import local_model

    configured = list(config.endpoints)
    if local_model.available() and all(endpoint.id != LOCAL_ID for endpoint in configured):
        configured.append(embedded_route().endpoint)
    return configured


def default_endpoint_id(config: Config) -> str | None:
    """Who is asked where no endpoint is named: the configured default, else the embedded model, else nobody."""
    from ccw_magics.backends import local_model

    return config.default_endpoint or (LOCAL_ID if local_model.available() else None)


def route(config: Config, endpoint_id: str | None) -> Route:
    """The endpoint with this id (None: the default) and its provider, both enabled.

    Raises:
        EndpointNotFound: There is no such endpoint; the hint names those that exist and the nearest.
        ProviderNotFound: The endpoint's provider is not in the config.
        ConfigError: Endpoint or provider is disabled.
    """
    wanted = endpoint_id or default_endpoint_id(config)
    if wanted is None:
        raise _nobody_to_ask(config)
    endpoint = next((known for known in config.endpoints if known.id == wanted), None)
    if endpoint is None and wanted == LOCAL_ID:
        return embedded_route()
    if endpoint is None:
        raise _not_found(wanted, [known.id for known in known_endpoints(config)])
    if not endpoint.enabled:
        raise ConfigError(f"endpoint {endpoint.id} is disabled", hint='Set "enabled": true for it, or name another.')
    return Route(endpoint, _provider(config, endpoint))


def _provider(config: Config, endpoint: Endpoint) -> Provider:
    provider = next((known for known in config.providers if known.id == endpoint.provider_id), None)
    if provider is None and endpoint.provider_id == LOCAL_ID:
        return embedded_route().provider
    if provider is None:
        known = ", ".join(known.id for known in config.providers) or "none"
        raise ProviderNotFound(
            f"provider not found: {endpoint.provider_id} (of endpoint {endpoint.id})",
            hint=f"Providers in the config: {known}",
        )
    if not provider.enabled:
        raise ConfigError(
            f"provider {provider.name or provider.id} of endpoint {endpoint.id} is disabled",
            hint=f'Set "enabled": true for {provider.id}, or name another endpoint.',
        )
    return provider


def _nobody_to_ask(config: Config) -> EndpointNotFound:
    if not config.endpoints:
        return EndpointNotFound("nothing is configured yet", hint=NOTHING_CONFIGURED_HINT)
    first = config.endpoints[0].id
    return EndpointNotFound(
        "no endpoint is named, and the config has no default",
        hint=f"Name one (%%ccw {first}), or set the default: %ccw default {first}",
    )


def _not_found(wanted: str, ids: list[str]) -> EndpointNotFound:
    if not ids:
        return EndpointNotFound(f"endpoint not found: {wanted}", hint=NOTHING_CONFIGURED_HINT)
    nearest = difflib.get_close_matches(wanted, ids, n=1)
    guess = f"Did you mean {nearest[0]}? " if nearest else ""
    return EndpointNotFound(f"endpoint not found: {wanted}", hint=f"{guess}Endpoints: {', '.join(ids)}")

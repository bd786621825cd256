"""A provider with keys in place of references, for the moment of a call; and the keys of all providers."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ccw_magics.config.credentials import Secret, is_reference, references, resolve
from ccw_magics.config.models import Config, Provider


def resolved(provider: Provider) -> Provider:
    """Return a copy of a provider with every reference replaced by the key it stands for.

    Keys that are disabled stay as they are. A base URL's references are resolved too.

    Raises:
        SecretMissing: A variable is not set.
    """
    what, settings = f"provider {provider.id}", provider.advanced_settings
    headers = {name: resolve(value, f"{what} (header {name})") for name, value in settings.custom_headers.items()}
    proxy = settings.proxy and resolve(settings.proxy, f"{what} (proxy)")
    api_keys = [
        entry.model_copy(update={"key": resolve(entry.key, f"{what} ({entry.id})")}) if entry.enabled else entry
        for entry in provider.api_keys
    ]
    base = provider.api_base and resolve(Secret(provider.api_base), f"{what} (apiBase)").reveal()
    return provider.model_copy(
        update={
            "api_key": resolve(provider.api_key, what),
            "api_keys": api_keys,
            "api_base": base,
            "advanced_settings": settings.model_copy(update={"custom_headers": headers, "proxy": proxy}),
        }
    )


def held_keys(config: Config) -> Iterator[Secret]:
    """Every key that stands in a config, or in the environment under a name that it gives; keyrings are not asked.

    Who reads the project, or knows the environment, may say them.
    """
    for provider in config.providers:
        settings = provider.advanced_settings
        listed = [entry.key for entry in provider.api_keys]
        for value in (provider.api_key, *listed, *settings.custom_headers.values(), settings.proxy):
            if value:
                yield from _held(value)


def _held(value: Secret) -> Iterator[Secret]:
    text = value.reveal()
    yield from (Secret(os.environ[name]) for name in references(text) if os.environ.get(name))
    if not is_reference(text):
        yield value

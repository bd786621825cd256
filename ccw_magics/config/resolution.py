"""A provider with its keys in place of the references to them: for the moment of a call."""

from __future__ import annotations

from ccw_magics.config.credentials import Secret, resolve
from ccw_magics.config.models import Provider


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

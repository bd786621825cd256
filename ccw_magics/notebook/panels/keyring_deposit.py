"""Keys on their way into the system's keyring while the config that refers to them is being written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from ccw_magics.config import keyring
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import Provider
from ccw_magics.errors import CcwError, ConfigUnsure


@contextmanager
def deposited(keys: Mapping[str, Secret]) -> Iterator[None]:
    """Put keys into the keyring; where the block fails, it is afterwards as it was before.

    Where the block raises `ConfigUnsure`, the file names the entries already, and so they stay.

    Args:
        keys: Entry to key.

    Raises:
        ConfigError: The keyring refused one of them, or does not tell what it holds.
    """
    before: dict[str, Secret | None] = {}
    try:
        for name, key in keys.items():
            before[name] = _present(name)
            keyring.store(name, key)
        yield
    except ConfigUnsure:
        raise
    except BaseException:
        for name, old in before.items():
            with suppress(CcwError):  # what failed first is what the user must see
                keyring.delete(name) if old is None else keyring.store(name, old)
        raise


def with_keys(provider: Provider, keys: Mapping[str, Secret]) -> Provider:
    """A copy of a provider with keys themselves where it refers to entries that do not hold them yet.

    Args:
        provider: As it would be stored.
        keys: Entry to key.
    """

    def key_of(value: Secret) -> Secret:
        return keys.get(keyring.name_in(value.reveal()), value)

    several = [entry.model_copy(update={"key": key_of(entry.key)}) for entry in provider.api_keys]
    return provider.model_copy(update={"api_key": key_of(provider.api_key), "api_keys": several})


def _present(name: str) -> Secret | None:
    """What is to be put back should the block fail; where that cannot be known, nothing is written over it."""
    key = keyring.held(name)
    return None if key is None else Secret(key)

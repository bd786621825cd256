"""Providers and endpoints as entries of the file: JSON objects that keep their order and what else they hold.

A change is made to the JSON object, not to the model: a model written back would lose the order of the keys.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from ccw_magics.config import configfile
from ccw_magics.config.credentials import REVEAL
from ccw_magics.config.models import Endpoint, Provider
from ccw_magics.config.sealed import Sealed
from ccw_magics.errors import ConfigError

Entry = dict[str, Any]
EntryT = TypeVar("EntryT", Provider, Endpoint)

_STAMPS = ("createdAt", "updatedAt")


def now_iso() -> str:
    """Return the time as CCW writes it: ISO 8601, UTC, milliseconds, `Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def free_provider_id(provider_type: str, taken: Container[str]) -> str:
    """Return `<type>-<milliseconds since the epoch>`, counted up past ids that are taken."""
    number = time.time_ns() // 1_000_000
    while f"{provider_type}-{number}" in taken:
        number += 1
    return f"{provider_type}-{number}"


def canonical(model: type[BaseModel], given: Mapping[str, Any]) -> Entry:
    """Return the mapping with the file's names in place of Python's, in the same order.

    Where both are there, the file's is meant, as pydantic reads it: a Python name beside it is one more unknown key.
    Taking its value would let an edit turn a harmless address into another.
    """
    aliases = {name: field.alias or name for name, field in model.model_fields.items()}
    aliases = {name: alias for name, alias in aliases.items() if alias not in given}
    return Sealed({aliases.get(key, key): value for key, value in given.items()})


def given_fields(model: type[BaseModel], given: BaseModel | Mapping[str, Any]) -> Entry:
    """Return what a caller passed, under the file's names: of a model the fields that were set.

    Raises:
        ConfigError: It is neither the right model nor a mapping.
    """
    if isinstance(given, model):
        return _dump(given)
    if isinstance(given, Mapping):
        return canonical(model, given)
    raise ConfigError(f"Expected a {model.__name__} or a dict, not {type(given).__name__}.")


def _dump(model: BaseModel) -> Entry:
    """Return the fields that were set, keys in plain text: for the file."""
    entry: Entry = Sealed(model.model_dump(by_alias=True, exclude_unset=True, context={REVEAL: True}))
    if isinstance(model, Endpoint) and "cacheStrategy" in entry:
        # CCW reads these four without defaults.
        entry["cacheStrategy"] = model.cache_strategy.model_dump(by_alias=True, context={REVEAL: True})
    return entry


def new_provider(given: Provider | Mapping[str, Any], taken: Container[str]) -> Entry:
    """Return the entry of a provider to be added; it gets an id unless the caller chose one.

    Raises:
        ConfigError: It is not the shape of a provider, or a mask stands where a key should.
    """
    provider = configfile.validate(Provider, _without_none(given_fields(Provider, given)), "provider: ")
    fields = _dump(provider.with_masked_keys_from(None))
    first = {"id": "", "name": provider.type, "type": "", "apiKey": "", "enabled": True}
    provider_id = provider.id or free_provider_id(provider.type, taken)
    return Sealed({**first, **fields, "id": provider_id, **_new_stamps()})


def new_endpoint(given: Endpoint | Mapping[str, Any]) -> Entry:
    """Return the entry of an endpoint to be added.

    Raises:
        ConfigError: It is not the shape of an endpoint.
    """
    fields = _without_none(given_fields(Endpoint, given))
    endpoint = configfile.validate(Endpoint, {"cacheStrategy": {}, **fields}, "endpoint: ")
    first = {"id": "", "name": endpoint.id, "providerId": "", "model": "", "enabled": True}
    return {**first, **_dump(endpoint), **_new_stamps()}


def _new_stamps() -> Entry:
    return dict.fromkeys(_STAMPS, now_iso())


def _without_none(fields: Entry) -> Entry:
    return Sealed({key: value for key, value in fields.items() if value is not None})


def changed(model: type[EntryT], entry: Entry, given: EntryT | Mapping[str, Any]) -> Entry:
    """Return an entry with changes; None removes a key, a mask keeps the stored key.

    Nested settings (`advancedSettings`, `cacheStrategy`) are replaced whole, as CCW does.

    Raises:
        ConfigError: The result is not of the right shape, or has another id.
    """
    old = canonical(model, entry)
    changes = Sealed({key: value for key, value in given_fields(model, given).items() if key not in _STAMPS})
    if changes.get("id", old["id"]) not in {old["id"], ""}:
        raise ConfigError(f"The id of {old['id']} cannot be changed; add a new one and delete this.")
    changes.pop("id", None)
    removed = {key for key, value in changes.items() if value is None}
    wanted = Sealed({key: value for key, value in {**old, **changes}.items() if key not in removed})
    new = configfile.validate(model, wanted, f"{old['id']}: ", is_stored=True)
    if isinstance(new, Provider):
        new = new.with_masked_keys_from(configfile.validate(Provider, entry))
    fields = _dump(new)
    merged = Sealed({key: fields[key] if key in changes else wanted[key] for key in wanted})
    merged["updatedAt"] = now_iso()
    return merged


def changed_settings(kind: type[BaseModel], entry: Entry, given: BaseModel | Mapping[str, Any], place: str) -> Entry:
    """Return settings that stand once in the file with changes; None puts a default back.

    Args:
        kind: Their model.
        entry: What the file has.
        given: The changes: a model, or a mapping.
        place: The field's name in the file, for errors.

    Raises:
        ConfigError: The result is not of the right shape.
    """
    changes = given_fields(kind, given)
    wanted = {**canonical(kind, entry), **changes}
    fields = _dump(configfile.validate(kind, _without_none(wanted), f"{place}: "))
    return {key: fields[key] if key in changes else value for key, value in wanted.items() if value is not None}

"""An entry of the config taken apart by place: what was set of it, what a form fills in and compares, what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ccw_magics.config.credentials import Secret, shown_base
from ccw_magics.config.models import ApiKeyEntry
from ccw_magics.notebook.panels import style


@dataclass(frozen=True)
class _Unknown:
    """What stands in the file under a name that is not known here: it may be a key."""

    value: Any


def given(entry: BaseModel) -> dict[str, Any]:
    """What was set of an entry, under the file's names; keys as they are, each in its `Secret`."""
    return {_place(entry, name): value for name, value in entry if name in entry.model_fields_set}


def places(entry: BaseModel) -> dict[str, Any]:
    """All of an entry by place; settings one level down stand there one by one: `advancedSettings.timeout`."""
    flat: dict[str, Any] = {}
    for name, value in entry:
        place = _place(entry, name)
        if isinstance(value, BaseModel):
            flat |= {f"{place}.{inner}": item for inner, item in places(value).items()}
        else:
            flat[place] = value if name in type(entry).model_fields else _Unknown(value)
    return flat


def _place(entry: BaseModel, name: str) -> str:
    field = type(entry).model_fields.get(name)
    return (field.alias if field is not None else None) or name


def to_fill_in(entry: BaseModel) -> dict[str, Any]:
    """The same for the fields of a form: of keys, their masks; nothing that a front end could not be sent."""
    flat: dict[str, Any] = {}
    for name, value in entry.model_dump(by_alias=True).items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": _sendable(item) for inner, item in value.items()}
        flat[name] = _sendable(value)
    return flat


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return style.plain(value)
    if isinstance(value, Mapping):
        return {_sendable(name): _sendable(inner) for name, inner in value.items()}
    return [_sendable(item) for item in value] if isinstance(value, list) else value


def with_keys(value: Any, held: Any) -> Any:
    """What a field says, with the keys themselves in the places of their masks.

    Args:
        value: As `Field.value` gives it.
        held: What `places` has there of the entry that the field was filled from.
    """
    if isinstance(held, Secret):
        return held if value == str(held) else value
    if isinstance(held, Mapping) and isinstance(value, Mapping):
        return {name: with_keys(inner, held.get(name)) for name, inner in value.items()}
    if isinstance(held, list) and isinstance(value, list):
        known = {item.id: places(item) for item in held if isinstance(item, ApiKeyEntry)}
        return [with_keys(item, known.get(item["id"])) if isinstance(item, Mapping) else item for item in value]
    return value


def shown(value: Any) -> str:
    """A value as it may be shown: of keys, their masks; of a URL, no password; of what is unknown, only that it is."""
    if isinstance(value, _Unknown):
        return "changed"
    if isinstance(value, BaseModel):
        known = {place: item for place, item in places(value).items() if not isinstance(item, _Unknown)}
        return shown(known)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(inner)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return "; ".join(map(shown, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else shown_base(str(value)) if "://" in str(value) else str(value)

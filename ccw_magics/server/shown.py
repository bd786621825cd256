"""The config as an answer shows it, and what a client hands back of that as it is stored."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from ccw_magics.config.credentials import mask
from ccw_magics.config.models import Config, Endpoint, Provider
from ccw_magics.server.refusal import Refusal

_TELLING: Final = re.compile(r"(?i)auth|bearer|key|token|secret|passw|passphrase|pwd|credential|cookie|signature")
"""In the name of a field, one of ours or not, whose text is no one else's business."""
_USER_OF_URL: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_ARGUMENT_OF_URL: Final = re.compile(r"(?<=://)(?P<before>[^?#\s]*)[?#]\S*")
_ALWAYS: Final = {
    Provider: {"id", "name", "type", "api_key", "enabled"},
    Endpoint: {"id", "name", "provider_id", "model", "enabled", "cache_strategy"},
    Config: {"version", "global_cache_settings"},
}
"""What CCW's own types always have, whether or not the file says it."""


def shown(model: BaseModel) -> dict[str, Any]:
    """A provider, an endpoint or the config as JSON, under the file's names, with every key masked.

    Raises:
        Refusal: It is nested too deeply, which only a file can be.
    """
    try:
        answer: dict[str, Any] = _masked(_open(model))
    except (RecursionError, ValueError):  # the second is pydantic's word for the first
        raise Refusal("the config is nested too deeply", status=HTTPStatus.CONFLICT) from None
    return answer


def with_what_was_shown(sent: dict[str, Any], stored: BaseModel) -> dict[str, Any]:
    """The changes that a client sent, where what it hands back as it was shown is what is stored.

    Args:
        sent: The changes, under the file's names.
        stored: What they are to.
    """
    before = _open(stored)
    changes: dict[str, Any] = _restored(sent, _masked(before), before)
    return changes


def _open(model: BaseModel) -> dict[str, Any]:
    """What the file says, keys masked by themselves; fields that are not ours stand as they are."""
    if isinstance(model, Config):
        lists = {"providers": [_open(item) for item in model.providers]}
        lists["endpoints"] = [_open(item) for item in model.endpoints]
    else:
        lists = {}
    first = model.model_dump(by_alias=True, include=_ALWAYS.get(type(model)))
    return {**first, **model.model_dump(by_alias=True, exclude_unset=True, exclude=set(lists)), **lists}


def _masked(value: Any, *, is_telling: bool = False) -> Any:
    if isinstance(value, dict):
        return {name: _masked_field(name, item, is_telling=is_telling) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, is_telling=is_telling) for item in value]
    if isinstance(value, str):
        return mask(value) if is_telling else _ARGUMENT_OF_URL.sub(r"\g<before>?…", _USER_OF_URL.sub("…", value))
    return value


def _masked_field(name: str, value: Any, *, is_telling: bool) -> Any:
    if name == "apiKeys" and isinstance(value, list) and not is_telling:
        return [_masked(item, is_telling=not isinstance(item, dict)) for item in value]  # its ids and labels are none
    return _masked(value, is_telling=is_telling or _TELLING.search(name) is not None)


def _restored(sent: Any, shown_before: Any, stored: Any) -> Any:
    if sent == shown_before:
        return stored
    if isinstance(sent, dict) and isinstance(shown_before, dict):
        return {
            name: _restored(item, shown_before[name], stored[name]) if name in shown_before else item
            for name, item in sent.items()
        }
    return sent

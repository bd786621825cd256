"""The operations on what stands once in the config."""

from __future__ import annotations

from typing import Any

from ccw_magics.config.models import GlobalCacheSettings
from ccw_magics.server.answers import (
    ConfigShown,
    DefaultEndpoint,
    DefaultEndpointChange,
    DefaultEndpointDone,
    SettingsDone,
)
from ccw_magics.server.operation import Body, Call, Operation
from ccw_magics.server.shown import shown


def get_config(call: Call) -> dict[str, Any]:
    """Show the whole config, the user's own below the project's; keys are masked."""
    return shown(call.workspace.config.load())


def get_cache_settings(call: Call) -> dict[str, Any]:
    """Show where packs are kept, and how many bytes of them."""
    return call.workspace.config.get_global_cache_settings().model_dump(by_alias=True)


def change_cache_settings(call: Call) -> dict[str, Any]:
    """Change where packs are kept, and how many bytes of them; null puts a default back."""
    settings = call.workspace.config.update_global_cache_settings(call.body)
    return {"success": True, "settings": settings.model_dump(by_alias=True)}


def get_default_endpoint(call: Call) -> dict[str, Any]:
    """Show which endpoint the config asks where none is named."""
    return {"defaultEndpoint": call.workspace.config.get_default_endpoint()}


def change_default_endpoint(call: Call) -> dict[str, Any]:
    """Name the endpoint that is asked where none is named; without an `endpointId`, or with null, there is none."""
    store = call.workspace.config
    store.set_default_endpoint(call.body.get("endpointId"))
    return {"success": True, "defaultEndpoint": store.get_default_endpoint()}


OPERATIONS = (
    Operation("get", "/config", get_config, ConfigShown),
    Operation("get", "/config/cache", get_cache_settings, GlobalCacheSettings),
    Operation("put", "/config/cache", change_cache_settings, SettingsDone, Body(GlobalCacheSettings, is_change=True)),
    Operation("get", "/config/default-endpoint", get_default_endpoint, DefaultEndpoint),
    Operation(
        "put", "/config/default-endpoint", change_default_endpoint, DefaultEndpointDone, Body(DefaultEndpointChange)
    ),
)

"""The operations on endpoints."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ccw_magics.config.lookup import endpoint_not_found, find
from ccw_magics.config.models import Endpoint
from ccw_magics.errors import AlreadyExists
from ccw_magics.server.answers import Deleted, EndpointDone, EndpointList
from ccw_magics.server.operation import Body, Call, Operation
from ccw_magics.server.shown import shown, with_what_was_shown


def list_endpoints(call: Call) -> dict[str, Any]:
    """List the endpoints: the project's, and the user's own below them."""
    endpoints = [shown(endpoint) for endpoint in call.workspace.config.get_all_endpoints()]
    return {"endpoints": endpoints, "count": len(endpoints)}


def add_endpoint(call: Call) -> dict[str, Any]:
    """Add an endpoint of a provider that is there."""
    try:
        added = call.workspace.config.add_endpoint(call.body)
    except AlreadyExists as error:
        error.hint = f"PUT /endpoints/{quote(call.body['id'], safe='')} changes it."
        raise
    return {"success": True, "endpoint": shown(added)}


def get_endpoint(call: Call) -> dict[str, Any]:
    """Show an endpoint."""
    config = call.workspace.config.load()
    found = find(config.endpoints, call.id)
    if found is None:
        raise endpoint_not_found(call.id, config)
    return shown(found)


def change_endpoint(call: Call) -> dict[str, Any]:
    """Change an endpoint: null takes a value away."""

    def changes(stored: Endpoint) -> dict[str, Any]:
        return with_what_was_shown(call.body, stored)

    return {"success": True, "endpoint": shown(call.workspace.config.update_endpoint(call.id, changes))}


def delete_endpoint(call: Call) -> dict[str, Any]:
    """Delete an endpoint; a default that names it is cleared."""
    store = call.workspace.config
    if not store.delete_endpoint(call.id):
        error = endpoint_not_found(call.id, store.load())
        if store.get_endpoint(call.id) is not None:
            error.hint = f"It is in {store.user.path}, which is changed by hand or by `ccw endpoint delete --user`."
        raise error
    return {"success": True, "message": "Endpoint deleted", "endpoints": [call.id]}


_CHANGE = Body(Endpoint, is_change=True, filler={"id": "any", "providerId": "any"})
OPERATIONS = (
    Operation("get", "/endpoints", list_endpoints, EndpointList),
    Operation("post", "/endpoints", add_endpoint, EndpointDone, Body(Endpoint)),
    Operation("get", "/endpoints/{id}", get_endpoint, Endpoint),
    Operation("put", "/endpoints/{id}", change_endpoint, EndpointDone, _CHANGE),
    Operation("delete", "/endpoints/{id}", delete_endpoint, Deleted),
)

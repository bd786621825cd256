"""The operations on providers, and what models are known of each type."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from ccw_magics.calls import worker
from ccw_magics.calls.model_facts import known_models
from ccw_magics.calls.model_list import BASES
from ccw_magics.calls.probe import Probe, probe
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.config.models import LOCAL_ID, STANDARD_KEY_NAMES, Provider
from ccw_magics.errors import AlreadyExists
from ccw_magics.server.answers import Deleted, KnownModel, ModelNames, ProviderDone, ProviderList, Tested
from ccw_magics.server.operation import Body, Call, Operation
from ccw_magics.server.refusal import Refusal, without_cell
from ccw_magics.server.shown import shown, with_what_was_shown

_TYPES: Final = frozenset({*BASES, *STANDARD_KEY_NAMES, LOCAL_ID, "custom"})


def list_providers(call: Call) -> dict[str, Any]:
    """List the providers: the project's, and the user's own below them; keys are masked."""
    providers = [shown(provider) for provider in call.workspace.config.get_all_providers()]
    return {"providers": providers, "count": len(providers)}


def add_provider(call: Call) -> dict[str, Any]:
    """Add a provider; without an id it gets one, its type and the milliseconds since 1970."""
    try:
        added = call.workspace.config.add_provider(call.body)
    except AlreadyExists as error:
        error.hint = f"PUT /providers/{quote(call.body['id'], safe='')} changes it."
        raise
    return {"success": True, "provider": shown(added)}


def get_provider(call: Call) -> dict[str, Any]:
    """Show a provider."""
    config = call.workspace.config.load()
    found = find(config.providers, call.id)
    if found is None:
        raise provider_not_found(call.id, config)
    return shown(found)


def change_provider(call: Call) -> dict[str, Any]:
    """Change a provider: null takes a value away, and a key that is sent back as its mask stays as it is."""

    def changes(stored: Provider) -> dict[str, Any]:
        return with_what_was_shown(call.body, stored)

    return {"success": True, "provider": shown(call.workspace.config.update_provider(call.id, changes))}


def delete_provider(call: Call) -> dict[str, Any]:
    """Delete a provider, and its endpoints with it."""
    store = call.workspace.config
    along = [item.id for item in store.get_all_endpoints() if item.provider_id == call.id]
    along = [name for name in along if (known := store.get_endpoint(name)) and store.origin(known) == "project"]
    if not store.delete_provider(call.id):
        error = provider_not_found(call.id, store.load())
        if store.get_provider(call.id) is not None:
            error.hint = f"It is in {store.user.path}, which is changed by hand or by `ccw provider delete --user`."
        raise error
    return {"success": True, "message": "Provider deleted", "endpoints": along}


async def test_provider(call: Call) -> dict[str, Any]:
    """See whether a provider can be reached with its key; a free request."""
    config = await asyncio.to_thread(call.workspace.config.require_trust)
    found = find(config.providers, call.id)
    if found is None and call.id == LOCAL_ID:
        found = Provider(id=LOCAL_ID, type=LOCAL_ID)
    if found is None:
        raise provider_not_found(call.id, config)
    if not found.enabled:
        return _told(found, Probe(False, "Provider is disabled", "PUT it with enabled true."))
    return _told(found, await worker.watch_async(probe(found)))


def _told(provider: Provider, tested: Probe) -> dict[str, Any]:
    return {
        "success": tested.is_ok is True,
        "provider": provider.type,
        "latencyMs": None if tested.latency_s is None else round(tested.latency_s * 1000),
        "error": None if tested.is_ok else tested.outcome,
        "outcome": tested.outcome,
        "hint": without_cell(tested.hint),
        "models": list(tested.models),
    }


async def list_models(call: Call) -> dict[str, Any]:
    """List the chat models that are known of a type of provider; asks nobody."""
    names = await worker.watch_async(known_models(call.id))
    if not names and call.id not in _TYPES:
        hint = f"There are {', '.join(sorted(_TYPES))}, and those that litellm knows."
        raise Refusal("Provider type not found", hint=hint, status=HTTPStatus.NOT_FOUND)
    models = [KnownModel(id=name, name=name, provider=call.id).model_dump() for name in names]
    return {"providerType": call.id, "models": models, "count": len(models)}


OPERATIONS = (
    Operation("get", "/providers", list_providers, ProviderList),
    Operation("post", "/providers", add_provider, ProviderDone, Body(Provider)),
    Operation("get", "/providers/{id}", get_provider, Provider),
    Operation(
        "put",
        "/providers/{id}",
        change_provider,
        ProviderDone,
        Body(Provider, is_change=True, filler={"type": "custom"}),
    ),
    Operation("delete", "/providers/{id}", delete_provider, Deleted),
    Operation("post", "/providers/{id}/test", test_provider, Tested),
    Operation("get", "/models/{id}", list_models, ModelNames),
)

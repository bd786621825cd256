"""The verbs about what can be asked: `endpoint add|edit|duplicate|delete|list|default`, `endpoints` and `default`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics import stats
from ccw_magics.calls.routing import known_endpoints
from ccw_magics.cli.editing import (
    confirm,
    given,
    only_users,
    origin_of,
    other_file_named,
    own_option,
    store_of,
    user_option,
    with_options,
    yes_option,
)
from ccw_magics.config.lookup import endpoint_not_found, find
from ccw_magics.config.models import LOCAL_ID, Endpoint
from ccw_magics.errors import EndpointNotFound

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.config.store import ConfigStore

_FIELDS: Final = {
    "provider_id": "providerId",
    "model": "model",
    "name": "name",
    "description": "description",
    "system": "systemPrompt",
    "context_window": "contextWindow",
    "replay": "replay",
    "fallback": "fallback",
    "enabled": "enabled",
}
_PARAMS: Final = {"temperature": "temperature", "max_tokens": "maxTokens"}
_CACHE: Final = {
    "cache": "enabled",
    "ttl_minutes": "ttlMinutes",
    "max_size_kb": "maxSizeKB",
    "file_pattern": "filePatterns",
}
_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option("--model", metavar="NAME", help="The model, as the provider names it."),
    click.option("--name", metavar="TEXT", help="A name for display."),
    click.option("--description", metavar="TEXT", help="A word about it."),
    click.option("--system", metavar="TEXT", help="The system prompt of calls that say none."),
    click.option("--temperature", metavar="NUMBER", help="0 for the likeliest answer, up to 2."),
    click.option("--max-tokens", metavar="COUNT", help="Limit of an answer, in tokens."),
    click.option("--context-window", metavar="COUNT", help="Tokens that the model takes, where it is not known."),
    click.option("--replay/--no-replay", default=None, help="Give a recorded answer where nothing has changed."),
    click.option("--fallback", metavar="ID", multiple=True, help="Whom to ask where it fails; may be repeated."),
    click.option("--cache/--no-cache", default=None, help="Keep its packs."),
    click.option("--ttl-minutes", metavar="MINUTES", help="How long a pack is kept."),
    click.option("--max-size-kb", metavar="KIB", help="Limit of a whole pack."),
    click.option("--file-pattern", metavar="GLOB", multiple=True, help="What a folder brings in; may be repeated."),
    click.option("--enable/--disable", "enabled", default=None, help="Whether it may be used."),
    click.option("--default", "is_default", is_flag=True, help="Ask it where none is named."),
    user_option,
)


@click.command()
@own_option
@click.pass_obj
def endpoints(door: Door, *, user: bool) -> stats.Table:
    """List the endpoints."""
    return only_users(stats.endpoints(door.workspace), user=user)


@click.command()
@click.argument("endpoint_id", metavar="ID")
@user_option
@click.pass_obj
def default(door: Door, endpoint_id: str, *, user: bool) -> str:
    """Make endpoint ID the one that is asked where none is named; an empty ID takes the default away."""
    store_of(door, user=user).set_default_endpoint(endpoint_id or None)
    config = door.workspace.config
    if user and config.get_default_endpoint() != (endpoint_id or None):
        door.note(f"In this project its own stays in force: {config.get_default_endpoint()}.")
    return f"default endpoint: {endpoint_id or 'none'}"


@click.group("endpoint", invoke_without_command=True)
@click.pass_context
def endpoint(context: click.Context) -> stats.Table | None:
    """List the endpoints; add, edit or delete one, or make one the default."""
    return None if context.invoked_subcommand is not None else stats.endpoints(context.obj.workspace)


endpoint.add_command(endpoints, "list")
endpoint.add_command(default)


@endpoint.command("add")
@click.argument("endpoint_id", metavar="ID")
@click.option("--provider", "provider_id", metavar="ID", required=True, help="Whose model it is.")
@with_options(_OPTIONS)
@click.pass_obj
def add(door: Door, /, endpoint_id: str, *, user: bool, is_default: bool, **options: Any) -> str:
    """Add endpoint ID: a provider's model under a name of yours."""
    if not options["model"] and options["provider_id"] != LOCAL_ID:
        raise click.UsageError("--model NAME is missing: the model, as the provider names it")
    store = store_of(door, user=user)
    made = store.add_endpoint({"id": endpoint_id, **given(options, _FIELDS), **_nested(options, None)})
    _finish(door, store, made, is_default=is_default)
    return f"added: {made.id}"


@endpoint.command("edit")
@click.argument("endpoint_id", metavar="ID")
@click.option("--provider", "provider_id", metavar="ID", help="Whose model it is.")
@with_options(_OPTIONS)
@click.pass_obj
def edit(door: Door, /, endpoint_id: str, *, user: bool, is_default: bool, **options: Any) -> str:
    """Change endpoint ID: what is given replaces what was there, and an empty value takes it away."""
    store = store_of(door, user=user)
    fields = given(options, _FIELDS)
    if not fields and not _nested(options, None) and not is_default:
        raise click.UsageError("nothing says what to change")
    if "model" in fields:
        fields["model"] = fields["model"] or ""
    made = store.update_endpoint(endpoint_id, lambda stored: {**fields, **_nested(options, stored)})
    _finish(door, store, made, is_default=is_default)
    return f"changed: {made.id}"


@endpoint.command("duplicate")
@click.argument("endpoint_id", metavar="ID")
@click.argument("new_id", metavar="NEW")
@user_option
@click.pass_obj
def duplicate(door: Door, endpoint_id: str, new_id: str, *, user: bool) -> str:
    """Add endpoint NEW with all the settings of endpoint ID, to be edited."""
    store = store_of(door, user=user)
    stored = find(known_endpoints(store.load()), endpoint_id)
    if stored is None:
        raise _not_here(door, endpoint_id, user=user)
    made = store.add_endpoint(copy_of(stored, new_id))
    _finish(door, store, made, is_default=False)
    return f"added: {made.id}"


def copy_of(stored: Endpoint, new_id: str) -> dict[str, Any]:
    """An endpoint to be added that has all the settings of another, those included that this package does not know.

    Args:
        stored: The other; its name stays with it.
        new_id: The id.
    """
    fields = stored.model_dump(by_alias=True, exclude_unset=True, exclude={"name", "created_at", "updated_at"})
    return {**fields, "id": new_id}


@endpoint.command("delete")
@click.argument("endpoint_id", metavar="ID")
@yes_option
@user_option
@click.pass_obj
def delete(door: Door, endpoint_id: str, *, yes: bool, user: bool) -> str:
    """Delete endpoint ID; a default that names it goes too."""
    store = store_of(door, user=user)
    before = find(_own(store, user=user), endpoint_id)
    if before is None:
        raise _not_here(door, endpoint_id, user=user)
    was_default = store.get_default_endpoint() == endpoint_id
    what = f"delete the endpoint {endpoint_id} from {store.path}"
    confirm(f"{what}; it is the default" if was_default else what, yes=yes)
    if not store.delete_endpoint(endpoint_id, expected=before):
        raise _not_here(door, endpoint_id, user=user)
    return f"deleted: {endpoint_id}"


def _nested(options: Mapping[str, Any], stored: Endpoint | None) -> dict[str, Any]:
    """Parameters and cache strategy as they are to be, where any of it was given: they are replaced whole."""
    found = {}
    for place, names, old in (
        ("params", _PARAMS, stored.params if stored else None),
        ("cacheStrategy", _CACHE, stored.cache_strategy if stored else None),
    ):
        changes = given(options, names)
        if changes:
            kept = old.model_dump(by_alias=True, exclude_unset=True) if old is not None else {}
            found[place] = {name: value for name, value in {**kept, **changes}.items() if value is not None}
    return found


def _finish(door: Door, store: ConfigStore, made: Endpoint, *, is_default: bool) -> None:
    """Make it the default where that is wanted, and say which file it is in and what it lacks."""
    if is_default:
        store.set_default_endpoint(made.id)
    door.note(f"in {store.path}{', the default' if is_default else ''}")
    known = {other.id for other in known_endpoints(store.load())}
    missing = [other for other in made.fallback if other not in known]
    if missing:
        door.note(f"there is no endpoint {', '.join(missing)} yet, which it falls back to")


def _own(store: ConfigStore, *, user: bool) -> list[Endpoint]:
    """The endpoints of the file that the store writes."""
    return [known for known in store.get_all_endpoints() if store.origin(known) == origin_of(user=user)]


def _not_here(door: Door, endpoint_id: str, *, user: bool) -> EndpointNotFound:
    """There is no such endpoint in the file at hand; say where there is one."""
    error = endpoint_not_found(endpoint_id, store_of(door, user=user).load())
    return other_file_named(error, door, door.workspace.config.get_endpoint(endpoint_id), user=user)

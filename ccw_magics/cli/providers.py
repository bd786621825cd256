"""The verbs about whom to ask: `provider add|edit|delete|test|list`, and `providers`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from ccw_magics import stats
from ccw_magics.cli.editing import (
    ChoiceOrNothing,
    DiscreetCommand,
    confirm,
    given,
    only_users,
    origin_of,
    own_option,
    own_provider,
    provider_not_here,
    secret,
    store_of,
    user_option,
    with_options,
    yes_option,
)
from ccw_magics.cli.provider_keys import key
from ccw_magics.cli.typed_keys import (
    Placed,
    ask_option,
    keyring_option,
    placed,
    tell_key,
    tell_left_entry,
    tell_where_keys_go,
)
from ccw_magics.config.credentials import Secret, is_reference
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.config.models import LOCAL_ID, STANDARD_KEY_NAMES, Provider, RoutingStrategy
from ccw_magics.errors import ProviderError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.config.store import ConfigStore

_API_KEY: Final = "--api-key"
_FIELDS: Final = {
    "type": "type",
    "name": "name",
    "api_key": "apiKey",
    "api_base": "apiBase",
    "routing": "routingStrategy",
    "enabled": "enabled",
}
_SETTINGS: Final = {
    "timeout": "timeout",
    "connect_timeout": "connectTimeout",
    "max_retries": "maxRetries",
    "organization": "organization",
    "api_version": "apiVersion",
    "rpm": "rpm",
    "tpm": "tpm",
    "proxy": "proxy",
}
_TELLING: Final = re.compile(r"(?i)auth|key|token|secret|cookie|password")
"""In the name of a header whose value is no one else's business."""


def header(text: str) -> tuple[str, Secret]:
    """Read a header, `Name: value`; without a value, the header that is to go.

    Raises:
        click.BadParameter: It is none; the message does not repeat it, since it may hold a key.
    """
    name, colon, value = text.partition(":")
    if text and not (colon and name.strip()):
        raise click.BadParameter("a header is written 'Name: value'")
    return name.strip(), Secret(value.strip())


_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option("--name", metavar="TEXT", help="A name for display."),
    click.option(
        _API_KEY,
        metavar="TEXT",
        type=secret,
        help="'${NAME}' for an environment variable, keyring:NAME, or the key itself.",
    ),
    ask_option,
    keyring_option,
    click.option("--api-base", metavar="URL", help="Another address than the type's own."),
    click.option("--timeout", metavar="SECONDS", help="For a whole call, all its tries included."),
    click.option("--connect-timeout", metavar="SECONDS", help="Until there must be a connection."),
    click.option("--max-retries", metavar="COUNT", help="Further tries after a transient failure."),
    click.option("--organization", metavar="ID", help="OpenAI's organization."),
    click.option("--api-version", metavar="VERSION", help="Azure's API version."),
    click.option(
        "--header",
        "headers",
        metavar="'NAME: VALUE'",
        type=header,
        multiple=True,
        help="A further HTTP header; may be repeated.",
    ),
    click.option("--rpm", metavar="COUNT", help="Requests a minute."),
    click.option("--tpm", metavar="COUNT", help="Tokens a minute."),
    click.option("--proxy", metavar="URL", type=secret, help="An HTTP proxy."),
    click.option(
        "--routing",
        type=ChoiceOrNothing(get_args(RoutingStrategy)),
        help="How several keys take turns; without, the first that works is taken.",
    ),
    click.option("--enable/--disable", "enabled", default=None, help="Whether its endpoints may be used."),
    user_option,
)


@click.command()
@own_option
@click.pass_obj
def providers(door: Door, *, user: bool) -> stats.Table:
    """List the providers; keys are masked."""
    return only_users(stats.providers(door.workspace), user=user)


@click.group("provider", invoke_without_command=True)
@click.pass_context
def provider(context: click.Context) -> stats.Table | None:
    """List the providers; add, edit, delete or test one."""
    return None if context.invoked_subcommand is not None else stats.providers(context.obj.workspace)


provider.add_command(providers, "list")
provider.add_command(key)


@provider.command("add", cls=DiscreetCommand)
@click.option("--type", metavar="TYPE", required=True, help="openai, anthropic, google, azure, mistral, ollama, …")
@with_options(_OPTIONS)
@click.pass_obj
def add(door: Door, /, *, user: bool, asks: bool, in_keyring: bool, **options: Any) -> str:
    """Add a provider, and show its id. Without a key, it is the type's usual variable."""
    if options["api_key"] is None and not asks and not in_keyring and options["type"] in STANDARD_KEY_NAMES:
        options["api_key"] = Secret(f"${{{STANDARD_KEY_NAMES[options['type']]}}}")
    store = store_of(door, user=user)
    with placed(
        options["api_key"], asks=asks, in_keyring=in_keyring, stem=options["type"], option=_API_KEY
    ) as key_placed:
        options["api_key"] = key_placed.value
        made = store.add_provider({**given(options, _FIELDS), "advancedSettings": _settings(options, None)})
    _tell(door, store, made, key_placed, typed=options)
    return made.id


@provider.command("edit", cls=DiscreetCommand)
@click.argument("provider_id", metavar="ID")
@click.option("--type", metavar="TYPE", help="openai, anthropic, google, azure, mistral, ollama, …")
@with_options(_OPTIONS)
@click.pass_obj
def edit(door: Door, /, provider_id: str, *, user: bool, asks: bool, in_keyring: bool, **options: Any) -> str:
    """Change provider ID: what is given replaces what was there, and an empty value takes it away."""
    has_settings = bool(given(options, _SETTINGS) or options["headers"])
    if not (given(options, _FIELDS) or has_settings or asks or in_keyring):
        raise click.UsageError("nothing says what to change")
    store = store_of(door, user=user)
    before = own_provider(door, provider_id, user=user)

    def changes(stored: Provider) -> dict[str, Any]:
        settings = {"advancedSettings": _settings(options, stored)} if has_settings else {}
        return {**given(options, _FIELDS), **settings}

    with placed(options["api_key"], asks=asks, in_keyring=in_keyring, stem=before.type, option=_API_KEY) as key_placed:
        options["api_key"] = key_placed.value
        made = store.update_provider(provider_id, changes)
    _tell(door, store, made, key_placed, typed=options)
    tell_left_entry(door, before.api_key, made.api_key)
    return f"changed: {made.id}"


@provider.command("delete")
@click.argument("provider_id", metavar="ID")
@yes_option
@user_option
@click.pass_obj
def delete(door: Door, provider_id: str, *, yes: bool, user: bool) -> str:
    """Delete provider ID, and its endpoints with it."""
    store = store_of(door, user=user)
    before = own_provider(door, provider_id, user=user)
    of_it = [known for known in store.get_all_endpoints() if known.provider_id == provider_id]
    along = [known.id for known in of_it if store.origin(known) == origin_of(user=user)]
    what = f"delete the provider {provider_id} from {store.path}"
    confirm(f"{what}, and with it: {', '.join(along)}" if along else what, yes=yes)
    if not store.delete_provider(provider_id, expected=before, along=along):
        raise provider_not_here(door, provider_id, user=user)
    for value in before.secrets():
        tell_left_entry(door, value, None)
    left = [known.id for known in door.workspace.config.get_all_endpoints() if known.provider_id == provider_id]
    if left and door.workspace.config.get_provider(provider_id) is None:
        door.note(f"without a provider now: {', '.join(left)}")
    return f"deleted: {', '.join([provider_id, *along])}"


@provider.command("test")
@click.argument("provider_id", metavar="ID")
@user_option
@click.pass_obj
def test(door: Door, provider_id: str, *, user: bool) -> str:
    """See whether provider ID can be reached with its key; free, and says what came."""
    config = store_of(door, user=user).require_trust()
    found = find(config.providers, provider_id)
    if found is None and provider_id == LOCAL_ID:
        found = Provider(id=LOCAL_ID, type=LOCAL_ID)
    if found is None:
        raise provider_not_found(provider_id, config)
    from ccw_magics.calls import worker
    from ccw_magics.calls.probe import probe  # of all the verbs, this one alone needs it

    tested = worker.watch(lambda _: probe(found), lambda _kind, _text: None, lambda: None)
    if tested.is_ok is False:
        raise ProviderError(f"{provider_id}: {tested.outcome}", hint=tested.hint or None)
    if tested.hint:
        door.note(tested.hint)
    if not found.enabled:
        door.note(f"{provider_id} is disabled: `provider edit {provider_id} --enable` changes that.")
    return f"{provider_id}: {tested.outcome}"


def _settings(options: dict[str, Any], stored: Provider | None) -> dict[str, Any] | None:
    """The advanced settings as they are to be: they are replaced whole. Stored keys go as masks, which keep them."""
    old = stored.advanced_settings.model_dump(by_alias=True, exclude_unset=True) if stored else {}
    changes = given(options, _SETTINGS)
    if options["headers"]:
        typed = dict(options["headers"])
        before = {} if "" in typed else old.get("customHeaders", {})
        replaced = {name.lower() for name in typed}
        kept = {name: text for name, text in before.items() if name.lower() not in replaced}
        changes["customHeaders"] = kept | {name: value for name, value in typed.items() if name and value} or None
    wanted = {name: value for name, value in {**old, **changes}.items() if value is not None}
    return wanted or None


def _tell(door: Door, store: ConfigStore, made: Provider, key_placed: Placed, *, typed: dict[str, Any]) -> None:
    """Beside the result: which file, whether the key is there, where it goes, and what was typed in the open."""
    door.note(f"in {store.path}")
    tell_key(door, made, key_placed, option=_API_KEY, others_in_line=_has_secrets(typed))
    tell_where_keys_go(door, store, made)


def _has_secrets(typed: dict[str, Any]) -> bool:
    """Whether a header or a proxy of the line is, or most likely holds, a key."""
    values = [value for name, value in typed["headers"] if value and _TELLING.search(name)]
    if typed["proxy"] and "@" in typed["proxy"].reveal():
        values.append(typed["proxy"])
    return any(not is_reference(value.reveal()) for value in values)

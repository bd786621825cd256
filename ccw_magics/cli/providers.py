"""The verbs about whom to ask: `provider add|edit|delete|test|list`, and `providers`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics import stats
from ccw_magics.calls import worker
from ccw_magics.calls.probe import probe
from ccw_magics.cli.editing import (
    DiscreetCommand,
    confirm,
    given,
    only_users,
    origin_of,
    secret,
    store_of,
    user_option,
    yes_option,
)
from ccw_magics.config import trust
from ccw_magics.config.credentials import KEYRING_SERVICE, Secret, is_reference, references
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.config.models import LOCAL_ID, STANDARD_KEY_NAMES, Config, Endpoint, Provider
from ccw_magics.errors import ConfigError, ProviderError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.config.store import ConfigStore

_FIELDS: Final = {"type": "type", "name": "name", "api_key": "apiKey", "api_base": "apiBase", "enabled": "enabled"}
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
        "--api-key",
        metavar="TEXT",
        type=secret,
        help="'${NAME}' for an environment variable, keyring:NAME, or the key itself.",
    ),
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
    click.option("--enable/--disable", "enabled", default=None, help="Whether its endpoints may be used."),
    user_option,
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


@click.command()
@user_option
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


@provider.command("add", cls=DiscreetCommand)
@click.option("--type", metavar="TYPE", required=True, help="openai, anthropic, google, azure, mistral, ollama, …")
@_options
@click.pass_obj
def add(door: Door, /, *, user: bool, **options: Any) -> str:
    """Add a provider, and show its id. Without --api-key, the key is the type's usual variable."""
    if options["api_key"] is None and options["type"] in STANDARD_KEY_NAMES:
        options["api_key"] = Secret(f"${{{STANDARD_KEY_NAMES[options['type']]}}}")
    store = store_of(door, user=user)
    made = store.add_provider({**given(options, _FIELDS), "advancedSettings": _settings(options, None)})
    _tell(door, store, made, typed=options)
    return made.id


@provider.command("edit", cls=DiscreetCommand)
@click.argument("provider_id", metavar="ID")
@click.option("--type", metavar="TYPE", help="openai, anthropic, google, azure, mistral, ollama, …")
@_options
@click.pass_obj
def edit(door: Door, /, provider_id: str, *, user: bool, **options: Any) -> str:
    """Change provider ID: what is given replaces what was there, and an empty value takes it away."""
    changes = given(options, _FIELDS)
    has_settings = bool(given(options, {**_SETTINGS, "headers": "customHeaders"}) or options["headers"])
    if not changes and not has_settings:
        raise click.UsageError("nothing says what to change")
    store = store_of(door, user=user)
    if has_settings:
        stored = find(_own(store, user=user), provider_id)
        changes["advancedSettings"] = _settings(options, stored)
    made = store.update_provider(provider_id, changes)
    _tell(door, store, made, typed=options)
    return f"changed: {made.id}"


@provider.command("delete")
@click.argument("provider_id", metavar="ID")
@yes_option
@user_option
@click.pass_obj
def delete(door: Door, provider_id: str, *, yes: bool, user: bool) -> str:
    """Delete provider ID, and its endpoints with it."""
    store = store_of(door, user=user)
    if find(_own(store, user=user), provider_id) is None:
        raise _not_here(door, provider_id, user=user)
    of_it = [known for known in door.workspace.config.get_all_endpoints() if known.provider_id == provider_id]
    along = [known.id for known in _along(store, of_it, user=user)]
    what = f"delete the provider {provider_id} from {store.path}"
    confirm(f"{what}, and with it: {', '.join(along)}" if along else what, yes=yes)
    if not store.delete_provider(provider_id):
        raise _not_here(door, provider_id, user=user)
    left = [known.id for known in of_it if known.id not in along]
    if left and store.get_provider(provider_id) is None:
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


def _own(store: ConfigStore, *, user: bool) -> list[Provider]:
    """The providers of the file that the store writes."""
    return [known for known in store.get_all_providers() if store.origin(known) == origin_of(user=user)]


def _along(store: ConfigStore, endpoints: list[Endpoint], *, user: bool) -> list[Endpoint]:
    """Those of the endpoints that stand in the same file, and so go along with their provider."""
    if user:
        own = {known.id for known in store.get_all_endpoints()}
        return [known for known in endpoints if known.id in own]
    return [known for known in endpoints if store.origin(known) == "project"]


def _not_here(door: Door, provider_id: str, *, user: bool) -> ConfigError:
    """There is no such provider in the file at hand; say where there is one."""
    config = door.workspace.config
    error = provider_not_found(provider_id, store_of(door, user=user).load())
    if config.get_provider(provider_id) is not None:
        error.hint = f"It is in {(config if user else config.user).path}: " + (
            "without --user that file is meant." if user else "--user changes that file."
        )
    return error


def _tell(door: Door, store: ConfigStore, made: Provider, *, typed: dict[str, Any]) -> None:
    """Beside the result: which file, whether the key is there, where it goes, and what was typed in the open."""
    door.note(f"in {store.path}")
    if typed["api_key"] is not None:
        for line in _on_key(made):
            door.note(line)
    if any(not is_reference(value.reveal()) for value in _typed_secrets(typed)):
        door.note(
            "Warning: the key now stands in this line, in the history, and in the file, which only you can read. "
            f"Without that: --api-key '${{{_variable(made)}}}' for an environment variable, or keyring:NAME."
        )
    going = _risks(made)
    for risk in going:
        door.note(f"Its key goes to {risk.target}: {risk.why}.")
    if going:
        _tell_trust(door, store)


def _tell_trust(door: Door, store: ConfigStore) -> None:
    try:
        store.require_trust()
    except ConfigError as error:
        door.note(f"The config is not trusted yet. {error.hint}")


def _typed_secrets(typed: dict[str, Any]) -> Iterator[Secret]:
    """What of the line is, or most likely holds, a key."""
    if typed["api_key"]:
        yield typed["api_key"]
    if typed["proxy"] and "@" in typed["proxy"].reveal():
        yield typed["proxy"]
    yield from (value for name, value in typed["headers"] if value and _TELLING.search(name))


def _variable(made: Provider) -> str:
    return STANDARD_KEY_NAMES.get(made.type, "NAME")


def _on_key(made: Provider) -> Iterator[str]:
    """Whether what the key refers to is there; a keyring is not asked, since it may want a password."""
    for name in references(made.api_key.reveal()):
        if name.startswith("keyring:"):
            entry = name.removeprefix("keyring:")
            yield f"The key is looked up in the keyring: `keyring set {KEYRING_SERVICE} {entry}` puts it there."
        elif os.environ.get(name):
            yield f"✓ {name} is set."
        else:
            yield f"✗ {name} is not set: set it before Jupyter starts, or in a cell with os.environ and getpass."


def _risks(made: Provider) -> list[trust.Risk]:
    """Where a key goes that is not its type's own place, be it a reference or the key itself."""
    if not any(made.secrets()):
        return []
    judged = made.model_copy(update={"api_key": Secret("${KEY}")})
    return trust.risks(Config(providers=[judged]))

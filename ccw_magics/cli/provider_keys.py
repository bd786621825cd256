"""The verbs about several keys of one provider: `provider key add|edit|delete|list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics.cli.editing import (
    DiscreetCommand,
    DiscreetGroup,
    confirm,
    given,
    own_provider,
    secret,
    store_of,
    user_option,
    with_options,
    yes_option,
)
from ccw_magics.cli.typed_keys import (
    Placed,
    ask_option,
    keyring_option,
    placed,
    tell_key,
    tell_left_entry,
    tell_where_keys_go,
)
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.errors import ConfigError
from ccw_magics.stats import Table

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.config.models import ApiKeyEntry, Provider

_KEY: Final = "--key"
_FIELDS: Final = {"label": "label", "weight": "weight", "enabled": "enabled"}
_COLUMNS: Final = ("id", "label", "key", "weight", "enabled")
_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        _KEY,
        metavar="TEXT",
        type=secret,
        help="'${NAME}' for an environment variable, keyring:NAME, or the key itself.",
    ),
    ask_option,
    keyring_option,
    click.option("--label", metavar="TEXT", help="A name for display."),
    click.option("--weight", metavar="NUMBER", help="Its share of the calls under weighted routing; 1 by itself."),
    click.option("--enable/--disable", "enabled", default=None, help="Whether it is used."),
    user_option,
)


@click.group("key", cls=DiscreetGroup)
def key() -> None:
    """Several keys of one provider, which take turns; `provider edit --routing` says how."""


@key.command("list")
@click.argument("provider_id", metavar="ID")
@user_option
@click.pass_obj
def show(door: Door, provider_id: str, *, user: bool) -> Table:
    """List the keys of provider ID, masked."""
    config = store_of(door, user=user).load()
    provider = find(config.providers, provider_id)
    if provider is None:
        raise provider_not_found(provider_id, config)
    rows: list[tuple[object, ...]] = [
        (entry.id, entry.label, str(entry.key), entry.weight, entry.enabled) for entry in provider.api_keys
    ]
    if provider.api_key:
        rows.insert(0, ("", "apiKey", str(provider.api_key), 1, True))
    return Table(_COLUMNS, rows, empty=f"{provider_id} has no key yet: `provider key add {provider_id}` adds one")


@key.command("add", cls=DiscreetCommand)
@click.argument("provider_id", metavar="ID")
@click.option("--id", "new_id", metavar="KEYID", help="What it is called; counted up by itself.")
@with_options(_OPTIONS)
@click.pass_obj
def add(door: Door, /, provider_id: str, *, new_id: str | None, user: bool, **options: Any) -> str:
    """Give provider ID one more key, and show what it is called."""
    if not options["key"] and not options["asks"]:
        raise click.UsageError(f"a key is missing: --ask-key asks for it, {_KEY} '${{NAME}}' names a variable")

    def changed(stored: Provider, value: Placed) -> list[Mapping[str, Any]]:
        entries = _entries(stored)
        taken = {entry["id"] for entry in entries}
        if new_id in taken:
            raise ConfigError(f"{stored.id} has a key {new_id} already", hint="`provider key edit` changes it.")
        return [
            *entries,
            _without_none({"id": new_id or _free_id(taken), "key": value.value, **given(options, _FIELDS)}),
        ]

    made = _changed(door, provider_id, changed, options, user=user)
    return f"added: {made.api_keys[-1].id}"


@key.command("edit", cls=DiscreetCommand)
@click.argument("provider_id", metavar="ID")
@click.argument("key_id", metavar="KEYID")
@with_options(_OPTIONS)
@click.pass_obj
def edit(door: Door, /, provider_id: str, key_id: str, *, user: bool, **options: Any) -> str:
    """Change key KEYID of provider ID: what is given replaces what was there, an empty value takes it away."""
    if not (given(options, {**_FIELDS, "key": "key"}) or options["asks"] or options["in_keyring"]):
        raise click.UsageError("nothing says what to change")
    before = _entry(own_provider(door, provider_id, user=user), key_id)

    def changed(stored: Provider, value: Placed) -> list[Mapping[str, Any]]:
        _entry(stored, key_id)
        news = given(options, _FIELDS) | ({} if value.value is None else {"key": value.value})
        return [_without_none({**entry, **news}) if entry["id"] == key_id else entry for entry in _entries(stored)]

    made = _changed(door, provider_id, changed, options, user=user)
    tell_left_entry(door, before.key, _entry(made, key_id).key)
    return f"changed: {key_id}"


@key.command("delete")
@click.argument("provider_id", metavar="ID")
@click.argument("key_id", metavar="KEYID")
@yes_option
@user_option
@click.pass_obj
def delete(door: Door, provider_id: str, key_id: str, *, yes: bool, user: bool) -> str:
    """Delete key KEYID of provider ID."""
    store = store_of(door, user=user)
    before = _entry(own_provider(door, provider_id, user=user), key_id)
    confirm(f"delete the key {key_id} ({before.key}) of {provider_id} from {store.path}", yes=yes)

    def changes(stored: Provider) -> dict[str, Any]:
        _entry(stored, key_id)
        return {"apiKeys": [entry for entry in _entries(stored) if entry["id"] != key_id] or None}

    store.update_provider(provider_id, changes)
    tell_left_entry(door, before.key, None)
    return f"deleted: {key_id}"


Changed = Callable[["Provider", Placed], Sequence[Mapping[str, Any]]]
"""Makes the list of keys that is to be, from the stored provider and the key that was given."""


def _changed(door: Door, provider_id: str, changed: Changed, options: Mapping[str, Any], *, user: bool) -> Provider:
    """Change a provider's list of keys under the lock, and tell what became of the key."""
    store = store_of(door, user=user)
    stem = own_provider(door, provider_id, user=user).type
    with placed(
        options["key"], asks=options["asks"], in_keyring=options["in_keyring"], stem=stem, option=_KEY
    ) as key_placed:
        made = store.update_provider(provider_id, lambda stored: {"apiKeys": changed(stored, key_placed)})
    door.note(f"in {store.path}")
    tell_key(door, made, key_placed, option=_KEY)
    tell_where_keys_go(door, store, made)
    return made


def _entry(provider: Provider, key_id: str) -> ApiKeyEntry:
    """A key of a provider.

    Raises:
        ConfigError: It has none of this id.
    """
    found = next((entry for entry in provider.api_keys if entry.id == key_id), None)
    if found is None:
        known = ", ".join(entry.id for entry in provider.api_keys) or "none"
        hint = f"Its keys: {known}. `provider edit {provider.id} --api-key` changes its apiKey."
        raise ConfigError(f"{provider.id} has no key {key_id}", hint=hint)
    return found


def _entries(provider: Provider) -> list[Mapping[str, Any]]:
    """The keys as they are to be written; a key goes as its mask, which keeps the stored one."""
    return [entry.model_dump(by_alias=True, exclude_unset=True) for entry in provider.api_keys]


def _free_id(taken: set[str]) -> str:
    number = 1
    while f"key-{number}" in taken:
        number += 1
    return f"key-{number}"


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

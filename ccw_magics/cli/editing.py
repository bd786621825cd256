"""What the verbs that change the config share: which file is meant, options that may be empty, keys kept unseen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ccw_magics.config.credentials import Secret
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.errors import CcwError, EndpointNotFound, ProviderNotFound
from ccw_magics.stats import Table

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.config.layers import Origin
    from ccw_magics.config.models import Provider
    from ccw_magics.config.store import ConfigStore

user_option: Final[Callable[[Any], Any]] = click.option(
    "--user", is_flag=True, help="In your own config, which lies under every project's."
)
_KERNELS_MARK: Final = "JPY_PARENT_PID"
"""What jupyter_client sets for a kernel, which what it starts inherits."""
own_option: Final[Callable[[Any], Any]] = click.option("--user", is_flag=True, help="Those of your own config alone.")
NotFoundT = TypeVar("NotFoundT", EndpointNotFound, ProviderNotFound)

yes_option: Final[Callable[[Any], Any]] = click.option("--yes", is_flag=True, help="Do it without asking.")


def store_of(door: Door, *, user: bool) -> ConfigStore:
    """The store that a verb reads and changes: the project's, or the user's own."""
    config = door.workspace.config
    return config.user if user else config


def origin_of(*, user: bool) -> Origin:
    """The file that the store of `store_of` writes."""
    return "user" if user else "project"


def own_provider(door: Door, provider_id: str, *, user: bool) -> Provider:
    """The provider as the file has it that the verb changes.

    Raises:
        ProviderNotFound: It has none of this id; where the other file has, that is said.
    """
    store = store_of(door, user=user)
    own = (known for known in store.get_all_providers() if store.origin(known) == origin_of(user=user))
    found = find(own, provider_id)
    if found is None:
        raise provider_not_here(door, provider_id, user=user)
    return found


def provider_not_here(door: Door, provider_id: str, *, user: bool) -> ProviderNotFound:
    """The error where the file that the verb changes has no such provider; says so where the other one has it."""
    error = provider_not_found(provider_id, store_of(door, user=user).load())
    return other_file_named(error, door, door.workspace.config.get_provider(provider_id), user=user)


def other_file_named(error: NotFoundT, door: Door, found: object, *, user: bool) -> NotFoundT:
    """The error of an entry that is not in the file at hand, with a word on the other one, where it was found there."""
    if found is not None:
        config = door.workspace.config
        error.hint = f"It is in {(config if user else config.user).path}: " + (
            "without --user that file is meant." if user else "--user changes that file."
        )
    return error


def with_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command several options, which its `--help` lists in this order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def only_users(table: Table, *, user: bool) -> Table:
    """The rows of a table that come from the user's own file, where those are wanted."""
    if not user:
        return table
    file = table.columns.index("file")
    rows = [row for row in table.rows if row[file] == "user"]
    return Table(table.columns, rows, empty="none in your own config yet: `add --user` makes one")


class DiscreetCommand(click.Command):
    """A command whose line may hold a key: words too many are counted and not repeated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the line as any command does, but for what is told of words too many."""
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest:
            ctx.fail(f"{len(rest)} words too many; a value with spaces stands in quotes")
        return rest


class DiscreetGroup(click.Group):
    """A group after whose name somebody may type a key: a word that is none of its verbs is not repeated."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb as any group does, but for what is told of a word that is none."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"the first word is no verb; there are: {', '.join(self.commands)}")
        return super().resolve_command(ctx, args)


class ChoiceOrNothing(click.Choice[str]):
    """One of some words, or an empty one, which takes a value away."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the word.

        Raises:
            click.BadParameter: It is none of them.
        """
        return "" if value == "" else super().convert(value, param, ctx)


def secret(text: str) -> Secret:
    """Read a key, or another value that no message or trace may show: from here on it masks itself."""
    return Secret(text.strip())


def given(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The options that were given, under the config's names; an empty one as None, which takes a value away.

    Args:
        options: What click read, by option.
        names: Option to the field of the config.
    """
    return {field: _value(options[name]) for name, field in names.items() if options[name] not in (None, ())}


def _value(value: Any) -> Any:
    """None for an empty value, a list for one that may be repeated."""
    if isinstance(value, tuple):
        return [item for item in value if item] or None
    return None if isinstance(value, str | Secret) and not value else value


def is_terminal() -> bool:
    """Whether somebody sits at standard input, which a process may have been started without.

    A kernel runs `!ccw` at a pseudo-terminal, where a question would wait for ever: nobody can type there.
    """
    return sys.stdin is not None and sys.stdin.isatty() and _KERNELS_MARK not in os.environ


def confirm(what: str, *, yes: bool) -> None:
    """Go on only where the user wants it: a terminal asks, anything else needs `--yes`.

    Args:
        what: What would be done, in one line.
        yes: Whether `--yes` was given.

    Raises:
        CcwError: Nobody can be asked.
        click.Abort: The answer was no.
    """
    if yes:
        return
    if not is_terminal():
        raise CcwError(f"this would {what}", hint="Nothing was changed. With --yes it is done.")
    click.confirm(f"This will {what}. Go on?", abort=True, err=True)

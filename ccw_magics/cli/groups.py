"""Groups of verbs: those that are imported one at a time, and those that have a short form."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

HELP_NAMES: Final = ["-h", "--help"]
"""What shows a verb's help."""


class Verb(NamedTuple):
    """A verb that is not imported yet.

    Attributes:
        place: Its module and its name in there, `package.module:name`.
        brief: What the list of verbs says of it: how its own help begins.
    """

    place: str
    brief: str


class _LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name, imported when they are taken out: which there are is told without."""

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self._places = {name: verb.place for name, verb in verbs.items()}
        self._taken: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._taken:
            module, _, attribute = self._places[name].partition(":")
            self._taken[name] = getattr(import_module(module), attribute)
        return self._taken[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._places[name] = ""
        self._taken[name] = command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._taken.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class LazyGroup(click.Group):
    """A group that lists its verbs without importing them.

    Args:
        verbs: The verbs by name, in the order in which they are listed.
        arguments: As for any group.
    """

    def __init__(self, *, verbs: Mapping[str, Verb], **arguments: Any) -> None:
        super().__init__(commands=_LazyCommands(verbs), **arguments)
        self.verbs = verbs

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The verbs in the order of the table."""
        return list(self.commands)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs as the table has them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(briefs(self).items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb; the error where there is none names the nearest that there is."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise no_such_verb(ctx, args[0])
        return super().resolve_command(ctx, args)


class ShowGroup(click.Group):
    """`cache SESSION` is short for `cache show SESSION`, and likewise in other groups with a `show`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a word that is no verb of the group for what is to be shown."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


def briefs(group: click.Group) -> dict[str, str]:
    """What the verbs of a group do, by name; those that are not listed in its help are left out."""
    if isinstance(group, LazyGroup):
        return {name: verb.brief for name, verb in group.verbs.items()}
    shown = ((name, command) for name, command in sorted(group.commands.items()) if not command.hidden)
    return {name: first_sentence(command.help or "") for name, command in shown}


def first_sentence(text: str) -> str:
    """What a help text says first, in one line and without its full stop."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return re.split(r"\.(?:\s|\Z)", paragraph, maxsplit=1)[0]


def no_such_verb(context: click.Context, name: str) -> click.UsageError:
    """The error of a word that is no verb of a context's group; it names the nearest, which click does since 8.4."""
    assert isinstance(context.command, click.Group)
    near = difflib.get_close_matches(name, [*context.command.commands], n=1, cutoff=0.5)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return click.UsageError(f"No such command {name!r}.{meant}", context)

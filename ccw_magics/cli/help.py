"""The verb `help`."""

from __future__ import annotations

import click

from ccw_magics.cli.groups import no_such_verb


@click.command("help")
@click.argument("verbs", metavar="[VERB]...", nargs=-1)
@click.pass_context
def show_help(context: click.Context, verbs: tuple[str, ...]) -> str:
    """Show this list, or a verb's help: `help provider add`."""
    assert context.parent is not None
    place = context.parent
    for name in verbs:
        place = _inner(place, name)
    return place.get_help()


def _inner(place: click.Context, name: str) -> click.Context:
    """A verb of a group, as it would be run.

    Raises:
        click.UsageError: There is none of this name.
    """
    if not isinstance(place.command, click.Group):
        raise click.UsageError(f"`{place.command.name}` has no verbs of its own, and so no {name!r}", place)
    command = place.command.get_command(place, name)
    if command is None:
        raise no_such_verb(place, name)
    return click.Context(command, parent=place, info_name=name, **command.context_settings)

"""Groups of verbs that have a short form."""

from __future__ import annotations

from typing import Final

import click

HELP_NAMES: Final = ["-h", "--help"]
"""What shows a verb's help."""


class ShowGroup(click.Group):
    """`cache SESSION` is short for `cache show SESSION`, and likewise in other groups with a `show`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a word that is no verb of the group for what is to be shown."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])

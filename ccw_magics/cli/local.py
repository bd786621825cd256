"""The verbs about the embedded model: `local install`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door


@click.group()
def local() -> None:
    """The embedded model, which needs no key."""


@local.command()
@click.pass_obj
def install(door: Door) -> str:
    """Fetch the embedded model's weights (94 MB) and check them."""
    from ccw_magics.backends import local_model
    from ccw_magics.calls import worker

    path = worker.watch(
        lambda emit: local_model.fetch(lambda note: emit("stderr", note)), lambda _, note: door.note(note), lambda: None
    )
    return f"the embedded model is at {path}"

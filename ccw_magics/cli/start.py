"""The verbs that one begins with: `status`, `init`, `trust`, `panel` and `serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccw_magics.cli.editing import store_of, user_option
from ccw_magics.errors import ConfigError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door


@click.command()
@click.pass_obj
def status(door: Door) -> str:
    """Show where things stand: project, config, endpoints, cache."""
    from ccw_magics import stats
    from ccw_magics.cli.cache import summary

    workspace = door.workspace
    path, own = workspace.config.path, workspace.config.user.path
    lines = {
        "project": str(workspace.root),
        "config": f"{path}{'' if path.exists() else ' (not there yet: `init` writes an example)'}",
    }
    if own.exists():
        lines["yours"] = f"{own} (for every project)"
    try:
        lines["endpoints"] = ", ".join(str(row[0]) for row in stats.endpoints(workspace).rows) or "none"
        lines["default"] = workspace.default_endpoint_id() or "none"
        lines["cache"] = summary(workspace)
    except ConfigError as error:  # what is wrong with the config is a part of where things stand
        lines["problem"] = str(error).replace("\n", "\n           ")
    return "\n".join(f"{name:<10} {value}" for name, value in lines.items())


@click.command()
@user_option
@click.pass_obj
def init(door: Door, *, user: bool) -> str:
    """Write an example config to edit; refuses to overwrite one."""
    path = store_of(door, user=user).init()
    return (
        f"wrote {path}\n"
        "Set OPENAI_API_KEY (for a notebook, before Jupyter starts), or edit the file; README.md beside it explains it."
    )


@click.command()
@click.pass_obj
def trust(door: Door) -> str:
    """Accept this project's config as it is now; says where it sends keys, and where it keeps its cache."""
    store = door.workspace.config
    risks = store.trust()
    if not risks:
        return f"nothing in {store.path} needs your trust"
    accepted = "\n".join(f"  {risk}" for risk in risks)
    return f"trusted {store.path}:\n{accepted}"


@click.command()
@click.pass_obj
def panel(door: Door) -> None:
    """Set everything up by clicking, in a notebook."""
    door.panel()


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=3000, show_default=True, help="Where; 0 takes any that is free."
)
@click.pass_obj
def serve(door: Door, port: int) -> None:
    """Answer HTTP on this machine alone, until Ctrl-C; as CCW does, and as a notebook's own server does anyway."""
    door.serve(port)

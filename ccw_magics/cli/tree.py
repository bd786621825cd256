"""The verbs, written once: a door runs them and shows what they return, a `Table`, text, or a `Reply`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ccw_magics import stats
from ccw_magics.backends import local_model
from ccw_magics.calls import worker
from ccw_magics.cli.account import budget, history, usage
from ccw_magics.cli.ask import ask
from ccw_magics.cli.chats import chat
from ccw_magics.cli.editing import store_of, user_option
from ccw_magics.cli.endpoints import default, endpoint, endpoints
from ccw_magics.cli.groups import HELP_NAMES, ShowGroup
from ccw_magics.cli.providers import provider, providers
from ccw_magics.context.pack import readable_size
from ccw_magics.errors import CcwError, ConfigError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.workspace import Workspace


_CONTEXT = {"help_option_names": HELP_NAMES, "max_content_width": 100}


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="ccw_magics")
def tree() -> None:
    """Ask a language model about your project: @ references bring files along."""


for verb in (ask, chat, history, usage, budget, provider, providers, endpoint, endpoints, default):
    tree.add_command(verb)


@tree.command()
@click.pass_obj
def status(door: Door) -> str:
    """Show where things stand: project, config, endpoints, cache."""
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
        lines["cache"] = _cache_summary(workspace)
    except ConfigError as error:  # what is wrong with the config is a part of where things stand
        lines["problem"] = str(error).replace("\n", "\n           ")
    return "\n".join(f"{name:<10} {value}" for name, value in lines.items())


@tree.command()
@click.pass_obj
def panel(door: Door) -> None:
    """Set everything up by clicking, in a notebook."""
    door.panel()


@tree.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=3000, show_default=True, help="Where; 0 takes any that is free."
)
@click.pass_obj
def serve(door: Door, port: int) -> None:
    """Answer HTTP on this machine alone, as CCW does, until Ctrl-C; a notebook's own server does so anyway."""
    door.serve(port)


@tree.command("help")
@click.pass_context
def show_help(context: click.Context) -> str:
    """Show this list."""
    assert context.parent is not None
    return context.parent.get_help()


@tree.command()
@user_option
@click.pass_obj
def init(door: Door, *, user: bool) -> str:
    """Write an example config to edit; refuses to overwrite one."""
    path = store_of(door, user=user).init()
    return f"wrote {path}\nSet OPENAI_API_KEY before Jupyter starts, or edit the file; README.md beside it explains it."


@tree.command()
@click.pass_obj
def trust(door: Door) -> str:
    """Accept this project's config as it is now: where it sends keys, and where it keeps its cache."""
    store = door.workspace.config
    risks = store.trust()
    accepted = "\n".join(f"  {risk}" for risk in risks) or "  nothing that needed it"
    return f"trusted {store.path}:\n{accepted}"


@tree.group(cls=ShowGroup, invoke_without_command=True, context_settings=_CONTEXT)
@click.pass_context
def cache(context: click.Context) -> stats.Table | None:
    """List the packs in the cache; `cache SESSION` lists the files of one."""
    if context.invoked_subcommand is not None:
        return None
    context.obj.note(_cache_summary(context.obj.workspace))
    return stats.cache(context.obj.workspace)


@cache.command("status")
@click.pass_obj
def cache_status(door: Door) -> str:
    """Show how full the cache is."""
    return _cache_summary(door.workspace)


@cache.command("show")
@click.argument("session_id", metavar="SESSION")
@click.pass_obj
def show_pack(door: Door, session_id: str) -> stats.Table:
    """List the files of a pack, with how often each changed."""
    table = stats.pack_files(door.workspace, session_id)
    if not table.rows:
        raise _no_such_pack(session_id)
    return table


@cache.command("read")
@click.argument("session_id", metavar="SESSION")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Where to begin, in bytes.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many bytes; all where left out.")
@click.pass_obj
def read_pack(door: Door, session_id: str, offset: int, limit: int | None) -> str:
    """Show a pack's text, as it is sent."""
    page = door.workspace.cache.read(session_id, offset, sys.maxsize if limit is None else limit)
    if page is None:
        raise _no_such_pack(session_id)
    return page.text


@cache.command("release")
@click.argument("session_id", metavar="SESSION")
@click.pass_obj
def release_pack(door: Door, session_id: str) -> str:
    """Forget a pack."""
    if not door.workspace.cache.release(session_id):
        raise _no_such_pack(session_id)
    return f"released {session_id}"


@cache.command("clear")
@click.pass_obj
def clear_cache(door: Door) -> str:
    """Forget all packs."""
    return f"forgotten: {_packs(door.workspace.cache.clear())}, of all projects"


@cache.command("cleanup")
@click.pass_obj
def clean_cache(door: Door) -> str:
    """Forget the packs whose time is over."""
    return f"forgotten: {_packs(door.workspace.cache.cleanup())}"


@cache.command("replies")
@click.option("--clear", is_flag=True, help="Forget them.")
@click.pass_obj
def recorded_replies(door: Door, *, clear: bool) -> str:
    """Count the answers that are recorded for replay, of all projects."""
    replies = door.workspace.executor.replies
    if clear:
        return f"forgotten: {_count(replies.clear(), 'recorded answer')}, of all projects"
    status = replies.status()
    return f"{_count(status.replies, 'recorded answer')}, {readable_size(status.size_bytes)}"


def _cache_summary(workspace: Workspace) -> str:
    status = workspace.cache.status()
    used, limit = readable_size(status.size_bytes), readable_size(status.max_bytes)
    return f"{_packs(status.packs)}, {used} of {limit} ({status.directory or 'memory only'})"


def _packs(count: int) -> str:
    return _count(count, "pack")


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _no_such_pack(session_id: str) -> CcwError:
    return CcwError(f"no such pack: {session_id}", hint="`cache` lists the packs there are.")


@tree.group(context_settings=_CONTEXT)
def local() -> None:
    """The embedded model, which needs no key."""


@local.command()
@click.pass_obj
def install(door: Door) -> str:
    """Fetch the embedded model's weights (94 MB) and check them."""
    path = worker.watch(
        lambda emit: local_model.fetch(lambda note: emit("stderr", note)), lambda _, note: door.note(note), lambda: None
    )
    return f"the embedded model is at {path}"

"""The verbs about packs and recorded answers: `cache list|status|show|read|release|clear|cleanup|replies`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ccw_magics.cli.groups import ShowGroup
from ccw_magics.errors import CcwError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.stats import Table
    from ccw_magics.workspace import Workspace


@click.group(cls=ShowGroup, invoke_without_command=True)
@click.pass_context
def cache(context: click.Context) -> Table | None:
    """List the packs in the cache; `cache SESSION` lists the files of one."""
    if context.invoked_subcommand is not None:
        return None
    from ccw_magics import stats

    context.obj.note(summary(context.obj.workspace))
    return stats.cache(context.obj.workspace)


@cache.command("status")
@click.pass_obj
def cache_status(door: Door) -> str:
    """Show how full the cache is."""
    return summary(door.workspace)


@cache.command("show")
@click.argument("session_id", metavar="SESSION")
@click.pass_obj
def show_pack(door: Door, session_id: str) -> Table:
    """List the files of a pack, with how often each changed."""
    from ccw_magics import stats

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
    from ccw_magics.context.pack import readable_size

    replies = door.workspace.executor.replies
    if clear:
        return f"forgotten: {_count(replies.clear(), 'recorded answer')}, of all projects"
    status = replies.status()
    return f"{_count(status.replies, 'recorded answer')}, {readable_size(status.size_bytes)}"


def summary(workspace: Workspace) -> str:
    """How full the cache is, and where it lies, in one line."""
    from ccw_magics.context.pack import readable_size

    status = workspace.cache.status()
    used, limit = readable_size(status.size_bytes), readable_size(status.max_bytes)
    return f"{_packs(status.packs)}, {used} of {limit} ({status.directory or 'memory only'})"


def _packs(count: int) -> str:
    return _count(count, "pack")


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _no_such_pack(session_id: str) -> CcwError:
    return CcwError(f"no such pack: {session_id}", hint="`cache` lists the packs there are.")

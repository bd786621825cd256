"""The verbs about conversations: `chat list|show|fork|clear`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from ccw_magics import stats
from ccw_magics.cli.groups import ShowGroup
from ccw_magics.cli.shell.terminal import printable
from ccw_magics.errors import CcwError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.journal import StoredTurn


@click.group(cls=ShowGroup, invoke_without_command=True)
@click.pass_context
def chat(context: click.Context) -> stats.Table | None:
    """List the conversations; `chat NAME` shows one."""
    return None if context.invoked_subcommand is not None else stats.chats(context.obj.workspace)


@chat.command("list")
@click.pass_obj
def list_chats(door: Door) -> stats.Table:
    """List the conversations, the last used first."""
    return stats.chats(door.workspace)


@chat.command("show")
@click.argument("name", required=False)
@click.pass_obj
def show_chat(door: Door, name: str | None) -> str:
    """Show a conversation's turns; without a name, the notebook's own, or the shell's."""
    wanted = name or door.chat_name
    turns = door.workspace.journal.chats.path(wanted)
    if not turns:
        raise _no_such_chat(wanted)
    return "\n\n".join(_described(number, stored) for number, stored in enumerate(turns, 1))


@chat.command("fork")
@click.argument("name")
@click.argument("new_name", metavar="NEW")
@click.option("--turns", type=click.IntRange(min=1), help="Only the first so many turns.")
@click.pass_obj
def fork_chat(door: Door, name: str, new_name: str, turns: int | None) -> str:
    """Go on with a conversation under another name, and leave the one there is as it is."""
    if not door.workspace.journal.chats.fork(name, new_name, turns=turns):
        raise _no_such_chat(name)
    return f"{new_name} goes on from {name}: {shlex.join(['--chat', new_name])}"


@chat.command("clear")
@click.argument("name", required=False)
@click.pass_obj
def clear_chat(door: Door, name: str | None) -> str:
    """Forget a conversation; without a name, the notebook's own, or the shell's."""
    wanted = name or door.chat_name
    is_cleared = door.workspace.executor.conversations.clear(wanted)
    return (
        f"forgotten: {wanted}; its calls are still in `history`"
        if is_cleared
        else f"nothing to forget: {wanted} has not begun"
    )


def _described(number: int, stored: StoredTurn) -> str:
    turn = stored.turn
    brought = f", files: {len(turn.context):,} bytes" if turn.context else ""
    heading = f"--- {number}. {turn.at.astimezone():%Y-%m-%d %H:%M}, {turn.endpoint}{brought} ---"
    return f"{heading}\n{printable(turn.prompt)}\n\n{printable(turn.answer)}"


def _no_such_chat(name: str) -> CcwError:
    return CcwError(f"no such conversation: {name}", hint="`chat list` lists those there are; --chat NAME begins one.")

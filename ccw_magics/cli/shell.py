"""The `ccw` command: the shell as a door to the command tree."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from importlib import import_module
from typing import NoReturn

import click

from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.cli.door import AskOptions, no_widgets
from ccw_magics.cli.terminal import TerminalDisplay
from ccw_magics.cli.tree import tree
from ccw_magics.errors import CcwError
from ccw_magics.stats import Table, answers
from ccw_magics.workspace import Workspace

FAILED = 1
MISUSED = 2
INTERRUPTED = 130


class ShellDoor:
    """Runs verbs for one command line; implements `ccw_magics.cli.tree.Door`."""

    @cached_property
    def workspace(self) -> Workspace:
        """The project of the current directory."""
        return Workspace()

    @property
    def chat_name(self) -> str:
        """The conversation of the shell."""
        return "shell"

    def schema(self, text: str) -> object:
        """The short form as it is: no Python type has a name here."""
        return text

    def ask(self, request: Request, options: AskOptions) -> Reply:
        """Stream the answer to standard output, everything else to standard error; a structured one when complete."""
        if options.out:
            raise click.UsageError("--out binds a name in a notebook; here, redirect the output")
        view = TerminalDisplay(holds=request.schema is not None)
        executor = self.workspace.executor
        if request.chat is not None:
            executor.conversations.follow(request.chat)
        try:
            reply = executor.execute(request, view.add)
        except KeyboardInterrupt:
            if executor.last_reply is not None:
                view.finish(executor.last_reply)
            raise
        view.finish(reply, answers(reply.data).text() if options.table and reply.success else "")
        return reply.raise_for_error()

    def panel(self) -> None:
        """There are no widgets in a shell."""
        raise no_widgets()

    def serve(self, port: int, /) -> None:
        """Run the server until Ctrl-C; it stands above this floor, and so is named by a string."""
        import_module("ccw_magics.server.serve").serve(self.workspace.root, port, click.echo)

    def note(self, text: str) -> None:
        """A line beside a verb's result, on standard error."""
        click.echo(text, err=True)


def main() -> NoReturn:
    """Run `ccw` and exit: 0 done, 1 failed, 2 not understood, 130 interrupted."""
    sys.exit(_run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    try:
        result = tree.main(args=words or ["--help"], prog_name="ccw", standalone_mode=False, obj=ShellDoor())
    except click.ClickException as error:
        error.show()
        return MISUSED
    except CcwError as error:
        click.echo("\n".join(["", *error._render_traceback_()]).lstrip(), err=True)
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    return _show(result.text() if isinstance(result, Table) else result)


def _show(result: object) -> int:
    """Print what a verb returned; a reader that has seen enough is no error of ours."""
    if not isinstance(result, str):
        return 0
    try:
        click.echo(result, nl=not result.endswith("\n"))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, and would then say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return 0

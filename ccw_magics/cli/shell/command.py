"""The `ccw` command: the shell as a door to the command tree."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from ccw_magics.cli.door import AskOptions, no_widgets
from ccw_magics.cli.shell import exits, signals, streams
from ccw_magics.cli.shell.colours import alarming, dimmed
from ccw_magics.cli.shell.tables import left_out, narrowed
from ccw_magics.cli.shell.terminal import TerminalDisplay, printable, width_of
from ccw_magics.cli.tree import tree
from ccw_magics.errors import CallInterrupted, CcwError, ConfigError, NotAgreed

if TYPE_CHECKING:
    from ccw_magics.calls.reply import Reply
    from ccw_magics.calls.request import Request
    from ccw_magics.workspace import Workspace

_JSON: Final = "--json"


class ShellDoor:
    """Runs verbs for one command line; implements `ccw_magics.cli.door.Door`.

    Attributes:
        has_document: Whether the document that `--json` asks for is written.
    """

    has_document = False

    @cached_property
    def workspace(self) -> Workspace:
        """The project of the current directory.

        Raises:
            ConfigError: Nobody knows where this user's own files are, as in a container that runs under a bare number.
        """
        from ccw_magics.workspace import Workspace

        try:
            Path.home()
        except RuntimeError:
            raise ConfigError("this user has no home directory", hint="Set HOME: ~/.ccw is kept there.") from None
        return Workspace()

    @property
    def is_shell(self) -> bool:
        """What it is."""
        return True

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
        view = TerminalDisplay(holds=options.as_json or request.schema is not None)
        executor = self.workspace.executor
        if request.chat is not None:
            executor.conversations.follow(request.chat)
        try:
            reply = executor.execute(request, view.add, view.tick)
        except KeyboardInterrupt as stopped:
            if executor.last_reply is None:
                raise
            self._finish(view, executor.last_reply, options)
            # As click says it, but that click also writes an empty line, to end one which is ended already.
            raise click.Abort from stopped
        self._finish(view, reply, options)
        return reply.raise_for_error()

    def _finish(self, view: TerminalDisplay, reply: Reply, options: AskOptions) -> None:
        shown, rest = "", list[str]()
        if options.as_json:
            from ccw_magics.cli.shell.documents import reply_document

            self.has_document = True
            shown = reply_document(reply)
        elif options.table and reply.success:
            from ccw_magics.stats import answers

            table, rest = _shown_table(answers(reply.data))
            shown = table or ""
        view.finish(reply, shown)
        _note(rest)

    def agrees(self, question: str, /) -> bool | None:
        """Ask at the terminal; None where standard input or error are none, a piped question included."""
        from ccw_magics.cli.editing import is_terminal

        if not (is_terminal() and sys.stderr.isatty()):
            return None
        return click.confirm(question, err=True)

    def panel(self) -> None:
        """There are no widgets in a shell."""
        raise no_widgets()

    def serve(self, port: int, /) -> None:
        """Run the server until Ctrl-C; it stands above this floor, and so is named by a string."""
        import_module("ccw_magics.server.serve").serve(self.workspace.root, port, click.echo)

    def note(self, text: str) -> None:
        """A line beside a verb's result, on standard error."""
        _note([text])


def main() -> NoReturn:
    """Run `ccw` and exit, with a code of `ccw_magics.cli.shell.exits`."""
    streams.take_over()
    signals.watch()
    sys.exit(_run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    try:
        return _ended(ShellDoor(), words)
    except streams.OutputLost as lost:
        if lost.is_unread:
            return exits.UNREAD
        _complain(CcwError(str(lost)))
        return exits.FAILED


def _ended(door: ShellDoor, words: list[str]) -> int:
    try:
        return _answered(door, words)
    except (KeyboardInterrupt, click.Abort) as end:
        if end.__cause__ is None and end.__context__ is not None:  # in answer to a prompt, whose line is still open
            sys.stderr.write("\n")
        number = signals.stopped_by(end)
        if number is None:
            return _failed(door, words, NotAgreed("not agreed to"), exits.REFUSED)
        return _failed(door, words, CallInterrupted("interrupted"), 128 + number)


def _answered(door: ShellDoor, words: list[str]) -> int:
    try:
        _show(tree.main(args=words or ["--help"], prog_name="ccw", standalone_mode=False, obj=door))
    except click.ClickException as misuse:
        misuse.show()
        return _failed(door, words, CcwError(misuse.format_message()), exits.MISUSED)
    except CcwError as error:
        _complain(error)
        return _failed(door, words, error, exits.exit_code(error))
    except (click.Abort, streams.OutputLost):
        raise
    except Exception as fault:
        if os.environ.get("CCW_DEBUG") == "1":
            raise
        told = _fault(fault)
        _complain(told)
        return _failed(door, words, told, exits.FAILED)
    return exits.DONE


def _failed(door: ShellDoor, words: list[str], error: CcwError, code: int) -> int:
    """The code, after the document of a failure for who waits for one: the line itself may not have been understood."""
    if words[:1] == ["cli"] and _JSON in words and not door.has_document:
        from ccw_magics.cli.shell.documents import failure_document

        _show(failure_document(error))
    return code


def _show(result: object) -> None:
    """Print what a verb returned; on a terminal, without what would steer it."""
    text, rest = (result, []) if isinstance(result, str) else _shown_table(result)
    if text is None:
        return
    text = printable(text) if sys.stdout.isatty() else text
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()
    _note(rest)


def _shown_table(result: object) -> tuple[str | None, list[str]]:
    """A table as text, on a terminal as wide as that, and what is to be said below it; None of what is no table."""
    if result is None or isinstance(result, int):
        return None, []
    from ccw_magics.stats import Table

    if not isinstance(result, Table):
        return None, []
    if not (sys.stdout.isatty() and result.rows):
        return result.text(), []
    columns = width_of(sys.stdout)
    rows, names = narrowed(result.lines(), columns)
    return "\n".join(rows), left_out(names, columns)


def _note(lines: list[str]) -> None:
    """Lines beside what stands on standard output, on standard error."""
    sys.stderr.write("".join(f"{dimmed(printable(line), sys.stderr)}\n" for line in lines))
    sys.stderr.flush()


def _complain(error: CcwError) -> None:
    """Say what went wrong; a server's words may be in it."""
    first, *rest = map(printable, error._render_traceback_())
    name, colon, said = first.partition(":")
    sys.stderr.write("\n".join([f"{alarming(name, sys.stderr)}{colon}{said}", *rest, ""]))
    sys.stderr.flush()


def _fault(fault: Exception) -> CcwError:
    """A fault of ours, or of the system, in a line; other words than a system's may hold anything, a key too."""
    said = f": {fault}" if isinstance(fault, OSError) else ""
    return CcwError(f"ccw itself failed: {type(fault).__name__}{said}", hint="CCW_DEBUG=1 shows the trace.")

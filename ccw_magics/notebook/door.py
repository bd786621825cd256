"""The notebook as a door to the command tree: the same verbs as `ccw`, shown the notebook's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.cli.door import AskOptions, no_widgets
from ccw_magics.cli.groups import HELP_NAMES
from ccw_magics.cli.tree import tree
from ccw_magics.config.models import RESERVED_VERBS
from ccw_magics.errors import CcwError
from ccw_magics.notebook.display import ReplyDisplay, error_text, reply_display, show_again
from ccw_magics.notebook.interrupted import Interrupted
from ccw_magics.notebook.names import notebook_name, schema_named
from ccw_magics.stats import Table
from ccw_magics.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

_QUESTIONS: Final = {"-p": ("-p", "--prompt"), "-f": ("-f", "--file")}
"""The options that bring a question, as they are spelt."""
_YES: Final = frozenset({"y", "yes"})


class _Printer(Protocol):
    """What is used of IPython's pretty printer."""

    def text(self, obj: str) -> None:
        """Write text as it is."""


class NotebookDoor:
    """Runs verbs and cells for one kernel; implements `ccw_magics.cli.door.Door`.

    Args:
        shell: The kernel's IPython shell.
        workspace: Gives the project of the kernel's current directory.
    """

    def __init__(self, shell: InteractiveShell, workspace: Callable[[], Workspace] = Workspace) -> None:
        self._shell = shell
        self._workspace = workspace
        self._just_shown: tuple[Reply | None, int] = (None, 0)
        if shell.display_formatter is None:
            return
        if hasattr(shell, "kernel"):
            shell.display_formatter.ipython_display_formatter.for_type(Reply, self._display_reply)
        else:
            shell.display_formatter.formatters["text/plain"].for_type(Reply, _print_reply)

    @property
    def workspace(self) -> Workspace:
        """The project of the kernel's current directory."""
        return self._workspace()

    def verb(self, words: list[str]) -> Any:
        """Run `%ccw ...`; a table comes back as a DataFrame, text is printed."""
        return self._result(self._run(words or ["status"]), is_drawn=words[:1] == ["stats"])

    def cell(self, words: list[str], body: str) -> Any:
        """Run `%%ccw ...`: the body is the prompt."""
        if {*HELP_NAMES} & set(words):
            return self.verb(["cli", "--help"])
        if words and words[0] in RESERVED_VERBS - {"cli"}:
            raise CcwError(f"%%ccw {words[0]} takes no body", hint=f"Write it as a line: %ccw {words[0]}")
        if not body.strip():
            raise CcwError("the cell asks nothing", hint="Write the question below the %%ccw line.")
        for name, spellings in _QUESTIONS.items():
            if any(word.startswith(spellings) for word in words):
                raise CcwError(f"the question stands both in the body and in {name}", hint="Use one of the two.")
        rest = words[1:] if words[:1] == ["cli"] else words
        return self._result(self._run(["cli", *rest, f"--prompt={body.rstrip(chr(10))}"]))

    def ask(self, request: Request, options: AskOptions) -> Reply:
        """Run a request with the answer shown as it comes; raises the reply's error, so that Run All stops."""
        executor = self.workspace.executor
        view = reply_display(self._shell, raw=options.raw, is_data=request.schema is not None)
        try:
            reply = executor.execute(request, view.add, view.tick)
            if options.table and reply.success:
                reply = self._tabled(reply)
            self._bind(reply, options, view, raises=not reply.success)
        except KeyboardInterrupt:
            if executor.last_reply is not None:
                self._bind(executor.last_reply, options, view, raises=True)
            raise
        return reply.raise_for_error()

    @property
    def chat_name(self) -> str:
        """The notebook's own conversation: its path in the project, where the front end tells it."""
        return notebook_name(self._shell.user_ns, self.workspace.root)

    def schema(self, text: str) -> object:
        """The type that goes by a name in the notebook, or the short form itself."""
        return schema_named(text, self._shell.user_ns)

    @property
    def is_shell(self) -> bool:
        """A kernel's standard input is nobody's: it is never read."""
        return False

    def agrees(self, question: str, /) -> bool | None:
        """Ask below the cell; None where the front end takes no input, as when a notebook is run by a program."""
        try:
            answer = input(f"{question} [y/N] ")
        except (EOFError, NotImplementedError):
            return None
        return answer.strip().lower() in _YES

    def note(self, text: str) -> None:
        """Print a line of a verb's own."""
        click.echo(text)

    def panel(self) -> None:
        """Show the panel below the cell."""
        if not hasattr(self._shell, "kernel"):
            raise no_widgets()
        from ccw_magics.notebook.panels import show

        show(self.workspace)

    def serve(self, _port: int, /) -> None:
        """A cell that never ends is no place for a server, and there is one already."""
        raise CcwError(
            "`serve` is for a terminal",
            hint="Jupyter's own server answers the same requests, at <base>/api/litellm-api/.",
        )

    def _result(self, result: object, *, is_drawn: bool = False) -> Any:
        """What a cell returns of what a verb did: a table as a DataFrame, a reply as it is; text is printed."""
        if isinstance(result, Table):
            if result.rows:
                from ccw_magics.notebook.frame import ReadableFrame

                frame = result.frame()
                if is_drawn:
                    self._draw(frame)
                return ReadableFrame(frame)
            result = result.empty
        if isinstance(result, str):
            self.note(result)
        return result if isinstance(result, Reply) else None

    def _bind(self, reply: Reply, options: AskOptions, view: ReplyDisplay, *, raises: bool) -> None:
        """Give the reply its names first, so that an interrupt which strikes here loses none of it."""
        self._just_shown = (reply, self._shell.execution_count)
        if options.out:
            self._shell.user_ns[options.out] = reply
        if raises:  # and so returns nothing
            self._just_shown = (None, 0)
            self._shell.displayhook.update_user_ns(reply)
        if view.has_shown or reply.success or reply.output:
            view.finish(reply)

    def _tabled(self, reply: Reply) -> Reply:
        from ccw_magics.notebook.frame import ReadableFrame
        from ccw_magics.stats import answers_frame

        return replace(reply, data=ReadableFrame(answers_frame(reply.data)))

    def _draw(self, frame: pd.DataFrame) -> None:
        """Show a chart above the table, where matplotlib is installed, and pictures can be shown."""
        if not hasattr(self._shell, "kernel"):
            return
        try:
            from ccw_magics.notebook import chart
        except ImportError:
            return
        if chart.is_drawable(frame):
            from IPython.display import Image, display

            display(Image(chart.png(chart.usage_chart(frame)), retina=True))

    def _run(self, words: list[str]) -> Any:
        try:
            return tree.main(args=words, prog_name="%ccw", standalone_mode=False, obj=self)
        except click.ClickException as error:
            raise CcwError(error.format_message(), hint=_usage_hint(words)) from None
        except click.Abort:  # what click makes of a KeyboardInterrupt
            raise Interrupted from None

    def _display_reply(self, reply: Reply) -> None:
        """Show a reply that a cell returned: nothing in the cell where it was streamed, the whole of it later."""
        (shown, cell), self._just_shown = self._just_shown, (None, 0)
        if reply is not shown or cell != self._shell.execution_count:
            show_again(reply)


def _print_reply(reply: Reply, printer: _Printer, _is_cycle: bool) -> None:
    """Show a reply that a cell in a terminal returned: its account, and what went wrong."""
    printer.text("\n".join(part for part in (repr(reply), error_text(reply)) if part))


def _usage_hint(words: list[str]) -> str:
    verb = words[0] if words and words[0] in tree.commands else ""
    return f"%ccw {verb} --help shows the options." if verb else "%ccw help lists the verbs."

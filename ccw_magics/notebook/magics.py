"""`%ccw` and `%%ccw`: read the line, call down, hand the reply to display.

Nothing but IPython is imported here before a magic runs: loading the extension must cost no more than a bare magic.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from IPython.core.completer import CompletionContext, SimpleMatcherResult, context_matcher
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from ccw_magics.errors import CcwError
from ccw_magics.notebook.interrupted import Interrupted

if TYPE_CHECKING:
    from ccw_magics.notebook.door import NotebookDoor
    from ccw_magics.workspace import Workspace

_CELL: Final = re.compile(r"\s*%%ccw\s")
_LINE: Final = re.compile(r"(?:[^%]*=)?\s*%ccw\s")
_BEFORE_ALL: Final = 1000.0
"""Priority among IPython's matchers, so that none of those that are suppressed runs before: jedi takes a second."""


@magics_class
class CcwMagics(Magics):
    """The two magics. One workspace and one door serve all cells of a kernel."""

    _workspace: Workspace | None = None

    @cached_property
    def _door(self) -> NotebookDoor:
        from ccw_magics.notebook.door import NotebookDoor

        assert self.shell is not None
        return NotebookDoor(self.shell, lambda: self.workspace)

    @property
    def workspace(self) -> Workspace:
        """The project of the kernel's current directory; the same object as long as its root stays."""
        from ccw_magics.workspace import Workspace

        here = Workspace()
        if self._workspace is None or self._workspace.root != here.root:
            self._workspace = here
        return self._workspace

    # Without `no_var_expand`, `@src/*.{py,md}` turns into `@src/*.(1, 2)` once `py` and `md` are variables.
    @no_var_expand
    @line_magic("ccw")  # type: ignore[arg-type]  # IPython annotates what it decorates as Never
    def line(self, line: str) -> Any:
        """`%ccw VERB ...`; alone, it shows where things stand. `%ccw help` lists the verbs."""
        with _interrupts():
            words = _words(line)
            if words == ["panel"] and hasattr(self.shell, "kernel"):
                # Not by way of the tree of verbs, whose import takes a third of the time until the panel is there.
                from ccw_magics.notebook.panels import show

                return show(self.workspace)
            return self._door.verb(words)

    @no_var_expand
    @cell_magic("ccw")  # type: ignore[arg-type]  # likewise
    def cell(self, line: str, body: str) -> Any:
        """`%%ccw [ENDPOINT] [OPTIONS]`: ask an endpoint the question in the cell's body."""
        with _interrupts():
            return self._door.cell(_words(line), body)

    @context_matcher(identifier="ccw_magics", priority=_BEFORE_ALL)  # type: ignore[untyped-decorator]  # a bare partial
    def complete(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete what stands in a `%%ccw` cell or a `%ccw` line; leave everything else to the other matchers."""
        if not _is_ours(context):
            return {"completions": []}
        from ccw_magics.notebook.completion import complete

        assert self.shell is not None
        return complete(context, self.shell.user_ns, lambda: self.workspace)


def _is_ours(context: CompletionContext) -> bool:
    line = context.text_until_cursor
    above = context.full_text.split("\n")[: context.cursor_line]
    return bool(_LINE.match(line) or _CELL.match("\n".join([*above, line])))


@contextmanager
def _interrupts() -> Iterator[None]:
    """Show an interrupt in one line, also one that strikes the first cell's imports: their frames take a second."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted from None


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise CcwError(
            f"cannot read the line: {str(error).lower()}", hint="Close the quote, or put a backslash before it."
        ) from None

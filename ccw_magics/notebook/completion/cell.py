"""From the text of a cell to what may stand at its cursor, in the form that IPython's matchers return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult

from ccw_magics.cli.completion.paths import reach, references
from ccw_magics.cli.completion.suggestion import MOST, Suggestions, unrepeated
from ccw_magics.cli.completion.words import words_of
from ccw_magics.workspace import Workspace

_CELL: Final = "%%ccw"
_LINE: Final = "%ccw"
_NOTE_CHARS: Final = 60
_UNBROKEN: Final = str.maketrans({" ": "\N{NO-BREAK SPACE}", "-": "\N{NON-BREAKING HYPHEN}"})


class _Only(tuple[SimpleCompletion, ...]):
    """Completions that keep all other matchers' away, even where there are none.

    IPython lets a matcher suppress the others only where it has found something itself, which it tells by the length.
    Without this, words of a question would be completed as Python.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return max(1, super().__len__())


def complete(
    context: CompletionContext, namespace: Mapping[str, Any], workspace: Callable[[], Workspace]
) -> SimpleMatcherResult:
    """What may stand at the cursor of a `%%ccw` cell or in a `%ccw` line: ours or nothing, and never an error.

    Args:
        context: The cell and the cursor.
        namespace: The notebook's, for the names of types.
        workspace: Gives the project; asked for on a command line only, since it loads the config's and the calls' code.
    """
    found = Suggestions()
    with suppress(Exception):  # IPython would print the traceback into the prompt; what is wrong is told by running it
        found = _suggestions(context, namespace, workspace)
        found = unrepeated(found, context.line_with_cursor[context.cursor_position :])
    return {
        "completions": _Only(SimpleCompletion(text, type=_in_one_line(note)) for text, note in found.found[:MOST]),
        "matched_fragment": found.fragment,
        "suppress": True,
        "ordered": True,
    }


def _in_one_line(note: str) -> str:
    """A short note that breaks nowhere: JupyterLab lays notes of several lines out over each other."""
    short = note if len(note) <= _NOTE_CHARS else note[: _NOTE_CHARS - 1].rstrip() + "…"
    return short.translate(_UNBROKEN)


def _suggestions(
    context: CompletionContext, namespace: Mapping[str, Any], workspace: Callable[[], Workspace]
) -> Suggestions:
    line = context.text_until_cursor
    first, text = next((pair for pair in enumerate(context.full_text.split("\n")) if pair[1].strip()), (0, ""))
    is_cell = text.lstrip().startswith(_CELL)
    if is_cell and context.cursor_line > first:
        return _reference(line, text.partition(_CELL)[2])
    from ccw_magics.cli.completion.command import continuations
    from ccw_magics.cli.completion.values import ProjectValues
    from ccw_magics.cli.tree import tree

    before, word = words_of(line.partition(_CELL if is_cell else _LINE)[2])
    before = before[1:] if is_cell and before[:1] == ["cli"] else before
    values = ProjectValues(workspace, namespace, before)
    return continuations(tree.commands["cli"] if is_cell else tree, before, word, values.of)


def _reference(line: str, options: str) -> Suggestions:
    """How a reference in a cell's body may go on, where the cell's first line says that it starts."""
    return references(line, *reach(words_of(options + " ")[0]))

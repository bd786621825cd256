"""The question: typed in the line, in a file, or on standard input; and what is piped in beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from ccw_magics.cli.shell import piped

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door

STDIN: Final = "-"
"""The file name that stands for standard input."""
_HEADING: Final = "Standard input:"


class Question(NamedTuple):
    """What is asked.

    Attributes:
        prompt: What the user typed; its @ references are followed.
        material: What was piped in beside it, in a fence; an `@` in it is an `@`.
    """

    prompt: str
    material: str = ""


def question(door: Door, prompt: str | None, file: str | None) -> Question:
    """Read the question, and what is piped in beside it; in a notebook, standard input is nobody's.

    Args:
        door: Where the line was typed.
        prompt: What `--prompt` says.
        file: What `--file` says.

    Raises:
        click.UsageError: There is no question, or there are two; or what should be text is none.
        ContextTooLarge: It is longer than anybody reads.
    """
    if prompt is not None and file is not None:
        raise click.UsageError("the question stands both in -p and in -f: use one of the two")
    if file == STDIN and not door.is_shell:
        raise click.UsageError("-f - reads standard input, and a notebook has none: name a file")
    is_from_stdin = file == STDIN or (prompt is None and file is None and door.is_shell and piped.is_open_for_text())
    if is_from_stdin:
        asked = piped.whole_text(door.note)
    elif file is not None:
        asked = piped.file_text(Path(file).expanduser(), door.note)
    else:
        asked = prompt or ""
    if not asked.strip():
        raise click.UsageError('there is no question: -p "..." asks one, -f FILE one that stands in a file')
    # As a cell's body: the line end that closes a file is not a part of the question.
    asked = asked.rstrip("\r\n") if prompt is None else asked
    return Question(asked, "" if is_from_stdin or not door.is_shell else fenced(piped.piped_text(door.note)))


def fenced(text: str) -> str:
    """A text in a fence that is longer than any row of backquotes in it; empty for an empty one."""
    if not text:
        return ""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{_HEADING}\n\n{fence}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"

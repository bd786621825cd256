"""Colours where somebody sees them: on a terminal, unless NO_COLOR or TERM=dumb say otherwise."""

from __future__ import annotations

import os
from typing import TextIO

import click


def has_colours(stream: TextIO) -> bool:
    """Whether text to a stream may be coloured.

    NO_COLOR is asked first (https://no-color.org), then FORCE_COLOR, which holds for pipes too; either says nothing
    where it is empty.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return os.environ["FORCE_COLOR"] != "0"
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def dimmed(text: str, stream: TextIO) -> str:
    """What stands beside the answer."""
    return click.style(text, dim=True) if text and has_colours(stream) else text


def alarming(text: str, stream: TextIO) -> str:
    """The name of an error."""
    return click.style(text, fg="red", bold=True) if text and has_colours(stream) else text

"""The exact cell to paste for an endpoint, with a reference to a file that this project has."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Final

from ccw_magics.notebook.panels import style

_FIRST: Final = ("readme.md", "readme.rst", "readme.txt", "readme")
_TEXT_SUFFIXES: Final = (".md", ".rst", ".txt", ".py", ".toml")
_PLAIN: Final = re.compile(r"[\w.-]+")
"""A name that a reference needs no quotes for."""


def example_cell(root: Path, endpoint_id: str) -> str:
    """The cell as plain text.

    Args:
        root: The project's root.
        endpoint_id: What is asked.
    """
    name = _file_name(root)
    question = f"@{name} What is this about?" if name else "Say hello in one sentence."
    return f"%%ccw {shlex.quote(endpoint_id)}\n{question}"


def example_html(root: Path, endpoint_id: str) -> str:
    """The cell, and the one that must have been run before, each to be copied with a click."""
    steps = (("Once in each notebook:", "%load_ext ccw_magics"), ("Then:", example_cell(root, endpoint_id)))
    return "".join(f"{style.said(what, 'faint')}{style.code(cell)}" for what, cell in steps)


def _file_name(root: Path) -> str:
    """A file at the root: its README, else a text file; empty where there is none."""
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if _PLAIN.fullmatch(entry.name) and entry.is_file())
    except OSError:
        return ""
    readmes = sorted((name for name in names if name.lower() in _FIRST), key=lambda name: _FIRST.index(name.lower()))
    others = [name for name in names if name.endswith(_TEXT_SUFFIXES) and not name.startswith(".")]
    return next(iter([*readmes, *others]), "")

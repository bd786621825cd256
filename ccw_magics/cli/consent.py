"""The user's leave for an agent to write, asked for once in each kernel or command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccw_magics.errors import NotAgreed

if TYPE_CHECKING:
    from ccw_magics.backends.base import Mode
    from ccw_magics.calls.request import Request
    from ccw_magics.cli.door import Door

_COVERED: Final[dict[Mode, tuple[Mode, ...]]] = {"analysis": (), "write": ("write",), "auto": ("write", "auto")}
"""What agreeing to a mode agrees to."""
_HINT: Final = "--yes agrees to it; --mode analysis lets it read alone."
_PROJECT_COMMANDS: Final = (
    " It also heeds the project's own .qwen folder and .env, which may run programs and send your key elsewhere."
)
"""qwen writes in no folder that it distrusts, and so trusts what it finds there; codex and gemini keep that out."""
_agreed: set[tuple[int, Mode]] = set()
"""Process and mode: a forked child asks for itself."""


def require(door: Door, request: Request, *, yes: bool) -> None:
    """Go on only where the user has agreed to what an agent may do.

    Args:
        door: Where to ask.
        request: What is about to be run.
        yes: Whether the line itself agrees, for this run alone.

    Raises:
        NotAgreed: The answer was no, or nobody can be asked.
    """
    mode, process = request.mode, os.getpid()
    if mode == "analysis" or yes or (process, mode) in _agreed:
        return
    said = door.agrees(f"{_what(request, door.workspace.root)} Go on?")
    if said is None:
        raise NotAgreed(f"not run: {_what(request, door.workspace.root)} Nobody can be asked here", hint=_HINT)
    if not said:
        raise NotAgreed("not run: you did not agree", hint=_HINT)
    _agreed.update((process, covered) for covered in _COVERED[mode])


def _what(request: Request, root: Path) -> str:
    """What it may do, and where."""
    places = ", ".join(map(str, (request.cwd or root, *request.include_dirs)))
    if request.mode == "write":
        more = _PROJECT_COMMANDS if request.tool == "qwen" else ""
        return f"{request.tool} --mode write may change and delete files in {places}, without asking each time.{more}"
    return (
        f"{request.tool} --mode auto may do whatever you may, without asking: change and delete files, run commands, "
        f"use the network. It starts in {places}."
    )

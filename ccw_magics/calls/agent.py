"""A request to a command-line agent: it reads the project itself, so that no files are packed for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, get_args

from ccw_magics.backends import AGENT_TYPES, agents
from ccw_magics.backends.base import AgentTask, Mode, ModelCall, Tool
from ccw_magics.calls.model_call import NO_KEY, sendable
from ccw_magics.calls.packing import directory_of, start_of
from ccw_magics.calls.preparation import Prepared
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import AdvancedSettings, Endpoint, Provider
from ccw_magics.context.files import find_files
from ccw_magics.context.found import Match
from ccw_magics.context.patterns import extract_patterns
from ccw_magics.errors import CcwError

TIMEOUT_S: Final = 3600.0
"""An agent that works for an hour has lost its way; Interrupt ends it before."""
LISTED_MAX: Final = 200
"""Paths that are listed for one reference; who wants more looks for himself."""
_PREAMBLE: Final = "The references in the question stand for these files, relative to the working directory:"


@dataclass(frozen=True)
class Listing:
    """What one reference stands for, as the agent is told.

    Attributes:
        reference: With its `@`.
        files: How many there are, listed or not.
        text: Its part of the list; the first one's has the words before the list.
    """

    reference: str
    files: int
    text: str


@dataclass(frozen=True)
class PreparedAgent(Prepared):
    """One call to an agent.

    Attributes:
        listings: What its references stand for; their texts together are the call's `tail`.
    """

    listings: tuple[Listing, ...] = ()


def agent_route(request: Request) -> Route:
    """The agent as an endpoint, which is in no config: it has its own login and its own settings.

    Raises:
        CcwError: There is no such agent.
    """
    if request.tool not in get_args(Tool):
        known = ", ".join(get_args(Tool))
        raise CcwError(f"no such agent: {request.tool}", hint=f"Agents: {known}. Anything else is an endpoint's id.")
    tool = cast("Tool", request.tool)
    # It may think, or run a command, for as long as it likes without a word.
    patience = AdvancedSettings(timeout=TIMEOUT_S, between_tokens_timeout=TIMEOUT_S, max_retries=0)
    provider = Provider(
        id=tool, name=f"{tool} (command-line agent)", type=AGENT_TYPES[tool], advanced_settings=patience
    )
    return Route(Endpoint(id=tool, name=provider.name, provider_id=tool, model=request.model), provider)


def require_mode(request: Request) -> None:
    """Refuse what nobody can do.

    Raises:
        CcwError: An endpoint is to write, or there is no such mode.
    """
    if request.mode not in get_args(Mode):
        raise CcwError(f"no such mode: {request.mode}", hint=f"Modes: {', '.join(get_args(Mode))}.")
    if request.mode != "analysis" and not request.tool:
        raise CcwError(
            f"--mode {request.mode} needs an agent: an endpoint's model only answers, it has no hands to write with",
            hint=f"--tool {' or --tool '.join(get_args(Tool))} can; without --mode the endpoint is asked.",
        )


def prepare_agent(chosen: Route, request: Request, root: Path, secrets: tuple[Secret, ...]) -> PreparedAgent:
    """The call to an agent: the prompt as typed, and before it what its references stand for.

    The files' text stays away: an agent looks into them where it needs to, and sends all that it was told once more
    with each of its steps.

    Args:
        chosen: Who is asked.
        request: What to ask.
        root: The project, where the agent works if the request does not say otherwise.
        secrets: What it is not to be heard saying.

    Raises:
        PatternError: A directory is none, or a reference leads outside the project and the directories.
    """
    directory = root if request.cwd is None else directory_of(request.cwd)
    include_dirs = tuple(directory_of(included) for included in request.include_dirs)
    found = find_files(
        extract_patterns(request.prompt),
        root=root,
        cwd=start_of(root, request.cwd),
        include_dirs=(*include_dirs, directory),
    )
    listings = tuple(_listings(found.matches, root, directory))
    call = ModelCall(
        provider_type=chosen.provider.type,
        model=chosen.endpoint.model,
        prompt=sendable(request.text),
        tail="".join(listing.text for listing in listings),
        timeout_s=TIMEOUT_S,
        agent=AgentTask(request.mode, directory, include_dirs, secrets),
    )
    remarks = tuple(f"{reference} matches no file; it is sent as text only" for reference in found.unmatched)
    return PreparedAgent(
        chosen, chosen.provider.id, call, (NO_KEY,), agents(), None, remarks=remarks, listings=listings
    )


def _listings(matches: Mapping[str, Match], root: Path, directory: Path) -> Iterator[Listing]:
    before = _PREAMBLE
    for reference, match in matches.items():
        text = "\n".join([before, *_lines(reference, match.paths, root, directory)])
        yield Listing(reference, len(match.paths), text)
        before = ""


def _lines(reference: str, paths: tuple[str, ...], root: Path, directory: Path) -> Iterator[str]:
    yield f"{reference.removeprefix('@')}:"
    for path in paths[:LISTED_MAX]:
        yield f"  {Path(os.path.relpath(root / path, directory)).as_posix()}"
    if len(paths) > LISTED_MAX:
        yield f"  ({len(paths) - LISTED_MAX:,} more)"

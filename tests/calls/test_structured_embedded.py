"""The embedded model held to a shape: SmolLM2-135M knows nothing, and its answers fit all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from schema.schemas import CASES, plain

from ccw_magics import Workspace
from ccw_magics.backends import local_process
from ccw_magics.errors import SchemaError
from ccw_magics.schema import Schema

NOTES = (
    "On 2026-03-01 Ada looked at a.py. In line 3 a variable is never used; this is a minor problem. "
    "The cat Tom has 9 lives.\n"
)
HELD = (
    "short",
    "short-optional",
    "short-dates",
    "short-quoted",
    "short-union",
    "short-list",
    "model",
    "model-recursive",
    "model-discriminated",
    "enum",
)
"""Ten of the thirty: nested, optional, choices, unions, lists, dates, itself within itself."""


@pytest.fixture
def workspace(project: Path, embedded_model: Path) -> Iterator[Workspace]:
    """A project with a file, whose model has no process left afterwards."""
    assert embedded_model.exists()
    (project / "notes.md").write_text(NOTES)
    yield Workspace(project)
    local_process.processes.stop()


@pytest.mark.embedded
def test_the_embedded_model_gives_ten_shapes_at_once(workspace: Workspace) -> None:
    prompt = "@notes.md Give one short example from the notes, as JSON."
    cases = [case for case in CASES if case.id in HELD]
    assert len(cases) == 10
    for case in cases:
        reply = workspace.run(prompt, endpoint="local", schema=case.wanted)
        # On another processor it may talk on to its limit: that is the one way not to fit.
        if not reply.is_cut:
            assert plain(reply.raise_for_error().data) == plain(Schema.of(case.wanted).read(reply.output))
        assert len(reply.attempts) == 1
        assert reply.output


@pytest.mark.embedded
def test_what_no_grammar_can_say_is_asked_for_once_more(workspace: Workspace) -> None:
    even = next(case for case in CASES if case.id == "model-validator")
    reply = workspace.run("@notes.md An odd number.", endpoint="local", schema=even.wanted)
    assert len(reply.attempts) in (1, 2)
    assert reply.output
    assert reply.success or isinstance(reply.failure, SchemaError)

"""A type's own validators are the user's code: whatever they do, it is the business of their call alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import BaseModel, field_validator
from wire_server import Answer, WireServer
from wired_project import make_project

from ccw_magics import Workspace
from ccw_magics.backends.base import Done
from ccw_magics.calls.progress import Progress
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.structured import _read
from ccw_magics.errors import SchemaError
from ccw_magics.schema import Schema

WAIT_S = 20.0
GOOD = '{"n": 1}'
SHAPE = "n: int"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Own(BaseException):
    """What no `except Exception` sees."""


def checked_by(check: Callable[[], object]) -> type[BaseModel]:
    class Checked(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def is_checked(cls, n: int) -> int:
            check()
            return n

    return Checked


def raises(error: BaseException) -> Callable[[], object]:
    def check() -> None:
        raise error

    return check


@pytest.fixture
def workspace(project: Path, wire: WireServer) -> Workspace:
    make_project(project, wire)
    wire.answers(Answer(GOOD))
    return Workspace(project)


def in_time(work: Callable[[], Reply]) -> Reply:
    """What it gives, in a thread that is not the main one; fails where it hangs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(WAIT_S)


WAYS = {
    "exit": (SystemExit(3), "SystemExit: 3"),
    "interrupt": (KeyboardInterrupt(), "KeyboardInterrupt"),
    "own": (Own("stop"), "Own: stop"),
    "stop-iteration": (StopIteration(), "StopIteration"),
    "no-words": (Unspeakable(), "Unspeakable"),
}


@pytest.mark.parametrize(("error", "said"), WAYS.values(), ids=WAYS)
def test_what_it_raises_is_a_misfit(workspace: Workspace, wire: WireServer, error: BaseException, said: str) -> None:
    reply = workspace.run("Hi", schema=checked_by(raises(error)))
    assert isinstance(reply.failure, SchemaError)
    assert reply.failure.message.endswith(f"a validator failed: {said}")
    assert (reply.output, reply.data, len(wire.requests)) == (GOOD, None, 2)
    assert in_time(lambda: workspace.run("Hi", schema=SHAPE)).raise_for_error().data.n == 1


def test_it_may_call_a_model(workspace: Workspace) -> None:
    kind = checked_by(lambda: workspace.run("Is it right?").raise_for_error())
    assert in_time(lambda: workspace.run("Hi", schema=kind)).raise_for_error().data.n == 1


def test_one_that_hangs_holds_up_no_other_call(workspace: Workspace) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        let_go.wait(WAIT_S)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(workspace.run, "Hi", schema=checked_by(hang))
        try:
            assert begun.wait(WAIT_S)
            assert workspace.run("Hi", schema=SHAPE).raise_for_error().data.n == 1
            assert not hanging.done()
        finally:
            let_go.set()
        assert hanging.result(WAIT_S).raise_for_error().data.n == 1


def test_a_replayed_answer_is_read_once_and_never_where_calls_run(workspace: Workspace, wire: WireServer) -> None:
    threads: list[str] = []
    kind = checked_by(lambda: threads.append(threading.current_thread().name))
    workspace.run("Hi", schema=kind, replay=True).raise_for_error()
    reply = workspace.run("Hi", schema=kind, replay=True).raise_for_error()
    assert reply.replayed_at is not None
    assert reply.data.n == 1
    assert threads == ["ccw-apart", threading.current_thread().name]
    assert len(wire.requests) == 1


@pytest.mark.parametrize("error", [SystemExit(3), Own()], ids=repr)
def test_a_record_that_makes_it_exit_is_asked_for_anew(
    workspace: Workspace, wire: WireServer, error: BaseException
) -> None:
    left = [error]
    workspace.run("Hi", schema=SHAPE, replay=True).raise_for_error()

    def check() -> None:
        if left:
            raise left.pop()

    reply = workspace.run("Hi", schema=checked_by(check), replay=True).raise_for_error()
    assert (reply.replayed_at, reply.data.n, len(wire.requests)) == (None, 1, 2)


def test_the_users_interrupt_interrupts_the_reading_of_a_record(workspace: Workspace, wire: WireServer) -> None:
    workspace.run("Hi", schema=SHAPE, replay=True).raise_for_error()
    with pytest.raises(KeyboardInterrupt):
        workspace.run("Hi", schema=checked_by(raises(KeyboardInterrupt())), replay=True)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("has_max_cost", "hint"),
    [(False, "--max-tokens allows a longer one."), (True, "--max-tokens, or --max-cost, allows a longer one.")],
)
def test_a_cut_answer_says_what_allows_a_longer_one(has_max_cost: bool, hint: str) -> None:
    progress = Progress(pieces=['{"n": '], ends=[Done(is_cut=True)])
    with pytest.raises(SchemaError) as failed:
        asyncio.run(_read(Schema.of(SHAPE), progress, has_max_cost=has_max_cost))
    assert failed.value.hint == hint

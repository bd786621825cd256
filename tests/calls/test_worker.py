"""The thread that calls run on: it outlives what runs there, and is replaced where it does not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ccw_magics.calls import worker
from ccw_magics.errors import SchemaError

WAIT_S = 10.0


async def _thread() -> str:
    return threading.current_thread().name


async def _fails(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")], ids=repr)
def test_it_outlives_what_a_task_raises(error: BaseException) -> None:
    let_go = asyncio.Event()
    waiting = worker.submit(let_go.wait())
    failed = worker.submit(_fails(error))
    assert failed.exception(WAIT_S) is error

    async def end() -> None:
        let_go.set()

    worker.submit(end()).result(WAIT_S)
    assert waiting.result(WAIT_S)
    assert worker.submit(_thread()).result(WAIT_S) == "ccw-calls"


def test_a_waiting_caller_gets_what_the_task_raises() -> None:
    with pytest.raises(SystemExit):
        worker.watch(lambda _emit: _fails(SystemExit(3)), lambda _kind, _text: None, lambda: None)


def test_where_its_thread_has_died_the_next_use_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(worker._Worker, "_serve", lambda _self: None)
        dead = worker._Worker()
    dead._thread.join(WAIT_S)
    monkeypatch.setattr(worker, "_worker", dead)
    assert not dead.is_usable
    assert worker.submit(_thread()).result(WAIT_S) == "ccw-calls"
    assert worker._worker is not dead
    dead._stop()  # as at the process's end: nothing to wait for
    dead.loop.close()


def test_once_stopped_it_is_not_started_again() -> None:
    stopped = worker._Worker()
    stopped._stop()
    assert stopped.loop.is_closed()
    assert stopped.is_usable


def test_apart_is_a_thread_that_may_make_calls_itself() -> None:
    nested = worker.apart(lambda: worker.submit(_thread()).result(WAIT_S))
    assert worker.submit(nested).result(WAIT_S) == "ccw-calls"
    assert worker.submit(worker.apart(lambda: threading.current_thread().name)).result(WAIT_S) == "ccw-apart"


def test_apart_hands_errors_on() -> None:
    def fail() -> None:
        raise SchemaError("no")

    with pytest.raises(SchemaError):
        worker.submit(worker.apart(fail)).result(WAIT_S)


def test_apart_holds_up_nobody_and_lets_itself_be_cancelled() -> None:
    begun, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        let_go.wait(WAIT_S)

    hanging = [worker.submit(worker.apart(hang)) for _ in range(40)]  # more than asyncio's pool has threads
    try:
        assert begun.wait(WAIT_S)
        assert worker.submit(asyncio.to_thread(lambda: "recorded")).result(WAIT_S) == "recorded"
        assert all(one.cancel() for one in hanging)
        assert worker.submit(_thread()).result(WAIT_S) == "ccw-calls"
    finally:
        let_go.set()

"""One background thread with one event loop, on which every call runs.

IPython does not await `async def` magics, and `asyncio.run` fails under ipykernel, whose loop is running already. A
new loop for each call would cost about 3 ms each time and lose the connections that the providers' clients keep open.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
OnOutput = Callable[[str, str], None]
"""Called with `stdout` and a piece of the answer, or `stderr` and a note."""
OnIdle = Callable[[], None]
"""Called now and then while nothing comes."""

POLL_S: Final = 0.03
"""How often a waiting main thread wakes: on Windows an untimed wait cannot be interrupted, and a display may be due."""
CLOSE_S: Final = 0.5
"""How long interrupted work may take to close its socket before the kernel is handed back all the same."""


EXIT_S: Final = 5.0
"""How long the process waits at its end for the thread to come to a stop."""


class _Worker:
    """A thread with a loop; it ends with the process, in order.

    A daemon thread that is simply frozen at exit may be inside an import, whose lock it then holds for ever; a
    destructor of litellm's that imports something waits for that lock, and the process never ends.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._serve, name="ccw-calls", daemon=True)
        self._thread.start()
        atexit.register(self._stop)

    @property
    def is_usable(self) -> bool:
        """Whether it serves this process: a thread does not survive a fork. One that was stopped is not replaced."""
        return self.pid == os.getpid() and (self._is_stopping or self._thread.is_alive())

    def _serve(self) -> None:
        while not self._is_stopping:
            # asyncio hands these two on to whoever runs the loop, once the task that raised them has ended with them.
            with suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.close()

    def _stop(self) -> None:
        if self.pid == os.getpid() and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._end)
            self._thread.join(timeout=EXIT_S)

    def _end(self) -> None:
        self._is_stopping = True
        self.loop.stop()


_lock = threading.Lock()
_worker: _Worker | None = None


def _running_loop() -> asyncio.AbstractEventLoop:
    """The worker's loop, started at first use, and again in a forked child or where its thread has died."""
    global _worker  # noqa: PLW0603 - one loop for each process is the point of this module
    with _lock:
        if _worker is None or not _worker.is_usable:
            _worker = _Worker()
        return _worker.loop


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run `work` on the worker's loop; the future's `cancel` cancels the task there."""
    return asyncio.run_coroutine_threadsafe(work, _running_loop())


async def apart(work: Callable[[], T]) -> T:
    """Run a stranger's code in a thread of its own, awaited on the loop; cancelled, it is left to itself.

    It may take for ever, and may itself make a call: in asyncio's pool of threads, a few of them would hold up, or wait
    in vain for, the threads that record other calls.
    """
    end: Future[T] = Future()
    end.set_running_or_notify_cancel()

    def run() -> None:
        try:
            end.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            end.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="ccw-apart", daemon=True).start()
    return await asyncio.wrap_future(end)


class _Job(Generic[T]):
    """Work on the worker's loop that can be waited for to its very end, its clean-up after a cancellation included.

    The future that `submit` returns is over as soon as it is cancelled, while its task still closes its socket.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.end: Future[T] = Future()
        self.end.set_running_or_notify_cancel()  # so that nobody but the task ends it
        self._loop = _running_loop()
        self._task: asyncio.Task[T] | None = None
        self._loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.end.set_exception(CancelledError())
        elif (error := task.exception()) is not None:
            self.end.set_exception(error)
        else:
            self.end.set_result(task.result())

    def cancel(self) -> None:
        """Ask it to end, and give it a moment to."""
        self._loop.call_soon_threadsafe(lambda: self._task is not None and self._task.cancel())
        wait([self.end], timeout=CLOSE_S)


def watch(work: Callable[[OnOutput], Coroutine[Any, Any, T]], on_output: OnOutput, on_idle: OnIdle) -> T:
    """Run work on the worker's loop, and hand on here, in the caller's thread, what it emits, until it ends.

    Args:
        work: Makes the coroutine, from the function that it emits with.
        on_output: Called with each thing emitted.
        on_idle: Called now and then while nothing comes.

    Raises:
        KeyboardInterrupt: After the work was cancelled, and had half a second to close its socket.
    """
    output: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
    job = _Job(work(lambda kind, text: output.put((kind, text))))
    job.end.add_done_callback(lambda _: output.put(None))
    try:
        _hand_on(output, on_output, on_idle)
        return job.end.result()
    except BaseException:
        job.cancel()
        raise


async def watch_async(work: Coroutine[Any, Any, T]) -> T:
    """Run work on the worker's loop, awaited on another one; cancelled, it has half a second to close its socket."""
    job = _Job(work)
    try:
        return await asyncio.wrap_future(job.end)
    except asyncio.CancelledError:
        await asyncio.to_thread(job.cancel)
        raise


def _hand_on(output: queue.SimpleQueue[tuple[str, str] | None], on_output: OnOutput, on_idle: OnIdle) -> None:
    while True:
        try:
            item = output.get(timeout=POLL_S)
        except queue.Empty:
            on_idle()
            continue
        if item is None:
            return
        on_output(*item)

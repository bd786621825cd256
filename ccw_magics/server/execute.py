"""The operation that asks a question, and streams the answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Final

from ccw_magics.calls import worker
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.reply_json import ReplyJson, reply_json
from ccw_magics.calls.request import Request
from ccw_magics.errors import ConfigError
from ccw_magics.schema import Schema
from ccw_magics.server.answers import Execution
from ccw_magics.server.operation import Body, Call, Event, Operation

MOST_AT_ONCE: Final = 32
"""Questions under way; each has a thread, since packing, keyrings and the journal block. Further ones wait."""
SIGN_OF_LIFE_S: Final = 15.0
"""Proxies give up on a silent connection after 30 to 60 s, and a client that has gone is noticed by writing to it."""

BREAK_OFF_S: Final = 3.0
"""How long a server that ends waits for the last words of its questions: sockets to close, records to write."""

_turns = asyncio.Semaphore(MOST_AT_ONCE)
_under_way: set[_Asking] = set()


async def execute(call: Call) -> AsyncGenerator[Event, None]:
    """Ask an endpoint: a stream of `stdout` (the answer, piece by piece) and `stderr` (notes), and the `reply`.

    A question that could not be asked at all, for there is no such endpoint or the config is not trusted, is answered
    by that error and its status. All else that goes wrong stands in the reply, as in a notebook.
    """
    asking = _Asking(call, await asyncio.to_thread(_request, call))
    has_begun = False
    try:
        while (event := await asking.next()) is not None:
            has_begun = True
            yield event
        reply = asking.reply()
        if reply is None:
            return
        if not has_begun and isinstance(reply.failure, ConfigError):
            reply.raise_for_error()
        yield Event("reply", reply_json(reply))
    finally:
        asking.client_has_gone.set()


async def break_off_all() -> None:
    """Break off what is under way, and wait until it is recorded: to be called before a server ends."""
    for asking in _under_way:
        asking.client_has_gone.set()
    if _under_way:
        await asyncio.wait([asking.work for asking in _under_way], timeout=BREAK_OFF_S)


class _Asking:
    """A question under way in a thread of its own; what it says comes by a queue.

    The queue has no limit: it holds no more than the answer, which the reply holds too.

    Attributes:
        client_has_gone: Set it to break the call off: it is recorded as interrupted.
        work: Its course, from waiting for its turn on.
    """

    def __init__(self, call: Call, request: Request) -> None:
        self.client_has_gone = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        executor = call.workspace.executor
        self.work = asyncio.ensure_future(self._in_turn(lambda: executor.execute(request, self._emit, self._look_up)))
        self.work.add_done_callback(self._end)
        _under_way.add(self)

    async def next(self) -> Event | None:
        """What comes next; a sign of life where it takes long, None at the end."""
        try:
            return await asyncio.wait_for(self._events.get(), SIGN_OF_LIFE_S)
        except TimeoutError:
            return Event()

    def reply(self) -> Reply | None:
        """What came of it, once it has ended; None where it was broken off."""
        return None if self.work.cancelled() else self.work.result()

    async def _in_turn(self, ask: Callable[[], Reply]) -> Reply | None:
        async with _turns:
            return None if self.client_has_gone.is_set() else await worker.apart(ask)

    def _end(self, work: asyncio.Future[Reply | None]) -> None:
        _under_way.discard(self)
        if not work.cancelled():
            work.exception()  # or asyncio would log a fault that nobody asked about; who listens is told
        self._events.put_nowait(None)

    def _emit(self, kind: str, text: str) -> None:
        self._look_up()
        self._loop.call_soon_threadsafe(self._events.put_nowait, Event(kind, {"text": text}))

    def _look_up(self) -> None:
        """Break off where nobody listens any more: what this raises ends the call as an interrupt does."""
        if self.client_has_gone.is_set():
            raise asyncio.CancelledError


def _request(call: Call) -> Request:
    asked = Execution.model_validate(call.body)
    if asked.chat is not None:
        call.workspace.executor.conversations.follow(asked.chat)
    return Request(
        prompt=asked.prompt,
        endpoint_id=asked.endpoint_id,
        cwd=call.folder,
        include_dirs=tuple(call.below_root(path) for path in asked.include_dirs),
        enable_cache=asked.enable_cache,
        repack=asked.repack,
        system=asked.system,
        stream=asked.stream,
        retry_cut=asked.retry_cut,
        chat=asked.chat,
        replay=asked.replay,
        max_cost_usd=asked.max_cost_usd,
        schema=None if asked.answer_schema is None else Schema.of(asked.answer_schema),
        params=asked.params.chosen(),
    )


OPERATIONS = (Operation("post", "/execute", execute, ReplyJson, Body(Execution)),)

"""An HTTP server on loopback that speaks the providers' wire formats, and knows their ways to fail.

::

    with WireServer() as server:
        server.answers(Answer(status=429, headers={"Retry-After": "1"}), Answer("Hello.", cached_tokens=8))
        ...  # a client calls server.url
        server.requests[0].json["messages"]  # what it sent
        server.disconnects.wait()  # it hung up before the end

The end of a request's path chooses the format, whatever stands before it:

- `/chat/completions`: OpenAI and those compatible with it, Azure too.
- `/messages`: Anthropic.
- `:generateContent`, `:streamGenerateContent`: Gemini.
- `/api/chat`, `/api/generate`: Ollama.

Any other request is a lookup (`server.lookups`): Ollama's `/api/show` is answered, the rest is a 404.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web
from wire_formats import FORMATS, Answer, Log, Received, WireFormat

__all__ = ["Answer", "Disconnect", "Log", "Received", "Script", "WireServer"]

_LARGEST_REQUEST_BYTES = 1 << 30
_STOP_GRACE_S = 0.05  # a handler that still waits after this is cancelled
_START_LIMIT_S = 10.0
_ATTACH_TURNS = 10

Script = Answer | Callable[[Received], Answer]
"""An answer, or a function that chooses one for the request."""


@dataclass(frozen=True)
class Disconnect:
    """A client that hung up before the end of its answer; `at_s` is on `time.monotonic`'s clock."""

    request: Received
    at_s: float


class WireServer:
    """The server, in a thread of its own; a context manager, entered once.

    Args:
        tls: The server's certificate and key, for one that is asked by https.

    Attributes:
        url: `http://127.0.0.1:PORT`, once entered.
        requests: The requests for an answer, oldest first.
        lookups: All other requests.
        disconnects: The clients that hung up before the end.
        script: The answers to come; the last one repeats.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.url = ""
        self._tls = tls
        self.requests: Log[Received] = Log()
        self.lookups: Log[Received] = Log()
        self.disconnects: Log[Disconnect] = Log()
        self.script: deque[Script] = deque([Answer()])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wire-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_LIMIT_S):
            raise RuntimeError("The wire server did not start.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def answers(self, *script: Script) -> None:
        """Answer the next requests so, one entry each; the last one repeats."""
        self.script = deque(script)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # `remove_reader`, on Windows too
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=_LARGEST_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Cancelling the handler is how aiohttp tells that a client is gone while nothing is being written.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_GRACE_S)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        try:
            await web.SockSite(runner, listener, ssl_context=self._tls).start()
            self.url = f"http{'s' * (self._tls is not None)}://127.0.0.1:{listener.getsockname()[1]}"
            self._ready.set()
            await self._stopping.wait()
            # asyncio loses a connection that it has accepted but not yet attached when the listener closes, and such
            # ones happen: litellm's threads ask Ollama about a model after the answer.
            self._loop.remove_reader(listener)
            for _ in range(_ATTACH_TURNS):
                await asyncio.sleep(0)
        finally:
            await runner.cleanup()
            listener.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        received = await _receive(request)
        wire = next((wire for end, wire in FORMATS.items() if received.path.endswith(end)), None)
        if wire is None:
            self.lookups.append(received)
            return _look_up(received)
        self.requests.append(received)
        entry = self.script.popleft() if len(self.script) > 1 else self.script[0]
        answer = entry if isinstance(entry, Answer) else entry(received)
        try:
            return await _reply(request, received, wire, answer)
        except asyncio.CancelledError:
            self._note_disconnect(received)
            raise
        except ConnectionError:
            self._note_disconnect(received)
            return web.Response()  # nobody is there to read it; raising would log a server error

    def _note_disconnect(self, received: Received) -> None:
        if not self._stopping.is_set():
            self.disconnects.append(Disconnect(received, time.monotonic()))


async def _receive(request: web.Request) -> Received:
    body = await request.read()
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    return Received(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=request.headers,
        body=body,
        json=parsed,
        at_s=time.monotonic(),
    )


def _look_up(received: Received) -> web.Response:
    if received.path.endswith("/api/show"):
        return web.json_response({"template": "{{ .Prompt }}", "model_info": {"wire.context_length": 8192}})
    return web.json_response({"error": {"message": f"no such path: {received.path}"}}, status=404)


async def _reply(request: web.Request, received: Received, wire: WireFormat, answer: Answer) -> web.StreamResponse:
    streams = wire.streams(received)
    status = answer.status
    if status == 200 and (answer.echo_key or (answer.error_after is not None and not streams)):
        status = 401 if answer.echo_key else 500
    if status >= 400 or answer.body is not None:
        await asyncio.sleep(answer.delay_s)
        return _fixed(answer, status, _fault_body(received, wire, answer, status), "application/json")
    if answer.empty:
        await asyncio.sleep(answer.delay_s)
        return _fixed(answer, status, b"", wire.stream_type if streams else "application/json")
    return await (_stream if streams else _send_whole)(request, received, wire, answer)


def _fixed(answer: Answer, status: int, body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, status=status, headers=_headers(answer, content_type))


def _headers(answer: Answer, content_type: str) -> dict[str, str]:
    return {"Content-Type": answer.content_type or content_type, **answer.headers}


def _fault_body(received: Received, wire: WireFormat, answer: Answer, status: int) -> bytes:
    body = answer.body
    if body is None:
        told = f"Incorrect API key provided: {' '.join(received.credentials)}" if answer.echo_key else f"fault {status}"
        body = wire.error(status, told)
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


async def _stream(request: web.Request, received: Received, wire: WireFormat, answer: Answer) -> web.StreamResponse:
    steps = _steps(received, wire, answer)
    response = web.StreamResponse(status=answer.status, headers=_headers(answer, wire.stream_type))
    for index, step in enumerate(steps):
        if await _fails(request, answer, index, len(steps)):
            return response
        if index == 0:
            await response.prepare(request)
            await _write(response, wire.opening(answer, received), answer)
        if _is_at(answer.end_after, index, len(steps)):
            await response.write_eof()
            break
        if _is_at(answer.error_after, index, len(steps)):
            await response.write_eof(wire.frame(wire.error(500, "fault in the middle of the stream")))
            break
        await asyncio.sleep(answer.gap_s if index else answer.delay_s)
        received.sent_s.append(time.monotonic())
        await _write(response, step, answer, is_last=index == len(steps) - 1)
    return response


def _steps(received: Received, wire: WireFormat, answer: Answer) -> list[bytes]:
    """The pieces, thoughts first, and behind them the format's end."""
    thoughts = [wire.thought(text, received) for text in answer.thoughts]
    if thoughts:
        thoughts[-1] += wire.turning(answer, received)
    pieces = [*thoughts, *(wire.piece(text, answer, received) for text in answer.cut())]
    places = [len(pieces) - 1] * answer.malformed + ([] if answer.malformed_at is None else [answer.malformed_at])
    for place in places if pieces else []:
        pieces[place] = _break_json(pieces[place])
    return [*pieces, wire.closing(answer, received)]


async def _send_whole(request: web.Request, received: Received, wire: WireFormat, answer: Answer) -> web.StreamResponse:
    body = json.dumps(wire.whole(answer, received)).encode()
    if answer.malformed or answer.malformed_at is not None:
        body = _break_json(body)
    middle = len(body) // 2
    response = web.StreamResponse(status=answer.status, headers=_headers(answer, "application/json"))
    response.content_length = len(body)
    if await _fails(request, answer, 0, 2):
        return response
    await asyncio.sleep(answer.delay_s)
    await response.prepare(request)
    await _write(response, body[:middle], answer)
    if await _fails(request, answer, 1, 2):
        return response
    received.sent_s.append(time.monotonic())
    await _write(response, body[middle:], answer, is_last=True)
    return response


async def _write(response: web.StreamResponse, data: bytes, answer: Answer, *, is_last: bool = False) -> None:
    """Send the data, in one lot or drop by drop.

    A client may hang up as soon as it has read the end: the last write must hold all that is left.
    """
    size = answer.drip_bytes or max(1, len(data))
    lots = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    for lot in lots[:-1]:
        await response.write(lot)
        await asyncio.sleep(answer.gap_s)
    await (response.write_eof if is_last else response.write)(lots[-1])


async def _fails(request: web.Request, answer: Answer, index: int, steps: int) -> bool:
    """Stall for ever, or cut or reset the connection, where step `index` is the place for it."""
    if _is_at(answer.stall_after, index, steps):
        await asyncio.Event().wait()
    resets = _is_at(answer.reset_after, index, steps)
    if not resets and not _is_at(answer.cut_after, index, steps):
        return False
    if resets:
        await asyncio.sleep(answer.gap_s)
    if request.transport is not None:
        if resets:
            _let_reset(request.transport)
        request.transport.close()  # what was written still goes out; the response's end does not
    return True


def _let_reset(transport: asyncio.Transport) -> None:
    """Have the closing send RST: that is what a time to linger of 0 s means."""
    linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def _is_at(place: int | None, index: int, steps: int) -> bool:
    """Whether step `index` is the fault's place: a place beyond the end is the last step."""
    return place is not None and index == min(place, steps - 1)


def _break_json(framed: bytes) -> bytes:
    bare = framed.rstrip(b"\n")
    return bare[:-2] + framed[len(bare) :]

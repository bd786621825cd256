"""One operation as a request: who may, what was sent, what is answered."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from functools import partial
from http import HTTPStatus
from traceback import format_tb
from types import TracebackType
from typing import Any, Final, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.iostream import StreamClosedError

from ccw_magics.errors import CcwError, ConfigError
from ccw_magics.server.operation import BASE, Call, Event, Operation
from ccw_magics.server.places import Places
from ccw_magics.server.reading import read_body, read_number
from ccw_magics.server.refusal import Refusal, status_of, without_cell

T = TypeVar("T")

LARGEST_BODY_BYTES: Final = 4 << 20
"""A prompt of a million tokens, the widest window there is, has about as much; a config has a thousandth."""
LARGEST_DISCARDED_BYTES: Final = 64 << 20
"""Of a body that is refused; a larger one is not waited for."""
_THREADS: Final = 16
_READING: Final = ThreadPoolExecutor(_THREADS, "ccw-reading")
_CHANGING: Final = ThreadPoolExecutor(_THREADS, "ccw-changing")
"""Apart, since a change waits up to ten seconds for the config's lock; and not asyncio's own, which Jupyter needs."""
_HINTS: Final = {
    HTTPStatus.FORBIDDEN: "Send the header 'Authorization: token …' with the server's token.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"A body may have {LARGEST_BODY_BYTES:,} bytes.",
}


@web.stream_request_body  # or tornado would read 512 MB from anybody before it asks who that is
class OperationHandler(APIHandler):
    """The operations on one path. Who is not logged in gets 403 on every verb, and nothing is kept of what he sends."""

    auth_resource = "ccw_magics"

    def initialize(self, operations: Mapping[str, Operation], places: Places) -> None:
        """Tornado's hook: what the route was made with."""
        self._operations = operations
        self._places = places
        self._body = bytearray()
        self._refusal: web.HTTPError | None = None
        self._work: asyncio.Task[None] | None = None

    def set_default_headers(self) -> None:
        """Nobody on the way is to keep a config, or an answer."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    async def prepare(self, **options: Any) -> None:
        """See who asks, and for how much; Jupyter's own checks come first.

        A refusal waits until the body has come, and was thrown away: a connection that is closed with something unread
        may take the answer with it.

        Raises:
            web.HTTPError: The request is refused, and its body is too large to be thrown away.
        """
        declared = self.request.headers.get("Content-Length", "0")
        size_bytes = int(declared) if declared.isdecimal() else 0
        try:
            await super().prepare(**options)
            self._admit(size_bytes)
        except web.HTTPError as refusal:
            if size_bytes > LARGEST_DISCARDED_BYTES or self.request.method == "OPTIONS":
                raise
            self._refusal = refusal

    def _admit(self, size_bytes: int) -> None:
        if self.current_user is None and self.request.method != "OPTIONS":
            raise web.HTTPError(HTTPStatus.FORBIDDEN)
        if size_bytes > LARGEST_BODY_BYTES:
            raise web.HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def data_received(self, chunk: bytes) -> None:
        """Keep what comes of the body, as far as it may go."""
        if self._refusal is None and len(self._body) + len(chunk) > LARGEST_BODY_BYTES:
            self._refusal = web.HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if self._refusal is None:
            self._body += chunk

    def on_connection_close(self) -> None:
        """Break off what nobody waits for any more."""
        super().on_connection_close()
        if self._work is not None:
            self._work.cancel()

    @web.authenticated
    @authorized
    async def get(self, *ids: str) -> None:
        """Show something."""
        await self._serve(*ids)

    @web.authenticated
    @authorized
    async def post(self, *ids: str) -> None:
        """Add or do something."""
        await self._serve(*ids)

    @web.authenticated
    @authorized
    async def put(self, *ids: str) -> None:
        """Change something."""
        await self._serve(*ids)

    @web.authenticated
    @authorized
    async def delete(self, *ids: str) -> None:
        """Delete something."""
        await self._serve(*ids)

    @web.authenticated
    @authorized
    async def patch(self, *ids: str) -> None:
        """Nothing is done by this verb."""
        await self._serve(*ids)

    @web.authenticated
    @authorized
    async def head(self, *ids: str) -> None:
        """Likewise."""
        await self._serve(*ids)

    async def _serve(self, *ids: str) -> None:
        if self._refusal is not None:
            raise self._refusal
        self._work = asyncio.ensure_future(self._answer(*ids))
        with suppress(asyncio.CancelledError):  # the client has gone
            await self._work

    async def _answer(self, *ids: str) -> None:
        try:
            operation = self._operation()
            call = await _in_thread(_READING, partial(self._call, operation, *ids))
            if inspect.isasyncgenfunction(operation.run):
                await self._stream(operation.run(call))
            elif inspect.iscoroutinefunction(operation.run):
                await self.finish(await operation.run(call))
            else:
                threads = _READING if operation.verb == "get" else _CHANGING
                await self.finish(await _in_thread(threads, partial(operation.run, call)))
        except CcwError as error:
            status = status_of(error)
            default = self._hint(status) if isinstance(error, Refusal) else None
            self._refuse(status, error.message, without_cell(error.hint or "") or default)

    def _operation(self) -> Operation:
        if not self._operations:
            raise web.HTTPError(HTTPStatus.NOT_FOUND)
        operation = self._operations.get((self.request.method or "").lower())
        if operation is None:
            raise web.HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)
        return operation

    def _call(self, operation: Operation, id_: str = "") -> Call:
        """The request, read; in a thread, since it looks at files."""
        body = {} if operation.body is None else read_body(bytes(self._body), operation.body)
        numbers = {
            number.name: read_number(number, self.get_query_argument(number.name, None)) for number in operation.numbers
        }
        folder = self._places.folder(self.get_query_argument("path", ""))
        workspace = self._places.workspace(folder)
        try:
            workspace.config.load()
        except ConfigError as error:  # nothing that the client sent is wrong
            raise Refusal(error.message, hint=error.hint, status=HTTPStatus.CONFLICT) from None
        return Call(workspace, folder, self._places.folder, id_, body, numbers)

    async def _stream(self, events: AsyncGenerator[Event, None]) -> None:
        # The headers go out with the first event: until then an error has a status of its own.
        async with aclosing(events):
            async for event in events:
                self.set_header("Content-Type", "text/event-stream")
                self.set_header("X-Accel-Buffering", "no")  # or nginx would hold the pieces back
                self.write(event.encode())
                try:
                    await self.flush()
                except StreamClosedError:
                    return
        await self.finish(set_content_type="text/event-stream")

    def _refuse(self, status: int, error: str, hint: str | None = None) -> None:
        self.set_status(status)
        self.finish({"error": error, "hint": hint or ""})

    def _hint(self, status: HTTPStatus) -> str | None:
        """The next step where what went wrong does not say it itself."""
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            return f"GET {url_path_join(self.base_url, BASE)}/openapi.json describes every request."
        return _HINTS.get(status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """An error that tornado or Jupyter raised, in our form; a fault of ours without its trace or message."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        status = HTTPStatus(status_code)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(sorted(verb.upper() for verb in self._operations)) or "OPTIONS")
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._refuse(status, f"ccw_magics itself failed: {type(error).__name__}", "The server's log has the trace.")
            return
        said = error.log_message if isinstance(error, web.HTTPError) else None
        if status == HTTPStatus.FORBIDDEN and getattr(self, "_jupyter_current_user", None) is None:
            said = None  # an XSRF token is missing too, but that is not what helps
        self._refuse(status, said or status.phrase, self._hint(status))

    def log_exception(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log a fault of ours without its message, which may hold what was sent."""
        if kind is None or isinstance(error, web.HTTPError):
            super().log_exception(kind, error, trace)
            return
        where = "".join(format_tb(trace))
        self.log.error("%s %s: %s\n%s", self.request.method, self.request.path, kind.__name__, where)


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work)

"""The wire below litellm: one call's transport, which sees what really comes, and keeps the connect timeout.

litellm maps statuses to others, loses headers, drops what it cannot parse, and reads errors of any size.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from ccw_magics.backends.litellm_formats import Fault, Seen, format_of
from ccw_magics.backends.litellm_reader import Reader

ERROR_BODY_BYTES: Final = 65_536
"""No more of an error's body is read: what matters stands at its beginning."""
ERROR_BODY_S: Final = 5.0
"""Nor for longer: the status is known, and the words are only a help."""
STREAM_TYPES: Final = frozenset({"text/event-stream", "application/x-ndjson", "application/ndjson", "text/plain", ""})
"""Media types a stream may have, those of careless servers included."""
ENCODED: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that no longer hold for a body that was read, and decoded, here."""
ACCOUNT: Final = ("OpenAI-Organization", "OpenAI-Project")
"""Headers that OpenAI's SDK and litellm fill from the environment, whatever the host that gets them."""


class WireFaultError(httpx.TransportError):
    """What came is no answer; what is wrong stands in `Seen`."""


_CALL: Final[ContextVar[Seen | None]] = ContextVar("ccw_call", default=None)
"""The call on whose behalf litellm works, in the task that does, and in the threads it asks for help."""


@contextmanager
def watching(seen: Seen) -> Iterator[None]:
    """Let the wire take note of what is sent and comes in this block, and in the tasks begun there."""
    token = _CALL.set(seen)
    try:
        yield
    finally:
        _CALL.reset(token)


class Wire(httpx.AsyncBaseTransport):
    """The way to the providers, over connections that all calls share.

    Args:
        shared: The transport that holds the connections.
    """

    def __init__(self, shared: httpx.AsyncBaseTransport) -> None:
        self._shared = shared

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and look at what comes back.

        Raises:
            httpx.TransportError: There was no answer, or none that can be used. A second try of litellm's gets the
                same: `calls/` has the one retry layer.
        """
        seen = _CALL.get()
        for name in ACCOUNT:
            if seen is None or name.lower() not in seen.own_headers:
                request.headers.pop(name, None)
        if seen is not None and seen.is_given_up:
            raise WireFaultError("given up")
        if seen is None or seen.is_over:
            return await self._shared.handle_async_request(request)
        if seen.failure is not None:
            raise seen.failure
        try:
            return await _Watched(self._shared, seen).send(request)
        except Exception as error:
            seen.failure = error
            raise

    async def aclose(self) -> None:
        """Close the shared connections."""
        await self._shared.aclose()


class _Watched:
    """One request of a call that is watched."""

    def __init__(self, shared: httpx.AsyncBaseTransport, seen: Seen) -> None:
        self._shared = shared
        self._seen = seen

    async def send(self, request: httpx.Request) -> httpx.Response:
        seen = self._seen
        limits = {**request.extensions.get("timeout", {}), "connect": seen.connect_timeout_s}
        request.extensions = {**request.extensions, "timeout": limits}
        seen.requests += 1
        seen.on_request()
        response = await self._shared.handle_async_request(request)
        response.request = request
        seen.status, seen.retry_after_s = response.status_code, retry_after_s(response.headers)
        seen.format = format_of(request.url.path) if response.is_success else None
        seen.hang_up = response.aclose
        if seen.is_error:
            return _again(response, content=await self._beginning(response))
        if response.has_redirect_location and not _is_same_place(request.url, response.headers["location"]):
            await self._refuse(Fault.REDIRECTED)
        return response if seen.format is None else await self._checked(response)

    async def _checked(self, response: httpx.Response) -> httpx.Response:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = media_type.endswith(("/json", "+json"))
        is_lines = self._seen.format is not None and self._seen.format.is_lines
        if self._seen.is_streamed and (media_type in STREAM_TYPES or (is_json and is_lines)):
            return _again(response, stream=_WatchedStream(response, self._seen))
        if media_type not in STREAM_TYPES and not is_json:
            await self._refuse(Fault.UNREADABLE)
        return _again(response, content=await self._whole(response))

    async def _whole(self, response: httpx.Response) -> bytes:
        body = await response.aread()
        try:
            event = json.loads(body)
        except ValueError:
            await self._refuse(Fault.CUT if _is_short(response, body) else Fault.UNREADABLE)
        self._seen.look_at(event)
        if self._seen.is_error:
            await self._refuse(Fault.UNREADABLE)
        self._seen.is_whole = True
        return body

    async def _beginning(self, response: httpx.Response) -> bytes:
        """The beginning of an error's body, which is all that is read of it."""
        body = bytearray()
        try:
            async with asyncio.timeout(ERROR_BODY_S):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) >= ERROR_BODY_BYTES:
                        break
        except (httpx.HTTPError, TimeoutError):
            pass  # the status says enough
        await response.aclose()
        text = bytes(body[:ERROR_BODY_BYTES])
        self._seen.error_body = text.decode(errors="replace")
        if self._seen.retry_after_s is None and (asked := re.search(rb'"retryDelay":\s*"(\d+(?:\.\d+)?)s"', text)):
            self._seen.retry_after_s = _finite(float(asked[1]))  # Google's way, in the body
        return text

    async def _refuse(self, fault: Fault) -> None:
        self._seen.fault = fault
        await self._seen.hang_up()
        raise WireFaultError(fault.name)


class _WatchedStream(httpx.AsyncByteStream):
    """An answer's bytes on their way to litellm; raises where they turn out to be none, after what was good."""

    def __init__(self, response: httpx.Response, seen: Seen) -> None:
        self._response = response
        self._seen = seen
        self._reader = Reader(seen)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_bytes():
                self._reader.feed(chunk)
                yield chunk
                if self._seen.fault is not None:
                    break
        except Exception as error:
            self._seen.failure = error
            raise
        self._reader.end()
        if self._seen.fault is not None:
            raise WireFaultError(self._seen.fault.name)

    async def aclose(self) -> None:
        await self._response.aclose()


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait, from `retry-after-ms` or `Retry-After` in seconds or as a date."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            number = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if (wait_s := _finite(number)) is not None and wait_s >= 0:
            return wait_s
    if "retry-after" not in headers:
        return None
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError):  # what there is of it depends on how the date is wrong
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _is_short(response: httpx.Response, body: bytes) -> bool:
    """Whether less came than was announced: litellm's transport kept quiet about that until 1.106."""
    announced = response.headers.get("content-length", "")
    return announced.isdigit() and "content-encoding" not in response.headers and len(body) < int(announced)


def _again(
    response: httpx.Response, *, content: bytes | None = None, stream: httpx.AsyncByteStream | None = None
) -> httpx.Response:
    """The response with its body decoded."""
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in ENCODED]
    return httpx.Response(
        response.status_code, headers=headers, content=content, stream=stream, request=response.request
    )


def _is_same_place(url: httpx.URL, location: str) -> bool:
    """Whether a redirection stays with the host: headers of our own, keys among them, would follow to any other."""
    target = url.join(location)
    return target.host == url.host and target.scheme in {url.scheme, "https"}

"""What leaves a kernel, heard below ccw_magics: imported there, it writes a line of JSON for each event to a file."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

ANSWERS = "/chat/completions"
"""How the path of a request for an answer ends, in OpenAI's format, which the embedded model's server speaks."""
MODEL_PROGRAM = "local_server.py"


def listen(path: str) -> None:
    """Note, from now on: requests for an answer with the server's own count of tokens, connections, models started.

    Connections are of the whole process, whoever opens them; the kernel's own sockets are zmq's, which are not heard.
    """

    def note(event: str, **figures: int) -> None:
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"event": event, **figures}) + "\n")

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            note("connection")
        elif event == "subprocess.Popen" and MODEL_PROGRAM in str(arguments[1]):
            note("model started")

    sys.addaudithook(hear)
    _listen_to_requests(note)


class _Overheard(httpx.AsyncByteStream):
    """An answer as it passes; told whole when it is over."""

    def __init__(self, stream: httpx.AsyncByteStream, tell: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._tell = tell
        self._heard = bytearray()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._heard += chunk
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._tell(bytes(self._heard))


def _listen_to_requests(note: Callable[..., None]) -> None:
    handle = httpx.AsyncHTTPTransport.handle_async_request

    async def overhear(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await handle(transport, request)
        if request.url.path.endswith(ANSWERS):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _Overheard(response.stream, lambda heard: note("answer", **_tokens(heard)))
        return response

    httpx.AsyncHTTPTransport.handle_async_request = overhear  # type: ignore[assignment, method-assign]  # on purpose


def _tokens(heard: bytes) -> dict[str, int]:
    """The tokens in, cached and out that an event stream ends with; none where it broke off."""
    for line in reversed(heard.decode(errors="replace").splitlines()):
        usage = json.loads(line.removeprefix("data: ")).get("usage") if line.startswith("data: {") else None
        if usage:
            cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            return {"input": usage["prompt_tokens"], "cached": cached, "output": usage["completion_tokens"]}
    return {}

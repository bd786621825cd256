"""The embedded model: llama.cpp in a child process on loopback, asked like any OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import os
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccw_magics.backends import local_model, local_request
from ccw_magics.backends.base import Done, Event, ModelCall, Note, Sent, Text, Usage
from ccw_magics.backends.local_process import (
    CONTEXT_TOKENS,
    END_TIMEOUT_S,
    ModelProcess,
    ModelSettings,
    is_xllamacpp_installed,
    processes,
    require_xllamacpp,
)
from ccw_magics.backends.local_slotfiles import Prefix
from ccw_magics.errors import CcwError, ContextTooLarge, ProviderError, ToolError

if TYPE_CHECKING:
    import httpx

PROGRESS_FROM_TOKENS = 256
"""New tokens from which on reading the prompt is worth a note: it takes about a second."""

PROGRESS_PERIOD_S = 0.2
"""At most five notes a second."""

HTTP_OK = 200
HTTP_UNAVAILABLE = 503


class LocalBackend:
    """Answers with a model on this machine; implements `backends.base.Backend`.

    The child processes belong to the Python process, one for each model file, whatever number of backends there is.
    They start at first use, and end with `close` or with the Python process.
    """

    async def stream(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        """Yield notes (fetching, starting, reading), the answer's text, and at last usage; free of charge.

        `call.timeout_s` counts from the model being ready: a first fetch of the weights takes what it takes.

        Raises:
            ConfigError: The `local` extra is not installed.
            ContextTooLarge: The prompt does not fit the model's window.
            ProviderError: The model did not answer in time, or refused the request.
            ToolError: The weights could not be fetched, or the child process failed.
        """
        require_xllamacpp()
        if local_model.is_default(call.model) and await asyncio.to_thread(local_model.installed) is None:
            async with aclosing(local_model.fetching()) as notes:
                async for note in notes:
                    yield Note(note)
        settings = await asyncio.to_thread(_settings, call.model)
        if processes.running(settings.path) is None:
            yield Note("starting the embedded model…")
        prefix = local_request.prefix(call)
        process = await asyncio.to_thread(_ready, settings, call.slots_dir, prefix)
        with process.slots.answering():
            async with aclosing(_answer(process, call)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        process.slots.has_read(prefix)
                    yield event
        if call.slots_dir is not None:
            process.slots.keep(call.slots_dir, prefix)

    async def context_window_tokens(self, call: ModelCall) -> int | None:  # noqa: ARG002 - the protocol's signature
        """Tokens that prompt and answer together may have."""
        return CONTEXT_TOKENS

    async def max_output_tokens(self, call: ModelCall) -> int | None:
        """The longest answer: what the call allows, or by default what is allowed here."""
        limit = call.params.get("max_tokens", local_request.MAX_ANSWER_TOKENS)
        return limit if isinstance(limit, int) and 0 <= limit <= CONTEXT_TOKENS else CONTEXT_TOKENS

    async def price_usd(self, call: ModelCall, usage: Usage) -> float | None:  # noqa: ARG002 - the protocol's signature
        """Nothing: it runs here."""
        return 0.0

    async def has_schema_mode(self, call: ModelCall) -> bool:  # noqa: ARG002 - the protocol's signature
        """True: llama.cpp makes a grammar of any schema, whatever the model."""
        return True

    async def count_tokens(self, call: ModelCall, text: str) -> int | None:
        """Tokens of a text as the call's model counts them, starting it where needed; None where it cannot be started.

        The chat format adds about forty tokens to those of the prompt. Without the `local` extra, or before the weights
        were fetched, a dry run still shows what would be sent: the call itself says what is missing.

        Raises:
            ToolError: The model is not a GGUF file, or the child process failed.
        """
        if not is_xllamacpp_installed():
            return None
        if local_model.is_default(call.model) and await asyncio.to_thread(local_model.installed) is None:
            return None
        settings = await asyncio.to_thread(_settings, call.model)
        process = await asyncio.to_thread(processes.start, settings)
        return await _count(process, call, text)

    async def warm(self, call: ModelCall) -> None:
        """Import the HTTP client and start the model, in threads, where its weights are there."""
        await asyncio.to_thread(importlib.import_module, "httpx")
        if not local_model.is_default(call.model) or await asyncio.to_thread(local_model.installed) is not None:
            await asyncio.to_thread(processes.start, await asyncio.to_thread(_settings, call.model))

    def close(self) -> None:
        """End the child processes. Blocks for at most a few seconds; a later call starts them anew."""
        processes.stop()


class _Reading:
    """One answer as its chunks come in."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self._noted_s = -math.inf

    def events(self, chunk: dict[str, Any]) -> Iterator[Text | Note]:
        if error := chunk.get("error"):
            raise _refusal(error)
        if progress := chunk.get("prompt_progress"):
            yield from self._note(progress)
        for choice in chunk.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if text := choice["delta"].get("content"):
                yield Text(text)
        if usage := chunk.get("usage"):
            self.usage = _usage(usage)

    def _note(self, progress: dict[str, int]) -> Iterator[Note]:
        total, processed = progress["total"], progress["processed"]
        unfinished = processed < total and total - progress["cache"] >= PROGRESS_FROM_TOKENS
        now_s = time.monotonic()
        if unfinished and now_s - self._noted_s >= PROGRESS_PERIOD_S:
            self._noted_s = now_s
            yield Note(f"reading {processed:,} of {total:,} tokens ({processed / total:.0%})".replace("%", " %"))


def _settings(model: str) -> ModelSettings:
    path = local_model.resolve(model)
    # The one thread that suits the smallest model is too few for one that computes longer between two waits.
    return ModelSettings(path, 1 if local_model.is_default(model) else max(1, (os.cpu_count() or 1) // 2))


def _ready(settings: ModelSettings, slots_dir: Path | None, prefix: Prefix) -> ModelProcess:
    """The child, with what an earlier one has read of the prompt brought back."""
    process = processes.start(settings)
    if slots_dir is None:
        return process
    process.slots.bring_back(slots_dir, prefix)
    return processes.start(settings)  # another, where the slot made it crash


async def _answer(process: ModelProcess, call: ModelCall) -> AsyncGenerator[Event, None]:
    import httpx

    reading = _Reading()
    held_back: list[str] = []
    failure: CcwError | None = None
    yield Sent()
    try:
        async with _client(process) as client, aclosing(_chunks(client, call)) as chunks:
            async for chunk in chunks:
                for event in reading.events(chunk):
                    if call.stream or isinstance(event, Note):
                        yield event
                    else:
                        held_back.append(event.text)
    except (httpx.HTTPError, TimeoutError) as error:
        failure = await _failure(process, call, error)
    # Raised outside the handler: a chained exception's frames hold headers.
    if failure is not None or reading.usage is None:
        raise failure or await _ended_early(process)
    if held_back:
        yield Text("".join(held_back))
    name = local_model.DEFAULT_MODEL if local_model.is_default(call.model) else process.settings.path.stem
    yield Done(reading.usage, 0.0, 0.0, name, is_cut=reading.finish_reason == "length")


async def _chunks(client: httpx.AsyncClient, call: ModelCall) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of the server's event stream."""
    deadline_s = asyncio.get_running_loop().time() + call.timeout_s
    request = client.build_request("POST", "/v1/chat/completions", json=local_request.body(call))
    async with asyncio.timeout_at(deadline_s):
        response = await client.send(request, stream=True)
    try:
        if response.status_code != HTTP_OK:
            raise _refusal(json.loads(await response.aread()).get("error", {}))
        lines = response.aiter_lines()
        while (line := await _next(lines, deadline_s)) is not None:
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))
    finally:
        await response.aclose()


async def _next(lines: AsyncIterator[str], deadline_s: float) -> str | None:
    async with asyncio.timeout_at(deadline_s):
        return await anext(lines, None)


async def _count(process: ModelProcess, call: ModelCall, text: str) -> int:
    import httpx

    try:
        async with asyncio.timeout(call.timeout_s), _client(process) as client:
            response = await client.post("/tokenize", json={"content": text})
            return len(response.raise_for_status().json()["tokens"])
    except (httpx.HTTPError, TimeoutError) as error:
        failure = await _failure(process, call, error)
    raise failure


def _client(process: ModelProcess) -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(
        base_url=process.url,
        headers=process.headers,
        timeout=None,  # noqa: S113 - the whole call has a deadline
        trust_env=False,  # no proxy leads to loopback
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # unused, and loading certificates takes longer than asking
    )


def _usage(usage: dict[str, Any]) -> Usage:
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    return Usage(usage["prompt_tokens"], cached_input_tokens=cached, output_tokens=usage["completion_tokens"])


def _refusal(error: dict[str, Any]) -> CcwError:
    if error.get("type") == "exceed_context_size_error":
        needed, window = error["n_prompt_tokens"], error["n_ctx"]
        return ContextTooLarge(
            f"files and prompt are {needed:,} tokens; the embedded model has room for {window:,}",
            hint="Reference fewer or smaller files, or use an endpoint with a larger context window.",
        )
    status = error.get("code")
    return ProviderError(
        f"the embedded model refused the request: {error.get('message', 'without a reason')}",
        hint="Look at the call's parameters.",
        status=status,
        retryable=status == HTTP_UNAVAILABLE,
    )


async def _failure(process: ModelProcess, call: ModelCall, error: Exception) -> CcwError:
    if isinstance(error, TimeoutError):
        return ProviderError(
            f"the embedded model's answer was not complete after {call.timeout_s:g} s",
            hint="Reference less, or raise the provider's timeout.",
            retryable=True,
        )
    return await _ended_early(process)


async def _ended_early(process: ModelProcess) -> CcwError:
    await asyncio.to_thread(process.wait, END_TIMEOUT_S)  # the socket closes before the process is gone
    return ToolError(
        f"the embedded model's process failed: {process.last_words()}",
        hint="Call again: it starts anew. If that repeats, memory is short or the model file does not suit llama.cpp.",
    )

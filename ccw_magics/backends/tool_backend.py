"""gemini, qwen and codex: command-line agents, asked as any model is, which read and change files by themselves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ccw_magics.backends.base import AgentTask, Done, Event, ModelCall, Note, Sent, Text, Usage
from ccw_magics.backends.tool_commands import ToolFacts, command, executable, task_of, tool_of
from ccw_magics.backends.tool_errors import failed, incomplete, refuses_options, too_old
from ccw_magics.backends.tool_events import READERS, Reader
from ccw_magics.backends.tool_process import AgentProcess, started
from ccw_magics.backends.tool_prompt import prompt, surroundings
from ccw_magics.backends.tool_secrets import environment_secrets, line
from ccw_magics.config.credentials import Secret
from ccw_magics.config.redactor import Redactor
from ccw_magics.errors import ToolError

LINGER_S: Final = 5.0
"""Seconds that an agent may take to end once it has closed its standard output."""

VERSION_S: Final = 10.0
"""Seconds for `--version`; gemini takes two."""

_VERSION = re.compile(r"\d+\.\d+\.\d+[-\w.]*")


class ToolBackend:
    """Answers with a command-line agent on this machine; implements `backends.base.Backend`.

    It keeps nothing between calls. The tool has its own login, its own model where the call names none, and its own
    prices, of which nothing is known here.
    """

    async def stream(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        """Yield `Sent`, the answer's text as it comes, notes on what the agent does, and at last usage.

        Closing it ends the agent with all that it started. `call.timeout_s` counts from its start.

        Raises:
            ToolNotReady: It is not installed, not logged in, or too old.
            ToolError: It failed.
        """
        tool, task = tool_of(call), task_of(call)
        argv = (executable(tool), *command(call)[1:])
        with surroundings(call) as environment:
            run = _Run(tool, task, environment, asyncio.get_running_loop().time() + call.timeout_s, call.timeout_s)
            process = await _start(argv, run)
            try:
                process.send(prompt(call).encode(errors="replace"))
                yield Sent()
                async with aclosing(_events(process, run, streams=call.stream)) as events:
                    async for event in events:
                        yield event
            finally:
                await process.close()

    async def context_window_tokens(self, call: ModelCall) -> int | None:  # noqa: ARG002 - the protocol's signature
        """None: the tool shortens its own talk."""
        return None

    async def count_tokens(self, call: ModelCall, text: str) -> int | None:  # noqa: ARG002 - the protocol's signature
        """None: nothing is known of the tool's model."""
        return None

    async def max_output_tokens(self, call: ModelCall) -> int | None:  # noqa: ARG002 - the protocol's signature
        """None: nothing is known of the tool's model."""
        return None

    async def price_usd(self, call: ModelCall, usage: Usage) -> float | None:  # noqa: ARG002 - the protocol's signature
        """None: a login may be a subscription."""
        return None

    async def has_schema_mode(self, call: ModelCall) -> bool:  # noqa: ARG002 - the protocol's signature
        """False: an agent's answer is free text."""
        return False

    async def warm(self, call: ModelCall) -> None:
        """Nothing can be begun before the prompt is there."""


@dataclass(frozen=True)
class _Run:
    """What does not change while an agent is at work; `deadline_s` is on the loop's clock."""

    tool: ToolFacts
    task: AgentTask
    environment: Mapping[str, str]
    deadline_s: float
    timeout_s: float

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown: an agent knows its environment, and may read the project's config."""
        return (*environment_secrets(self.environment), *self.task.secrets)


async def _start(argv: tuple[str, ...], run: _Run) -> AgentProcess:
    try:
        return await started(argv, run.task.directory, run.environment)
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        problem = ToolError(f"{run.tool.name} could not be started in {run.task.directory}: {error}")
    raise problem


async def _events(process: AgentProcess, run: _Run, *, streams: bool) -> AsyncGenerator[Event, None]:
    """What the agent says, then `Done`; a failure after it: what was used is known then too."""
    reader, secrets = READERS[run.tool.name](), run.secrets
    mask, held_back = Redactor(secrets), list[str]()
    try:
        async with aclosing(process.lines()) as lines:
            while (text := await _next(lines, run.deadline_s)) is not None:
                for event in _shown(reader.read(text), mask, secrets):
                    if streams or isinstance(event, Note):
                        yield event
                    else:
                        held_back.append(event.text)
        is_late = False
    except TimeoutError:
        is_late = True
    if last := "".join(held_back) + mask.flush():
        yield Text(last)
    problem = incomplete(run.tool, run.timeout_s) if is_late else await _problem(process, run, reader)
    if problem is None or reader.usage is not None:
        yield Done(reader.usage, model=reader.model)
    if problem is not None:
        raise problem


def _shown(events: Iterable[Text | Note], mask: Redactor, secrets: Iterable[Secret]) -> Iterator[Text | Note]:
    for event in events:
        if isinstance(event, Note):
            if note := line(event.text, secrets):
                yield Note(note)
        elif text := mask.feed(event.text):
            yield Text(text)


async def _next(lines: AsyncGenerator[bytes, None], deadline_s: float) -> bytes | None:
    async with asyncio.timeout_at(deadline_s):
        return await anext(lines, None)


async def _problem(process: AgentProcess, run: _Run, reader: Reader) -> ToolError | None:
    """What went wrong, once standard output has ended; None where nothing did."""
    status = await process.wait(LINGER_S)
    if reader.is_complete and not reader.failure and not status:
        return None
    if not reader.has_begun and refuses_options(process.stderr):
        return too_old(run.tool, await _version(run))
    told = reader.failure
    if not told and not process.stderr.strip() and status == 0:
        told = "it ended without an answer" if reader.has_begun else "it said nothing that is known here"
    return failed(run.tool, run.task, status, told, process.stderr, run.secrets)


async def _version(run: _Run) -> str:
    """What the tool says its version is, or an empty string."""
    process = await _start((executable(run.tool), "--version"), run)
    try:
        async with asyncio.timeout(VERSION_S), aclosing(process.lines()) as lines:
            said = b"\n".join([text async for text in lines])
    except TimeoutError:
        return ""
    finally:
        await process.close()
    found = _VERSION.search(said.decode(errors="replace"))
    return found[0] if found else ""

"""A command-line agent's process: its lines as they come, and its end with all that it started.

On POSIX systems `tool_guard.py` stands between, and ends the agent when this process lets go of it or dies. On Windows
the agent is a child of this process, ended by `taskkill /T`; that has not been tried.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ccw_magics.backends.tool_guard import KILL_S, POLITE_S

LONGEST_LINE_BYTES: Final = 32 << 20
"""A longer line is passed over: an agent's event repeats what a command printed, which has no limit."""

STDERR_BYTES: Final = 4096
"""What is kept of standard error: its end."""

END_S: Final = POLITE_S + KILL_S + 2.0
"""Seconds after which the guard itself is killed: far more than it takes, but for a machine that is very busy."""

_CHUNK_BYTES = 1 << 16
_GUARD = Path(__file__).with_name("tool_guard.py")


class _Streams(SubprocessStreamProtocol):
    """Tells that the process has ended also while nobody reads its output; asyncio's own `Process.wait` does not."""

    def __init__(self) -> None:
        super().__init__(limit=_CHUNK_BYTES, loop=asyncio.get_running_loop())
        self.has_ended = asyncio.Event()
        self.is_closed = asyncio.Event()

    def process_exited(self) -> None:
        self.has_ended.set()
        super().process_exited()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed.set()
        super().connection_lost(exc)


class AgentProcess:
    """A running agent, made by `started`; `close` must be called.

    Args:
        transport: Of the guard's process, or on Windows of the agent's.
        streams: Its protocol.
        lifeline: The descriptor that keeps it alive, or None on Windows.

    Attributes:
        pid: The process id of the guard, or on Windows of the agent.
    """

    def __init__(self, transport: asyncio.SubprocessTransport, streams: _Streams, lifeline: int | None) -> None:
        self.pid = transport.get_pid()
        self._transport = transport
        self._streams = streams
        self._lifeline = lifeline
        self._stderr = b""
        self._stderr_read = asyncio.create_task(self._keep_stderr())
        self._stdin_written: asyncio.Task[None] | None = None

    @property
    def stderr(self) -> str:
        """The end of what it wrote to standard error."""
        return self._stderr.decode(errors="replace")

    def send(self, prompt: bytes) -> None:
        """Give it its standard input, in the background: it may never read it."""
        self._stdin_written = asyncio.create_task(self._write(prompt))

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The lines of standard output, each without its end; those above `LONGEST_LINE_BYTES` are left out."""
        stdout, held, passes_over = _opened(self._streams.stdout), bytearray(), False
        while chunk := await stdout.read(_CHUNK_BYTES):
            held += chunk
            if b"\n" in chunk:
                *lines, rest = bytes(held).split(b"\n")
                held = bytearray(rest)
                for line in lines[1:] if passes_over else lines:
                    yield line
                passes_over = False
            elif len(held) > LONGEST_LINE_BYTES:
                held.clear()
                passes_over = True
        if held and not passes_over:
            yield bytes(held)

    async def wait(self, timeout_s: float) -> int | None:
        """Its exit code, negative for a signal; None where it still runs after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._streams.has_ended.wait()
                await asyncio.shield(self._stderr_read)
        return self._transport.get_returncode()

    async def close(self) -> None:
        """End it with all that it started, as a rule within half a second; may be called twice."""
        if self._lifeline is None:
            await asyncio.to_thread(_end_tree, self.pid)
        self._let_go()
        if await self.wait(END_S) is None:
            self._kill()
            await self.wait(END_S)
        for task in filter(None, (self._stderr_read, self._stdin_written)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self._streams.is_closed.wait()

    def _let_go(self) -> None:
        if self._lifeline is not None and self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._transport.kill()
            else:
                os.killpg(self.pid, signal.SIGKILL)

    async def _write(self, prompt: bytes) -> None:
        stdin = self._streams.stdin
        assert stdin is not None  # opened as a pipe
        with suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(prompt)
            await stdin.drain()
            stdin.close()
            await stdin.wait_closed()

    async def _keep_stderr(self) -> None:
        stderr = _opened(self._streams.stderr)
        while chunk := await stderr.read(_CHUNK_BYTES):
            self._stderr = (self._stderr + chunk)[-STDERR_BYTES:]


async def started(argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> AgentProcess:
    """Start an agent.

    Args:
        argv: The executable's path and its arguments.
        directory: Where it works.
        environment: All of its environment.

    Raises:
        OSError: The directory is not there, or the system has no room for a process.
    """
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return await _spawned(argv, None, cwd=directory, env=dict(environment), creationflags=flags)
    held_by_guard, lifeline = os.pipe()
    guarded = [sys.executable, "-I", "-S", str(_GUARD), str(held_by_guard), *argv]
    try:
        return await _spawned(
            guarded,
            lifeline,
            cwd=directory,
            env=dict(environment),
            pass_fds=(held_by_guard,),
            start_new_session=True,  # Jupyter interrupts the kernel's whole process group
        )
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(held_by_guard)


async def _spawned(argv: Sequence[str], lifeline: int | None, **options: Any) -> AgentProcess:
    """As `asyncio.create_subprocess_exec` does it; its result lacks the transport, which alone closes the pipes."""
    transport, streams = await asyncio.get_running_loop().subprocess_exec(
        _Streams, *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    return AgentProcess(transport, streams, lifeline)


def _end_tree(pid: int) -> None:
    subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)


def _opened(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    assert stream is not None  # opened as a pipe
    return stream

"""The embedded model's process: started, watched and ended; one for each model file in a Python process.

The child is `local_server.py`. It is asked on loopback with a random key, which reaches it by standard input: an
argument list and an environment can be read by others.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from ccw_magics.backends.local_slotfiles import origin_of
from ccw_magics.backends.local_slots import Action, Slots, ask_for_slot
from ccw_magics.config.credentials import Secret
from ccw_magics.errors import ConfigError, ToolError

CONTEXT_TOKENS = 8192
"""Prompt and answer together: what SmolLM2 was trained for, and what an ordinary machine's memory allows others."""

CACHE_MIB = 512
"""Memory for the prefixes of earlier prompts, so that two packs in turn are not read anew each time.

A token of SmolLM2-135M's takes 23 kB (30 layers, 3 key-value heads of 64, two bytes): eleven packs of 2,000 tokens.
"""

IDLE_SLEEP_S = 900
"""Seconds until an idle model leaves memory. Waking takes 0.7 s, but the prefixes are gone and have to be read anew."""

START_TIMEOUT_S = 120.0
"""Seconds for loading a model: half a second for SmolLM2, a minute for one of several GB on a slow disk."""

END_TIMEOUT_S = 2.0
"""Seconds the child has to end by itself."""

_SERVER_PROGRAM = Path(__file__).with_name("local_server.py")
_STDERR_LINES = 100
_STDERR_LINE_BYTES = 4096

# An allowlist: keys have too many names to strip. What is left is what a native library looks at.
_ENVIRONMENT = re.compile(
    r"(PATH|HOME|USERPROFILE|TMPDIR|TEMP|TMP|SYSTEMROOT|SYSTEMDRIVE|WINDIR|LANG|LC_\w+|LD_LIBRARY_PATH"
    r"|DYLD_(FALLBACK_)?LIBRARY_PATH|(OMP|GOMP|KMP|GGML|CUDA|HIP|HSA|ROCR|VK)_\w+)",
    re.IGNORECASE,
)
_TELLING = re.compile(r"^\S+ E |error|assert|terminate called|cannot", re.IGNORECASE)
_REFUSED = re.compile(r" send_error: ")  # of a request that the server answered with an error
_LOG_PREFIX = re.compile(r"^\S+ [EW] +")


def is_xllamacpp_installed() -> bool:
    """Whether the `local` extra is there; nothing is imported to know it."""
    return find_spec("xllamacpp") is not None


def require_xllamacpp() -> Path:
    """The directory that holds the package xllamacpp, which is not imported.

    Raises:
        ConfigError: It is not installed.
    """
    spec = find_spec("xllamacpp")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "the embedded model needs the package xllamacpp, which is not installed",
            hint='Install it: `pip install "ccw_magics[local]"`. Or set up a provider of your own: `%ccw init`.',
        )
    return Path(spec.origin).parent.parent


@dataclass(frozen=True)
class ModelSettings:
    """Which model runs, and how.

    Attributes:
        path: The GGUF file.
        generation_threads: Threads that generate; reading the prompt always takes every core. On a
            busy machine, one is the fastest for a model as small as SmolLM2-135M.
    """

    path: Path
    generation_threads: int = 1


class ModelProcess:
    """A running child that serves one model. Made by `ModelProcesses.start`, which blocks until the model is loaded.

    Args:
        settings: Which model runs, and how.

    Attributes:
        slots: What it has read, to be kept beyond its life.

    Raises:
        ConfigError: xllamacpp is not installed.
        ToolError: The child did not come up.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.slots = Slots(self._slot_action, origin_of(settings.path, CONTEXT_TOKENS), idle_sleep_s=IDLE_SLEEP_S)
        self._slot_lock = threading.Lock()
        self._packages = require_xllamacpp()
        self._key = Secret(secrets.token_urlsafe())
        self._stderr_lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self._process = _spawn()
        self._reader = threading.Thread(target=self._keep_stderr, name="ccw-local-stderr", daemon=True)
        self._reader.start()
        self.url = self._handshake()

    def __repr__(self) -> str:
        return f"<ModelProcess {self._process.pid}>"

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers that open the server."""
        return {"Authorization": f"Bearer {self._key.reveal()}"}

    def is_alive(self) -> bool:
        """Whether the child runs."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the child to end; whether it has. Blocks."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(timeout_s)
        return True

    def last_words(self) -> str:
        """How the child ended: its signal or exit code, and the first of its last lines that tells more."""
        code = self._process.poll()
        if code is None:
            return "it does not answer"
        end = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        lines = [line for line in self._stderr_lines if _TELLING.search(line) and not _REFUSED.search(line)]
        return f"{end} ({_LOG_PREFIX.sub('', lines[0])[:200]})" if lines else end

    def stop(self) -> None:
        """End the child. Blocks for at most a few seconds; may be called twice."""
        self.slots.flush()
        _standard_stream(self._process.stdin).close()
        if not self.wait(END_TIMEOUT_S):
            self._process.kill()
            self._process.wait()
        self._reader.join(END_TIMEOUT_S)
        _standard_stream(self._process.stdout).close()
        _standard_stream(self._process.stderr).close()

    def disown(self) -> None:
        """In a forked child: let go of the pipe, or the model would outlive the process that started it."""
        _standard_stream(self._process.stdin).close()
        self._process.returncode = 0  # it is not this process's child, nothing to wait for

    def _handshake(self) -> str:
        overdue = threading.Timer(START_TIMEOUT_S, self._process.kill)
        overdue.start()
        try:
            answer = self._ask_to_serve()
        except BaseException:
            self._process.kill()
            self.stop()
            raise
        finally:
            overdue.cancel()
        if answer:
            return str(json.loads(answer)["url"])
        self.stop()
        words = self.last_words()
        raise ToolError(f"the embedded model did not start: {words}", hint=_start_hint(words, self.settings.path))

    def _ask_to_serve(self) -> bytes:
        try:
            _standard_stream(self._process.stdin).write(self._order())
        except BrokenPipeError:
            return b""
        return _standard_stream(self._process.stdout).readline()

    def _order(self) -> bytes:
        order = {
            "model": str(self.settings.path),
            "api_key": self._key.reveal(),
            "context_tokens": CONTEXT_TOKENS,
            "generation_threads": self.settings.generation_threads,
            "cache_mib": CACHE_MIB,
            "idle_sleep_s": IDLE_SLEEP_S,
            "packages": str(self._packages),
        }
        return json.dumps(order).encode() + b"\n"

    def _slot_action(self, action: Action, path: Path) -> int:
        with self._slot_lock:
            try:
                return ask_for_slot(action, path.name, self.url, self.headers) if self._enter(path.parent) else 0
            except (OSError, HTTPException, ValueError):
                self.wait(END_TIMEOUT_S)  # it has probably ended, or is about to
                return 0

    def _enter(self, directory: Path) -> bool:
        _standard_stream(self._process.stdin).write(json.dumps({"slots_dir": str(directory)}).encode() + b"\n")
        answer = _standard_stream(self._process.stdout).readline()
        return bool(answer) and json.loads(answer)["entered"] is True

    def _keep_stderr(self) -> None:
        stream = _standard_stream(self._process.stderr)
        for line in iter(lambda: stream.readline(_STDERR_LINE_BYTES), b""):
            self._stderr_lines.append(line.decode(errors="replace").rstrip())


class ModelProcesses:
    """The children of this Python process, one for each model file. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Path, ModelProcess] = {}

    def running(self, path: Path) -> ModelProcess | None:
        """The child that serves this file, or None. Does not block."""
        process = self._running.get(path)
        return process if process is not None and process.is_alive() else None

    def start(self, settings: ModelSettings) -> ModelProcess:
        """The child that serves this file, started where there is none. Blocks until the model is loaded.

        Raises:
            ConfigError: xllamacpp is not installed.
            ToolError: The child did not come up.
        """
        with self._lock:
            process = self.running(settings.path)
            if process is None:
                if dead := self._running.pop(settings.path, None):
                    dead.stop()
                process = self._running[settings.path] = ModelProcess(settings)
            return process

    def stop(self) -> None:
        """End every child; the next `start` begins anew."""
        with self._lock:
            while self._running:
                self._running.popitem()[1].stop()

    def forget(self) -> None:
        """In a forked child: these are the parent's."""
        self._lock = threading.Lock()
        while self._running:
            self._running.popitem()[1].disown()


processes = ModelProcesses()
atexit.register(processes.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=processes.forget)


def _spawn() -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        options["start_new_session"] = True  # Jupyter interrupts the kernel's whole process group
    return subprocess.Popen(
        [sys.executable, "-I", str(_SERVER_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=_environment(),
        **options,
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
    # Threads that spin while waiting starve a busy machine; a backtrace starts gdb, and drowns the message before it.
    return {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1", **kept}


def _start_hint(words: str, path: Path) -> str:
    if "libgomp" in words:
        return "llama.cpp needs the OpenMP library: on Debian and Ubuntu `apt install libgomp1`."
    return f"Check that {path.name} is a GGUF file that llama.cpp reads, and that memory is free."


def _standard_stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # every one of them was opened as a pipe
    return stream

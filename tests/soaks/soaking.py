"""What the soaks share: a server, a project with an endpoint for each wire format, a kernel, and the list of findings."""

from __future__ import annotations

import ast
import json
import os
import queue
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

HERE = Path(__file__).resolve().parent
FORMATS = {  # provider type: the base's path, and the model
    "openai": ("/v1", "gpt-4o"),
    "anthropic": ("", "claude-sonnet-4-5"),
    "google": ("", "gemini-2.5-flash"),
}
HANG_S = 60.0
"""Nothing takes as long, however busy the machine: whatever does hangs."""


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it; all times are `time.monotonic`'s, which processes share on Linux.

    Attributes:
        at_s: When it came.
        sent_s: When each piece of the answer went out, its end last.
        gone_s: When the client hung up before the end; None where it did not.
    """

    at_s: float
    sent_s: Sequence[float]
    gone_s: float | None


class Wire:
    """The server, from the outside.

    Args:
        process: A running `serving.py`.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url: str = self._read()

    def expect(self, case: str, *answers: Mapping[str, Any]) -> None:
        """Answer the tries of a case so; the last one repeats. Only the newest case is known."""
        self._tell({"case": case, "answers": answers})

    def asked(self, case: str) -> list[Asked]:
        """The requests of a case until now."""
        return [Asked(**entry) for entry in self._tell({"report": case})]

    def _tell(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def serving() -> Iterator[Wire]:
    """Run the server; it ends with its standard input."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, str(HERE / "serving.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        try:
            yield Wire(process)
        finally:
            process.stdin.close()


@contextmanager
def project(wire: Wire, settings: Mapping[str, Any], **more: Mapping[str, Any]) -> Iterator[Path]:
    """A temporary home, made this process's own, and a project with the endpoints `openai`, `anthropic` and `google`.

    Args:
        wire: Whom they ask.
        settings: Their `advancedSettings`.
        more: Further endpoints in OpenAI's format, with settings of their own beside the common ones.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "project"
        home = home_of(root)
        home.mkdir()
        os.environ.update(HOME=str(home), LITELLM_LOCAL_MODEL_COST_MAP="True")
        for name in [name for name in os.environ if name.endswith("_API_KEY")]:
            del os.environ[name]
        config = root / ".ccw" / "storage" / "config" / "litellm-api-config.json"
        config.parent.mkdir(parents=True)
        endpoints = {kind: (kind, settings) for kind in FORMATS}
        endpoints |= {name: ("openai", {**settings, **own}) for name, own in more.items()}
        config.write_text(json.dumps(_config(wire.url, endpoints)))
        yield root


def home_of(root: Path) -> Path:
    """The home directory that goes with a project."""
    return root.parent / "home"


def _config(url: str, endpoints: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    providers, entries = [], []
    for name, (kind, settings) in endpoints.items():
        base, model = FORMATS[kind]
        own = {"id": f"p-{name}", "name": name, "type": kind, "apiKey": "sk-soak-0123456789", "apiBase": f"{url}{base}"}
        providers.append({**own, "advancedSettings": settings})
        limits = {"contextWindow": 100_000_000, "cacheStrategy": {"enabled": True, "maxSizeKB": 65536}}
        entries.append({"id": name, "name": name, "providerId": f"p-{name}", "model": model, **limits})
    return {"version": 1, "providers": providers, "endpoints": entries, "defaultEndpoint": "openai"}


@dataclass
class Cell:
    """A cell that was sent to the kernel, and what came back until now.

    Attributes:
        id: The message's.
        count: Its number in `In` and `Out`.
        error: The name of the exception, and the lines shown for it.
        is_idle: Whether the kernel has told that it is done.
    """

    id: str
    count: int = 0
    error: tuple[str, Sequence[str]] = ("", ())
    is_idle: bool = False


class Kernel:
    """A real kernel with the extension loaded, or a new one in its place.

    Args:
        root: Where it works.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._start()

    def _start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        self._manager, self._client = start_new_kernel(cwd=str(self._root), env=environment)
        self.run("%load_ext ccw_magics\nimport kernel_probe")

    def begin(self, code: str) -> Cell:
        """Send a cell, and wait until the kernel has begun with it."""
        cell = Cell(self._client.execute(code))
        self.listen(cell, until=lambda: cell.count > 0 or cell.is_idle)
        return cell

    def run(self, code: str) -> Cell:
        """Execute a cell to its end."""
        cell = Cell(self._client.execute(code))
        self.listen(cell)
        return cell

    def listen(self, cell: Cell, until: Callable[[], bool] | None = None, for_s: float = HANG_S) -> None:
        """Take in what the kernel says until the cell has ended, or `until` is true.

        Raises:
            TimeoutError: Neither happened in time.
        """
        deadline_s = time.monotonic() + for_s
        while not (until or (lambda: cell.is_idle))():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"the kernel did not end {cell}")
            try:
                _take_in(cell, self._client.get_iopub_msg(timeout=left_s))
            except queue.Empty:
                continue

    def interrupt(self) -> None:
        """Send SIGINT, as the notebook's button does."""
        self._manager.interrupt_kernel()

    def ask(self, call: str) -> Any:
        """Call a function of `kernel_probe`; nothing in the kernel's history shows it."""
        question = {"answer": f"kernel_probe.{call}"}
        reply = self._client.execute_interactive("", user_expressions=question, store_history=False, timeout=HANG_S)
        answer = reply["content"]["user_expressions"]["answer"]
        if answer["status"] != "ok":
            raise RuntimeError("\n".join(answer["traceback"]))
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def restart(self) -> None:
        """Begin anew: a process that has called nobody."""
        self.close()
        self._start()

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@contextmanager
def kernel(root: Path) -> Iterator[Kernel]:
    """A kernel for a while."""
    running = Kernel(root)
    try:
        yield running
    finally:
        running.close()


def _take_in(cell: Cell, message: Mapping[str, Any]) -> None:
    if message["parent_header"].get("msg_id") != cell.id:
        return
    content = message["content"]
    match message["msg_type"]:
        case "execute_input":
            cell.count = content["execution_count"]
        case "error":
            cell.error = (content["ename"], content["traceback"])
        case "status":
            cell.is_idle = content["execution_state"] == "idle"


@dataclass
class Findings:
    """Figures to print, and what must not be.

    Attributes:
        title: What was done.
        violations: One line each.
    """

    title: str
    violations: list[str] = field(default_factory=list)
    _rows: list[tuple[str, str]] = field(default_factory=list)

    def say(self, what: str, figure: object) -> None:
        """Add a line to the table."""
        self._rows.append((what, str(figure)))

    def require(self, kept: bool, otherwise: str) -> None:
        """Note a violation, unless it is kept."""
        if not kept:
            self.violations.append(otherwise)
            print(f"VIOLATION  {otherwise}", flush=True)

    def close(self) -> int:
        """Print everything; 1 where there are violations, 0 else: what the script exits with."""
        print(f"\n{self.title}")
        for what, figure in self._rows:
            print(f"  {what:58} {figure}")
        print(f"  {'violations':58} {len(self.violations)}")
        for violation in self.violations:
            print(f"    {violation}")
        return 1 if self.violations else 0


def pieces(count: int, chance: random.Random) -> list[str]:
    """An answer's pieces: words nobody sent before, so that a mixed-up text shows."""
    return [f"{chance.randrange(16**6):06x} " for _ in range(count)]

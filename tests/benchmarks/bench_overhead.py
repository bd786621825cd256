"""What a call costs beyond a bare streamed `litellm.acompletion` with the same messages: `... bench_overhead.py [ROUNDS]`.

The server answers at once and runs in a process of its own. Imports are made before; the rival keeps one loop, as a
program that cares would. Two settings, each with and without an `@` reference to a file of 50 kB:

- in one process: `Workspace.run`, and a `%%ccw` cell run by an IPython shell, against the bare call;
- in a real kernel, from the client's side, request to idle: a `%%ccw` cell against a cell that awaits the bare call and
  prints its pieces, and for scale an empty cell.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from measuring import (
    ENDPOINT,
    QUESTION,
    REFERENCE,
    Project,
    Row,
    bare_arguments,
    paired_added_ms,
    project,
    report,
    verdict,
)
from traitlets.config import Config

LIMIT_ADDED_MS = 5.0
ROUNDS = 60
WARMING = 5
PROMPTS = {"no reference": QUESTION, "50 kB reference": f"{REFERENCE} {QUESTION}"}
BARE_IN_A_CELL = """
async for chunk in await litellm.acompletion(**bare):
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="")
"""

IN_MEMORY = Config({"HistoryManager": {"hist_file": ":memory:"}})  # a file would outlive the home that it is in
Contestants = Mapping[str, Callable[[], object]]


def rounds_of(contestants: Contestants, rounds: int) -> list[Row]:
    """Time every contestant once a round, in random order."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(WARMING + rounds):
        for name in random.sample(list(contestants), k=len(contestants)):
            started = time.perf_counter()
            contestants[name]()
            if number >= WARMING:
                seconds[name].append(time.perf_counter() - started)
    return [Row(name, figures) for name, figures in seconds.items()]


def content_of(prompt: str) -> str:
    """The user message that the package sends for a prompt, built by hand."""
    from ccw_magics import Workspace, extract_patterns

    references = extract_patterns(prompt)
    return f"{Workspace().pack(references, endpoint=ENDPOINT).text}\n\n---\n\n{prompt}" if references else prompt


def in_process(prompt: str, api_base: str, shell: InteractiveShell, loop: asyncio.AbstractEventLoop) -> Contestants:
    """The bare call on one loop, `Workspace.run`, a cell of an IPython shell, and for scale an empty one."""
    from ccw_magics import Workspace

    workspace = Workspace()
    litellm: Any = importlib.import_module("litellm")
    arguments = bare_arguments(api_base, content_of(prompt))

    async def bare() -> str:
        answer = await litellm.acompletion(**arguments)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])

    def run() -> str:
        return workspace.run(prompt).raise_for_error().output

    def cell(code: str) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return shell.run_cell(code, store_history=True).result  # type: ignore[no-untyped-call] # IPython's has no types

    ours = f"%%ccw {ENDPOINT}\n{prompt}"
    assert run() == cell(ours).output == loop.run_until_complete(bare()), "the rivals sent different messages"
    return {
        "bare litellm.acompletion": lambda: loop.run_until_complete(bare()),
        "Workspace.run": run,
        "%%ccw cell, IPython shell": lambda: cell(ours),
        "empty cell, IPython shell": lambda: cell("pass"),
    }


@contextlib.contextmanager
def kernel(where: Project) -> Iterator[BlockingKernelClient]:
    """A new kernel in the project, ready."""
    manager, client = start_new_kernel(
        cwd=str(where.root), env=dict(where.environment), extra_arguments=["--log-level=ERROR"]
    )
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: BlockingKernelClient, code: str) -> str:
    """Run a cell to its end; gives the text it showed last."""
    shown: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            shown.append(content["text"])
        elif "text/markdown" in content.get("data", {}):
            shown[:] = [content["data"]["text/markdown"]]

    reply = client.execute_interactive(code, timeout=60, output_hook=keep)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(shown)


def in_kernel(prompt: str, api_base: str, client: BlockingKernelClient) -> Contestants:
    """A cell that awaits the bare call, a `%%ccw` cell, and an empty one."""
    ours = f"%%ccw {ENDPOINT}\n{prompt}"
    execute(client, f"import litellm\nbare = {bare_arguments(api_base, content_of(prompt))!r}\n%load_ext ccw_magics")
    assert execute(client, ours) == execute(client, BARE_IN_A_CELL), "the rivals sent different messages"
    return {
        "cell awaiting litellm.acompletion": lambda: execute(client, BARE_IN_A_CELL),
        "%%ccw cell, kernel": lambda: execute(client, ours),
        "empty cell, kernel": lambda: execute(client, "pass"),
    }


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limits are kept."""
    kept = []
    with project() as where, contextlib.chdir(where.root):
        os.environ.update(where.environment)
        shell, loop = InteractiveShell.instance(config=IN_MEMORY), asyncio.new_event_loop()
        shell.run_line_magic("load_ext", "ccw_magics")
        for name, prompt in PROMPTS.items():
            bare, run, cell, empty = rounds_of(in_process(prompt, where.api_base, shell, loop), rounds)
            report(f"In one process, {name}", bare, [run, cell, empty])
            kept += [_within(row, bare) for row in (run, cell)]
            with kernel(where) as client:
                bare, cell, empty = rounds_of(in_kernel(prompt, where.api_base, client), rounds)
            report(f"In a kernel, {name}", bare, [cell, empty])
            kept.append(_within(cell, bare))
    return all(kept)


def _within(row: Row, bare: Row) -> bool:
    return verdict(f"{row.name}, added", paired_added_ms(row, bare), LIMIT_ADDED_MS, " ms")


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

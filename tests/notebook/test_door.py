"""What a kernel asks its user, and what it never reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

STUB = """
%load_ext ccw_magics
from ccw_magics.calls.executor import Executor
from ccw_magics.calls.reply import Reply
asked = []
def execute(self, request, *_):
    asked.append((request.tool, request.mode))
    return Reply(success=True)
Executor.execute = execute
"""


@pytest.fixture
def client(project: Path) -> Iterator[BlockingKernelClient]:
    """A kernel's client, in a kernel that sends nothing."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(project), env={**os.environ})
    try:
        assert run(client, STUB) == ([], "")
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def run(client: BlockingKernelClient, code: str, answer: str | None = None) -> tuple[list[str], str]:
    """Run a cell: what it asks its user, who gives this answer or cannot be asked, and its error."""
    questions: list[str] = []
    error = ""
    asked = client.execute(code, allow_stdin=answer is not None)
    while True:
        try:
            question = client.get_stdin_msg(timeout=0.02)
        except Empty:
            pass
        else:
            questions.append(question["content"]["prompt"])
            client.input(answer or "")
        try:
            message = client.get_iopub_msg(timeout=0.02)
        except Empty:
            continue
        if message["msg_type"] == "error":
            error = "\n".join(message["content"]["traceback"])
        if message["parent_header"].get("msg_id") == asked and message["content"].get("execution_state") == "idle":
            client.get_shell_msg(timeout=10)
            return questions, error


def test_a_kernel_asks_once(client: BlockingKernelClient) -> None:
    write, auto = (f"%%ccw --tool codex --mode {mode}\nMend it." for mode in ("write", "auto"))
    questions, error = run(client, write)
    assert questions == []
    assert error.startswith("NotAgreed: not run: codex --mode write may change and delete files in ")
    assert "--yes" in error
    questions, error = run(client, write, "no")
    assert questions[0].endswith("Go on? [y/N] ")
    assert error.startswith("NotAgreed: not run: you did not agree")
    assert run(client, f"{write}\n\n".replace("write", "write --yes", 1)) == ([], "")
    assert len(run(client, write, "y")[0]) == 1
    assert run(client, write, "y") == ([], "")
    assert len(run(client, auto, "YES")[0]) == 1
    assert run(client, auto) == run(client, write) == ([], "")
    assert run(client, "assert [mode for _, mode in asked] == 'write write write auto auto write'.split(), asked") == (
        [],
        "",
    )


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        pytest.param("%%ccw --json\nHi", "--json is for a shell", id="--json"),
        pytest.param("%%ccw -f a.md\nHi", "both in the body and in -f", id="-f beside a body"),
        pytest.param("%ccw cli -f -", "a notebook has none", id="-f -"),
        pytest.param("%%ccw --mode write\nHi", "an endpoint can only answer", id="an endpoint that writes"),
    ],
)
def test_what_is_not_for_a_cell(client: BlockingKernelClient, cell: str, told: str) -> None:
    assert told in run(client, cell)[1]

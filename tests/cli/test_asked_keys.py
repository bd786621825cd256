"""A key that a notebook asks for: it passes the wire once, and stands in nothing that is kept."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from ccw_magics import Workspace

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def client(project: Path) -> Iterator[BlockingKernelClient]:
    """A kernel's client in an empty project."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(project), env={**os.environ})
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def said(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """All messages of a cell but the answer to what it asks, which is the key."""
    messages: list[dict[str, Any]] = []
    asked = client.execute(code, allow_stdin=True)
    while True:
        try:
            question = client.get_stdin_msg(timeout=0.05)
        except Empty:
            pass
        else:
            assert question["content"] == {"prompt": "API key: ", "password": True}
            messages.append(question)
            client.input(KEY)
        try:
            message = client.get_iopub_msg(timeout=0.05)
        except Empty:
            continue
        messages.append(message)
        if message["parent_header"].get("msg_id") == asked and message["content"].get("execution_state") == "idle":
            messages.append(client.get_shell_msg(timeout=10))
            return messages


def test_a_kernel_asks_unseen(client: BlockingKernelClient, project: Path, home: Path) -> None:
    lines = (
        "%load_ext ccw_magics\n%xmode Verbose",
        "%ccw provider add --type openai --ask-key",
        "%ccw provider add --type openai --ask-key --timeout soon",
        "p = %ccw providers\np",
        "get_ipython().run_line_magic('ccw', f'provider key add {p.id[0]} --ask-key --label L')",
        "get_ipython().run_line_magic('ccw', f'provider key list {p.id[0]}')",
        "%ccw history",
    )
    told = [said(client, line) for line in lines]
    questions = [sum(message["msg_type"] == "input_request" for message in messages) for messages in told]
    assert questions == [0, 1, 1, 0, 1, 0, 0]
    assert KEY not in json.dumps(told, default=str)
    assert "advancedSettings.timeout" in json.dumps(told[2], default=str)
    (provider,) = Workspace(project).config.get_all_providers()
    assert [provider.api_key.reveal(), provider.api_keys[0].key.reveal()] == [KEY, KEY]
    assert _files_with_the_key(project, home) == [Workspace(project).config.path]


def _files_with_the_key(*roots: Path) -> list[Path]:
    for path in (path for root in roots for path in root.rglob("history.sqlite")):
        with closing(sqlite3.connect(path)) as history:
            history.execute("PRAGMA wal_checkpoint(FULL)")
    files = (path for root in roots for path in root.rglob("*") if path.is_file())
    return [path for path in files if KEY.encode() in path.read_bytes()]

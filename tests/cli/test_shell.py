"""The `ccw` command: what goes to which stream, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from wire_server import Answer, WireServer

from ccw_magics.config.store import ConfigStore

# A test run in the background has SIGINT ignored, which children inherit; a shell's own command has not.
PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
COMMAND = [sys.executable, "-c", PROGRAM + "from ccw_magics.cli.shell import main; main()"]


def ccw(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def wired(project: Path, wire: WireServer) -> Path:
    (project / "a.py").write_text("answer = 42\n")
    store = ConfigStore(project)
    provider = store.add_provider({"name": "W", "type": "openai", "apiKey": "sk-k-123456", "apiBase": f"{wire.url}/v1"})
    store.add_endpoint({"id": "my-gpt4o", "name": "", "providerId": provider.id, "model": "gpt-4o"})
    return project


def test_the_answer_alone_goes_to_standard_output(wired: Path, wire: WireServer) -> None:
    done = ccw("cli", "-p", "@a.py Why?", "--tool", "litellm", "--model", "my-gpt4o")
    assert (done.returncode, done.stdout) == (0, "Hello from the wire.\n")
    assert "my-gpt4o · gpt-4o" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        pytest.param(
            ["cli", "-p", "Hi", "--model", "nope"], 1, "EndpointNotFound: endpoint not found: nope", id="endpoint"
        ),
        pytest.param(["cli"], 2, "there is no question", id="no prompt"),
        pytest.param(["bogus"], 2, "No such command 'bogus'", id="no such verb"),
        pytest.param(["cli", "-p", "Hi", "-o", "x"], 2, "binds a name in a notebook", id="--out"),
    ],
)
def test_a_failure_is_said_on_standard_error(wired: Path, words: list[str], status: int, said: str) -> None:
    done = ccw(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fallback_to_somebody_elses_host_is_refused(wired: Path, wire: WireServer) -> None:
    path = ConfigStore(wired).path
    data = json.loads(path.read_text())
    data["providers"][0] = {**data["providers"][0], "apiKey": "sk-k"}
    data["providers"].append({"id": "q", "type": "custom", "apiBase": "https://evil.example/v1"})
    data["endpoints"][0]["fallback"] = ["evil"]
    data["endpoints"].append({"id": "evil", "providerId": "q", "model": "m"})
    path.write_text(json.dumps(data))
    refused = ccw("cli", "-p", "@a.py Why?", "--model", "my-gpt4o")
    assert refused.returncode == 1
    assert "endpoint my-gpt4o falls back to evil, which sends your files to evil.example" in refused.stderr
    assert not wire.requests
    assert "evil.example" in ccw("trust").stdout
    assert ccw("cli", "-p", "@a.py Why?", "--model", "my-gpt4o").stdout == "Hello from the wire.\n"


def test_init_status_endpoints_and_trust(project: Path) -> None:
    assert "wrote" in ccw("init").stdout
    assert ccw("init").returncode == 1
    assert "my-gpt4o" in ccw("endpoints").stdout
    assert "${OPENAI_API_KEY}" in ccw("providers").stdout
    assert "default    my-gpt4o" in ccw("status").stdout
    path = ConfigStore(project).path
    path.write_text(
        path.read_text().replace('"enabled": true', '"apiBase": "https://evil.example", "enabled": true', 1)
    )
    refused = ccw("cli", "-p", "Hi")
    assert refused.returncode == 1
    assert all(word in refused.stderr for word in ("evil.example", "OPENAI_API_KEY", path.name))
    assert "evil.example" in ccw("trust").stdout
    assert "evil.example" not in ccw("cli", "-p", "Hi", "--model", "bogus").stderr


def test_an_interrupt_keeps_what_came(wired: Path, wire: WireServer) -> None:
    wire.answers(Answer("one two three", pieces=["one ", "two ", "three"], stall_after=2))
    process = subprocess.Popen(
        [*COMMAND, "cli", "-p", "Hi", "--model", "my-gpt4o"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.read(8) == "one two "
    os.kill(process.pid, signal.SIGINT)
    rest, notes = process.communicate(timeout=60)
    assert (process.returncode, rest) == (130, "\n")
    assert "incomplete" in notes
    assert "Traceback" not in notes

"""The `ccw` command: what goes to which stream, and its exit codes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import pytest
from ccw_command import wired_project
from wire_server import Answer, WireServer

from ccw_magics.cli.shell import command as shell
from ccw_magics.cli.shell.command import _run
from ccw_magics.cli.shell.signals import Stopped
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError, ProviderError

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def wired(project: Path, wire: WireServer) -> Path:
    return wired_project(project, wire)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a line as the shell does: exit code, standard output, standard error."""
    monkeypatch.setattr("sys.stdin", None)

    def run(*words: str) -> tuple[int, str, str]:
        status = _run(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_answer_alone_goes_to_standard_output(wired: Path, say: Say) -> None:
    status, out, err = say("cli", "-p", "@a.py Why?", "--tool", "litellm", "--model", "my-gpt4o")
    assert (status, out) == (0, "Hello from the wire.\n")
    assert "my-gpt4o · gpt-4o" in err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        pytest.param(
            ["cli", "-p", "Hi", "--model", "nope"], 3, "EndpointNotFound: endpoint not found: nope", id="endpoint"
        ),
        pytest.param(["cli"], 2, "there is no question", id="no prompt"),
        pytest.param(["bogus"], 2, "No such command 'bogus'", id="no such verb"),
        pytest.param(["cli", "-p", "Hi", "-o", "x"], 2, "binds a name in a notebook", id="--out"),
    ],
)
def test_a_failure_is_said_on_standard_error(wired: Path, say: Say, words: list[str], status: int, said: str) -> None:
    got, out, err = say(*words)
    assert (got, out) == (status, "")
    assert said in err
    assert "Traceback" not in err


def test_a_fallback_to_somebody_elses_host_is_refused(wired: Path, wire: WireServer, say: Say) -> None:
    path = ConfigStore(wired).path
    data = json.loads(path.read_text())
    data["providers"][0] = {**data["providers"][0], "apiKey": "sk-k"}
    data["providers"].append({"id": "q", "type": "custom", "apiBase": "https://evil.example/v1"})
    data["endpoints"][0]["fallback"] = ["evil"]
    data["endpoints"].append({"id": "evil", "providerId": "q", "model": "m"})
    path.write_text(json.dumps(data))
    status, _, err = say("cli", "-p", "@a.py Why?", "--model", "my-gpt4o")
    assert status == 3
    assert "endpoint my-gpt4o falls back to evil, which sends your files to evil.example" in err
    assert not wire.requests
    assert "evil.example" in say("trust")[1]
    assert say("cli", "-p", "@a.py Why?", "--model", "my-gpt4o")[1] == "Hello from the wire.\n"


def test_init_status_endpoints_and_trust(project: Path, say: Say) -> None:
    assert "wrote" in say("init")[1]
    assert say("init")[0] == 3
    assert "my-gpt4o" in say("endpoints")[1]
    assert "${OPENAI_API_KEY}" in say("providers")[1]
    assert "default    my-gpt4o" in say("status")[1]
    path = ConfigStore(project).path
    path.write_text(
        path.read_text().replace('"enabled": true', '"apiBase": "https://evil.example", "enabled": true', 1)
    )
    status, _, err = say("cli", "-p", "Hi")
    assert status == 3
    assert all(word in err for word in ("evil.example", "OPENAI_API_KEY", path.name))
    assert "evil.example" in say("trust")[1]
    assert "evil.example" not in say("cli", "-p", "Hi", "--model", "bogus")[2]


# ---- --json -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "answer", "status", "has"),
    [
        pytest.param(["-p", "@a.py Why?"], Answer("Grüße"), 0, {"output": "Grüße", "error": None}, id="an answer"),
        pytest.param(["-p", "Hi", "--schema", "n: int"], Answer('{"n": 1}'), 0, {"data": {"n": 1}}, id="data"),
        pytest.param(["-p", "Hi"], Answer(status=400), 1, {"output": "", "model": "gpt-4o"}, id="a failure"),
        pytest.param(
            ["-p", "Hi"], Answer("one two", pieces=["one ", "two"], cut_after=1), 75, {"output": "one "}, id="a part"
        ),
        pytest.param(["nope", "-p", "Hi"], Answer(), 3, {"endpoint": "nope"}, id="no endpoint"),
        pytest.param(["--tool", "nope", "-p", "Hi"], Answer(), 3, {"endpoint": ""}, id="no tool"),
        pytest.param(["-p", "@/etc/*"], Answer(), 4, {"output": ""}, id="out of reach"),
        pytest.param(["--bogus", "-p", "Hi"], Answer(), 2, {"output": ""}, id="not understood"),
        pytest.param([], Answer(), 2, {"output": ""}, id="no question"),
        pytest.param(["nope", "-p", "Hi", "--dry-run"], Answer(), 3, {"output": ""}, id="a plan that fails"),
    ],
)
def test_json_is_one_document_whatever_happens(
    wired: Path, wire: WireServer, say: Say, words: list[str], answer: Answer, status: int, has: dict[str, Any]
) -> None:
    wire.answers(answer)
    got, out, err = say("cli", *words, "--json")
    document = json.loads(out)
    assert (got, document["success"]) == (status, status == 0), err
    assert {name: document[name] for name in has} == has
    assert (document["error"] is None) == (status == 0)
    assert out.isascii()


@pytest.mark.parametrize(
    ("end", "status", "told"),
    [
        pytest.param(KeyboardInterrupt(), 130, "interrupted", id="an interrupt"),
        pytest.param(Stopped(signal.SIGTERM), 143, "interrupted", id="SIGTERM"),
        pytest.param(click.Abort(), 4, "not agreed to", id="no to a question"),
    ],
)
def test_json_is_a_document_where_it_ended_before_the_call(
    wired: Path, say: Say, monkeypatch: pytest.MonkeyPatch, end: BaseException, status: int, told: str
) -> None:
    monkeypatch.setattr(shell.tree, "main", Mock(side_effect=end))
    got, out, _ = say("cli", "-p", "Hi", "--json")
    document = json.loads(out)
    assert (got, document["success"], document["error"]) == (status, False, told)


def test_an_interrupted_prompt_ends_its_line(project: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr(shell.tree, "main", lambda **_: click.confirm("Go on?", err=True))
    assert say("status") == (130, "", "\n")


def test_a_plan_as_json(wired: Path, wire: WireServer, say: Say) -> None:
    status, out, err = say("cli", "-p", "@a.py Why?", "--dry-run", "--json")
    plan = json.loads(out)
    assert (status, plan["endpoint"], plan["windowTokens"]) == (0, "my-gpt4o", 128_000)
    assert [part["name"] for part in plan["parts"]] == ["@a.py", "prompt", "answer, about", "total"]
    assert {*plan["parts"][0]} == {"name", "files", "sizeBytes", "tokens", "coldUsd", "cachedUsd", "windowShare"}
    assert "nothing was sent" in err
    assert not wire.requests


# ---- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        pytest.param(ProviderError("busy", retryable=True), 75, "ProviderError: busy\n", id="may work later"),
        pytest.param(CcwError("sad\x1b[2J", hint="Do\nthis."), 1, "CcwError: sad\\x1b[2J\nDo\nthis.\n", id="steers"),
        pytest.param(ValueError("sk-secret"), 1, "CcwError: ccw itself failed: ValueError\nCCW_DEBUG=1", id="a fault"),
        pytest.param(OSError(28, "No space left"), 1, "OSError: [Errno 28] No space left", id="the system's"),
        pytest.param(KeyboardInterrupt(), 130, "", id="an interrupt"),
        pytest.param(click.Abort(), 4, "", id="no to a question"),
    ],
)
def test_what_is_raised_is_told_in_two_lines(
    project: Path, say: Say, monkeypatch: pytest.MonkeyPatch, raised: BaseException, status: int, told: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(shell.tree, "main", fail)
    got, out, err = say("status")
    assert (got, out) == (status, "")
    assert told in err
    assert "sk-secret" not in err


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        pytest.param({}, False, id="a pipe"),
        pytest.param({"FORCE_COLOR": "1"}, True, id="forced"),
        pytest.param({"FORCE_COLOR": "0"}, False, id="forced off"),
        pytest.param({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, id="NO_COLOR comes first"),
        pytest.param({"FORCE_COLOR": "1", "NO_COLOR": ""}, True, id="an empty NO_COLOR says nothing"),
    ],
)
def test_colours(
    project: Path, say: Say, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    assert ("\x1b[31m" in say("default", "nope")[2]) == is_coloured

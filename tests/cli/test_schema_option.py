"""`ccw cli --schema`: what goes to standard output is for the next program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from wire_server import Answer, WireServer
from wired_project import make_project

from ccw_magics.cli.shell.command import main

SHAPE = "title, line: int"
GOOD, WRONG = '{"title": "a", "line": 3}', '{"title": "a", "line": "third"}'
ROWS = f'{{"items": [{GOOD}, {{"title": "b", "line": 4}}]}}'


@pytest.fixture
def wired(project: Path, wire: WireServer) -> Path:
    return make_project(project, wire)


@dataclass(frozen=True)
class Ended:
    """What came of a command."""

    status: int
    stdout: str
    stderr: str


Ask = Callable[..., Ended]


@pytest.fixture
def ask(wired: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run `ccw cli -p Hi ...` in this process; a process of its own would import litellm each time."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ccw", "cli", "-p", "Hi", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run


def test_the_answer_can_be_piped(ask: Ask, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(GOOD))
    assert ask("--schema", SHAPE, "--replay").status == 0
    program = "from ccw_magics.cli.shell.command import main; main()"
    words = [sys.executable, "-c", program, "cli", "-p", "Hi", "--schema", SHAPE, "--replay"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as asked:
        read = subprocess.run(
            [sys.executable, "-m", "json.tool"], stdin=asked.stdout, capture_output=True, timeout=60, check=True
        )
    assert json.loads(read.stdout) == json.loads(GOOD)
    assert len(wire.requests) == 2


def test_what_does_not_fit_is_not_seen_and_the_repair_is_told_beside_it(ask: Ask, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(GOOD))
    done = ask("--schema", SHAPE)
    assert (done.status, done.stdout) == (0, f"{GOOD}\n")
    assert "The answer does not fit the schema: line: should be a valid integer" in done.stderr
    assert "asking once more" in done.stderr


def test_an_answer_that_never_fits_is_an_error_with_its_text(ask: Ask, wire: WireServer) -> None:
    wire.answers(Answer(WRONG))
    done = ask("--schema", SHAPE)
    assert (done.status, done.stdout) == (1, f"{WRONG}\n")
    assert "SchemaError: The answer does not fit the schema: line: should be a valid integer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_table_has_a_row_for_each(ask: Ask, wire: WireServer) -> None:
    wire.answers(Answer(ROWS))
    done = ask("--schema", SHAPE, "--table")
    assert done.status == 0
    assert [line.split() for line in done.stdout.splitlines()] == [["title", "line"], ["a", "3"], ["b", "4"]]


def test_an_empty_table_says_so(ask: Ask, wire: WireServer) -> None:
    wire.answers(Answer('{"items": []}'))
    assert ask("--schema", SHAPE, "--table").stdout == "an empty list\n"


@pytest.mark.parametrize(
    ("words", "status", "words_of_error"),
    [
        pytest.param(["--schema", "line: intt"], 1, "'intt' is not a type", id="not a type"),
        pytest.param(["--schema", "{"], 1, "cannot be read", id="not a schema"),
        pytest.param(["--table"], 2, "--table needs --schema", id="table alone"),
    ],
)
def test_a_schema_that_is_none_is_said_before_anything_is_sent(
    ask: Ask, wire: WireServer, words: list[str], status: int, words_of_error: str
) -> None:
    done = ask(*words)
    assert (done.status, done.stdout) == (status, "")
    assert words_of_error in done.stderr
    assert "Traceback" not in done.stderr
    assert not wire.requests


@pytest.mark.parametrize(
    "form", ["```json\nANSWER\n```", "Here it is: ANSWER - anything else?"], ids=["fenced", "prose"]
)
def test_what_is_around_the_json_is_not_for_the_next_program(ask: Ask, wire: WireServer, form: str) -> None:
    wire.answers(Answer(form.replace("ANSWER", GOOD)))
    assert json.loads(ask("--schema", SHAPE).stdout) == json.loads(GOOD)

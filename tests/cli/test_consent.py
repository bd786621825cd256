"""Who agrees to what an agent may do, how often he is asked, and where nobody is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from asking_door import AskingDoor
from ccw_command import COMMAND, LIMIT_S, ccw

from ccw_magics.cli import consent
from ccw_magics.cli.shell.exits import REFUSED, exit_code
from ccw_magics.errors import NotAgreed

WRITE, AUTO, READ = (("-p", "a", "--tool", "codex", "--mode", mode) for mode in ("write", "auto", "analysis"))


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setattr(consent, "_agreed", set())


@pytest.mark.parametrize(
    ("lines", "questions"),
    [
        pytest.param([READ, READ], 0, id="reading"),
        pytest.param([WRITE, WRITE, WRITE], 1, id="writing, once"),
        pytest.param([AUTO, WRITE, AUTO], 1, id="auto covers write"),
        pytest.param([WRITE, AUTO, AUTO, WRITE], 2, id="write does not cover auto"),
        pytest.param([(*WRITE, "--yes"), (*AUTO, "--yes")], 0, id="--yes"),
        pytest.param([(*AUTO, "--yes"), WRITE], 1, id="--yes is for its own line"),
        pytest.param([(*WRITE[:3], "gemini", *WRITE[4:]), WRITE], 1, id="any agent"),
    ],
)
def test_how_often_is_asked(lines: list[tuple[str, ...]], questions: int) -> None:
    door = AskingDoor(says=True)
    for line in lines:
        door.run(*line)
    assert (len(door.requests), len(door.questions)) == (len(lines), questions)


@pytest.mark.parametrize(
    ("says", "told"), [(False, "you did not agree"), (None, "Nobody can be asked here")], ids=["no", "nobody there"]
)
def test_without_leave_nothing_is_run(says: bool | None, told: str) -> None:
    door = AskingDoor(says=says)
    for _ in range(2):
        with pytest.raises(NotAgreed, match=f"not run: .*{told}") as refused:
            door.run(*WRITE)
    assert "--yes" in (refused.value.hint or "")
    assert exit_code(refused.value) == REFUSED
    assert (door.requests, len(door.questions)) == ([], 2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(WRITE, ["codex --mode write", "change and delete files"], id="write"),
        pytest.param((*WRITE, "--tool", "qwen"), ["qwen --mode write", ".env", "send your key elsewhere"], id="qwen"),
        pytest.param(AUTO, ["codex --mode auto", "run commands", "network"], id="auto"),
    ],
)
def test_the_question_says_what_and_where(project: Path, line: tuple[str, ...], words: list[str]) -> None:
    (project / "part").mkdir()
    door = AskingDoor(says=True)
    door.run(*line, "--cd", "part", "--include-dirs", "../other")
    (question,) = door.questions
    assert all(word in question for word in (*words, str(project / "part"), "../other"))


def test_the_question_names_the_project_where_no_other_folder_is_named(project: Path) -> None:
    door = AskingDoor(says=True)
    door.run(*WRITE)
    assert f"in {project.resolve()}, " in door.questions[0]


def test_a_dry_run_asks_nothing(project: Path) -> None:
    door = AskingDoor(says=None)
    door.run(*WRITE, "--dry-run")
    assert door.questions == []


# ---- a shell's user ---------------------------------------------------------------------------------------------------


def at_terminal(typed: str, *words: str, **streams: Any) -> tuple[int, str]:
    """Run a line at a terminal, and type: exit code, and what stands on the screen."""
    master, slave = os.openpty()
    options = {"stdin": slave, "stdout": slave, "stderr": slave, **streams}
    with subprocess.Popen([*COMMAND, *words], env={**os.environ, "TERM": "xterm"}, **options) as process:
        os.close(slave)
        os.write(master, typed.encode())
        shown = b""
        try:
            while chunk := os.read(master, 65_536):
                shown += chunk
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
        os.close(master)
        code = process.wait(LIMIT_S)
    return code, shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
@pytest.mark.parametrize(
    ("typed", "code"),
    [pytest.param("n\n", 4, id="no"), pytest.param("\n", 4, id="nothing"), pytest.param("\x04", 4, id="Ctrl-D")],
)
def test_a_terminal_asks(typed: str, code: int) -> None:
    got, shown = at_terminal(typed, "cli", *WRITE)
    assert got == code
    assert "codex --mode write may change and delete files" in shown
    assert "[y/N]" in shown
    assert "Traceback" not in shown


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
@pytest.mark.parametrize("stream", ["stdin", "stderr"])
def test_a_terminal_that_cannot_ask_wants_the_option(stream: str) -> None:
    """The material comes on standard input, or the question would go into a file."""
    streams = {"stdin": subprocess.DEVNULL} if stream == "stdin" else {"stderr": subprocess.PIPE}
    code, shown = at_terminal("y\n", "cli", *WRITE, **streams)
    assert code == REFUSED
    assert ("--yes" in shown) == (stream == "stdin")


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param(["cli", *WRITE], REFUSED, "Nobody can be asked here", id="leave to write"),
        pytest.param(["provider", "add", "--type=openai", "--ask-key"], 1, "nobody can be asked for the key", id="key"),
    ],
)
def test_a_kernels_pseudo_terminal_is_nobodys(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, told: str
) -> None:
    """`!ccw` in a cell: a question there would wait for ever."""
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    got, shown = at_terminal("y\n", *words)
    assert got == code
    assert told in shown


def test_a_pipe_wants_the_option() -> None:
    done = ccw("cli", *WRITE, input="y\n")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "Nobody can be asked here" in done.stderr
    assert "--yes agrees to it" in done.stderr

"""What stands on a terminal's screen, and in a file, while a reply streams: on a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.backends.base import Usage
from ccw_magics.backends.tool_commands import TOOLS, executable
from ccw_magics.calls.reply import Attempt, Reply
from ccw_magics.cli.shell.terminal import REMARK_S, REPEAT_S, TerminalDisplay, columns_of, fitted
from ccw_magics.errors import (
    BudgetExceeded,
    CallInterrupted,
    CcwError,
    EndpointNotFound,
    ProviderError,
    SecretMissing,
    ToolError,
)

REPLY = Reply(success=True, output="Hi", endpoint="e", model="m")
COLUMNS = 20
LONG = "openai failed (500): The server had an error; asking again"


class Terminal:
    """A pseudo-terminal of 20 columns; what its screen shows of what was written to it."""

    def __init__(self) -> None:
        self._written = b""
        import fcntl
        import struct
        import termios

        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.stream = os.fdopen(slave, "w", encoding="utf-8")

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)

    def raw(self) -> str:
        """All that was written."""
        self.stream.write("\0")
        self.stream.flush()
        while not self._written.endswith(b"\0"):
            self._written += os.read(self._master, 65_536)
        self._written = self._written[:-1]
        return self._written.decode()

    def rows(self) -> list[str]:
        """The screen's rows: `\\r`, `\\n` and the wrap at the last column are all that is known here; colours are not seen."""
        rows, column = [""], 0
        for character in re.sub(r"\x1b\[\d*m", "", self.raw()):
            if character == "\r":
                column = 0
            elif character == "\n":
                rows.append("")
            else:
                width = columns_of(character)
                if column + width > COLUMNS:
                    rows.append("")
                    column = 0
                shown = rows[-1].ljust(column, " ")
                rows[-1] = shown[:column] + character.ljust(width, "\0") + shown[column + width :]
                column += width
        return [row.replace("\0", "").rstrip() for row in rows]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    pytest.importorskip("termios")
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.parametrize("note", [LONG, "x" * COLUMNS, "広い文字" * 10, "two\nlines\tand\x1b[2J"], ids=ascii)
def test_a_note_takes_one_row_and_leaves_nothing(terminal: Terminal, note: str) -> None:
    view = TerminalDisplay()
    with redirect_stdout(terminal.stream), redirect_stderr(terminal.stream):
        view.add("stderr", note)
        assert [row[:3] for row in terminal.rows()] == [note[:3]]
        view.add("stderr", "short")
        assert terminal.rows() == ["short"]
        view.add("stdout", "")
        assert terminal.rows() == [""]


def test_the_screen_after_notes_is_the_answer_alone(terminal: Terminal) -> None:
    view = TerminalDisplay(footer=False)
    pieces = ["first line\nsecond ", "line", "\n\n---\n\n", "again"]
    with redirect_stdout(terminal.stream), redirect_stderr(terminal.stream):
        for piece in pieces:
            for note in (LONG, "short", "広" * 30):
                view.add("stderr", note)
            view.add("stdout", piece)
        view.add("stderr", LONG)
        view.finish(REPLY)
    assert terminal.rows() == ["first line", "second line", "", "---", "", "again", ""]


def test_a_redirected_answer_leaves_the_terminal_to_notes(terminal: Terminal) -> None:
    answer, view = io.StringIO(), TerminalDisplay(footer=False)
    with redirect_stdout(answer), redirect_stderr(terminal.stream):
        view.add("stdout", "unfinished")
        view.add("stderr", LONG)
        assert terminal.rows() == [LONG[: COLUMNS - 2] + "…"]
        view.finish(REPLY)
    assert answer.getvalue() == "unfinished\n"
    assert terminal.rows() == [""]


def test_a_countdown_in_a_file_is_said_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    view = TerminalDisplay(footer=False, clock=lambda: now_s)
    for left_s in range(60, 0, -1):
        view.add("stderr", f"waiting {left_s} s: the limit of 1 request a minute")
        now_s += 1
    view.add("stderr", "starting the embedded model…")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["60", "45", "30", "15", "the"]
    view.add("stdout", "the answer")
    now_s += REPEAT_S
    view.add("stderr", "waiting 1 s: the limit of 1 request a minute")
    view.add("stderr", "something new")
    view.finish(REPLY)
    assert capsys.readouterr() == ("the answer\n", "something new\n")


def test_silence_is_told_in_seconds_and_leaves_nothing(terminal: Terminal) -> None:
    now_s = 0.0
    view = TerminalDisplay(footer=False, clock=lambda: now_s)
    rows: list[str] = []

    def after(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        view.tick()
        rows.append(terminal.rows()[-1])

    with redirect_stdout(terminal.stream), redirect_stderr(terminal.stream):
        after(0.9)
        after(0.2)
        after(1)
        view.add("stderr", "thinking…")
        after(0.5)
        view.add("stderr", "thinking…")
        after(0.6)
        view.add("stderr", "reading 5 of 9 tokens")
        after(REMARK_S - 1)
        view.add("stdout", "one")
        after(4)
        view.add("stdout", "\n")
        after(2)
        view.finish(REPLY)
    assert rows == [
        "",
        "waiting for the an…",
        "waiting for the an…",
        "thinking…",
        "thinking… 1 s",
        "reading 5 of 9 tok…",
        "one",
        "waiting for the an…",
    ]
    assert terminal.rows() == ["one", ""]


def test_the_waiting_is_told_again_after_a_remark(terminal: Terminal) -> None:
    now_s = 0.0
    view = TerminalDisplay(footer=False, clock=lambda: now_s)
    seen: dict[float, str] = {}
    with redirect_stdout(io.StringIO()), redirect_stderr(terminal.stream), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccw_magics.cli.shell.terminal.WAITING", "waiting…")
        for now_s in (5.0, 12.0, 12.0 + REMARK_S - 1, 12.0 + REMARK_S, 30.0, 30.0 + REMARK_S):
            if now_s in {12.0, 30.0}:
                view.add("stderr", "ran a command")
            view.tick()
            seen[now_s] = terminal.rows()[-1]
    assert list(seen.values()) == [
        "waiting… 5 s", "ran a command", "ran a command", "waiting… 16 s", "ran a command", "waiting… 34 s"
    ]  # fmt: skip


def test_a_file_is_told_of_no_silence(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    view = TerminalDisplay(footer=False, clock=lambda: now_s)
    now_s = 60.0
    view.tick()
    assert capsys.readouterr() == ("", "")


STEERING = "a\x1b[2Jb\r\nc\x9b1mé\x07\t"


def test_an_answer_steers_no_terminal(terminal: Terminal) -> None:
    view = TerminalDisplay(footer=False)
    with redirect_stdout(terminal.stream), redirect_stderr(terminal.stream):
        view.add("stdout", STEERING)
        view.finish(replace(REPLY, warnings=("beware\x1b[2J",)))
    assert terminal.rows() == ["a\\x1b[2Jb", "c\\x9b1mé\\x07", "beware\\x1b[2J", ""]


def test_a_file_gets_an_answer_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    view = TerminalDisplay(footer=False)
    view.add("stdout", STEERING)
    view.finish(REPLY)
    assert capsys.readouterr().out == f"{STEERING}\n"


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = TerminalDisplay()
    view.add("stdout", "one ")
    view.finish(replace(REPLY, success=False, warnings=("so and so",), failure=CallInterrupted("interrupted")))
    said = capsys.readouterr()
    assert said.out == "one \n"
    assert said.err.count("\n") == 1
    assert said.err.endswith(" · interrupted]\n")


def missing_agent() -> CcwError:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(ToolError) as raised:
            executable(TOOLS["codex"])
    return raised.value


@pytest.mark.parametrize(
    ("reply", "has_footer"),
    [
        pytest.param(Reply(False, failure=EndpointNotFound("no")), False, id="no endpoint"),
        pytest.param(Reply(False, failure=CcwError("no such agent")), False, id="no agent"),
        pytest.param(Reply(False, provider="openai", failure=SecretMissing("no")), False, id="no key"),
        pytest.param(Reply(False, provider="openai", failure=BudgetExceeded("no")), False, id="too dear"),
        pytest.param(Reply(False, provider="codex-cli", failure=missing_agent()), False, id="an agent not installed"),
        pytest.param(Reply(False, provider="codex-cli", failure=ToolError("failed")), True, id="an agent that failed"),
        pytest.param(Reply(False, provider="openai", failure=ProviderError("no")), True, id="refused by the provider"),
        pytest.param(Reply(False, failure=CallInterrupted("interrupted")), True, id="interrupted"),
        pytest.param(
            Reply(False, provider="openai", usage=Usage(1), failure=BudgetExceeded("no")), True, id="too dear a retry"
        ),
        pytest.param(
            Reply(False, provider="openai", attempts=(Attempt("e"),) * 2, failure=SecretMissing("no")), True, id="two asked"
        ),
    ],
)  # fmt: skip
def test_what_was_never_sent_has_no_footer(
    reply: Reply, capsys: pytest.CaptureFixture[str], *, has_footer: bool
) -> None:
    TerminalDisplay().finish(reply)
    assert bool(capsys.readouterr().err) is has_footer


@pytest.mark.parametrize(
    ("environment", "is_dim"),
    [
        pytest.param({"TERM": "xterm"}, True, id="a terminal"),
        pytest.param({"TERM": "dumb"}, False, id="a dumb one"),
        pytest.param({"TERM": "dumb", "FORCE_COLOR": "1"}, True, id="forced"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR"),
    ],
)
def test_the_footer_is_dim(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_dim: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with redirect_stdout(terminal.stream), redirect_stderr(terminal.stream):
        TerminalDisplay().finish(REPLY)
    assert ("\x1b[2m[e" in terminal.raw()) == is_dim


@given(st.text(), st.integers(min_value=0, max_value=40))
def test_what_is_fitted_fits_and_is_printable(text: str, columns: int) -> None:
    row = fitted(text, columns)
    assert columns_of(row) <= columns
    assert row.isprintable()

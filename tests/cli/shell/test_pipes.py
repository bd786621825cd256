"""What is piped in and out of `ccw`: real processes, real pipes, a provider on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from ccw_command import COMMAND, LIMIT_S, ccw, started, wired_project, without_locale
from wire_conversation import conversation
from wire_server import Answer, WireServer

from ccw_magics import Workspace
from ccw_magics.calls.request import Request
from ccw_magics.cli.shell.command import _run
from ccw_magics.journal import Call

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipes, and what POSIX says of their ends")
HANGS = Answer("one two three", pieces=["one ", "two ", "three"], stall_after=2)
UMLAUT = "Grüße, 日本"


@pytest.fixture
def wired(project: Path, wire: WireServer) -> Path:
    return wired_project(project, wire)


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `ccw` is the command."""
    words = " ".join(f"'{word}'" for word in COMMAND)
    script = f'ccw() {{ exec {words} "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def replayed(project: Path, wire: WireServer, answer: str) -> tuple[str, ...]:
    """A line whose answer is recorded: a process that gives it again need not import litellm, which takes seconds."""
    wire.answers(Answer(answer, pieces=30_000))
    Workspace(project).run("Hi", replay=True).raise_for_error()
    return ("cli", "-p", "Hi", "--replay")


def recorded(project: Path) -> dict[str | None, Call]:
    """What the journal has of each prompt, texts included."""
    journal = Workspace(project).journal
    found = [journal.get(entry.id) for entry in journal.calls()]
    return {entry.call.prompt: entry.call for entry in found if entry is not None}


# ---- in ---------------------------------------------------------------------------------------------------------------


def test_what_is_piped_in_goes_along_and_is_not_searched(wired: Path, wire: WireServer) -> None:
    material = "Standard input:\n\n````\n@a.py ```\n````"
    Workspace(wired).executor.execute(Request("Review this", material=material, replay=True)).raise_for_error()
    # The pause is longer than a pipe is waited for that nobody but the starter holds.
    done = shell("(sleep 3.5; echo '@a.py ```') | ccw cli -p 'Review this' --replay")
    assert (done.returncode, done.stdout) == (0, "Hello from the wire.\n"), done.stderr
    assert "replayed" in done.stderr
    assert "waiting for standard input" in done.stderr
    (message,) = conversation(wire.requests[0])
    assert message.text == f"Review this\n\n{material}"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells who may write to a pipe")
def test_an_open_pipe_that_nobody_writes_to_is_not_waited_for(wired: Path) -> None:
    words = ("cli", "-p", "Hi", "--model", "nope")
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        started(*words, stdin=subprocess.PIPE) as piped,
        started(*words, stdin=theirs) as by_socket,
    ):
        for process in (piped, by_socket):
            assert process.wait(LIMIT_S) == 3
            assert process.stderr is not None
            said = process.stderr.read()
            assert b"nothing came on standard input within 3 s" in said
            assert b"endpoint not found: nope" in said


# ---- out --------------------------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_the_call(wired: Path, wire: WireServer) -> None:
    wire.answers(Answer("line\n" * 400, pieces=["line\n"] * 400, gap_s=0.02))
    done = shell("ccw cli -p Hi | head -1; echo ${PIPESTATUS[0]}")
    assert done.stdout == "line\n141\n"
    assert done.stderr == ""
    assert wire.disconnects.wait(timeout_s=10)
    call = recorded(wired)["Hi"]
    assert (call.answer or "").startswith("line\nline\n")
    assert "nobody reads it any more" in call.error


def test_a_reader_of_notes_that_goes_away_costs_no_answer(wired: Path, wire: WireServer) -> None:
    words = replayed(wired, wire, "Hello.")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writing, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stdout) == (0, b"Hello.\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param("endpoints", 141, id="a table"),
        pytest.param("cli --help", 141, id="help"),
        pytest.param("bogus", 2, id="nothing for it"),
    ],
)
def test_nobody_reads_at_all(wired: Path, words: str, code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, *words.split()],
        stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["an answer", "a document"])
def test_a_full_disk_is_told_in_a_line(wired: Path, wire: WireServer, more: tuple[str, ...]) -> None:
    words = replayed(wired, wire, "Hello.")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *words, *more],
            stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, UMLAUT.encode(), id="ascii, which is no set-up"),
        pytest.param({"LC_ALL": "C"}, UMLAUT.encode(), id="C"),
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, UMLAUT.encode(), id="C, strict"),
        pytest.param({"PYTHONIOENCODING": "latin-1"}, UMLAUT.encode("latin-1", "replace"), id="latin-1"),
    ],
)
def test_no_encoding_stops_an_answer(wired: Path, wire: WireServer, environment: dict[str, str], said: bytes) -> None:
    done = ccw(*replayed(wired, wire, UMLAUT), env=without_locale(**environment), text=False)
    assert (done.returncode, done.stdout) == (0, said + b"\n"), done.stderr


# ---- signals ----------------------------------------------------------------------------------------------------------


def test_a_signal_keeps_what_came(wired: Path, wire: WireServer) -> None:
    codes = {"SIGINT": 130, "SIGTERM": 143}
    wire.answers(HANGS)
    with ExitStack() as stack:  # at once: each of them spends seconds on importing litellm
        processes = {name: stack.enter_context(started("cli", "-p", name)) for name in codes}
        for name, process in processes.items():
            assert process.stdout is not None
            assert process.stdout.read(8) == b"one two "
            process.send_signal(getattr(signal, name))
            process.send_signal(getattr(signal, name))
            rest, notes = process.communicate(timeout=LIMIT_S)
            assert (process.returncode, rest) == (codes[name], b"\n")
            *_, footer = notes.decode().split("\n")[:-1]
            assert footer.endswith("interrupted]")
            assert "\n\n" not in notes.decode()
    assert wire.disconnects.wait(len(codes))
    kept = {name: (call.outcome, call.answer) for name, call in recorded(wired).items()}
    assert kept == dict.fromkeys(codes, ("interrupted", "one two "))


WATCHING = """
import signal, sys
from ccw_magics.cli.shell import signals
{before}
signals.watch()
try:
    for name in sys.argv[1:]:
        signal.raise_signal(signal.Signals[name])
except KeyboardInterrupt as end:
    sys.exit(128 + signals.stopped_by(end))
"""


@pytest.mark.parametrize(
    ("before", "raised", "code"),
    [
        pytest.param("", ["SIGHUP"], 129, id="SIGHUP"),
        pytest.param("", ["SIGTERM"], 143, id="SIGTERM"),
        pytest.param("signal.signal(signal.SIGHUP, signal.SIG_IGN)", ["SIGHUP", "SIGINT"], 130, id="nohup"),
        pytest.param("signal.signal(signal.SIGINT, signal.SIG_IGN)", ["SIGINT"], 0, id="in the background"),
    ],
)
def test_which_signals_end_it(before: str, raised: list[str], code: int) -> None:
    # Whoever started the tests may have had some ignored, which children inherit.
    usual = "signal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    program = WATCHING.format(before=usual + before)
    done = subprocess.run([sys.executable, "-c", program, *raised], capture_output=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (code, b"")


def test_a_second_signal_ends_what_a_stuck_reader_holds_up(wired: Path, wire: WireServer) -> None:
    words = replayed(wired, wire, "x" * 300_000)  # more than a pipe holds
    with started(*words) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        code = None
        while code is None:  # each is ignored for a second after the first, and then ends it
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(0.3)
            except subprocess.TimeoutExpired:
                continue
    assert code == 130


# ---- without anything -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["status", "cli -p Hi --model nope", "history", "cli"])
def test_a_scheduler_with_nothing_set_gets_a_clear_result(words: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = ccw(*words.split(), env=environment, cwd="/")
    assert done.returncode in {0, 2, 3}
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["status"], ["cli", "-p", "Hi", "--json"]], ids=["a verb", "a question"])
def test_a_user_without_a_home_is_told_so(
    wired: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("sys.stdin", None)
    assert _run(words) == 3
    assert "ConfigError: this user has no home directory\nSet HOME" in capsys.readouterr().err


IMPATIENT = """
import os
from ccw_magics.cli.shell import streams
for number in range(3):
    os.set_blocking(number, False)
streams.take_over()
print(*map(os.get_blocking, range(3)))
"""


def test_streams_that_another_program_left_impatient_wait_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        stdin=subprocess.PIPE, capture_output=True, text=True, timeout=LIMIT_S, check=True,
    )  # fmt: skip
    assert done.stdout == "True True True\n"


def test_streams_that_are_closed_are_not_taken_for_files(wired: Path) -> None:
    words = " ".join(f"'{word}'" for word in COMMAND)
    done = subprocess.run(
        ["bash", "-c", f"{words} endpoints <&- >&- 2>&-"], timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert not [path for path in wired.rglob("*") if path.is_file() and b"my-gpt4o  " in path.read_bytes()]

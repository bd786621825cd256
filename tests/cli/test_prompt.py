"""Where a question comes from, and what becomes of its bytes."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from asking_door import AskingDoor
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.cli.prompt import fenced
from ccw_magics.cli.shell import piped
from ccw_magics.errors import ContextTooLarge

Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """Makes standard input a pipe that some bytes came through."""
    streams: list[io.TextIOWrapper] = []

    def feed(content: bytes) -> None:
        reading, writing = os.pipe()
        os.write(writing, content)
        os.close(writing)
        streams.append(io.TextIOWrapper(io.FileIO(reading)))
        monkeypatch.setattr(sys, "stdin", streams[-1])

    yield feed
    for stream in streams:
        stream.close()


@pytest.fixture
def redirected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Makes standard input a file."""
    streams: list[io.TextIOWrapper] = []

    def feed(path: Path) -> None:
        streams.append(path.open())
        monkeypatch.setattr(sys, "stdin", streams[-1])

    yield feed
    for stream in streams:
        stream.close()


@pytest.mark.parametrize(
    ("words", "piped_in", "prompt", "material"),
    [
        pytest.param(["-p", "Why?\n"], b"", "Why?\n", "", id="-p, an empty pipe"),
        pytest.param(["-p", "Why?"], b"@a", "Why?", "Standard input:\n\n```\n@a\n```", id="-p, a pipe"),
        pytest.param(["-f", "q.md"], b"x\n", "@b How?", "Standard input:\n\n```\nx\n```", id="-f, a pipe"),
        pytest.param(["-f", "-"], b"@c Who?\r\n", "@c Who?", "", id="-f -"),
        pytest.param([], b"@c Who?\n\n", "@c Who?", "", id="a pipe alone"),
        pytest.param(["my-gpt4o"], b"Who?", "Who?", "", id="an endpoint and a pipe"),
    ],
)
def test_where_the_question_comes_from(
    project: Path, pipe: Pipe, words: list[str], piped_in: bytes, prompt: str, material: str
) -> None:
    (project / "q.md").write_text("@b How?\n")
    pipe(piped_in)
    request = AskingDoor().asked(*words)
    assert (request.prompt, request.material) == (prompt, material)


@pytest.mark.parametrize(
    ("words", "piped_in", "told"),
    [
        pytest.param(["-p", "a", "-f", "q.md"], b"", "both in -p and in -f", id="-p and -f"),
        pytest.param(["-p", "a", "-f", "-"], b"x", "both in -p and in -f", id="-p and -f -"),
        pytest.param([], b"", "there is no question", id="nothing"),
        pytest.param([], b" \n", "there is no question", id="blanks"),
        pytest.param(["-p", ""], b"x", "there is no question", id="an empty -p"),
        pytest.param(["-f", "nowhere.md"], b"", "No such file", id="no file"),
        pytest.param(["-f", "."], b"", "Is a directory", id="a directory"),
        pytest.param(["-f", "zero.bin"], b"", "zero.bin is no text", id="a file of zeros"),
        pytest.param(["-p", "a"], b"a\0b", "standard input is no text", id="zeros piped in"),
    ],
)
def test_what_is_no_question(project: Path, pipe: Pipe, words: list[str], piped_in: bytes, told: str) -> None:
    (project / "q.md").write_text("How?")
    (project / "zero.bin").write_bytes(b"\0" * 9)
    pipe(piped_in)
    with pytest.raises(click.UsageError, match=re.escape(told)):
        AskingDoor().run(*words)


@pytest.mark.parametrize(
    ("content", "text", "told"),
    [
        pytest.param("\ufeffGrüße".encode(), "Grüße", "", id="a byte order mark"),
        pytest.param("Grüße".encode("utf-16"), "Grüße", "", id="UTF-16, as PowerShell writes it"),
        pytest.param(b"a\r\nb", "a\r\nb", "", id="CRLF inside"),
        pytest.param(b"caf\xe9 au lait", "caf� au lait", "is not all UTF-8", id="Latin-1"),
        pytest.param("is � meant".encode(), "is � meant", "", id="the replacement itself"),
    ],
)
def test_bytes_become_text(project: Path, pipe: Pipe, content: bytes, text: str, told: str) -> None:
    pipe(b"")
    (project / "q.md").write_bytes(content)
    door = AskingDoor()
    assert door.asked("-f", "q.md").prompt == text
    assert told in "\n".join(door.notes)
    assert bool(told) == any("UTF" in note for note in door.notes)


@pytest.mark.parametrize("words", [["-f", "q.md"], ["-f", "-"], ["-p", "a"]], ids=["a file", "-f -", "piped in"])
def test_more_than_anybody_reads_is_refused(
    project: Path, redirected: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(piped, "LIMIT_BYTES", 1_000_000)
    path = project / "q.md"
    path.write_bytes(b"x" * 1_000_001)
    redirected(path)
    with pytest.raises(ContextTooLarge, match="has more than 1 MB"):
        AskingDoor().run(*words)
    path.write_bytes(b"x" * 1_000_000)
    redirected(path)
    request = AskingDoor().asked(*words)
    assert 1_000_000 in {request.prompt.count("x"), request.material.count("x")}


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_brings_nothing_along(project: Path, redirected: Callable[[Path], None], device: str) -> None:
    if not Path(device).exists():
        pytest.skip("not on this system")
    redirected(Path(device))
    door = AskingDoor()
    assert door.asked("-p", "Why?").material == ""
    assert door.notes == []


def test_without_standard_input_nothing_comes_along(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert AskingDoor().asked("-p", "Why?").material == ""
    with pytest.raises(click.UsageError, match="there is no question"):
        AskingDoor().run()


def test_a_notebook_never_reads_standard_input(project: Path, pipe: Pipe) -> None:
    (project / "q.md").write_text("How?")
    pipe(b"somebody else's")
    door = AskingDoor(is_shell=False)
    assert [door.asked(*words).material for words in (["-p", "a"], ["-f", "q.md"])] == ["", ""]
    for words in ([], ["-f", "-"]):
        with pytest.raises(click.UsageError):
            door.run(*words)
    assert sys.stdin.read() == "somebody else's"


@given(st.text(alphabet=st.sampled_from("`~ab \n@"), max_size=60))
def test_a_fence_holds_whatever_is_in_it(text: str) -> None:
    lines = fenced(text).split("\n")
    if not text:
        assert lines == [""]
        return
    fence = lines[2]
    assert lines[-1] == fence
    assert set(fence) == {"`"}
    assert not any(line.startswith(fence) for line in lines[3:-1])
    assert "\n".join(lines[3:-1]) == text.removesuffix("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_one_end_of_input_ends_a_question_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    os.write(master, b"Why?\n\x04no more\n\x04")
    notes: list[str] = []
    with os.fdopen(slave) as typed, os.fdopen(master, "rb", buffering=0):
        monkeypatch.setattr(sys, "stdin", typed)
        assert piped.whole_text(notes.append) == "Why?\n"
    assert notes == ["type the question; Ctrl-D ends it"]

"""`chat list|show|fork|clear` and `--chat`, from a shell and in a notebook."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from wire_server import WireServer
from wired_project import ENDPOINT, Kernel, make_project, said

from ccw_magics.cli.shell.command import _run
from ccw_magics.errors import CcwError
from ccw_magics.notebook.door import NotebookDoor

NAME = "a talk, with spaces"


@pytest.fixture
def root(project: Path, wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return make_project(project, wire)


Say = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a line as a shell does: exit code, standard output, standard error."""

    def run(line: str) -> tuple[int, str, str]:
        status = _run(shlex.split(line))
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


class Shell:
    """A stand-in for IPython's shell, as far as verbs use it."""

    display_formatter = None

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {}


@pytest.fixture
def door() -> NotebookDoor:
    return NotebookDoor(Shell())  # type: ignore[arg-type]  # a stand-in


def _sent(wire: WireServer) -> list[str]:
    return [text for role, text in said(wire.requests[-1]) if role == "user"]


def test_a_talk_in_a_shell(root: Path, wire: WireServer, say: Say) -> None:
    for line in ("cli -p one --chat", "cli --chat -p two", f"cli {ENDPOINT} -p three --chat shell"):
        status, out, err = say(line)
        assert (status, out.startswith('{"n":')) == (0, True), err
        assert "chat shell" in err
    assert _sent(wire) == ["one", "two", "three"]
    assert say(f"cli -p four --chat={shlex.quote(NAME)}")[0] == 0
    assert _sent(wire) == ["four"]
    assert {line.split("  ")[0] for line in say("chat list")[1].splitlines()[1:]} == {"shell", NAME}


@pytest.mark.parametrize("line", ["chat show {}", "chat {}"])
def test_a_talk_is_shown(root: Path, say: Say, line: str) -> None:
    (root / "a.py").write_text("x = 1\n")
    Kernel(root, chat=NAME).talk("@a.py one", "two\nlines")
    status, out, err = say(line.format(shlex.quote(NAME)))
    assert (status, err) == (0, "")
    headings = [line for line in out.splitlines() if line.startswith("--- ")]
    assert [heading.split()[1] for heading in headings] == ["1.", "2."]
    assert ["files:" in heading for heading in headings] == [True, False]
    assert all(ENDPOINT in heading for heading in headings)
    assert "\ntwo\nlines\n\n" in out
    assert out.endswith('{"n": 2}\n')


def test_a_talk_is_forked_and_cleared(root: Path, wire: WireServer, say: Say) -> None:
    kernel = Kernel(root)
    kernel.talk("one", "two", "three", chat="c")
    status, out, _ = say(f"chat fork c {shlex.quote(NAME)} --turns 2")
    assert (status, out) == (0, f"{NAME} goes on from c: --chat {shlex.quote(NAME)}\n")
    assert kernel.turns(NAME) == ["one 1", "two 2"]
    kernel.talk("else", chat=NAME)
    assert _sent(wire) == ["one", "two", "else"]
    assert say("chat clear c")[1] == "forgotten: c; its calls are still in `history`\n"
    assert kernel.chats() == {NAME}
    assert kernel.turns(NAME) == ["one 1", "two 2", "else 4"]
    assert say("chat clear c")[:2] == (0, "nothing to forget: c has not begun\n")


def test_without_conversations(root: Path, say: Say) -> None:
    for line in ("chat", "chat list"):
        assert say(line)[1] == "no conversations yet: --chat begins one\n"
    assert say("chat clear")[1] == "nothing to forget: shell has not begun\n"


REFUSED = {
    "show another": ("chat show nope", 1, "no such conversation: nope"),
    "show one's own": ("chat show", 1, "no such conversation: shell"),
    "a typing error in a verb": ("chat lst", 1, "no such conversation: lst"),
    "fork from nothing": ("chat fork nope new", 1, "no such conversation: nope"),
    "fork onto another": ("chat fork c d", 1, "there is a conversation 'd' already"),
    "fork onto itself": ("chat fork c c", 1, "already"),
    "fork too many turns": ("chat fork c new --turns 9", 1, "there are no 9 turns in 'c'"),
    "fork no turns": ("chat fork c new --turns 0", 2, "--turns"),
    "fork to no name": ("chat fork c ''", 1, "cannot be empty"),
    "the endpoint as a name": (f"cli -p one --chat {ENDPOINT}", 2, f"{ENDPOINT} --chat NAME"),
    "the embedded model as a name": ("cli -p one --chat local", 2, "local --chat NAME"),
    "no name": ("cli -p one --chat ' '", 1, "cannot be empty"),
}


@pytest.mark.parametrize(("line", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(root: Path, wire: WireServer, say: Say, line: str, status: int, told: str) -> None:
    for name in ("c", "d"):
        Kernel(root, chat=name).ask("one")
    got, out, err = say(line)
    assert (got, out) == (status, "")
    assert told in err
    assert len(wire.requests) == 2


def test_an_endpoints_id_may_be_a_name_where_the_endpoint_is_named_too(root: Path, say: Say) -> None:
    assert say(f"cli {ENDPOINT} -p one --chat {ENDPOINT}")[0] == 0
    assert Kernel(root).chats() == {ENDPOINT}


def test_the_verbs_in_a_notebook(root: Path, door: NotebookDoor, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = Kernel(root)
    kernel.talk("one", "two", chat="c")
    kernel.talk("three", chat="notebook")
    assert list(door.verb(["chat"])["name"]) == ["notebook", "c"]
    assert list(door.verb(["chat", "list"])["turns"]) == [1, 2]
    assert door.verb(["chat", "show"]) is None
    assert "\nthree\n" in capsys.readouterr().out
    door.verb(["chat", "fork", "c", NAME])
    assert capsys.readouterr().out == f"{NAME} goes on from c: --chat '{NAME}'\n"
    door.verb(["chat", "clear"])
    door.verb(["chat", "clear", NAME])
    assert kernel.chats() == {"c"}
    with pytest.raises(CcwError, match="no such conversation: nope"):
        door.verb(["chat", "show", "nope"])


def test_the_endpoint_as_a_name_is_refused_in_a_cell(root: Path, wire: WireServer, door: NotebookDoor) -> None:
    with pytest.raises(CcwError, match=f"{ENDPOINT} --chat NAME"):
        door.cell(["--chat", ENDPOINT], "one")
    assert not wire.requests


def _executed(root: Path, *cells: str) -> list[str]:
    """The text of each cell's outputs, in a kernel of its own."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in ("%load_ext ccw_magics", *cells)]
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(root)}}).execute()
    return [
        "".join(part.get("text", "") or "".join(map(str, part.get("data", {}).values())) for part in cell.outputs)
        for cell in notebook.cells[1:]
    ]


def test_a_notebook_talks_and_is_run_again(root: Path, wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(root / "docs" / "b.ipynb"))
    (root / "a.py").write_text("x = 1\n")
    cells = (
        "%%ccw --replay --chat\n@a.py one",
        "%%ccw --chat --replay\ngo on",
        f"%%ccw {ENDPOINT} --chat --replay\ngo on",
        f"%%ccw --replay --chat '{NAME}'\none",
        "%ccw chat",
    )
    first, again = _executed(root, *cells), _executed(root, *cells)
    assert len(wire.requests) == 4
    assert Kernel(root).turns("docs/b.ipynb") == ["@a.py one 1", "go on 2", "go on 3"]
    for before, after in zip(first[:4], again[:4], strict=True):
        assert "replayed from" in after
        assert "replayed" not in before
        assert before[:8] == after[:8]
    assert "docs/b.ipynb" in again[4]
    assert NAME in again[4]

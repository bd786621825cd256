"""What is answered to each shell, and that nothing in it is read as anything but text."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete, get_completion_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccw_magics import Workspace
from ccw_magics.cli.completion import shells
from ccw_magics.cli.tree import COMPLETE_VARIABLE, tree

EXAMPLES = 15 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
IDS_A_RUN = 12


@dataclass(frozen=True)
class Door:
    """What of a door is asked for."""

    workspace: Workspace


def write_endpoints(project: Path, ids: list[str]) -> None:
    folder = project / ".ccw" / "storage" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    provider = {"id": "openai-1", "name": "One", "type": "openai", "apiKey": "${OPENAI_API_KEY}"}
    endpoints = [{"id": one, "name": one, "providerId": "openai-1", "model": "gpt\n4o\x1b[31m"} for one in ids]
    config = {"version": 1, "providers": [provider], "endpoints": endpoints}
    (folder / "litellm-api-config.json").write_text(json.dumps(config))


@pytest.fixture(autouse=True)
def filled(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("ccw_magics.backends.local_model.available", lambda: False)
    for name in ("src/main.py", "README.md"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("x")
    write_endpoints(project, ["my-gpt4o", "a:bc", "with space", "new\nline", "esc\x1b[31m"])
    shells.register()
    return project


def answer(shell: str, line: str, current: str = "") -> list[str]:
    """The lines of the answer to a Tab at the line's end."""
    kind = get_completion_class(shell)
    assert kind is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(shells.LINE_VARIABLE, line)
        patch.setenv(shells.CURRENT_VARIABLE, current)
        *parts, rest = made(kind).complete().split("\n" if shell == "fish" else "\0")
    assert rest == ""
    return parts


def made(kind: type[ShellComplete]) -> ShellComplete:
    return kind(tree, {"obj": Door(Workspace())}, "ccw", COMPLETE_VARIABLE)


@pytest.mark.parametrize(
    ("line", "current", "expected"),
    [
        pytest.param("ccw ca", "ca", ["=cache"], id="verb"),
        pytest.param("ccw cli --model my", "my", ["=my-gpt4o"], id="id"),
        pytest.param("ccw cli --model=my", "my", ["=my-gpt4o"], id="behind ="),
        pytest.param("ccw cli --model=my", "--model=my", ["=--model=my-gpt4o"], id="where bash does not break at ="),
        pytest.param("ccw cli --model a:b", "b", ["=bc"], id="broken at a colon"),
        pytest.param("ccw cli --model a:b", "a:b", ["=a:bc"], id="not broken"),
        pytest.param("ccw cli --model w", "w", ["='with space'"], id="quoted where it must be"),
        pytest.param('ccw cli --model "w', "w", ['=with space"'], id="quote opened"),
        pytest.param("ccw cli --cd s", "s", ["=src/", "nospace"], id="a directory may go on"),
        pytest.param('ccw cli -p "See @R', "See @R", ["=See @README.md", "nospace", "=See @README.md "], id="question"),
        pytest.param('ccw cli -p "See\n@s', "See\n@s", ["=See\n@src/", "nospace", "=See\n@src/ "], id="two lines"),
        pytest.param("ccw cli --model my", "something else", [], id="not of this line"),
        pytest.param("ccw cli --model 'with", "h", ["=h space'"], id="a break inside of quotes"),
        pytest.param("ccw cli --model w\\", "\\", [], id="a break that cannot be kept"),
        pytest.param("cc", "cc", [], id="the command itself"),
        pytest.param("", "", [], id="nothing"),
    ],
)
def test_bash_replaces_what_it_takes_for_the_word(line: str, current: str, expected: list[str]) -> None:
    assert answer("bash", line, current) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("ccw his", ["whole", "history", "history  -- List the calls, newest first"], id="verb"),
        pytest.param("ccw cli --model w", ["whole", "with space", "with space  -- gpt 4o [31m"], id="it quotes itself"),
        pytest.param('ccw cli -p "See @R', ["part", "See @README.md", "See @README.md  -- file"], id="question"),
        pytest.param('ccw cli -p "See\n@R', ["part", "See\n@README.md", "See @README.md  -- file"], id="two lines"),
    ],
)
def test_zsh_gets_three_parts_for_each(line: str, expected: list[str]) -> None:
    assert answer("zsh", line)[-3:] == expected


def test_zsh_leaves_the_home_directory_to_the_shell(home: Path) -> None:
    (home / "docs").mkdir()
    assert answer("zsh", "ccw cli --cd ~/do")[:2] == ["home", "~/docs/"]


def test_fish_gets_text_and_note() -> None:
    assert answer("fish", "ccw cli --model w") == ["with space\tgpt 4o [31m"]
    assert answer("fish", 'ccw cli -p "See\n@R') == []  # it would take each line for a word


@pytest.mark.parametrize("shell", shells.NAMES)
def test_nothing_that_steers_a_terminal_or_breaks_a_line(shell: str) -> None:
    told = "\n".join(answer(shell, "ccw cli --model "))
    assert "my-gpt4o" in told
    assert [text for text in ("new", "esc", "\x1b") if text in told] == []


@pytest.mark.parametrize("shell", shells.NAMES)
@pytest.mark.parametrize(
    "content", ["", "{", '{"version": 1, "endpoints": 3}', None], ids=["empty", "cut", "odd", "none"]
)
def test_a_config_that_cannot_be_read_is_no_trouble(
    filled: Path, shell: str, content: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Workspace().config.path
    path.unlink() if content is None else path.write_text(content)
    assert answer(shell, "ccw cli --model m") == []
    assert "cache" in "\n".join(answer(shell, "ccw ca", "ca"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shell", shells.NAMES)
def test_a_failure_is_silence(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "continuations", lambda *_: 1 / 0)
    assert answer(shell, "ccw ") == []
    monkeypatch.delenv(shells.LINE_VARIABLE, raising=False)
    assert made(get_completion_class(shell) or ShellComplete).complete() == ""


def test_no_lock_is_taken_and_nothing_is_written(filled: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: pytest.fail("a lock"))
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: pytest.fail("a question"))
    before = sorted([*filled.rglob("*"), *home.rglob("*")])
    for rest in ("", "cli ", "cli --model ", "chat ", "cli --chat ", 'cli -p "@', "provider test "):
        answer("fish", f"ccw {rest}")
    assert sorted([*filled.rglob("*"), *home.rglob("*")]) == before


def test_click_is_given_the_same() -> None:
    found = made(get_completion_class("zsh")).get_completions(["cli", "--model"], "w")
    assert [(item.value, item.help) for item in found] == [("with space", "gpt 4o [31m")]


@pytest.mark.parametrize("shell", shells.NAMES)
def test_the_verb_prints_what_clicks_own_variable_does(shell: str) -> None:
    assert made(get_completion_class(shell) or ShellComplete).source() == shells.script(shell)
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in shells.script(shell)


# Not `!`, which a shell that is not interactive does not read as history; the tables above have it.
ODD = st.text(st.sampled_from("ab:=@ $`'\"\\;&|(){}[]<>*?~#-é漢"), min_size=1, max_size=8)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(ODD, min_size=IDS_A_RUN, max_size=IDS_A_RUN, unique=True), quote=st.sampled_from(["", '"', "'"]))
def test_bash_reads_an_odd_id_as_what_it_is(filled: Path, ids: list[str], quote: str) -> None:
    write_endpoints(filled, ids)
    written = [text.removeprefix("=") for text in answer("bash", f"ccw cli --model {quote}") if text.startswith("=")]
    line = "printf '%s\\n' " + " ".join(f"{quote}{text}" for text in written)
    done = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, text=True, check=True, timeout=60)
    told = done.stdout.splitlines() if written else []
    assert set(told) == {one for one in ids if quote != "'" or "'" not in one}

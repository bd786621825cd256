"""Tab in bash, zsh and fish themselves: what their command line holds then."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from ccw_magics.cli.completion import shells

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a pseudo terminal is a Unix thing")

WAIT_S = 60.0
SHOW = "\x18\x10"  # Ctrl-X Ctrl-P, which each shell is told to answer with its command line
SHOWN = re.compile(rb"<<(.*?)>>", re.DOTALL)
READY = "<<ready>>"
BASH = r"""
PS1='$ '
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
show() { printf '<<%s>>' "$READLINE_LINE"; }
bind -x '"\C-x\C-p": show'
"""
ZSH = r"""
PS1='$ '
autoload -Uz compinit && compinit -D -u
show() { print -rn -- "<<$BUFFER>>" }
zle -N show
bindkey '^X^P' show
"""
IDS = ["my-gpt4o", "my-mini", "a:bc", "with space", "quo'te", 'dq"x', "dol$HOME", "back`touch owned`", "$(touch owned)",
       "semi;touch owned", "bang!x", "star*", "new\nline", "x=y"]  # fmt: skip
PROGRAM = "from ccw_magics.cli.shell.command import main; main()"


@pytest.fixture
def environment(project: Path, home: Path, tmp_path: Path) -> dict[str, str]:
    """A project with odd names in it, and a `ccw` on the path that is this checkout's."""
    for name in ("src/main.py", "src/auth/login.py", "my dir/a note.md", "README.md"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    folder = project / ".ccw" / "storage" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    provider = {"id": "openai-1", "name": "One", "type": "openai", "apiKey": "${OPENAI_API_KEY}"}
    endpoints = [{"id": one, "name": one, "providerId": "openai-1", "model": "gpt-4o"} for one in IDS]
    config = {"version": 1, "providers": [provider], "endpoints": endpoints}
    (folder / "litellm-api-config.json").write_text(json.dumps(config))
    (home / "documents").mkdir()
    command = tmp_path / "bin" / "ccw"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n')
    command.chmod(0o755)
    return {"PATH": f"{command.parent}:/usr/bin:/bin", "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8"}


def shell(name: str) -> str:
    """The shell's program; skips where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Terminal:
    """A shell in a pseudo terminal."""

    def __init__(self, words: list[str], environment: Mapping[str, str]) -> None:
        import pty

        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execve(words[0], words, dict(environment))
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def shown(self) -> str:
        """What the shell next writes between the marks."""
        deadline_s = time.monotonic() + WAIT_S
        while (found := SHOWN.search(self._seen)) is None:
            if not select.select([self._terminal], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                raise TimeoutError(self._seen)
            self._seen += os.read(self._terminal, 65_536)
        self._seen = self._seen[found.end() :]
        return found[1].decode()


def tab(words: list[str], environment: Mapping[str, str], typed: str) -> str:
    """The command line after a Tab at its end."""
    with Terminal(words, environment) as terminal:
        assert terminal.shown() == "ready"
        terminal.type(f"{typed}\t{SHOW}")
        return terminal.shown()


def in_bash(environment: dict[str, str], tmp_path: Path, typed: str) -> str:
    start = tmp_path / "bashrc"
    start.write_text(f"{BASH}\n{shells.script('bash')}\nPROMPT_COMMAND=\"printf '{READY}'; unset PROMPT_COMMAND\"\n")
    return tab([shell("bash"), "--noprofile", "--rcfile", str(start), "-i"], environment, typed)


def in_zsh(environment: dict[str, str], tmp_path: Path, typed: str) -> str:
    ready = f"zle-line-init() {{ print -n '{READY}'; zle -D zle-line-init }}; zle -N zle-line-init\n"
    (tmp_path / ".zshrc").write_text(f"{ZSH}\n{shells.script('zsh')}\n{ready}")
    return tab([shell("zsh"), "-d", "-i"], {**environment, "ZDOTDIR": str(tmp_path)}, typed)


def in_fish(environment: dict[str, str], typed: str) -> list[str]:
    """What fish would offer; it inserts by itself what it offers."""
    program = f"{shells.script('fish')}\ncomplete -C $argv[1]"
    command = [shell("fish"), "--no-config", "-c", program, typed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        pytest.param("ccw hist", "ccw history ", id="verb"),
        pytest.param("true; ccw cli --model my-g", "true; ccw cli --model my-gpt4o ", id="the second command"),
        pytest.param("ccw cli --model=my-g", "ccw cli --model=my-gpt4o ", id="behind ="),
        pytest.param("ccw cli --model a:", "ccw cli --model a:bc ", id="colon"),
        pytest.param("ccw cli --model wi", "ccw cli --model 'with space' ", id="space"),
        pytest.param('ccw cli --model "wi', 'ccw cli --model "with space" ', id="space in quotes"),
        pytest.param('ccw cli --model "dol', 'ccw cli --model "dol\\$HOME" ', id="variable"),
        pytest.param("ccw cli --model back", "ccw cli --model 'back`touch owned`' ", id="backquote"),
        pytest.param('ccw cli --model "$(', 'ccw cli --model "\\$(touch owned)" ', id="substitution"),
        pytest.param("ccw cli --model new", "ccw cli --model new", id="a name of two lines"),
        pytest.param("ccw cli --cd ~/doc", "ccw cli --cd ~/documents/", id="home directory"),
        pytest.param('ccw cli -p "See @src/m', 'ccw cli -p "See @src/main.py', id="file in the question"),
    ],
)
def test_bash(environment: dict[str, str], tmp_path: Path, project: Path, typed: str, line: str) -> None:
    assert in_bash(environment, tmp_path, typed) == line
    assert not list(project.rglob("owned"))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        pytest.param("ccw hist", "ccw history ", id="verb"),
        pytest.param("ccw cli --model=my-g", "ccw cli --model=my-gpt4o ", id="behind ="),
        pytest.param('ccw cli --model "wi', 'ccw cli --model "with space" ', id="space in quotes"),
        pytest.param("ccw cli --model quo", "ccw cli --model quo\\'te ", id="quote"),
        pytest.param('ccw cli --model "dol', 'ccw cli --model "dol\\$HOME" ', id="variable"),
        pytest.param("ccw cli --model semi", "ccw cli --model semi\\;touch\\ owned ", id="two commands"),
        pytest.param("ccw cli --model new", "ccw cli --model new", id="a name of two lines"),
        pytest.param("ccw cli --cd ~/doc", "ccw cli --cd ~/documents/", id="home directory"),
        pytest.param('ccw cli -p "See @sr', 'ccw cli -p "See @src/', id="directory in the question"),
    ],
)
def test_zsh(environment: dict[str, str], tmp_path: Path, project: Path, typed: str, line: str) -> None:
    assert in_zsh(environment, tmp_path, typed) == line
    assert not list(project.rglob("owned"))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        pytest.param("ccw hist", ["history"], id="verb"),
        pytest.param("ccw cli --model=my-g", ["--model=my-gpt4o"], id="behind ="),
        pytest.param('ccw cli --model "wi', ["with space"], id="space in quotes"),
        pytest.param("ccw cli --model '$('", ["$(touch owned)"], id="substitution"),
        pytest.param("ccw cli --cd ~/doc", ["~/documents/"], id="home directory"),
        pytest.param('ccw cli -p "See @sr', ["See @src/"], id="directory in the question"),
        pytest.param('ccw cli -p "See\n@sr', [], id="question of two lines"),
    ],
)
def test_fish(environment: dict[str, str], project: Path, typed: str, offered: list[str]) -> None:
    assert in_fish(environment, typed) == offered
    assert not list(project.rglob("owned"))


@pytest.mark.parametrize("name", shells.NAMES)
def test_the_script_is_a_script_of_its_shell(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(shells.script(name))
    checked = subprocess.run(
        [shell(name), "-n", str(script)], capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert (checked.returncode, checked.stderr) == (0, "")

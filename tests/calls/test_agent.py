"""Requests to command-line agents: who is asked what, and what is recorded; the agent is a stand-in on PATH."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccw_magics import Workspace, stats
from ccw_magics.calls.agent import LISTED_MAX
from ccw_magics.errors import CcwError, PatternError, ToolNotReady

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line #!")
STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, sys
read = {{"argv": sys.argv[1:], "stdin": sys.stdin.read(), "cwd": os.getcwd()}}
pathlib.Path(__file__).with_name("read.json").write_text(json.dumps(read))
say = lambda **event: print(json.dumps(event))
said = os.environ.get("STAND_IN_SAYS", "All is well.")
say(type="item.completed", item={{"type": "reasoning", "text": said}})
say(type="item.completed", item={{"type": "agent_message", "text": said}})
say(type="turn.completed", usage={{"input_tokens": 90, "cached_input_tokens": 40, "output_tokens": 5}})
"""


class Codex:
    """The stand-in, and what it was given at its last run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "codex").write_text(STAND_IN)
        (folder / "codex").chmod(0o755)

    @property
    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / "read.json").read_text())
        return found

    @property
    def was_run(self) -> bool:
        return (self._folder / "read.json").exists()


@pytest.fixture
def codex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Codex]:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Codex(folder)


@pytest.fixture
def shop(project: Path) -> Path:
    for path in ("src/a.py", "src/b/c.py", "docs/d.md"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("SECRET OF THE FILE\n")
    return project


def test_it_is_asked_in_the_project_and_recorded(shop: Path, codex: Codex) -> None:
    pieces: list[tuple[str, str]] = []
    workspace = Workspace(shop)
    told = workspace.run("Why?", tool="codex", model="gpt-5", on_output=lambda *piece: pieces.append(piece))
    reply = told.raise_for_error()
    assert (codex.read["stdin"], codex.read["cwd"]) == ("Why?", str(shop))
    assert "--model=gpt-5" in codex.read["argv"]
    assert ("stdout", "All is well.") in pieces
    assert (reply.output, reply.endpoint, reply.provider, reply.cost_usd) == (
        "All is well.",
        "codex",
        "codex-cli",
        None,
    )
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.cached_input_tokens, reply.usage.output_tokens) == (90, 40, 5)
    (listed,) = workspace.journal.calls()
    entry = workspace.journal.get(listed.id)
    assert entry is not None
    assert (entry.call.endpoint, entry.call.mode, entry.call.outcome) == ("codex", "analysis", "ok")
    assert (entry.call.prompt, entry.call.answer) == ("Why?", "All is well.")


def test_references_go_as_typed_with_a_list_of_their_files(shop: Path, codex: Codex) -> None:
    reply = Workspace(shop).run("@src/**/*.py @nobody.md Why?", tool="codex").raise_for_error()
    told, typed = codex.read["stdin"].split("\n\n---\n\n")
    assert typed == "@src/**/*.py @nobody.md Why?"
    assert told.splitlines()[1:] == ["src/**/*.py:", "  src/a.py", "  src/b/c.py"]
    assert "SECRET OF THE FILE" not in told
    assert reply.remarks() == ["@nobody.md matches no file; it is sent as text only"]
    assert (reply.cache_used, reply.cached_files) == (False, ())


def test_a_directory_is_where_it_works_and_what_paths_are_relative_to(shop: Path, codex: Codex) -> None:
    Workspace(shop).run("@b/ Why?", tool="codex", cwd=shop / "src").raise_for_error()
    assert codex.read["cwd"] == str(shop / "src")
    assert f"--cd={shop / 'src'}" in codex.read["argv"]
    assert "\n  b/c.py\n" in codex.read["stdin"]


def test_a_notebooks_own_folder_is_where_references_start(
    shop: Path, codex: Codex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop / "src")
    Workspace().run("@b/ Why?", tool="codex").raise_for_error()
    assert codex.read["cwd"] == str(shop)
    assert "\n  src/b/c.py\n" in codex.read["stdin"]


def test_a_long_list_ends_with_how_many_there_are_more(project: Path, codex: Codex) -> None:
    for number in range(LISTED_MAX + 1200):
        (project / f"{number}.txt").touch()
    Workspace(project).run("@*.txt Why?", tool="codex").raise_for_error()
    listed = codex.read["stdin"].split("\n\n---\n\n")[0].splitlines()
    assert (len(listed), listed[-1]) == (LISTED_MAX + 3, "  (1,200 more)")


def test_material_is_not_searched(shop: Path, codex: Codex) -> None:
    from ccw_magics.calls.request import Request

    request = Request("Why?", material="@src/a.py", tool="codex")
    Workspace(shop).executor.execute(request).raise_for_error()
    assert codex.read["stdin"] == "Why?\n\n@src/a.py"


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        pytest.param({"mode": "write"}, CcwError, "--mode write needs an agent", id="write without an agent"),
        pytest.param({"mode": "fly", "tool": "codex"}, CcwError, "no such mode: fly", id="no such mode"),
        pytest.param({"tool": "clippy"}, CcwError, "no such agent: clippy", id="no such agent"),
        pytest.param({"tool": "qwen"}, ToolNotReady, "qwen is not installed", id="not installed"),
        pytest.param({"tool": "codex", "cwd": "nowhere"}, PatternError, "no such directory", id="no such directory"),
    ],
)
def test_a_refusal_runs_nothing(
    shop: Path, codex: Codex, options: dict[str, Any], kind: type[CcwError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(codex._folder))
    reply = Workspace(shop).run("Why?", **options)
    assert said in str(reply.error)
    assert type(reply.failure) is kind
    assert not codex.was_run


def test_a_config_that_cannot_be_read_does_not_matter(shop: Path, codex: Codex) -> None:
    path = Workspace(shop).config.path
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert Workspace(shop).run("Why?", tool="codex").success


def test_a_budget_does_not_count_it_and_says_so(shop: Path, codex: Codex) -> None:
    workspace = Workspace(shop)
    workspace.config.update_budget({"perDayUsd": 1.0})
    reply = workspace.run("Why?", tool="codex").raise_for_error()
    assert reply.remarks() == ["what codex-cli costs is not known, and not counted in the budget"]


def test_a_dry_run_shows_the_command(shop: Path, codex: Codex) -> None:
    plan = Workspace(shop).plan("@src/ Why?", tool="codex", mode="write")
    assert (plan.endpoint, plan.parts[-1].cold_usd) == ("codex", None)
    who, line = plan.remarks
    assert who == f"codex, write, in {shop}"
    assert line.startswith("would run, with the prompt on its standard input:\n  codex \\\n  exec \\\n  --json \\\n")
    assert "\n  --sandbox=workspace-write \\\n" in line
    assert not codex.was_run


@pytest.mark.parametrize("mode", ["analysis", "write"])
def test_the_command_of_a_dry_run_is_what_is_run(shop: Path, codex: Codex, mode: str) -> None:
    workspace = Workspace(shop)
    shown = workspace.plan("Why?", tool="codex", mode=mode).remarks[-1].partition("\n")[2]
    workspace.run("Why?", tool="codex", mode=mode).raise_for_error()
    assert shlex.split(shown.replace("\\\n", " ")) == ["codex", *codex.read["argv"]]


@pytest.mark.parametrize(
    ("prompt", "files"),
    [
        pytest.param("Why?", {}, id="no reference"),
        pytest.param("@src/ Why?", {"@src/": 2}, id="one"),
        pytest.param("@src/ @docs/*.md @nobody.md Why?", {"@src/": 2, "@docs/*.md": 1}, id="three, one without files"),
        pytest.param("@many/ Why?", {"@many/": LISTED_MAX + 5}, id="more than are listed"),
        pytest.param("@odd/ Wh\ud800?", {"@odd/": 1}, id="a name of no encoding"),
    ],
)
def test_the_parts_of_a_dry_run_are_what_is_sent(shop: Path, codex: Codex, prompt: str, files: dict[str, int]) -> None:
    (shop / "many").mkdir()
    for number in range(LISTED_MAX + 5):
        (shop / "many" / f"{number}.txt").touch()
    (shop / "odd").mkdir()
    (shop / "odd" / os.fsdecode(b"a\xff.py")).touch()
    plan = Workspace(shop).plan(prompt, tool="codex")
    assert {part.name: part.files for part in plan.parts} == {**files, "prompt": 0, "total": sum(files.values())}
    Workspace(shop).run(prompt, tool="codex").raise_for_error()
    sizes = [part.size_bytes for part in plan.parts]
    assert sizes[-1] == sum(sizes[:-1]) == len(codex.read["stdin"].encode())
    assert [*stats.plan_frame(plan).columns] == ["part", "files", "size_bytes"]
    assert stats.plan(plan).text().splitlines()[0].split() == ["part", "files", "size_bytes"]


def test_no_provider_of_a_config_is_an_agent(shop: Path, codex: Codex) -> None:
    config = Workspace(shop).config
    config.add_provider({"id": "sly", "type": "codex-cli", "apiKey": "sk-k-123456"})
    config.add_endpoint({"id": "codex", "providerId": "sly", "model": "x"})
    reply = Workspace(shop).run("Why?", endpoint="codex")
    assert (reply.success, codex.was_run) == (False, False)


def test_keys_that_the_config_holds_or_names_are_not_said(
    shop: Path, codex: Codex, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Workspace(shop).config
    config.add_provider({"type": "openai", "apiKey": "sk-in-the-file-123456"})
    config.add_provider({"type": "openai", "apiKey": "${OUR_OWN}"})
    monkeypatch.setenv("OUR_OWN", "of-the-environment-123456")
    monkeypatch.setenv("STAND_IN_SAYS", "I see sk-in-the-file-123456 and of-the-environment-123456!")
    pieces: list[str] = []
    reply = Workspace(shop).run("Why?", tool="codex", on_output=lambda _, text: pieces.append(text))
    assert reply.output == "I see sk-…456 and of-…456!"
    assert "123456" not in "".join(pieces)
    assert len(pieces) > 1

"""`cli --dry-run`, `--max-cost` and `budget`, from a shell and in a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from asking_door import AskingDoor
from wire_server import WireServer
from wired_project import ENDPOINT, make_project

from ccw_magics import Workspace
from ccw_magics.calls.spending import midnight
from ccw_magics.cli.shell.command import _run
from ccw_magics.config.models import Budget
from ccw_magics.errors import EndpointNotFound
from ccw_magics.notebook.door import NotebookDoor

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def workspace(project: Path, wire: WireServer) -> Workspace:
    (project / "a.py").write_text("alpha beta gamma delta epsilon\n" * 400)
    return Workspace(make_project(project, wire))


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb as the shell does: exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        status = _run(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_a_dry_run_is_a_table(workspace: Workspace, wire: WireServer, say: Say) -> None:
    status, out, err = say("cli", "-p", "@a.py @nothing why?", "--dry-run")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert lines[0] == ["part", "files", "size_bytes", "tokens", "cold_usd", "cached_usd", "window_share"]
    assert [line[0] for line in lines[1:]] == ["@a.py", "prompt", "answer,", "total"]
    assert "wired (gpt-4o, window 128,000 tokens); nothing was sent" in err
    assert "@nothing matches no file" in err
    assert not wire.requests


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["--max-cost", "0.000001"], "this would be refused: the prompt alone costs about", id="too dear"),
        pytest.param(["--chat", "new"], "nothing was sent", id="a conversation"),
        pytest.param(["--schema", "title, line: int"], "nothing was sent", id="a schema"),
        pytest.param(["--replay"], "nothing was sent", id="nothing recorded"),
    ],
)
def test_a_dry_run_takes_the_options_of_a_call(
    workspace: Workspace, wire: WireServer, say: Say, words: list[str], says: str
) -> None:
    status, _, err = say("cli", "-p", "@a.py why?", "--dry-run", *words)
    assert (status, len(wire.requests)) == (0, 0)
    assert says in err


def test_a_dry_run_names_the_recorded_answer(workspace: Workspace, say: Say) -> None:
    say("cli", "-p", "@a.py why?", "--replay")
    assert "would be replayed, at no cost" in say("cli", "-p", "@a.py why?", "--replay", "--dry-run")[2]


def test_in_a_notebook_it_is_a_frame(workspace: Workspace, wire: WireServer) -> None:
    shell: Any = SimpleNamespace(user_ns={}, displayhook=None, display_formatter=None, kernel=object())
    frame = NotebookDoor(shell).verb(["cli", "-p", "@a.py why?", "--dry-run"])
    assert [*frame["part"]] == ["@a.py", "prompt", "answer, about", "total"]
    assert frame["cold_usd"].iloc[:-1].sum() == pytest.approx(frame["cold_usd"].iloc[-1])
    assert not wire.requests


def test_a_dry_run_needs_no_key(workspace: Workspace, say: Say) -> None:
    provider = workspace.config.get_all_providers()[0]
    workspace.config.update_provider(provider.id, {"apiKey": "${NOT_SET}"})
    assert say("cli", "-p", "@a.py why?", "--dry-run")[0] == 0
    assert say("cli", "-p", "@a.py why?")[0] != 0


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "much"])
def test_what_is_no_amount_is_refused(workspace: Workspace, wire: WireServer, say: Say, amount: str) -> None:
    status, _, err = say("cli", "-p", "why?", f"--max-cost={amount}")
    assert (status, len(wire.requests)) == (2, 0)
    assert "--max-cost" in err


@pytest.mark.parametrize("amount", ["0", "0.000001"])
def test_what_costs_too_much_is_refused_with_the_figures(
    workspace: Workspace, wire: WireServer, say: Say, amount: str
) -> None:
    status, out, err = say("cli", "-p", "@a.py why?", "--max-cost", amount)
    assert status != 0
    assert not out
    assert "the prompt alone costs about $0.00" in err
    assert "--max-cost allows $0.00" in err
    assert not wire.requests


def test_what_it_leaves_limits_the_answer(workspace: Workspace, wire: WireServer, say: Say) -> None:
    assert say("cli", "-p", "why?", "--max-cost", "0.01")[0] == 0
    assert 990 < wire.requests[0].json["max_tokens"] < 1000
    assert say("cli", "-p", "why?", "--max-cost", "0.01", "--max-tokens", "5")[0] == 0
    assert wire.requests[1].json["max_tokens"] == 5


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--per-day", "5"], Budget(per_day_usd=5)),
        (["--per-kernel", "$0.50"], Budget(per_kernel_usd=0.5)),
        (["--per-day", "5", "--per-kernel", "0"], Budget(per_day_usd=5, per_kernel_usd=0)),
        (["--per-day", "none"], Budget()),
        ([], Budget()),
    ],
    ids=["a day", "a kernel", "both", "none", "shown"],
)
def test_budget_sets_limits(workspace: Workspace, say: Say, words: list[str], kept: Budget) -> None:
    status, out, _ = say("budget", *words)
    assert status == 0
    assert workspace.config.load().budget == kept
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["today", "this"]
    assert ("sets limits" in out) == (kept == Budget())


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "1e999", "much", ""])
def test_budget_takes_amounts(workspace: Workspace, say: Say, amount: str) -> None:
    assert say("budget", f"--per-day={amount}")[0] == 2
    assert workspace.config.load().budget == Budget()


def test_budget_says_what_was_spent(workspace: Workspace, say: Say) -> None:
    say("cli", "-p", "why?")
    _, out, _ = say("budget", "--per-day", "1")
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "today $0.000080 spent of $1.00, $0.9999 left",
        "this kernel $0.000080 spent, no limit",
    ]


@pytest.mark.parametrize(
    ("limits", "reserved_usd", "says"),
    [
        ({"per_day_usd": 1}, 0.25, "today $0.00 spent and $0.2500 reserved for calls under way of $1.00, $0.7500 left"),
        ({"per_day_usd": 0.125}, 0.25, "of $0.1250, passed by $0.1250"),
        ({"per_day_usd": 0}, 0.0, "today $0.00 spent of $0.00, $0.00 left"),
    ],
    ids=["calls under way", "passed", "nothing a day"],
)
def test_budget_says_what_is_left(
    workspace: Workspace, say: Say, limits: dict[str, float], reserved_usd: float, says: str
) -> None:
    workspace.config.update_budget(limits)
    if reserved_usd:
        workspace.journal.ledger.reserve(reserved_usd, since=midnight(), cap_usd=1)
    assert says in " ".join(say("budget")[1].split())


def test_budget_names_calls_whose_cost_nobody_knows(workspace: Workspace, say: Say, wire: WireServer) -> None:
    provider = workspace.config.add_provider({"name": "", "type": "custom", "apiBase": f"{wire.url}/v1"})
    workspace.config.add_endpoint({"id": "house", "providerId": provider.id, "model": "house"})
    say("cli", "house", "-p", "why?")
    assert "not counted 1 call today whose cost nobody knows" in " ".join(say("budget")[1].split())


def test_a_budget_of_nothing_lets_nothing_through(workspace: Workspace, wire: WireServer, say: Say) -> None:
    say("budget", "--per-day", "0")
    status, _, err = say("cli", ENDPOINT, "-p", "why?")
    assert status != 0
    assert "the budget is $0.00" in err
    assert not wire.requests
    path = workspace.config.path
    assert json.loads(path.read_text())["budget"] == {"perDayUsd": 0.0}


# ---- whom a line asks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        pytest.param("", (None, "", "", "analysis"), id="the default"),
        pytest.param("wired", ("wired", "", "", "analysis"), id="an endpoint"),
        pytest.param("--tool litellm --model wired", ("wired", "", "", "analysis"), id="CCW's way"),
        pytest.param("--tool wired", ("wired", "", "", "analysis"), id="an endpoint as the tool"),
        pytest.param("--tool wired --model wired", ("wired", "", "", "analysis"), id="twice the same"),
        pytest.param("--tool codex", (None, "codex", "", "analysis"), id="an agent"),
        pytest.param("--tool qwen --model q3", (None, "qwen", "q3", "analysis"), id="its model"),
        pytest.param("--tool gemini --mode auto --yes", (None, "gemini", "", "auto"), id="its mode"),
        pytest.param("--tool codex --cd . --include-dirs /a,/b", (None, "codex", "", "analysis"), id="its folders"),
    ],
)
def test_whom_a_line_asks(workspace: Workspace, line: str, asked: tuple[str | None, ...]) -> None:
    request = AskingDoor().asked("-p", "Why?", *line.split())
    assert (request.endpoint_id, request.tool, request.model, request.mode) == asked


def test_further_folders_start_where_cd_leads_and_else_here(workspace: Workspace) -> None:
    root = workspace.root
    for path in ("src/auth", "src/shared", "beside"):
        (root / path).mkdir(parents=True)
    words = ("--cd", "src/auth", "--include-dirs", f"../shared,beside,{root / 'src'}")
    request = AskingDoor().asked("-p", "Why?", *words)
    assert [path.resolve() for path in request.include_dirs] == [root / "src/shared", root / "beside", root / "src"]


def test_a_question_without_its_option_is_told_so(workspace: Workspace) -> None:
    with pytest.raises(click.UsageError, match="'Why is that' stands where an endpoint is named: a question stands"):
        AskingDoor().run("Why is that")


UNFIT = (
    "--chat=c", "--replay", "--no-replay", "--schema=n:int", "--table", "--max-cost=1", "--no-cache", "--repack",
    "--system=s", "--temperature=1", "--max-tokens=9", "--retry-cut",
)  # fmt: skip


@pytest.mark.parametrize("option", UNFIT)
def test_what_an_agent_cannot_take(workspace: Workspace, option: str) -> None:
    more = ("--schema=n:int",) if option == "--table" else ()
    with pytest.raises(click.UsageError, match=r"codex takes no .*only an endpoint's model does") as refused:
        AskingDoor().run("-p", "Why?", "--tool", "codex", option, *more)
    assert option.partition("=")[0].replace("--no-replay", "--replay") in refused.value.message


def test_all_that_an_agent_cannot_take_is_named_at_once(workspace: Workspace) -> None:
    with pytest.raises(click.UsageError, match="codex takes no --max-cost, --no-cache, --system: "):
        AskingDoor().run("-p", "Why?", "--tool", "codex", "--system=", "--no-cache", "--max-cost", "1")


def test_a_tool_that_is_nothing_is_told_so_before_all_else(workspace: Workspace) -> None:
    with pytest.raises(EndpointNotFound, match="neither an agent nor an endpoint: nonesuch"):
        AskingDoor().run("-p", "Why?", "wired", "--tool", "nonesuch")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("wired --tool codex", "either codex is asked or endpoint wired", id="an agent and an endpoint"),
        pytest.param("--mode write", "an endpoint can only answer", id="an endpoint that writes"),
        pytest.param("wired --mode auto", "--tool codex --mode auto", id="an endpoint with any leave"),
        pytest.param("--tool wired --mode write", "an endpoint can only answer", id="one as the tool"),
        pytest.param("--tool wired --model other", "two endpoints are named: other and wired", id="tool and model"),
        pytest.param("--mode sometimes", "'sometimes' is not one of", id="no mode"),
        pytest.param("--model=", "an empty name", id="an empty model"),
        pytest.param("--tool=", "an empty name", id="an empty tool"),
        pytest.param("--tool codex --model=", "an empty name", id="an agent's empty model"),
    ],
)
def test_a_line_that_contradicts_itself(workspace: Workspace, line: str, told: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        AskingDoor().run("-p", "Why?", *line.split())
    assert told in refused.value.format_message()


@pytest.mark.parametrize("more", [(), ("--mode", "write")], ids=["to ask", "to write"])
def test_a_tool_that_is_neither_is_told_what_there_is(workspace: Workspace, more: tuple[str, ...]) -> None:
    with pytest.raises(EndpointNotFound, match="neither an agent nor an endpoint: claude") as missing:
        AskingDoor().run("-p", "Why?", "--tool", "claude", *more)
    assert (missing.value.hint or "").startswith("Agents: codex, gemini, qwen. Endpoints: wired")


def test_json_is_for_a_shell(workspace: Workspace) -> None:
    with pytest.raises(click.UsageError, match="--json is for a shell"):
        AskingDoor(is_shell=False).run("-p", "Why?", "--json")

"""`history` and `stats`, from a shell and in a notebook."""

from __future__ import annotations

import dataclasses
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import nbformat
import pytest
from click.testing import CliRunner, Result
from nbclient import NotebookClient

from ccw_magics import Workspace
from ccw_magics.cli.account import moment, size_bytes, span
from ccw_magics.cli.shell.command import ShellDoor, _run
from ccw_magics.cli.tree import tree
from ccw_magics.journal import Call
from ccw_magics.notebook.door import NotebookDoor

NOW = datetime.now(UTC)
CALL = Call(
    at=NOW - timedelta(hours=1),
    endpoint="my-gpt4o",
    provider="openai",
    model="gpt-4o",
    mode="analysis",
    prompt_hash="f" * 64,
    pack_hash="",
    files=("a.py", "src/b.py"),
    input_tokens=1200,
    cached_tokens=600,
    written_tokens=0,
    output_tokens=30,
    cost_usd=0.002,
    uncached_cost_usd=0.004,
    duration_s=1.5,
    first_token_s=None,
    retries=0,
    fallback_from="",
    key="sk-…456",
    chat="",
    outcome="ok",
    error="",
    prompt="Why is\nthis so?",
    answer="Because\nit is.",
)


@pytest.fixture
def recorded(project: Path) -> Workspace:
    workspace = Workspace(project)
    workspace.journal.append(dataclasses.replace(CALL, at=NOW - timedelta(days=40), endpoint="old"))
    workspace.journal.append(CALL)
    return workspace


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb as the shell does: exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        status = _run(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_history_lists_calls(recorded: Workspace, say: Say) -> None:
    status, out, err = say("history")
    lines = out.splitlines()
    assert (status, err, len(lines)) == (0, "", 3)
    assert "Why is this so?" in lines[1]
    assert [line.split()[0] for line in lines] == ["id", "2", "1"]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["-n", "1"], ["2"]),
        (["--since", "7d"], ["2"]),
        (["--since", "60d"], ["2", "1"]),
        (["--since", (NOW - timedelta(days=3)).date().isoformat()], ["2"]),
        (["--endpoint", "old"], ["1"]),
    ],
)
def test_history_chooses(recorded: Workspace, say: Say, options: list[str], ids: list[str]) -> None:
    assert [line.split()[0] for line in say("history", *options)[1].splitlines()[1:]] == ids


@pytest.mark.parametrize("words", [["history", "show", "2"], ["history", "2"]])
def test_history_shows_everything_of_a_call(recorded: Workspace, say: Say, words: list[str]) -> None:
    out = say(*words)[1]
    for words_of_it in (
        "my-gpt4o",
        "$0.0020",
        "uncached_cost_usd  $0.0040",
        "1,200",
        "sk-…456",
        "f" * 64,
        "  src/b.py",
        "1.5 s",
    ):
        assert words_of_it in out
    assert out.endswith("--- prompt ---\nWhy is\nthis so?\n\n--- answer ---\nBecause\nit is.\n")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["history", "99"], 1, "no such call: 99"),
        (["history", "show", "9" * 23], 1, "no such call: 999"),
        (["history", "show", "9" * 5000], 2, "999"),
        (["history", "bogus"], 2, "bogus"),
        (["history", "--since", "soon"], 2, "neither a date"),
        (["history", "-n", "0"], 2, "0"),
        (["history", "prune"], 2, "--older-than 30d"),
        (["history", "prune", "--max-size", "lots"], 2, "no size"),
        (["history", "prune", "--older-than", "1y"], 2, "no length of time"),
        (["stats", "--by", "colour"], 2, "colour"),
    ],
)
def test_what_is_not_understood_is_said(
    recorded: Workspace, say: Say, words: list[str], status: int, said: str
) -> None:
    got, out, err = say(*words)
    assert (got, out) == (status, "")
    assert said in err


def test_prune_forgets_the_oldest(recorded: Workspace, say: Say) -> None:
    assert say("history", "prune", "--older-than", "30d")[1] == "forgotten: 1 call\n"
    assert say("history", "prune", "--max-size", "50MB")[1] == "forgotten: 0 calls\n"
    assert say("history", "prune", "--max-size", "0", "--older-than", "2w")[1] == "forgotten: 1 call\n"
    assert "no calls recorded" in say("history")[1]


def test_stats_sums(recorded: Workspace, say: Say) -> None:
    lines = say("stats", "--by", "endpoint")[1].splitlines()
    assert lines[0].split()[:3] == ["endpoint", "calls", "failed"]
    assert lines[1].split() == ["my-gpt4o", "1", "0", "0", "1,200", "600", "0", "30", "50%", "$0.0020", "0", "$0.0020"]
    assert len(say("stats")[1].splitlines()) == 3
    assert len(say("stats", "--since", "24h")[1].splitlines()) == 2


def test_rows_that_cannot_be_read_are_a_note(recorded: Workspace, say: Say) -> None:
    with sqlite3.connect(recorded.journal.status().path) as other:
        names = [name for _, name, *_ in other.execute("PRAGMA table_info(call)")]
        values = [{"id": "7", "at": "'soon'"}.get(name, name) for name in names]
        other.execute(f"INSERT INTO call SELECT {', '.join(values)} FROM call WHERE id = 2")
    other.close()
    for words in (["history"], ["stats"], ["history", "7"]):
        status, out, err = say(*words)
        assert (status, "soon" in out) == (1 if "7" in words else 0, False)
        assert "1 recorded call " in err


def test_without_calls_both_say_so(project: Path, say: Say) -> None:
    assert "no calls recorded" in say("history")[1]
    assert "no calls recorded" in say("stats")[1]


def test_trouble_with_the_file_is_a_note(recorded: Workspace, say: Say) -> None:
    recorded.journal.close()
    recorded.journal.status().path.write_text("no database " * 1000)
    status, out, err = say("history")
    assert (status, "no calls" in out) == (0, True)
    assert "set aside" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600), (" 1h ", 3600)],
)
def test_lengths_of_time(text: str, expected: int) -> None:
    assert span(text).total_seconds() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50MB", 50 << 20), ("200 KB", 200 << 10), ("1G", 1 << 30), ("7", 7), ("3MiB", 3 << 20), ("5kb", 5 << 10)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


def test_a_date_is_local_midnight() -> None:
    assert moment("2026-01-31") == datetime(2026, 1, 31).astimezone()
    assert moment("2026-01-31T10:30:00+00:00") == datetime(2026, 1, 31, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "999999w", "2026-13-01", "7 d", "-1d", "9999999d", "7y"])
def test_no_point_in_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"neither a date|no length of time"):
        moment(text)


def test_help_has_both_verbs() -> None:
    shown: Result = CliRunner().invoke(tree, ["--help"], obj=ShellDoor())
    assert "history" in shown.output
    assert "stats" in shown.output


class Shell:
    """As much of a notebook's shell as a verb needs."""

    display_formatter = None
    kernel = object()


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_a_notebook_gets_frames(recorded: Workspace, pictures: list[Any]) -> None:
    frame = NotebookDoor(Shell()).verb(["history"])  # type: ignore[arg-type]  # a stand-in
    assert list(frame["id"]) == [2, 1]
    assert str(frame["input_tokens"].dtype) == "Int64"
    assert pictures == []


def test_a_notebook_draws_what_calls_cost(recorded: Workspace, pictures: list[Any]) -> None:
    pytest.importorskip("matplotlib")
    frame = NotebookDoor(Shell()).verb(["stats"])  # type: ignore[arg-type]  # a stand-in
    assert list(frame["endpoint"]) == ["my-gpt4o", "old"]
    assert [picture.data[:8] for picture in pictures] == [b"\x89PNG\r\n\x1a\n"]
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize("why", ["no matplotlib", "a terminal", "no days", "nothing to draw"])
def test_without_a_chart_the_table_is_all(
    recorded: Workspace,
    pictures: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    why: str,
) -> None:
    words = ["stats"]
    if why == "no matplotlib":
        monkeypatch.delitem(sys.modules, "ccw_magics.notebook.chart", raising=False)
        monkeypatch.delattr("ccw_magics.notebook.chart", raising=False)
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    elif why == "a terminal":
        monkeypatch.delattr(Shell, "kernel")
    elif why == "no days":
        words += ["--by", "model"]
    else:
        recorded.journal.prune(max_bytes=0)
        nothing = dataclasses.replace(CALL, cost_usd=None, input_tokens=None, cached_tokens=None)
        recorded.journal.append(nothing)
    frame = NotebookDoor(Shell()).verb(words)  # type: ignore[arg-type]  # a stand-in
    assert len(frame) > 0
    assert pictures == []
    assert capsys.readouterr().out == ""


def test_both_verbs_in_a_kernel(recorded: Workspace, project: Path) -> None:
    recorded.journal.close()
    notebook = nbformat.v4.new_notebook()
    lines = (
        "%load_ext ccw_magics",
        "%ccw history",
        "h = %ccw history -n 1\nh.cost_usd.sum()",
        "%ccw history 2",
        "%ccw stats",
    )
    notebook.cells = [nbformat.v4.new_code_cell(line) for line in lines]
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(project)}}).execute()
    _, history, summed, shown, stats = (cell.outputs for cell in notebook.cells)
    assert "$0.0020" in history[0]["data"]["text/html"]
    assert "0.002" in summed[0]["data"]["text/plain"]
    assert "Because\nit is." in shown[0]["text"]
    assert "50%" in stats[-1]["data"]["text/html"]
    assert ["image/png" in output["data"] for output in stats[:-1]] == [True] * (find_spec("matplotlib") is not None)


CHARTS = {
    "cost": ({}, "US dollars"),
    "free": ({"cost_usd": 0.0}, "input tokens"),
    "unknown cost": ({"cost_usd": None}, "input tokens"),
}


@pytest.mark.parametrize("case", CHARTS)
def test_a_chart_stacks_endpoints_by_day(project: Path, case: str) -> None:
    pytest.importorskip("matplotlib")
    from ccw_magics import stats
    from ccw_magics.notebook.chart import png, usage_chart

    changes, label = CHARTS[case]
    workspace = Workspace(project)
    for day in range(12):
        for endpoint in ("a", "b"):
            at = NOW - timedelta(days=day)
            workspace.journal.append(dataclasses.replace(CALL, at=at, endpoint=endpoint, **changes))  # type: ignore[arg-type]  # a table of cases
    figure = usage_chart(stats.usage_frame(workspace))
    bars, line = figure.axes
    assert (bars.get_ylabel(), len(bars.patches)) == (label, 24)
    tops = {round(patch.get_y() + patch.get_height(), 9) for patch in bars.patches[12:]}
    assert tops == ({0.004} if case == "cost" else {2400.0})
    assert [float(share) for share in line.lines[0].get_ydata()] == [0.5] * 12
    assert png(figure).startswith(b"\x89PNG")

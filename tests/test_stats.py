"""Tables for a shell, DataFrames for a notebook."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from ccw_magics import Workspace, stats
from ccw_magics.journal import Call
from ccw_magics.notebook.frame import ReadableFrame


@pytest.fixture
def workspace(project: Path) -> Workspace:
    (project / "a.py").write_text("x = 1\n" * 400)
    workspace = Workspace(project)
    workspace.pack(["@a.py"], endpoint="local")
    return workspace


def test_the_cache_as_a_frame_has_one_row_a_pack(workspace: Workspace) -> None:
    frame = stats.cache_frame(workspace)
    assert tuple(frame.columns) == stats.CACHE_COLUMNS
    assert frame.loc[0, "references"] == "@a.py"
    assert frame.loc[0, "project"] == str(workspace.root)
    assert str(frame["created_at"].dt.tz) == "UTC"
    assert frame["size_bytes"].dtype.kind == "i"


def test_a_pack_as_a_frame_has_one_row_a_file(workspace: Workspace) -> None:
    session_id = str(stats.cache_frame(workspace).loc[0, "session_id"])
    frame = stats.pack_frame(workspace, session_id)
    assert frame.to_dict("records") == [{"path": "a.py", "size_bytes": 2400, "tokens_estimate": 600, "changes": 0}]


def test_a_notebook_shows_sizes_and_times_as_a_person_reads_them(workspace: Workspace) -> None:
    shown = ReadableFrame(stats.cache_frame(workspace))
    assert "2.4 KiB" in shown._repr_html_()
    assert "2.4 KiB" in repr(shown)
    assert "+00:00" not in shown._repr_html_()
    assert not isinstance(shown[["files"]].sum(), ReadableFrame)


def test_a_table_without_rows_says_what_makes_one(project: Path) -> None:
    assert "no providers yet" in stats.providers(Workspace(project)).text()


NOON = datetime(2026, 5, 1, 12).astimezone(UTC)
FULL = Call(
    at=NOON,
    endpoint="a",
    provider="anthropic",
    model="m",
    mode="analysis",
    prompt_hash="p" * 64,
    pack_hash="q" * 64,
    files=("a.py", "b.py"),
    input_tokens=1000,
    cached_tokens=600,
    written_tokens=100,
    output_tokens=50,
    cost_usd=0.25,
    uncached_cost_usd=0.75,
    duration_s=2.0,
    first_token_s=0.5,
    retries=0,
    fallback_from="",
    key="sk-…abc",
    chat="",
    outcome="ok",
    error="",
    prompt="Why?",
    answer="So.",
)
UNKNOWN = dataclasses.replace(
    FULL,
    input_tokens=None,
    cached_tokens=None,
    written_tokens=None,
    output_tokens=None,
    cost_usd=None,
    uncached_cost_usd=None,
    first_token_s=None,
    outcome="ProviderError",
    error="refused",
    prompt=None,
    answer=None,
)
DEARER = dataclasses.replace(
    FULL, at=NOON + timedelta(hours=1), cached_tokens=0, written_tokens=900, cost_usd=1.0, uncached_cost_usd=0.875
)
OTHER_DAY = dataclasses.replace(FULL, at=NOON + timedelta(days=1), endpoint="b", model="n", outcome="cut")
STOPPED = dataclasses.replace(UNKNOWN, at=NOON + timedelta(days=1), endpoint="b", model="n", outcome="interrupted")


@pytest.fixture
def recorded(project: Path) -> Workspace:
    workspace = Workspace(project)
    for call in (FULL, UNKNOWN, DEARER, OTHER_DAY, STOPPED):
        assert workspace.journal.append(call) is not None
    return workspace


def test_history_has_one_row_a_call_newest_first(recorded: Workspace) -> None:
    frame = stats.history_frame(recorded)
    assert tuple(frame.columns) == stats.HISTORY_COLUMNS
    assert list(frame["id"]) == [5, 4, 3, 2, 1]
    first = frame.set_index("id").loc[1]
    assert first["at"] == NOON
    assert (first["saved_usd"], first["files"], first["prompt"], first["key"]) == (0.5, 2, "Why?", "sk-…abc")
    assert list(stats.history_frame(recorded, limit=1)["id"]) == [5]
    assert list(stats.history_frame(recorded, endpoint="a", since=DEARER.at)["id"]) == [3]


def test_what_is_not_known_is_missing_and_never_zero(recorded: Workspace) -> None:
    unknown = stats.history_frame(recorded).set_index("id").loc[2]
    for column in ("input_tokens", "cached_tokens", "cost_usd", "saved_usd", "first_token_s"):
        assert pd.isna(unknown[column]), column
    assert unknown["prompt"] == ""


HISTORY_DTYPES = {
    "at": "datetime64[us, UTC]",
    "input_tokens": "Int64",
    "cost_usd": "float64",
    "saved_usd": "float64",
    "first_token_s": "float64",
    "retries": "int64",
    "files": "int64",
    "endpoint": "str",
}
USAGE_DTYPES = {
    "day": "datetime64[s]",
    "endpoint": "str",
    "calls": "int64",
    "input_tokens": "Int64",
    "cached_share": "float64",
    "cost_usd": "float64",
    "unpriced": "int64",
}


@pytest.mark.parametrize("which", ["recorded", "empty", "nothing known"])
def test_dtypes_do_not_depend_on_what_is_recorded(project: Path, request: pytest.FixtureRequest, which: str) -> None:
    workspace = request.getfixturevalue("recorded") if which == "recorded" else Workspace(project)
    if which == "nothing known":
        workspace.journal.append(UNKNOWN)
    history, usage = stats.history_frame(workspace), stats.usage_frame(workspace)
    assert {name: str(history[name].dtype) for name in HISTORY_DTYPES} == HISTORY_DTYPES
    assert {name: str(usage[name].dtype) for name in USAGE_DTYPES} == USAGE_DTYPES


# Of the three calls of the first day one has no figures: 1000 + 1000 tokens in, 600 of them cached, 0.5 - 0.125 saved.
# Neither that one nor the one that was interrupted before an answer had a price to pay.
FIRST_DAY = (3, 1, 0, 2000, 600, 1000, 100, 0.3, 1.25, 0, 0.375)
SECOND_DAY = (2, 0, 0, 1000, 600, 100, 50, 0.6, 0.25, 0, 0.5)
ALL = (5, 1, 0, 3000, 1200, 1100, 150, 0.4, 1.5, 0, 0.875)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        pytest.param(
            ("day", "endpoint", "model"),
            [
                (OTHER_DAY.at.astimezone().date(), "b", "n", *SECOND_DAY),
                (NOON.astimezone().date(), "a", "m", *FIRST_DAY),
            ],
            id="all",
        ),
        pytest.param(("model",), [("m", *FIRST_DAY), ("n", *SECOND_DAY)], id="model"),
        pytest.param(
            ("endpoint", "day"),
            [
                ("a", NOON.astimezone().date(), *FIRST_DAY),
                ("b", OTHER_DAY.at.astimezone().date(), *SECOND_DAY),
            ],
            id="endpoint and day",
        ),
        pytest.param((), [ALL], id="everything in one row"),
    ],
)
def test_usage_is_summed(recorded: Workspace, by: tuple[str, ...], expected: list[tuple[object, ...]]) -> None:
    table = stats.usage(recorded, by=by)
    assert table.columns == (*by, *stats.USAGE_SUMS)
    assert list(table.rows) == expected


def test_usage_since_a_time(recorded: Workspace) -> None:
    assert stats.usage(recorded, since=OTHER_DAY.at, by=()).rows == [SECOND_DAY]
    assert stats.usage(recorded, since=NOON + timedelta(days=9)).rows == []


def test_sums_of_nothing_known_are_not_known(project: Path) -> None:
    workspace = Workspace(project)
    workspace.journal.append(UNKNOWN)
    assert stats.usage(workspace, by=()).rows == [(1, 1, 0, None, None, None, None, None, None, 0, None)]


def test_usage_by_something_else_is_refused(recorded: Workspace) -> None:
    with pytest.raises(ValueError, match="not by colour"):
        stats.usage(recorded, by=("colour",))


def test_an_empty_journal_makes_no_file(project: Path) -> None:
    workspace = Workspace(project)
    assert "no calls recorded" in stats.history(workspace).text()
    assert "no calls recorded" in stats.usage(workspace).text()
    assert not (project / ".ccw" / "journal").exists()


def test_calls_are_shown_as_a_person_reads_them(recorded: Workspace) -> None:
    shown = repr(ReadableFrame(stats.history_frame(recorded)))
    assert "2.0 s" in shown
    assert "$0.2500" in shown
    assert "1,000" in shown
    assert NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S") in shown
    assert not [word for word in ("<NA>", "nan", "NaN", "NaT", "+00:00", "p" * 20) if word in shown]
    assert "30%" in repr(ReadableFrame(stats.usage_frame(recorded)))


def test_small_costs_have_digits_that_say_something(project: Path) -> None:
    workspace = Workspace(project)
    workspace.journal.append(dataclasses.replace(FULL, cost_usd=0.0000123, uncached_cost_usd=0.00001))
    for frame in (stats.history_frame(workspace), stats.usage_frame(workspace)):
        shown = repr(ReadableFrame(frame))
        assert "$0.000012" in shown
        assert "-$0.0000023" in shown


@pytest.mark.parametrize("rows", [59, 60, 61, 5000])
def test_a_notebook_keeps_no_more_rows_than_pandas_shows(rows: int) -> None:
    frame = ReadableFrame({"name": [f"n{number}." for number in range(rows)], "size_bytes": range(rows)})
    shown = {"text": repr(frame), "html": frame._repr_html_()}
    for text in shown.values():
        assert text.count("n") >= min(rows, 60)
        assert ("n30." in text) is (rows <= 60)
        assert f"n{rows - 1}." in text
        assert (f"{rows:,} rows" in text) is (rows > 60)
        assert len(text) < 10_000
    assert len(frame) == rows
    with pd.option_context("display.max_rows", None):
        assert "n30." in repr(frame)
    with pd.option_context("display.max_rows", 1):
        assert [line.split()[0] for line in repr(frame).splitlines() if "." in line] == ["n0.", "...", f"n{rows - 1}."]
    assert "rows" not in repr(frame.head(60))


def test_a_text_shows_cells_as_a_person_reads_them(workspace: Workspace) -> None:
    (workspace.root / "a.py").write_text("x = 1\n" * 400 + "y = 2\n" * 400)
    workspace.pack(["@a.py"], endpoint="local")
    table = stats.cache(workspace)
    cells = dict(zip(*table.lines(), strict=True))
    used_at = table.rows[0][table.columns.index("used_at")]
    assert isinstance(used_at, datetime)
    assert cells["used_at"] == used_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert cells["reused"].removesuffix("%").isdecimal()


@pytest.mark.parametrize(
    ("cell", "word", "datum"),
    [
        pytest.param(True, "yes", "True", id="true"),
        pytest.param(False, "no", "False", id="false"),
        pytest.param(60.0, "60", "60.0", id="a whole number"),
        pytest.param(0.5, "0.5", "0.5", id="a fraction"),
        pytest.param(float("inf"), "inf", "inf", id="infinity"),
        pytest.param(1, "1", "1", id="one"),
        pytest.param(None, "", "", id="unknown"),
    ],
)
def test_words_for_cells_but_not_in_the_users_own_data(cell: object, word: str, datum: str) -> None:
    assert stats.Table(("x",), [(cell,)]).lines()[1] == (word,)
    assert stats.answers([{"at": cell}]).lines()[1] == (datum,)


def test_a_terminal_gets_the_columns_that_it_has_room_for(recorded: Workspace) -> None:
    lines = stats.history(recorded).text().splitlines()
    assert lines[0].split()[:4] == ["id", "at", "endpoint", "model"]
    assert "prompt_hash" not in lines[0]
    assert "$0.2500" in lines[-1]

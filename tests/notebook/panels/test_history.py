"""The tab of the journal, driven without a kernel, and its chart."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics import Workspace
from ccw_magics.journal import Call
from ccw_magics.notebook.panels.day_chart import DAYS_MAX, Day, day_chart
from ccw_magics.notebook.panels.history import PAGE_ROWS, HistoryTab

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIELDS = {
    "endpoint": "my-gpt4o", "provider": "openai", "model": "gpt-4o", "mode": "analysis", "prompt_hash": "ab",
    "pack_hash": "", "files": (), "input_tokens": 1000, "cached_tokens": 250, "written_tokens": 0, "output_tokens": 9,
    "cost_usd": 0.25, "uncached_cost_usd": 0.5, "duration_s": 1.5, "first_token_s": 0.5, "retries": 0,
    "fallback_from": "", "key": "", "chat": "", "outcome": "ok", "error": "", "prompt": "Why?", "answer": "Because.",
}  # fmt: skip
UNKNOWN: dict[str, Any] = {"cost_usd": None, "uncached_cost_usd": None}
REPLAYED: dict[str, Any] = {
    **UNKNOWN,
    "outcome": "replayed",
    "input_tokens": None,
    "cached_tokens": None,
    "output_tokens": None,
}


def record(workspace: Workspace, count: int = 1, **changes: Any) -> None:
    for number in range(count):
        workspace.journal.append(Call(at=NOON + timedelta(seconds=number), **{**FIELDS, **changes}))


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


def opened(workspace: Workspace) -> HistoryTab:
    tab = HistoryTab(workspace, lambda: None)
    tab.refresh()
    return tab


@pytest.mark.parametrize(
    ("changes", "cost", "sums"),
    [
        pytest.param(
            {},
            "$0.2500",
            "1 call; $0.2500 in all; tokens: 1,000 input, 9 output (25% of the input cached); the providers' caches saved $0.2500",
            id="paid",
        ),
        pytest.param(UNKNOWN, "unknown", "1 call; cost unknown", id="unknown"),
        pytest.param(REPLAYED, "free, replayed", "1 call (1 replayed)", id="replayed"),
        pytest.param(
            {**UNKNOWN, "outcome": "ProviderError"},
            "unknown",
            "1 call (1 failed); cost unknown",
            id="failed-with-tokens",
        ),
        pytest.param(
            {**REPLAYED, "outcome": "ProviderError", "first_token_s": None}, "", "1 call (1 failed)", id="refused"
        ),
        pytest.param({"cost_usd": 0.0, "uncached_cost_usd": 0.0}, "$0.00", "$0.00 in all", id="free"),
    ],
)
def test_a_call_is_shown_with_its_cost(workspace: Workspace, changes: dict[str, Any], cost: str, sums: str) -> None:
    record(workspace, **changes)
    tab = opened(workspace)
    assert f'<td class="ccw-number">{cost}</td>' in tab._table.value
    assert sums in tab._sums.value.replace("&#x27;", "'")


def test_sums_say_what_is_not_in_them(workspace: Workspace) -> None:
    record(workspace, 2)
    record(workspace, 3, **UNKNOWN)
    assert "$0.5000 in all, without 3 of unknown cost" in opened(workspace)._sums.value


def test_pages_are_turned(workspace: Workspace) -> None:
    record(workspace, 2 * PAGE_ROWS + 1)
    tab = opened(workspace)
    seen = []
    for told, newer, older in (
        (f"1 to {PAGE_ROWS} of 101", True, False),
        (f"{PAGE_ROWS + 1} to {2 * PAGE_ROWS} of 101", False, False),
        ("101 to 101 of 101", False, True),
    ):
        assert told in tab._where.value
        assert (tab._newer.disabled, tab._older.disabled) == (newer, older)
        seen.append(tab._table.value.count("<tr>"))
        tab._older.click()
    assert seen == [PAGE_ROWS + 1, PAGE_ROWS + 1, 2]
    tab._newer.click()
    assert "51 to 100" in tab._where.value


def test_a_new_call_is_shown_and_nothing_is_read_without_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(workspace)
    tab = opened(workspace)
    before = tab._table.value
    with monkeypatch.context() as patch:
        patch.setattr("ccw_magics.stats.usage", None)
        tab.refresh()
    assert tab._table.value == before
    record(workspace)
    tab.refresh()
    assert "1 to 2 of 2" in tab._where.value


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param("", "%%ccw", id="nothing"),
        pytest.param('{"version": 1, "journal": "off"}', "not recorded", id="off"),
    ],
)
def test_where_there_is_nothing_the_next_step_is_said(workspace: Workspace, config: str, said: str) -> None:
    if config:
        workspace.config.path.parent.mkdir(parents=True)
        workspace.config.path.write_text(config)
    tab = opened(workspace)
    assert said in tab._sums.value
    assert tab._calls.layout.display == "none"


def test_a_journal_that_cannot_be_read_is_said(workspace: Workspace) -> None:
    record(workspace)
    path = workspace.journal.status().path
    workspace.journal.close()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    path.mkdir()
    assert "ccw-wrong" in opened(workspace)._status._text.value


def test_prompts_are_text(workspace: Workspace) -> None:
    record(workspace, prompt="<img src=x onerror=alert(1)>")
    assert "<img" not in opened(workspace)._table.value


def day(number: int, **changes: Any) -> Day:
    known = {"calls": 1, "cost_usd": 0.5, "unpriced": 0, "input_tokens": 100, "cached_share": 0.5}
    return Day(**{"day": date(2026, 1, 1) + timedelta(days=number), **known, **changes})


def drawn(html: str) -> ET.Element:
    return ET.fromstring(html)


def texts(html: str) -> list[str]:
    return [element.text or "" for element in drawn(html).iter() if element.text]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param([day(0)], "Cost by day in US dollars", id="money"),
        pytest.param([day(0, cost_usd=0.0)], "Input tokens by day (no call has cost anything)", id="free"),
        pytest.param([day(0), day(1, cost_usd=None, unpriced=1)], "?", id="unknown"),
        pytest.param([day(0, unpriced=2)], "*", id="partly-unknown"),
        pytest.param([day(0, unpriced=2)], "2026-01-01: 1 call, $0.5000, 2 of unknown cost, 50% cached", id="told"),
        pytest.param(
            [day(0), day(1, cost_usd=None, unpriced=1)],
            "2026-01-02: 1 call, cost unknown, 50% cached",
            id="unknown-told",
        ),
        pytest.param(
            [day(0), day(1, cost_usd=None, cached_share=None)], "2026-01-02: 1 call, nothing to pay", id="replayed"
        ),
    ],
)
def test_a_chart_says_what_it_shows(days: list[Day], expected: str) -> None:
    assert any(expected in text for text in texts(day_chart(days)))


@pytest.mark.parametrize(
    "days",
    [[], [day(0, cost_usd=None, input_tokens=None)], [day(0, cost_usd=0.0, input_tokens=0)]],
    ids=["none", "unknown", "zero"],
)
def test_where_there_is_nothing_to_draw_there_is_no_chart(days: list[Day]) -> None:
    assert day_chart(days) == ""


def test_a_day_without_a_share_leaves_a_gap() -> None:
    line = next(
        e
        for e in drawn(day_chart([day(0), day(1), day(2, cached_share=None), day(3)])).iter()
        if e.get("class") == "ccw-share"
    )
    assert [step for step in (line.get("d") or "") if step in "ML"] == ["M", "L", "M"]


amounts = st.none() | st.floats(0, 1e6)


@given(
    st.lists(
        st.builds(day, st.integers(0, 900), cost_usd=amounts, cached_share=st.none() | st.floats(0, 1)), max_size=60
    )
)
def test_every_bar_and_dot_is_within_the_picture(days: list[Day]) -> None:
    html = day_chart(days)
    if not html:
        return
    picture = drawn(html)
    _, _, width, height = (float(part) for part in picture[0].get("viewBox", "").split())
    bars = [element for element in picture.iter() if element.tag == "rect"]
    assert len(bars) == min(len(days), DAYS_MAX)
    for bar in bars:
        x, y, wide, high = (float(bar.get(name, "nan")) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height
    for dot in (element for element in picture.iter() if element.tag == "circle"):
        assert 0 <= float(dot.get("cx", "nan")) <= width
        assert 0 <= float(dot.get("cy", "nan")) <= height

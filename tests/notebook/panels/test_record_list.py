"""The list of entries: what the filter hides stays selected, and a filter that is not shown hides nothing."""

from __future__ import annotations

import pytest

from ccw_magics.notebook.panels.record_list import RecordList

MANY = [(f"Name {number}", f"p{number}") for number in range(12)]


@pytest.fixture
def chosen() -> list[str | None]:
    return []


@pytest.fixture
def entries(chosen: list[str | None]) -> RecordList:
    made = RecordList("Providers", [], chosen.append)
    made.show(MANY, "p3")
    return made


def test_what_the_filter_hides_stays_selected(entries: RecordList, chosen: list[str | None]) -> None:
    entries._filter.value = "name 11"
    assert entries._list.options == (("Name 11", "p11"),)
    assert entries._list.value is None
    assert entries.selected == "p3"
    entries._filter.value = ""
    assert entries._list.value == "p3"
    assert chosen == []


def test_a_click_on_what_is_left_selects_it(entries: RecordList, chosen: list[str | None]) -> None:
    entries._filter.value = "name 11"
    entries._list.value = "p11"
    assert chosen == ["p11"]
    assert entries.selected == "p11"


def test_a_filter_that_disappears_hides_nothing(entries: RecordList, chosen: list[str | None]) -> None:
    entries._filter.value = "name 11"
    entries.show(MANY[:11], "p3")
    assert entries._filter.layout.display == "none"
    assert entries._filter.value == ""
    assert len(entries._list.options) == 11
    assert entries._list.value == "p3"
    assert chosen == []


def test_what_is_not_there_is_not_selected(entries: RecordList) -> None:
    entries.show(MANY, "gone")
    assert entries.selected is None

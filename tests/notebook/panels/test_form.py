"""A form: filled from an entry, judged by its model, and saved as what was changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import pytest
from panel_driver import shown

from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import AdvancedSettings, ApiKeyEntry, Provider
from ccw_magics.notebook.panels.fields import Field, FlagField, TextField
from ccw_magics.notebook.panels.form import ChangedMeanwhile, Form, patched

KEY = "sk-canary-0123456789abcdef"
ENTRY = Provider(
    id="a",
    type="openai",
    name="A",
    api_key=Secret(KEY),
    advanced_settings=AdvancedSettings(timeout=60, rpm=5, custom_headers={"X-Team": Secret(KEY)}),
)


class Making:
    """Counts how often the folded fields are made."""

    def __init__(self) -> None:
        self.made: list[Sequence[Field]] = []

    def __call__(self) -> Sequence[Field]:
        self.made.append([TextField("advancedSettings.timeout", "Timeout"), TextField("advancedSettings.rpm", "Rpm")])
        return self.made[-1]


@pytest.fixture
def making() -> Making:
    return Making()


def needs_base(entry: Mapping[str, Any]) -> dict[str, str]:
    return {"apiBase": "custom needs one"} if entry.get("type") == "custom" and "apiBase" not in entry else {}


@pytest.fixture
def form(making: Making) -> Form:
    first = [TextField("type", "Type"), TextField("name", "Name"), TextField("apiBase", "Base")]
    return Form(Provider, [("", [*first, FlagField("enabled", "Enabled", default=True)]), ("More", making)], needs_base)


def fold(form: Form) -> ipywidgets.Accordion:
    return form.widget.children[1]


def enter(form: Form, name: str, text: Any) -> None:
    next(field for field in form._fields if field.name == name)._control.value = text


def test_filling_is_no_edit(form: Form) -> None:
    edits: list[None] = []
    form.on_edit(lambda: edits.append(None))
    form.fill(ENTRY)
    assert not form.is_edited
    assert form.changes() == {}
    assert not edits


def test_only_what_was_edited_is_a_change(form: Form) -> None:
    form.fill(ENTRY)
    enter(form, "name", "B")
    enter(form, "apiBase", " https://host/v1 ")
    assert form.changes() == {"name": "B", "apiBase": "https://host/v1"}
    assert form.changed(ENTRY) == {"name": "B", "apiBase": "https://host/v1"}
    form.fill(ENTRY)
    assert not form.is_edited


def test_what_is_folded_away_is_made_once_and_filled(form: Form, making: Making) -> None:
    form.fill(ENTRY)
    assert not making.made
    for index in (0, None, 0):
        fold(form).selected_index = index
    assert len(making.made) == 1
    assert "60" in shown(fold(form))
    enter(form, "advancedSettings.rpm", "7")
    assert form.changes() == {"advancedSettings.rpm": "7"}
    form.fill(ENTRY.model_copy(update={"advanced_settings": AdvancedSettings(timeout=1)}))
    assert [field.value for field in making.made[0]] == ["1", None]


def test_a_new_entry_is_nested_as_in_the_file(form: Form) -> None:
    form.fill(None, {"type": "openai", "enabled": False})
    fold(form).selected_index = 0
    enter(form, "advancedSettings.timeout", "5")
    assert form.entry() == {"type": "openai", "enabled": False, "advancedSettings": {"timeout": "5"}}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        pytest.param({"type": "two words"}, "without white space", id="model"),
        pytest.param({"type": "custom", "apiBase": " "}, "custom needs one", id="judge"),
        pytest.param({"advancedSettings.timeout": "-3"}, "should be greater than 0", id="nested"),
        pytest.param({"advancedSettings.rpm": "many"}, "should be a valid integer", id="no number"),
    ],
)
def test_what_is_wrong_is_said_as_it_is_typed(form: Form, typed: dict[str, str], told: str) -> None:
    form.fill(None, {"type": "openai"})
    fold(form).selected_index = 0
    for name, text in typed.items():
        enter(form, name, text)
    assert told in shown(form.widget)
    assert not form.check()


def test_what_was_not_typed_is_judged_only_at_the_end(form: Form) -> None:
    form.fill(None, {})
    enter(form, "name", "x")
    assert "Field required" not in shown(form.widget)
    assert not form.check()
    assert "Field required" in shown(form.widget)


def test_a_group_opens_where_something_is_wrong_in_it(form: Form) -> None:
    form.fill(ENTRY)
    fold(form).selected_index = 0
    enter(form, "advancedSettings.timeout", "0")
    fold(form).selected_index = None
    assert not form.check()
    assert fold(form).selected_index == 0


def test_what_somebody_else_changed_is_shown_beside_what_was_typed(form: Form) -> None:
    form.fill(ENTRY)
    enter(form, "name", "mine")
    theirs = ENTRY.model_copy(
        update={
            "api_base": "https://theirs/v1",
            "advanced_settings": AdvancedSettings(timeout=60, rpm=9, custom_headers={"X-Team": Secret("${T}")}),
            "api_keys": [ApiKeyEntry(id="2", key=Secret(f"{KEY}2"))],
            "updated_at": "later",
        }
    )
    with pytest.raises(ChangedMeanwhile) as caught:
        form.changed(theirs)
    assert caught.value.stored == theirs
    assert form.against(theirs) == [
        ("name", "A", "mine"),
        ("apiBase", "https://theirs/v1", "(as theirs)"),
        ("advancedSettings.customHeaders", "X-Team: ${T}", "(as theirs)"),
        ("advancedSettings.rpm", "9", "(as theirs)"),
        ("apiKeys", "id: 2, key: sk-…ef2, weight: 1, enabled: True", "(as theirs)"),
    ]
    assert KEY not in str(form.against(theirs))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"name": None}, {"name": None}, id="taken away"),
        pytest.param(
            {"advancedSettings.timeout": "5"},
            {"advancedSettings": {"timeout": "5", "rpm": 5, "customHeaders": {"X-Team": Secret(KEY)}}},
            id="one setting",
        ),
        pytest.param(
            {"advancedSettings.rpm": None, "advancedSettings.customHeaders": None},
            {"advancedSettings": {"timeout": 60}},
            id="settings taken away",
        ),
        pytest.param(
            {f"advancedSettings.{name}": None for name in ("timeout", "rpm", "customHeaders")},
            {"advancedSettings": None},
            id="all of them",
        ),
    ],
)
def test_settings_are_written_with_the_rest_of_theirs(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert patched(ENTRY, changes) == expected

"""What somebody else did while an entry was shown or edited in the panel, and where what was typed here goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from panel_driver import all_states, enter, field, press, shown, type_secret

from ccw_magics.config import durable
from ccw_magics.notebook.panels.endpoints import EndpointsTab
from ccw_magics.notebook.panels.providers import ProvidersTab
from ccw_magics.workspace import Workspace

MINE, THEIRS = "sk-mine-0123456789abcdef", "sk-their-fedcba9876543210"
HEADERS = "advancedSettings.customHeaders"


@pytest.fixture
def workspace(project: Path) -> Workspace:
    made = Workspace(project)
    settings = {"customHeaders": {"A": MINE}}
    keys = [{"id": "k", "key": MINE, "enabled": True}]
    added = {"id": "p", "name": "P", "type": "openai", "apiKey": MINE, "apiKeys": keys, "advancedSettings": settings}
    made.config.add_provider(added)
    return made


@pytest.fixture
def other(workspace: Workspace) -> Any:
    """The config as another process sees it."""
    return Workspace(workspace.root).config


def opened(kind: type[Any], workspace: Workspace, entry_id: str | None = None) -> Any:
    made = kind(workspace, lambda: made.refresh())  # noqa: PLW0108 - there is none yet
    made.refresh()
    made._list._list.value = entry_id
    return made


@pytest.fixture
def tab(workspace: Workspace) -> Any:
    return opened(ProvidersTab, workspace, "p")


def status(tab: Any) -> str:
    return shown(tab._status.widget)


def asked(tab: Any) -> str:
    return " ".join(shown(tab._question.widget).split())


def stored(workspace: Workspace) -> Any:
    return json.loads(workspace.config.path.read_text())["providers"][0]


def test_headers_are_saved_as_the_table_shows_them(workspace: Workspace, other: Any, tab: Any) -> None:
    headers = field(tab, HEADERS)
    headers._name.value = "B"
    type_secret(headers._secret, "typed")
    other.update_provider("p", {"advancedSettings": {"customHeaders": {"A": THEIRS, "C": THEIRS}}})
    press(tab.widget, "Save")
    assert f"{HEADERS} A: sk-…210, C: sk-…210 A: sk-…def, B: …" in asked(tab)
    press(tab.widget, "Save mine over it")
    assert stored(workspace)["advancedSettings"]["customHeaders"] == {"A": MINE, "B": "typed"}
    assert MINE not in all_states()


def test_keys_are_saved_as_the_table_shows_them(workspace: Workspace, other: Any, tab: Any) -> None:
    keys = field(tab, "apiKeys")
    keys._list.value = 0
    keys._label.value = "mine"
    other.update_provider("p", {"apiKeys": [{"id": "k", "key": THEIRS}], "name": "theirs"})
    press(tab.widget, "Save")
    assert "id: k, key: sk-…210, weight: 1, enabled: True id: k, key: sk-…def, label: mine" in asked(tab)
    press(tab.widget, "Save mine over it")
    assert [entry["key"] for entry in stored(workspace)["apiKeys"]] == [MINE]
    assert stored(workspace)["name"] == "theirs"
    assert stored(workspace)["apiKey"] == MINE


def test_a_choice_that_was_undone_takes_nothing_back(workspace: Workspace, other: Any, tab: Any) -> None:
    source = field(tab, "apiKey")._source
    source._chosen.value = "variable"
    source._chosen.value = "kept"
    enter(tab, name="mine")
    other.update_provider("p", {"apiKey": THEIRS})
    press(tab.widget, "Save")
    assert "apiKey sk-…210 (as theirs)" in asked(tab)
    press(tab.widget, "Save mine over it")
    assert (stored(workspace)["apiKey"], stored(workspace)["name"]) == (THEIRS, "mine")


def test_what_is_not_known_here_is_not_shown(other: Any, tab: Any) -> None:
    enter(tab, name="mine")
    keys = [{"id": "k", "key": "${K}", "spare": THEIRS}]
    other.update_provider("p", {"backupKey": THEIRS, "apiBase": f"https://u:{THEIRS}@host/v1", "apiKeys": keys})
    press(tab.widget, "Save")
    assert "backupKey changed (as theirs)" in asked(tab)
    assert "apiBase https://host/v1 (as theirs)" in asked(tab)
    assert THEIRS not in all_states()


def test_a_row_opens_what_stands_in_the_file_now(other: Any, workspace: Workspace, tab: Any) -> None:
    press(tab.widget, "New provider")
    other.update_provider("p", {"name": "theirs"})
    tab._list._list.value = "p"
    assert field(tab, "name").value == "theirs"
    enter(tab, name="mine")
    press(tab.widget, "Save")
    assert "Saved p" in status(tab)
    assert stored(workspace)["name"] == "mine"


def test_a_row_of_what_is_gone_opens_nothing(workspace: Workspace, other: Any, tab: Any) -> None:
    press(tab.widget, "New provider")
    other.delete_provider("p")
    tab._list._list.value = "p"
    assert tab._form.base is None
    assert tab._list.selected is None
    assert "● P" not in shown(tab.widget)


def test_revert_shows_what_stands_in_the_file_now(other: Any, tab: Any) -> None:
    enter(tab, name="mine")
    other.update_provider("p", {"name": "theirs"})
    press(tab.widget, "Revert")
    assert field(tab, "name").value == "theirs"


@pytest.mark.parametrize("was_refreshed", [False, True], ids=["at once", "after a cell"])
def test_what_was_deleted_meanwhile_can_be_added_again(
    workspace: Workspace, other: Any, tab: Any, was_refreshed: bool
) -> None:
    enter(tab, name="mine")
    other.delete_provider("p")
    if was_refreshed:
        tab.refresh()
    press(tab.widget, "Save")
    assert "p was deleted meanwhile" in asked(tab)
    assert workspace.config.get_all_providers() == []
    press(tab.widget, "Add it again")
    assert "Saved p" in status(tab)
    found = stored(workspace)
    assert (found["name"], found["apiKey"], found["apiKeys"][0]["key"]) == ("mine", MINE, MINE)
    assert found["advancedSettings"]["customHeaders"] == {"A": MINE}
    assert not tab._form.is_edited


def test_what_was_deleted_meanwhile_can_be_let_go(workspace: Workspace, other: Any, tab: Any) -> None:
    enter(tab, name="mine")
    other.delete_provider("p")
    press(tab.widget, "Save")
    press(tab.widget, "Let it go")
    assert tab._form.base is None
    assert not tab._form.is_edited
    assert workspace.config.get_all_providers() == []


def test_an_endpoint_that_was_deleted_meanwhile_comes_again_with_its_settings(workspace: Workspace, other: Any) -> None:
    strategy = {"enabled": True, "ttlMinutes": 5, "maxSizeKB": 7, "filePatterns": ["*.py"]}
    entry = {"id": "e", "providerId": "p", "model": "m", "cacheStrategy": strategy, "future": {"k": 1}}
    other.add_endpoint(entry)
    tab = opened(EndpointsTab, workspace, "e")
    enter(tab, **{"model": "other", "cacheStrategy.ttlMinutes": "6"})
    other.delete_endpoint("e")
    press(tab.widget, "Save")
    press(tab.widget, "Add it again")
    found = json.loads(workspace.config.path.read_text())["endpoints"][0]
    assert (found["model"], found["future"]) == ("other", {"k": 1})
    assert {**strategy, "ttlMinutes": 6}.items() <= found["cacheStrategy"].items()


def test_a_provider_that_an_endpoint_names_and_that_is_gone_is_no_deleted_endpoint(
    workspace: Workspace, other: Any
) -> None:
    other.add_endpoint({"id": "e", "providerId": "p", "model": "m"})
    other.add_provider({"id": "q", "type": "ollama"})
    tab = opened(EndpointsTab, workspace, "e")
    field(tab, "providerId")._control.value = "q"
    other.delete_provider("q")
    press(tab.widget, "Save")
    assert "provider not found: q" in status(tab)
    assert asked(tab) == ""


@pytest.mark.parametrize("kind", [ProvidersTab, EndpointsTab], ids=["providers", "endpoints"])
def test_an_error_is_no_longer_shown_once_the_file_is_mended(workspace: Workspace, kind: type[Any]) -> None:
    tab = opened(kind, workspace)
    good = workspace.config.path.read_text()
    workspace.config.path.write_text("{nope")
    tab.refresh()
    assert "not valid JSON" in status(tab)
    workspace.config.path.write_text(good)
    tab.refresh()
    assert status(tab).strip() == ""


def test_words_of_another_kind_stay_when_a_cell_is_run(tab: Any) -> None:
    enter(tab, name="mine")
    press(tab.widget, "Save")
    tab.refresh()
    assert "Saved p" in status(tab)


@pytest.mark.parametrize("is_new", [True, False], ids=["add", "save"])
def test_what_was_written_and_may_not_last_is_not_written_again(
    workspace: Workspace, tab: Any, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    def fails(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    if is_new:
        press(tab.widget, "New provider")
    enter(tab, name="mine")
    monkeypatch.setattr(durable, "_sync_folder", fails)
    press(tab.widget, "Add" if is_new else "Save")
    assert "may be the old one again after a power cut" in status(tab)
    assert not tab._form.is_edited
    assert [known.name for known in workspace.config.get_all_providers()] == (["P", "mine"] if is_new else ["mine"])
    assert len(tab._list._list.options) == 1 + is_new


def test_the_filter_neither_moves_the_form_nor_loses_the_row(workspace: Workspace, other: Any, tab: Any) -> None:
    for number in range(12):
        other.add_provider({"id": f"p-{number}", "type": "ollama"})
    tab.refresh()
    tab._list._filter.value = "p-11"
    tab.refresh()
    assert tab._form.base.id == "p"
    assert tab._list.selected == "p"
    other.delete_provider("p-0")
    other.delete_provider("p-1")
    tab.refresh()
    assert len(tab._list._list.options) == 11
    assert tab._list._list.value == "p"


def test_what_the_projects_file_hides_is_said_where_it_was_saved(workspace: Workspace, other: Any) -> None:
    other.add_endpoint({"id": "e", "providerId": "p", "model": "m"})
    other.user.add_provider({"id": "u", "type": "ollama"})
    tab = opened(EndpointsTab, workspace)
    tab._where.value = "user"
    enter(tab, id="e", model="mine")
    field(tab, "providerId")._control.value = "u"
    press(tab.widget, "Add")
    told = status(tab)
    assert f"Saved e in ~/{other.user.path.relative_to(Path.home())}" in told
    assert f"hidden by the one of {other.path}" in told
    assert other.user.get_endpoint("e").model == "mine"


def test_a_duplicate_may_have_the_same_id_in_the_other_file(workspace: Workspace, other: Any) -> None:
    other.add_endpoint({"id": "e", "providerId": "p", "model": "m"})
    other.user.add_provider({"id": "p", "type": "ollama"})
    tab = opened(EndpointsTab, workspace, "e")
    press(tab.widget, "Duplicate")
    tab._where.value = "user"
    enter(tab, id="e")
    press(tab.widget, "Add")
    assert other.user.get_endpoint("e").model == "m"

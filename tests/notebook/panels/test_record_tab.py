"""What the tabs of entries share: choosing, saving, and what somebody else did meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from panel_driver import enter, press, shown

from ccw_magics.errors import ConfigError
from ccw_magics.notebook.panels.providers import ProvidersTab
from ccw_magics.workspace import Workspace


@pytest.fixture
def workspace(project: Path) -> Workspace:
    made = Workspace(project)
    for name in "ab":
        made.config.add_provider({"id": name, "type": "ollama", "name": name.upper()})
    return made


@pytest.fixture
def changes() -> list[None]:
    return []


@pytest.fixture
def tab(workspace: Workspace, changes: list[None]) -> ProvidersTab:
    made = ProvidersTab(workspace, lambda: changes.append(None))
    made.refresh()
    return made


def select(tab: ProvidersTab, entry_id: str) -> None:
    tab._list._list.value = entry_id


def status(tab: ProvidersTab) -> str:
    return shown(tab._status.widget)


def test_a_new_one_first(tab: ProvidersTab) -> None:
    assert "A new provider" in shown(tab.widget)
    assert tab._save.description == "Add"
    assert tab._delete.disabled
    assert tab._list.selected is None


def test_what_is_selected_is_in_the_form(workspace: Workspace, tab: ProvidersTab) -> None:
    select(tab, "b")
    assert "b in" in " ".join(shown(tab._title).split())
    assert str(workspace.config.path) in shown(tab._title)
    assert tab._form.base == workspace.config.get_provider("b")
    assert tab._save.disabled
    assert not tab._delete.disabled


@pytest.mark.parametrize("leave", ["select", "add"])
def test_what_was_typed_is_not_lost_unseen(tab: ProvidersTab, leave: str) -> None:
    select(tab, "a")
    enter(tab, name="typed")
    if leave == "select":
        select(tab, "b")
    else:
        tab.add()
    assert tab._list.selected == "a"
    assert tab._form.changes() == {"name": "typed"}
    assert "Save or revert your changes to a first" in status(tab)
    press(tab.widget, "Revert")
    assert not tab._form.is_edited
    select(tab, "b")
    assert tab._list.selected == "b"


def test_saving_tells_where_and_whom(workspace: Workspace, tab: ProvidersTab, changes: list[None]) -> None:
    select(tab, "a")
    enter(tab, name="typed")
    press(tab.widget, "Save")
    assert f"Saved a in {workspace.config.path}" in status(tab)
    assert len(changes) == 1
    assert workspace.config.get_provider("a").name == "typed"


def test_an_edit_goes_to_the_file_that_the_entry_comes_from(workspace: Workspace, tab: ProvidersTab) -> None:
    before = workspace.config.path.read_bytes()
    workspace.config.user.add_provider({"id": "mine", "type": "ollama"})
    tab.refresh()
    select(tab, "mine")
    enter(tab, name="typed")
    press(tab.widget, "Save")
    assert workspace.config.path.read_bytes() == before
    assert workspace.config.user.get_all_providers()[0].name == "typed"


@pytest.mark.parametrize("answer", ["Take theirs", "Save mine over it"])
def test_a_change_made_meanwhile_is_shown_and_not_overwritten(
    workspace: Workspace, tab: ProvidersTab, answer: str
) -> None:
    select(tab, "a")
    enter(tab, name="mine")
    workspace.config.update_provider("a", {"name": "theirs", "enabled": False})
    tab.refresh()
    assert tab._form.changes() == {"name": "mine"}, "what is being typed stays"
    press(tab.widget, "Save")
    asked = shown(tab._question.widget)
    assert "changed meanwhile" in asked
    assert "theirs" in asked
    assert "mine" in asked
    assert workspace.config.get_provider("a").name == "theirs"
    press(tab.widget, answer)
    stored = workspace.config.get_provider("a")
    assert stored is not None
    assert stored.name == ("theirs" if answer == "Take theirs" else "mine")
    assert not stored.enabled, "what was not typed here is theirs"
    assert not tab._form.is_edited
    assert tab._form.base == stored


def test_a_change_meanwhile_is_shown_where_nothing_was_typed(workspace: Workspace, tab: ProvidersTab) -> None:
    select(tab, "a")
    workspace.config.update_provider("a", {"name": "theirs"})
    tab.refresh()
    assert tab._form.base == workspace.config.get_provider("a")
    assert "● theirs · ollama" in shown(tab.widget)


def test_saving_what_was_deleted_meanwhile(workspace: Workspace, tab: ProvidersTab) -> None:
    select(tab, "a")
    enter(tab, name="typed")
    workspace.config.delete_provider("a")
    press(tab.widget, "Save")
    assert "provider not found: a" in status(tab)
    assert tab._form.changes() == {"name": "typed"}


def test_deleting_what_was_deleted_meanwhile(workspace: Workspace, tab: ProvidersTab) -> None:
    select(tab, "a")
    press(tab.widget, "Delete")
    workspace.config.delete_provider("a")
    press(tab.widget, "Delete it")
    assert "a was gone already" in status(tab)


def test_a_file_that_cannot_be_read_is_said_and_not_written(workspace: Workspace, tab: ProvidersTab) -> None:
    select(tab, "a")
    workspace.config.path.write_text("{broken")
    tab.refresh()
    assert str(workspace.config.path) in status(tab)
    enter(tab, name="typed")
    press(tab.widget, "Save")
    assert workspace.config.path.read_text() == "{broken"
    with pytest.raises(ConfigError):
        workspace.config.load()


def test_a_long_list_has_a_filter(workspace: Workspace, tab: ProvidersTab) -> None:
    assert tab._list._filter.layout.display == "none"
    for number in range(20):
        workspace.config.add_provider({"id": f"p-{number}", "type": "ollama", "name": f"Name {number}"})
    tab.refresh()
    assert tab._list._filter.layout.display is None
    assert tab._list._list.layout.display is None
    tab._list._filter.value = "NAME 1"
    assert [value for _, value in tab._list._list.options] == ["p-1", *(f"p-{number}" for number in range(10, 20))]

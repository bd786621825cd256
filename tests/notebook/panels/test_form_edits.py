"""What counts as an edit, what of an entry is written, and what may be wrong with one that is stored already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_keyring import FakeKeyring
from panel_driver import enter, field, press, shown, type_secret

from ccw_magics.config.models import Provider
from ccw_magics.notebook.panels.endpoints import EndpointsTab
from ccw_magics.notebook.panels.fields import ChoiceField, Field, FlagField, TextField
from ccw_magics.notebook.panels.form import Form
from ccw_magics.notebook.panels.providers import ProvidersTab
from ccw_magics.workspace import Workspace


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


def write(workspace: Workspace, **config: Any) -> None:
    workspace.config.path.parent.mkdir(parents=True, exist_ok=True)
    workspace.config.path.write_text(json.dumps({"version": 1, **config}))


def provider(**values: Any) -> dict[str, Any]:
    return {"id": "p", "name": "P", "type": "ollama", "apiKey": "", **values}


def endpoint(endpoint_id: str) -> dict[str, Any]:
    return {"id": endpoint_id, "name": "e", "providerId": "p", "model": "m", "enabled": True}


def opened(kind: type[Any], workspace: Workspace, entry_id: str | None = None) -> Any:
    made = kind(workspace, lambda: made.refresh())  # noqa: PLW0108 - there is none yet
    made.refresh()
    made._list._list.value = entry_id
    return made


def stored(workspace: Workspace, kind: str) -> Any:
    return json.loads(workspace.config.path.read_text())[kind][-1]


def put(changed: Field, value: Any) -> None:
    changed._control.value = value  # what the front end does


# --- what counts as an edit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "held", "typed"),
    [
        pytest.param(TextField("name", "Name"), "a", "b", id="text"),
        pytest.param(TextField("name", "Name"), None, "b", id="no text"),
        pytest.param(FlagField("enabled", "Enabled", default=True), False, True, id="flag"),
        pytest.param(FlagField("enabled", "Enabled", default=True), None, False, id="unset flag"),
        pytest.param(ChoiceField("x", "X", [("one", "1"), ("two", "2")]), "1", "2", id="choice"),
        pytest.param(ChoiceField("x", "X", [("one", "1"), ("two", "2")]), None, "2", id="unset choice"),
    ],
)
def test_what_was_typed_and_undone_is_no_edit(made: Field, held: object, typed: object) -> None:
    made.fill(held)
    before = made._control.value
    put(made, typed)
    assert made.was_edited
    put(made, before)
    assert not made.was_edited
    assert made.value == held


def test_of_a_new_entry_every_edit_stays_one() -> None:
    made = TextField("name", "Name")
    made.fill(None, is_new=True)
    put(made, "b")
    put(made, "")
    assert made.was_edited


def test_typed_and_undone_in_the_tab_leaves_nothing_to_save(workspace: Workspace) -> None:
    write(workspace, providers=[provider()])
    tab = opened(ProvidersTab, workspace, "p")
    enter(tab, name="x")
    assert not tab._save.disabled
    enter(tab, name="P")
    assert tab._save.disabled
    press(tab.widget, "New provider")
    assert tab._form.base is None


def test_what_is_half_typed_is_an_edit(workspace: Workspace) -> None:
    write(workspace, providers=[provider()])
    tab = opened(ProvidersTab, workspace, "p")
    field(tab, "advancedSettings.customHeaders")._name.value = "X-Half"
    assert tab._form.is_edited
    press(tab.widget, "Save")
    assert "Nothing was saved" in shown(tab._status.widget)
    assert "type the value of X-Half" in shown(tab.widget)


def test_another_key_for_the_same_entry_of_the_keyring_is_an_edit(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = FakeKeyring(priority=5).install(monkeypatch)
    write(workspace, providers=[provider(type="openai", apiKey="keyring:mine")])
    tab = opened(ProvidersTab, workspace, "p")
    type_secret(field(tab, "apiKey")._source._secret, "sk-canary-0123456789abcdef")
    press(tab.widget, "Save")
    assert "Saved p" in shown(tab._status.widget)
    assert keyring.entries["ccw_magics", "mine"] == "sk-canary-0123456789abcdef"


# --- what is written -------------------------------------------------------------------------------------------


def test_of_a_new_endpoint_only_what_was_said_is_written(workspace: Workspace) -> None:
    write(workspace, providers=[provider()])
    tab = opened(EndpointsTab, workspace)
    enter(tab, id="e", model="m")
    put(field(tab, "providerId"), "p")
    put(field(tab, "replay"), True)
    put(field(tab, "replay"), False)
    press(tab.widget, "Add")
    found = stored(workspace, "endpoints")
    assert found.keys() == {"id", "name", "providerId", "model", "enabled", "cacheStrategy", "createdAt", "updatedAt"}


@pytest.mark.parametrize(("name", "chosen"), [("providerTtl", "1h"), ("cacheStrategy.layout", "fresh")])
def test_what_was_chosen_is_written(workspace: Workspace, name: str, chosen: str) -> None:
    write(workspace, providers=[provider()], endpoints=[endpoint("e")])
    tab = opened(EndpointsTab, workspace, "e")
    put(field(tab, name), chosen)
    press(tab.widget, "Save")
    found = stored(workspace, "endpoints")
    place, _, inner = name.partition(".")
    assert (found[place][inner] if inner else found[place]) == chosen


def test_settings_that_were_all_cleared_are_not_written(workspace: Workspace) -> None:
    write(workspace, providers=[provider(advancedSettings={"timeout": 30})])
    tab = opened(ProvidersTab, workspace, "p")
    enter(tab, **{"advancedSettings.timeout": ""})
    press(tab.widget, "Save")
    assert "advancedSettings" not in stored(workspace, "providers")


def test_a_cache_strategy_stays_as_ccw_reads_it(workspace: Workspace) -> None:
    write(workspace, providers=[provider()], endpoints=[{**endpoint("e"), "cacheStrategy": {"ttlMinutes": 5}}])
    tab = opened(EndpointsTab, workspace, "e")
    enter(tab, **{"cacheStrategy.ttlMinutes": ""})
    press(tab.widget, "Save")
    kept = {"enabled": True, "ttlMinutes": 60, "maxSizeKB": 512, "filePatterns": []}
    assert kept.items() <= stored(workspace, "endpoints")["cacheStrategy"].items()


# --- what may be wrong with what is stored ---------------------------------------------------------------------


@pytest.mark.parametrize("endpoint_id", ["my model", "panel", "-x"])
def test_an_endpoint_is_edited_under_an_id_that_no_new_one_may_have(workspace: Workspace, endpoint_id: str) -> None:
    write(workspace, providers=[provider()], endpoints=[endpoint(endpoint_id)])
    tab = opened(EndpointsTab, workspace, endpoint_id)
    enter(tab, description="typed")
    press(tab.widget, "Save")
    assert f"Saved {endpoint_id}" in shown(tab._status.widget)
    assert stored(workspace, "endpoints")["description"] == "typed"


@pytest.mark.parametrize("kind", ["azure", "custom"])
def test_a_provider_that_lacks_its_base_can_be_disabled(workspace: Workspace, kind: str) -> None:
    write(workspace, providers=[provider(type=kind)])
    tab = opened(ProvidersTab, workspace, "p")
    put(field(tab, "enabled"), False)
    press(tab.widget, "Save")
    assert stored(workspace, "providers")["enabled"] is False


def test_what_becomes_wrong_by_an_edit_of_something_else_is_refused(workspace: Workspace) -> None:
    write(workspace, providers=[provider()])
    tab = opened(ProvidersTab, workspace, "p")
    field(tab, "type")._chosen.value = "azure"
    press(tab.widget, "Save")
    assert "Nothing was saved" in shown(tab._status.widget)
    assert "azure needs one" in shown(tab.widget)
    assert stored(workspace, "providers")["type"] == "ollama"


def test_a_stored_key_without_text_blocks_nothing_else(workspace: Workspace) -> None:
    write(workspace, providers=[provider(apiKeys=[{"id": "a", "key": "", "enabled": False}])])
    tab = opened(ProvidersTab, workspace, "p")
    field(tab, "apiKeys")
    enter(tab, name="typed")
    press(tab.widget, "Save")
    assert stored(workspace, "providers")["name"] == "typed"


def test_what_is_wrong_in_a_group_that_is_opened_later_blocks_nothing_else() -> None:
    def judge(entry: Mapping[str, Any]) -> dict[str, str]:
        return {"apiBase": "is missing"} if not entry.get("apiBase") else {}

    first = [TextField("name", "Name"), TextField("type", "Type")]
    form = Form(Provider, [("", first), ("More", lambda: [TextField("apiBase", "Base")])], judge)
    form.fill(Provider(id="p", type="ollama"))
    form.widget.children[1].selected_index = 0
    put(form._fields[0], "typed")
    assert form.check()
    put(form._fields[2], "x")
    put(form._fields[2], "")
    assert form.check()


def test_what_no_field_shows_is_said_in_the_status(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write(workspace, providers=[provider()], endpoints=[endpoint("e")])
    tab = opened(EndpointsTab, workspace, "e")
    monkeypatch.setattr(tab._form, "_judge", lambda _: {"id": "is hidden", "unheard": "of"})
    enter(tab, description="typed")
    press(tab.widget, "Save")
    assert "Nothing was saved: id is hidden; unheard of" in shown(tab._status.widget)

"""The tab of the providers, from the list to the test, driven without a browser."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_keyring import FakeKeyring
from ipywidgets.widgets import widget as all_widgets
from panel_driver import LIMIT_S, ModelsServer, all_states, ended, enter, field, press, shown, type_secret

from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigError, ConfigUnsure
from ccw_magics.notebook.panels import last_tests
from ccw_magics.notebook.panels.providers import ProvidersTab
from ccw_magics.workspace import Workspace

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    """A keyring's package that can store nothing, until a test gives it a priority."""
    monkeypatch.setattr(last_tests, "_tests", {})
    return FakeKeyring(priority=0).install(monkeypatch)


@pytest.fixture
def workspace(project: Path) -> Workspace:
    made = Workspace(project)
    made.config.init(example=False)
    return made


@pytest.fixture
def open_tab(workspace: Workspace) -> Callable[[], ProvidersTab]:
    def opened() -> ProvidersTab:
        made: list[ProvidersTab] = []

        def refresh() -> None:
            made[0].refresh()

        made.append(ProvidersTab(workspace, refresh))
        refresh()
        return made[0]

    return opened


@pytest.fixture
def tab(open_tab: Callable[[], ProvidersTab]) -> ProvidersTab:
    return open_tab()


@pytest.fixture
def server() -> Iterator[ModelsServer]:
    with ModelsServer(KEY) as running:
        yield running


def rows(tab: ProvidersTab) -> list[str]:
    return [label for label, _ in tab._list._list.options]


def select(tab: ProvidersTab, provider_id: str) -> None:
    tab._list._list.value = provider_id


def source(tab: ProvidersTab) -> Any:
    return field(tab, "apiKey")._source


def choose_type(tab: ProvidersTab, name: str) -> None:
    field(tab, "type")._chosen.value = name


def type_key(tab: ProvidersTab, text: str = KEY) -> None:
    source(tab)._chosen.value = "typed"
    type_secret(source(tab)._secret, text)


def status(tab: ProvidersTab) -> str:
    return shown(tab._status.widget)


def stored(workspace: Workspace) -> list[dict[str, Any]]:
    return list(json.loads(workspace.config.path.read_text())["providers"])


# --- the list --------------------------------------------------------------------------------------------------


def test_each_is_listed_with_its_state_and_file(workspace: Workspace, tab: ProvidersTab) -> None:
    on = workspace.config.add_provider({"type": "openai", "name": "On"})
    workspace.config.add_provider({"type": "ollama", "name": "Off", "enabled": False})
    workspace.config.user.add_provider({"type": "mistral", "name": "Mine"})
    last_tests.remember(on, last_tests_good())
    tab.refresh()
    assert rows(tab) == [
        "● On · openai · ✓ 120 ms, just now",
        "○ Off · ollama · disabled",
        "● Mine · mistral · my own",
    ]


def last_tests_good() -> Any:
    from ccw_magics.calls.probe import Probe

    return Probe(True, "reachable", latency_s=0.12, models=("small",))


def test_the_number_of_widgets_does_not_grow_with_the_list(
    workspace: Workspace, open_tab: Callable[[], ProvidersTab]
) -> None:
    def made() -> int:
        before = len(all_widgets._instances)
        open_tab()
        return len(all_widgets._instances) - before

    few = made()
    for number in range(30):
        workspace.config.add_provider({"id": f"p-{number}", "type": "openai"})
    assert made() == few


def test_it_brings_nothing_heavy() -> None:
    code = (
        "import sys, tempfile; from ccw_magics import Workspace;"
        "from ccw_magics.notebook.panels.providers import ProvidersTab;"
        "ProvidersTab(Workspace(tempfile.mkdtemp()), print).refresh();"
        "print(*sorted({'litellm', 'pandas', 'httpx', 'keyring'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == []


# --- adding ----------------------------------------------------------------------------------------------------


def by_variable(tab: ProvidersTab) -> None:
    source(tab)._variable.value = "TEAM_KEY"


def by_entry(tab: ProvidersTab) -> None:
    source(tab)._chosen.value = "entry"
    source(tab)._entry.value = "mine"


def by_nothing(tab: ProvidersTab) -> None:
    source(tab)._chosen.value = "none"


@pytest.mark.parametrize(
    ("say", "key"),
    [
        pytest.param(lambda _: None, "${OPENAI_API_KEY}", id="the type's own variable"),
        pytest.param(by_variable, "${TEAM_KEY}", id="another variable"),
        pytest.param(by_entry, "keyring:mine", id="keyring"),
        pytest.param(type_key, KEY, id="typed"),
        pytest.param(by_nothing, "", id="none"),
    ],
)
def test_add(workspace: Workspace, tab: ProvidersTab, say: Callable[[ProvidersTab], None], key: str) -> None:
    enter(tab, name="New")
    say(tab)
    press(tab.widget, "Add")
    (made,) = stored(workspace)
    assert made["apiKey"] == key
    assert made["name"] == "New"
    assert f"Saved {made['id']}" in status(tab)
    assert tab._list.selected == made["id"]
    assert not tab._form.is_edited
    assert KEY not in all_states() + repr(tab._form.base) + repr(vars(source(tab)))


def test_a_typed_key_in_the_file_is_for_its_owner_alone(workspace: Workspace, tab: ProvidersTab) -> None:
    source(tab)._chosen.value = "typed"
    assert str(workspace.config.path) in shown(field(tab, "apiKey").widget), "it is said before"
    tab._where.value = "user"
    assert str(workspace.config.user.path) in shown(field(tab, "apiKey").widget)
    type_secret(source(tab)._secret, KEY)
    press(tab.widget, "Add")
    path = workspace.config.user.path
    assert KEY in path.read_text()
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "my own" in rows(tab)[0]


def test_a_typed_key_goes_into_the_keyring(workspace: Workspace, tab: ProvidersTab, package: FakeKeyring) -> None:
    package.priority = 5
    type_key(tab)
    assert not package.entries
    press(tab.widget, "Add")
    (made,) = stored(workspace)
    assert package.entries == {("ccw_magics", made["apiKey"].removeprefix("keyring:")): KEY}
    assert KEY not in workspace.config.path.read_text() + all_states()


def test_nothing_is_left_in_the_keyring_where_saving_fails(
    tab: ProvidersTab, package: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Provider:
        raise ConfigError("the disk is full", hint="Make room.")

    monkeypatch.setattr(ConfigStore, "add_provider", refuse)
    package.priority = 5
    type_key(tab)
    press(tab.widget, "Add")
    assert not package.entries
    assert "the disk is full" in status(tab)
    assert "Make room." in status(tab)
    assert tab._form.is_edited


def test_a_key_stays_in_the_keyring_once_the_file_names_it(
    workspace: Workspace, tab: ProvidersTab, package: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsure(*_: object) -> Provider:
        raise ConfigUnsure("it was written, and may be the old one after a power cut")

    monkeypatch.setattr(ConfigStore, "add_provider", unsure)
    package.priority = 5
    type_key(tab)
    press(tab.widget, "Add")
    assert list(package.entries.values()) == [KEY]


@pytest.mark.parametrize("refuses", ["fails", "drops"])
def test_the_file_is_offered_where_the_keyring_does_not_take_a_key(
    workspace: Workspace, tab: ProvidersTab, package: FakeKeyring, refuses: str
) -> None:
    package.priority = 5
    package.fails, package.drops = ({"set_password"} if refuses == "fails" else set()), refuses == "drops"
    keys = field(tab, "apiKeys")
    press(keys.widget, "Add a key")
    keys._source._chosen.value = "typed"
    type_secret(keys._source._secret, f"{KEY}-2")
    type_key(tab)
    press(tab.widget, "Add")
    assert not stored(workspace)
    assert "did not take the key" in status(tab)
    press(tab.widget, "Keep it in the file instead")
    (made,) = stored(workspace)
    assert (made["apiKey"], made["apiKeys"][0]["key"]) == (KEY, f"{KEY}-2")
    assert not shown(tab._question.widget)
    assert KEY not in all_states()


def test_the_file_is_not_offered_where_the_file_is_what_fails(
    tab: ProvidersTab, package: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Provider:
        raise ConfigError("the disk is full")

    monkeypatch.setattr(ConfigStore, "add_provider", refuse)
    package.priority = 5
    type_key(tab)
    press(tab.widget, "Add")
    assert not shown(tab._question.widget)


def test_a_typed_key_outlives_a_correction_of_the_type(
    workspace: Workspace, tab: ProvidersTab, package: FakeKeyring
) -> None:
    package.priority = 5
    choose_type(tab, "")
    field(tab, "type")._typed.value = "foo bar"
    type_key(tab)
    field(tab, "type")._typed.value = "groq"
    press(tab.widget, "Add")
    (made,) = stored(workspace)
    assert package.entries == {("ccw_magics", made["apiKey"].removeprefix("keyring:")): KEY}


def test_further_keys_go_into_the_keyring_too(workspace: Workspace, tab: ProvidersTab, package: FakeKeyring) -> None:
    package.priority = 5
    keys = field(tab, "apiKeys")
    press(keys.widget, "Add a key")
    keys._source._chosen.value = "typed"
    type_secret(keys._source._secret, KEY)
    field(tab, "routingStrategy")._control.value = "weighted"
    press(tab.widget, "Add")
    (made,) = stored(workspace)
    assert made["routingStrategy"] == "weighted"
    assert made["apiKeys"][0]["key"].startswith("keyring:openai-")
    assert list(package.entries.values()) == [KEY]


@pytest.mark.parametrize(
    ("kind", "typed", "told"),
    [
        pytest.param("custom", {}, "custom needs one", id="custom without a base"),
        pytest.param("azure", {}, "azure needs one", id="azure without a base"),
        pytest.param("openai", {"advancedSettings.timeout": "-1"}, "should be greater than 0", id="timeout"),
        pytest.param("", {}, "Field required", id="no type"),
    ],
)
def test_nothing_is_saved_half(
    workspace: Workspace, tab: ProvidersTab, kind: str, typed: dict[str, str], told: str
) -> None:
    before = workspace.config.path.read_bytes()
    choose_type(tab, kind)
    enter(tab, **typed)
    press(tab.widget, "Add")
    assert told in shown(tab._form.widget)
    assert "Nothing was saved" in status(tab)
    assert workspace.config.path.read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        pytest.param("anthropic", "${ANTHROPIC_API_KEY}", id="anthropic"),
        pytest.param("ollama", "", id="ollama"),
        pytest.param("custom", "", id="custom"),
        pytest.param("local", "", id="local"),
    ],
)
def test_the_type_proposes_its_key(tab: ProvidersTab, kind: str, key: str) -> None:
    choose_type(tab, kind)
    assert field(tab, "apiKey").value == key


def test_the_type_proposes_nothing_over_what_was_said(tab: ProvidersTab) -> None:
    by_variable(tab)
    choose_type(tab, "anthropic")
    assert field(tab, "apiKey").value == "${TEAM_KEY}"


def test_another_type_is_named(workspace: Workspace, tab: ProvidersTab) -> None:
    choose_type(tab, "")
    field(tab, "type")._typed.value = "groq"
    assert field(tab, "apiKey").value == "${GROQ_API_KEY}"
    press(tab.widget, "Add")
    assert stored(workspace)[0]["type"] == "groq"
    assert field(tab, "type").value == "groq"


@pytest.mark.parametrize(
    ("kind", "base", "told"),
    [
        pytest.param("openai", "https://elsewhere.example/v1", "The key goes to elsewhere.example", id="elsewhere"),
        pytest.param("openai", "https://api.openai.com/v1", "", id="its own"),
        pytest.param("custom", "http://127.0.0.1:8000/v1", "", id="this machine"),
        pytest.param("custom", "", "custom needs one, such as https://host/v1", id="missing"),
    ],
)
def test_where_the_key_goes_is_said_beside_the_base(tab: ProvidersTab, kind: str, base: str, told: str) -> None:
    choose_type(tab, kind)
    source(tab)._chosen.value = "variable"
    enter(tab, apiBase=base)
    beside = shown(field(tab, "apiBase")._beside)
    assert told in beside
    assert told or "goes to" not in beside


def test_a_variable_that_a_cell_has_set_is_ticked(tab: ProvidersTab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "✗ OPENAI_API_KEY is not set" in shown(tab.widget)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    tab.refresh()
    assert "✓ OPENAI_API_KEY is set" in shown(tab.widget)


# --- editing ---------------------------------------------------------------------------------------------------


@pytest.fixture
def custom(workspace: Workspace, tab: ProvidersTab) -> Provider:
    made = workspace.config.add_provider(
        {
            "id": "custom-1",
            "type": "custom",
            "apiKey": KEY,
            "apiBase": "http://127.0.0.1:1/v1",
            "advancedSettings": {"timeout": 60, "customHeaders": {"X-A": "${A}"}, "proxy": "http://u:pass-1@p"},
            "odd": [1],
        }
    )
    tab.refresh()
    select(tab, made.id)
    return made


def test_an_edit_changes_what_was_edited(workspace: Workspace, tab: ProvidersTab, custom: Provider) -> None:
    (before,) = stored(workspace)
    field(tab, "advancedSettings.maxRetries")._control.value = "9"
    headers = field(tab, "advancedSettings.customHeaders")
    headers._name.value = "X-B"
    type_secret(headers._secret, "${B}")
    press(tab.widget, "Save")
    (after,) = stored(workspace)
    assert after.pop("updatedAt") >= before.pop("updatedAt")
    before["advancedSettings"] |= {"maxRetries": 9, "customHeaders": {"X-A": "${A}", "X-B": "${B}"}}
    assert after == before


def test_a_key_is_shown_as_its_mask_and_kept(workspace: Workspace, tab: ProvidersTab, custom: Provider) -> None:
    assert "as it is: sk-…def" in str(source(tab)._chosen.options)
    enter(tab, name="Renamed")
    press(tab.widget, "Save")
    assert stored(workspace)[0]["apiKey"] == KEY
    assert KEY not in all_states()
    assert "pass-1" not in all_states()


def test_a_proxy_is_taken_away(workspace: Workspace, tab: ProvidersTab, custom: Provider) -> None:
    field(tab, "advancedSettings.proxy")._remove.click()
    press(tab.widget, "Save")
    assert "proxy" not in stored(workspace)[0]["advancedSettings"]


def test_the_warning_goes_with_the_base(tab: ProvidersTab, custom: Provider) -> None:
    enter(tab, apiBase="https://elsewhere.example/v1")
    assert "The key goes to elsewhere.example" in shown(tab.widget)
    enter(tab, apiBase="")
    assert "The key goes to" not in shown(tab.widget)
    assert "custom needs one" in shown(tab.widget)


# --- the test --------------------------------------------------------------------------------------------------


def dead_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("key", "is_dead", "told", "row"),
    [
        pytest.param(KEY, False, "reachable in", "✓ ", id="good key"),
        pytest.param("sk-wrong-0123456789abcdef", False, "401", "✗ ", id="bad key"),
        pytest.param(KEY, True, "custom", "✗ ", id="dead port"),
    ],
)
def test_what_is_saved_is_tested(
    workspace: Workspace, tab: ProvidersTab, server: ModelsServer, key: str, is_dead: bool, told: str, row: str
) -> None:
    base = dead_url() if is_dead else server.url
    made = workspace.config.add_provider({"type": "custom", "name": "Mine", "apiKey": key, "apiBase": base})
    tab.refresh()
    select(tab, made.id)
    with ended(tab):
        press(tab.widget, "Test")
    assert told in status(tab)
    assert row in rows(tab)[0]
    assert "Last test:" in shown(tab.widget)
    assert last_tests.models_of(made) == (("large", "small") if row == "✓ " else ())
    assert key not in all_states()
    enter(tab, apiBase=f"{base}/other")
    press(tab.widget, "Save")
    assert row not in rows(tab)[0]
    assert "Last test:" not in shown(tab.widget)


@pytest.mark.parametrize("has_keyring", [False, True], ids=["file", "keyring"])
def test_what_was_typed_is_tested_without_being_saved(
    workspace: Workspace, tab: ProvidersTab, server: ModelsServer, package: FakeKeyring, has_keyring: bool
) -> None:
    package.priority = 5 if has_keyring else 0
    before = workspace.config.path.read_bytes()
    choose_type(tab, "custom")
    enter(tab, apiBase=server.url)
    type_key(tab)
    with ended(tab):
        press(tab.widget, "Test")
    assert "reachable in" in status(tab)
    assert f"Bearer {KEY}" in server.asked
    assert workspace.config.path.read_bytes() == before
    assert not package.entries
    assert KEY not in all_states()
    press(tab.widget, "Add")
    assert "✓ " in rows(tab)[0], "the test counts for what was added"


def test_an_edited_one_is_tested_as_it_was_edited(
    workspace: Workspace, tab: ProvidersTab, server: ModelsServer, custom: Provider
) -> None:
    enter(tab, apiBase=server.url)
    field(tab, "advancedSettings.proxy")._remove.click()
    headers = field(tab, "advancedSettings.customHeaders")
    headers._list.value = "X-A"
    press(headers.widget, "Remove this header")
    with ended(tab):
        press(tab.widget, "Test")
    assert "reachable in" in status(tab)
    assert f"Bearer {KEY}" in server.asked, "the stored key"
    assert stored(workspace)[0]["apiBase"] == "http://127.0.0.1:1/v1"


def test_a_config_that_is_not_trusted_is_not_tested(
    workspace: Workspace, tab: ProvidersTab, server: ModelsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = workspace.config.path
    config = json.loads(path.read_text())
    config["providers"] = [
        {"id": "p", "type": "openai", "apiKey": "${OPENAI_API_KEY}", "apiBase": "https://evil.example/v1"}
    ]
    path.write_text(json.dumps(config))
    tab.refresh()
    select(tab, "p")
    for say in (lambda: None, lambda: enter(tab, apiBase=server.url)):
        say()
        press(tab.widget, "Test")
        assert "not trusted" in status(tab)
    assert not server.asked


def test_what_is_incomplete_is_not_tested(tab: ProvidersTab) -> None:
    choose_type(tab, "custom")
    press(tab.widget, "Test")
    assert "Nothing was tested" in status(tab)
    assert "custom needs one" in shown(tab._form.widget)


def test_what_was_changed_meanwhile_is_not_tested_unseen(
    workspace: Workspace, tab: ProvidersTab, custom: Provider
) -> None:
    enter(tab, name="mine")
    workspace.config.update_provider(custom.id, {"apiBase": "http://127.0.0.1:2/v1"})
    press(tab.widget, "Test")
    assert "changed meanwhile" in shown(tab.widget)


def test_a_test_can_be_stopped(workspace: Workspace, tab: ProvidersTab, server: ModelsServer) -> None:
    made = workspace.config.add_provider({"type": "custom", "apiKey": KEY, "apiBase": server.url})
    tab.refresh()
    select(tab, made.id)
    server.gate.clear()
    with ended(tab):
        press(tab.widget, "Test")
        assert server.arrived.wait(LIMIT_S), "the kernel's thread is free while the server thinks"
        assert f"Testing {made.id}" in status(tab)
        press(tab._status.widget, "Stop")
    assert status(tab).strip() == "stopped"
    assert last_tests.last_test(made) is None


# --- deleting --------------------------------------------------------------------------------------------------


def endpoint(name: str, provider_id: str) -> dict[str, str]:
    return {"id": name, "providerId": provider_id, "model": "m"}


@pytest.mark.parametrize("origin", ["project", "user"])
def test_deleting_says_which_endpoints_go_along(workspace: Workspace, tab: ProvidersTab, origin: str) -> None:
    store = workspace.config if origin == "project" else workspace.config.user
    store.add_provider({"id": "p", "type": "ollama"})
    store.add_endpoint(endpoint("goes", "p"))
    workspace.config.add_endpoint(endpoint("projects", "p"))
    tab.refresh()
    select(tab, "p")
    press(tab.widget, "Delete")
    asked = shown(tab._question.widget)
    told = "with it goes, projects?" if origin == "project" else "with it goes? Without a provider then: projects."
    assert told in " ".join(asked.split())
    press(tab.widget, "Keep it")
    assert workspace.config.get_provider("p") is not None
    press(tab.widget, "Delete")
    press(tab.widget, "Delete it")
    assert "Deleted p" in status(tab)
    assert [known.id for known in workspace.config.get_all_endpoints()] == ([] if origin == "project" else ["projects"])


@pytest.mark.parametrize("is_taken_out", [True, False])
def test_deleting_leaves_no_entry_of_the_keyring_unsaid(
    tab: ProvidersTab, package: FakeKeyring, is_taken_out: bool
) -> None:
    package.priority = 5
    type_key(tab)
    press(tab.widget, "Add")
    press(tab.widget, "Delete")
    press(tab.widget, "Delete it")
    ((_, name),) = package.entries
    assert f"may still hold {name}" in shown(tab.widget)
    press(tab.widget, "Take it out" if is_taken_out else "Leave it there")
    assert bool(package.entries) is not is_taken_out
    assert "may still hold" not in shown(tab.widget)


def test_an_entry_that_another_provider_uses_is_left_alone(
    workspace: Workspace, tab: ProvidersTab, package: FakeKeyring
) -> None:
    package.priority = 5
    workspace.config.add_provider({"id": "a", "type": "openai", "apiKey": "keyring:shared"})
    workspace.config.user.add_provider({"id": "b", "type": "openai", "apiKey": "keyring:shared"})
    tab.refresh()
    select(tab, "a")
    press(tab.widget, "Delete")
    press(tab.widget, "Delete it")
    assert "may still hold" not in shown(tab.widget)


def test_replacing_a_key_says_that_its_entry_is_left(
    workspace: Workspace, tab: ProvidersTab, package: FakeKeyring
) -> None:
    package.priority = 5
    package.entries["ccw_magics", "old"] = KEY
    workspace.config.add_provider({"id": "a", "type": "openai", "apiKey": "keyring:old"})
    tab.refresh()
    select(tab, "a")
    source(tab)._chosen.value = "variable"
    press(tab.widget, "Save")
    assert stored(workspace)[0]["apiKey"] == "${OPENAI_API_KEY}"
    assert "may still hold old" in shown(tab.widget)
    press(tab.widget, "Take it out")
    assert not package.entries
    assert "Taken out of the keyring: old" in status(tab)


def test_a_key_put_into_an_entry_of_the_users_own(
    workspace: Workspace, tab: ProvidersTab, package: FakeKeyring
) -> None:
    package.priority = 5
    package.entries["ccw_magics", "old"] = "the former key"
    workspace.config.add_provider({"id": "a", "type": "openai", "apiKey": "keyring:old"})
    tab.refresh()
    select(tab, "a")
    type_secret(source(tab)._secret, KEY)
    press(tab.widget, "Save")
    assert package.entries == {("ccw_magics", "old"): KEY}
    assert workspace.config.get_all_providers()[0].api_key == Secret("keyring:old")

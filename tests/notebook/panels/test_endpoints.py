"""The tab of the endpoints, driven without a kernel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

from ccw_magics import Workspace
from ccw_magics.backends.model_facts import ModelFacts
from ccw_magics.calls import worker
from ccw_magics.calls.probe import Probe
from ccw_magics.config.models import RESERVED_VERBS, Config, Provider
from ccw_magics.context.preview import Preview
from ccw_magics.notebook.panels import last_tests, model_field, patterns_field
from ccw_magics.notebook.panels.endpoints import EndpointsTab
from ccw_magics.notebook.panels.example_cell import example_cell
from ccw_magics.notebook.panels.param_fields import JsonField, StopsField
from ccw_magics.notebook.panels.patterns_field import in_words

DEADLINE_S = 10.0
KEY = "sk-canary-of-endpoints-0123456789"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No provider is asked in fact, and litellm is not imported; who was asked."""
    ids: list[str] = []

    async def probe(provider: Provider) -> Probe:
        ids.append(provider.id)
        return Probe(True, "fine", models=("gpt-4o", "gpt-4o-mini"))

    async def model_facts(provider_type: str, model: str) -> ModelFacts:
        return ModelFacts(128_000)

    async def known_models(provider_type: str) -> tuple[str, ...]:
        return (f"known of {provider_type}",)

    monkeypatch.setattr(last_tests, "_tests", {})
    monkeypatch.setattr("ccw_magics.calls.probe.probe", probe)
    monkeypatch.setattr("ccw_magics.calls.model_facts.model_facts", model_facts)
    monkeypatch.setattr("ccw_magics.calls.model_facts.known_models", known_models)
    monkeypatch.setattr(model_field, "PAUSE_S", 0.0)
    monkeypatch.setattr(patterns_field, "PAUSE_S", 0.0)
    yield ids
    settle()  # nothing goes on once these stand-ins are gone


@pytest.fixture
def workspace(project: Path) -> Workspace:
    """A project with a provider, and two endpoints, the first the default."""
    made = Workspace(project)
    made.config.add_provider({"id": "p-1", "name": "Mine", "type": "openai", "apiKey": KEY})
    made.config.add_endpoint({"id": "one", "providerId": "p-1", "model": "gpt-4o", "params": {"maxTokens": 9}})
    made.config.add_endpoint({"id": "two", "providerId": "p-1", "model": "o3", "enabled": False})
    made.config.set_default_endpoint("one")
    return made


@pytest.fixture
def tab(workspace: Workspace) -> EndpointsTab:
    return opened(workspace)


def opened(workspace: Workspace) -> EndpointsTab:
    made: EndpointsTab
    made = EndpointsTab(workspace, lambda: made.refresh())  # noqa: PLW0108 - there is none yet
    made.refresh()
    return made


def settle(*futures: Any) -> None:
    """Wait for what runs, and for those who are told of its end."""
    for future in futures:
        if future is not None:
            future.result(DEADLINE_S)
    worker.submit(asyncio.sleep(0)).result(DEADLINE_S)


def choose(tab: EndpointsTab, endpoint_id: str) -> None:
    tab._list._list.value = endpoint_id


def field(tab: EndpointsTab, name: str) -> Any:
    return next(field for field in tab._form._fields if field.name == name)


def type_in(tab: EndpointsTab, **values: Any) -> None:
    for name, value in values.items():
        field(tab, name.replace("__", "."))._control.value = value


def unfold(tab: EndpointsTab) -> None:
    for group in tab._form.widget.children[1:]:
        group.selected_index = 0


def rows(tab: EndpointsTab) -> list[str]:
    return [row[0] for row in tab._list._list.options]


def test_the_list_tells_state_default_model_and_file(workspace: Workspace, tab: EndpointsTab) -> None:
    workspace.config.user.add_provider({"id": "u-1", "type": "openai"})
    workspace.config.user.add_endpoint({"id": "three", "providerId": "u-1", "model": "gpt-5"})
    tab.refresh()
    assert rows(tab) == ["● one ★ · gpt-4o · project", "○ two · o3 · disabled · project", "● three · gpt-5 · user"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        pytest.param("one", "is taken", id="taken"),
        *(pytest.param(word, "is a word of the %ccw command", id=word) for word in sorted(RESERVED_VERBS)),
        pytest.param("a b", "without white space", id="white-space"),
        pytest.param("-a", "must not start with", id="an-option"),
        pytest.param("local", "", id="local-may-be-configured"),
        pytest.param("fine", "", id="fine"),
    ],
)
def test_an_id_is_judged_as_it_is_typed(tab: EndpointsTab, typed: str, said: str) -> None:
    tab.add()
    type_in(tab, id=typed)
    beside = field(tab, "id")._beside.value
    assert ("ccw-wrong" in beside) == bool(said)
    assert said in beside


def test_an_endpoint_is_added(workspace: Workspace, tab: EndpointsTab, asked: list[str]) -> None:
    tab.add()
    type_in(tab, id="new", providerId="p-1")
    settle(field(tab, "model")._known)
    assert field(tab, "model")._control.options == ("known of openai",)
    assert asked == [], "the key goes out when its user asks for it"
    field(tab, "model").ask()
    settle(field(tab, "model")._status._future)
    assert field(tab, "model")._control.options == ("gpt-4o", "gpt-4o-mini")
    assert asked == ["p-1"]
    type_in(tab, model="gpt-4o-mini", cacheStrategy__filePatterns="*.py\n\n docs/** ")
    unfold(tab)
    type_in(tab, params__temperature="0.5", params__stop="END\n\\n\\n", params__thinking='{"type": "enabled"}')
    tab.save()
    made = workspace.config.get_endpoint("new")
    assert made is not None
    assert (made.model, made.enabled, made.cache_strategy.ttl_minutes) == ("gpt-4o-mini", True, 60)
    assert made.cache_strategy.file_patterns == ["*.py", "docs/**"]
    assert made.params.chosen() == {"temperature": 0.5, "stop": ["END", "\n\n"], "thinking": {"type": "enabled"}}
    assert tab._list.selected == "new"
    assert "%%ccw new" in tab._cell.value


def test_who_is_asked_stands_in_the_config_that_was_judged(
    workspace: Workspace, tab: EndpointsTab, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = workspace.config.require_trust()

    def judge() -> Config:
        Workspace(workspace.root).config.update_provider("p-1", {"apiBase": "https://elsewhere.example/v1"})
        return judged

    monkeypatch.setattr(workspace.config, "require_trust", judge)
    choose(tab, "one")
    assert tab._trusted_provider() == judged.providers[0]
    assert asked == []


def test_a_limit_of_thousands_of_digits_is_no_limit(tab: EndpointsTab) -> None:
    choose(tab, "one")
    patterns = field(tab, "cacheStrategy.filePatterns")
    patterns.preview()
    settle(patterns._status._future)
    type_in(tab, cacheStrategy__maxSizeKB="9" * 5000)
    settle(patterns._status._future)
    assert patterns._previewed == ((), None)


@pytest.mark.parametrize(
    ("values", "place", "said"),
    [
        pytest.param({"id": "", "providerId": "p-1", "model": "m"}, "id", "required", id="no-id"),
        pytest.param({"id": "x", "model": "m"}, "providerId", "required", id="no-provider"),
        pytest.param({"id": "x", "providerId": "p-1"}, "model", "is missing", id="no-model"),
        pytest.param({"cacheStrategy__maxSizeKB": "much"}, "cacheStrategy.maxSizeKB", "valid integer", id="no-number"),
        pytest.param({"params__temperature": "3"}, "params.temperature", "less than or equal to 2", id="too-hot"),
        pytest.param({"params__extraBody": "{"}, "params.extraBody", "valid dictionary", id="no-json"),
        pytest.param({"contextWindow": "-1"}, "contextWindow", "greater than 0", id="no-window"),
    ],
)
def test_what_is_wrong_stands_beside_the_field_and_nothing_is_saved(
    workspace: Workspace, tab: EndpointsTab, values: dict[str, str], place: str, said: str
) -> None:
    before = workspace.config.path.read_bytes()
    tab.add()
    unfold(tab)
    type_in(tab, **values)
    tab.save()
    assert said in field(tab, place)._beside.value
    assert "Nothing was saved" in tab._status._text.value
    assert workspace.config.path.read_bytes() == before


def test_local_needs_no_model(workspace: Workspace, tab: EndpointsTab) -> None:
    tab.add()
    type_in(tab, id="small", providerId="local")
    tab.save()
    assert workspace.config.get_endpoint("small") is not None


def test_an_edit_changes_what_was_typed_alone(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    type_in(tab, description="for reviews", cacheStrategy__maxSizeKB="64")
    tab.save()
    entry = next(e for e in json.loads(workspace.config.path.read_text())["endpoints"] if e["id"] == "one")
    assert entry["description"] == "for reviews"
    assert entry["params"] == {"maxTokens": 9}
    assert entry["cacheStrategy"]["maxSizeKB"] == 64
    assert field(tab, "id").widget.layout.display == "none"


def test_a_change_made_meanwhile_is_shown_and_not_overwritten(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    type_in(tab, description="mine")
    Workspace(workspace.root).config.update_endpoint("one", {"description": "theirs"})
    tab.save()
    assert workspace.config.get_endpoint("one").description == "theirs"  # type: ignore[union-attr]  # it is there
    assert "theirs" in tab._question.widget.children[0].value


def test_a_duplicate_has_all_settings_but_id_name_and_stamps(workspace: Workspace, tab: EndpointsTab) -> None:
    workspace.config.update_endpoint("one", {"name": "First", "params": {"extraBody": {"a": 1}}, "unknownKey": 7})
    tab.refresh()
    choose(tab, "one")
    tab._duplicate.click()
    assert field(tab, "id").value == "one-2"
    type_in(tab, description="a copy")
    tab.refresh()  # a cell was run meanwhile
    tab.save()
    entries = {e["id"]: e for e in json.loads(workspace.config.path.read_text())["endpoints"]}
    copy, source = entries["one-2"], entries["one"]
    assert (copy["name"], copy["description"], copy["unknownKey"]) == ("one-2", "a copy", 7)
    same = set(source) - {"id", "name", "createdAt", "updatedAt"}
    assert {name: copy[name] for name in same} == {name: source[name] for name in same}


def test_a_new_endpoint_after_a_reverted_duplicate_is_no_copy(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    tab._duplicate.click()
    tab.revert()
    tab.add()
    type_in(tab, id="fresh", providerId="p-1", model="m")
    tab.save()
    assert workspace.config.get_endpoint("fresh").params.chosen() == {}  # type: ignore[union-attr]  # it is there


def test_another_one_is_made_the_default(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    assert tab._make_default.disabled
    choose(tab, "two")
    tab._make_default.click()
    assert workspace.config.get_default_endpoint() == "two"
    assert "○ two ★" in rows(tab)[1]
    assert tab._make_default.disabled


def test_deleting_asks_and_says_what_goes_along(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    tab._delete.click()
    assert "place as the default" in tab._question.widget.children[0].value
    assert workspace.config.get_endpoint("one") is not None
    tab._question.widget.children[1].children[0].click()
    assert workspace.config.get_endpoint("one") is None
    assert workspace.config.get_default_endpoint() is None


@pytest.mark.parametrize(
    ("typed", "missing"),
    [
        pytest.param("two", "", id="known"),
        pytest.param("local", "", id="the-embedded-one"),
        pytest.param("two\ngone\nlost", "there is no endpoint gone, lost yet", id="unknown"),
    ],
)
def test_unknown_fallbacks_are_said_and_may_be_saved(
    workspace: Workspace, tab: EndpointsTab, typed: str, missing: str
) -> None:
    choose(tab, "one")
    type_in(tab, fallback=typed)
    assert ("ccw-doubt" in field(tab, "fallback")._beside.value) == bool(missing)
    assert missing in field(tab, "fallback")._beside.value
    tab.save()
    assert workspace.config.get_endpoint("one").fallback == typed.split()  # type: ignore[union-attr]  # it is there


def test_providers_that_come_and_go_are_offered(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    assert ("p-1 — Mine (openai)", "p-1") in field(tab, "providerId")._control.options
    workspace.config.add_provider({"id": "p-2", "type": "mistral"})
    tab.refresh()
    assert ("p-2 — mistral (mistral)", "p-2") in field(tab, "providerId")._control.options
    assert field(tab, "providerId").value == "p-1"
    assert not tab._form.is_edited


def test_a_provider_that_is_gone_is_shown_as_such(workspace: Workspace) -> None:
    document = json.loads(workspace.config.path.read_text())
    document["endpoints"][0]["providerId"] = "gone"
    workspace.config.path.write_text(json.dumps(document))
    tab = opened(workspace)
    choose(tab, "one")
    tab.refresh()
    assert field(tab, "providerId").value == "gone"
    assert "gone — there is no such provider" in dict(field(tab, "providerId")._control.options)


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        pytest.param(False, "begin in the tab Providers", id="nothing"),
        pytest.param(True, "name a provider", id="provider"),
    ],
)
def test_where_there_are_none_the_first_steps_are_said(project: Path, providers: bool, said: str) -> None:
    workspace = Workspace(project)
    if providers:
        workspace.config.add_provider({"id": "p-1", "type": "openai"})
    tab = opened(workspace)
    assert said in tab._intro.value
    assert "local" in tab._intro.value


def test_a_file_that_cannot_be_understood_is_said(workspace: Workspace) -> None:
    workspace.config.path.write_text("{")
    tab = opened(workspace)
    assert "ccw-wrong" in tab._status._text.value


@pytest.mark.parametrize(
    ("files", "cell"),
    [
        pytest.param(["README.md", "a.py"], "%%ccw e\n@README.md What is this about?", id="readme"),
        pytest.param(["b.py", "a.md"], "%%ccw e\n@a.md What is this about?", id="another"),
        pytest.param(["my notes.md", ".env", "x.bin"], "%%ccw e\nSay hello in one sentence.", id="none-to-name"),
    ],
)
def test_the_cell_refers_to_what_exists(tmp_path: Path, files: list[str], cell: str) -> None:
    for name in files:
        (tmp_path / name).write_text("x")
    assert example_cell(tmp_path, "e") == cell


def test_the_preview_says_what_a_folder_brings_in_and_follows_the_typing(
    workspace: Workspace, tab: EndpointsTab
) -> None:
    (workspace.root / "a.py").write_text("x = 1\n" * 400)
    (workspace.root / "b.md").write_text("text\n")
    choose(tab, "one")
    patterns = field(tab, "cacheStrategy.filePatterns")
    patterns.preview()
    settle(patterns._status._future)
    assert "2 files" in patterns._status._text.value
    type_in(tab, cacheStrategy__filePatterns="*.py", cacheStrategy__maxSizeKB="2")
    settle(patterns._status._future)
    assert "1 file," in patterns._status._text.value
    assert "passes maxSizeKB (2.0 KiB)" in patterns._status._text.value
    choose(tab, "one")
    tab.revert()
    assert patterns._previewed is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(Preview(0, 0, 1024, (), (), False), "no file here", id="nothing"),
        pytest.param(
            Preview(0, 0, 1024, (), (("binary", 3),), False), "Left out: 3 (binary).", id="nothing-but-left-out"
        ),
        pytest.param(
            Preview(2, 10, 1024, (("a", 7),), (), True),
            "at most 2 files, 10 B; within maxSizeKB (1.0 KiB)",
            id="estimate",
        ),
    ],
)
def test_a_preview_in_words(found: Preview, said: str) -> None:
    assert said in in_words(found)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(None, "", id="none"),
        pytest.param("END", "END", id="one-text"),
        pytest.param(["a", "\n\nb\t", " c ", "\\n"], "a\n\\n\\nb\\t\n c \n\\\\n", id="escapes"),
    ],
)
def test_stops_come_back_as_they_were(value: Any, shown: str) -> None:
    stops = StopsField("params.stop", "Stop")
    stops.fill(value)
    assert stops._control.value == shown
    assert stops.value == ([value] if isinstance(value, str) else value)


def test_no_widget_holds_a_key(workspace: Workspace, tab: EndpointsTab) -> None:
    choose(tab, "one")
    unfold(tab)
    field(tab, "model").ask()
    settle(field(tab, "model")._status._future)
    states = [str(widget.get_state()) for widget in walked(tab.widget)]
    assert len(states) > 50
    assert not [state for state in states if "canary" in state]


def walked(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walked(child)


@pytest.mark.parametrize("value", [None, {}, {"a": [1, "ü"]}], ids=["none", "empty", "nested"])
def test_json_comes_back_as_it_was(value: Any) -> None:
    shown = JsonField("params.thinking", "Thinking")
    shown.fill(value)
    assert shown.value == value

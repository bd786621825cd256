"""Deleting from the panel: what the user is told before, and that nothing else is deleted than that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from panel_driver import enter, press, shown

from ccw_magics.notebook.panels.endpoints import EndpointsTab
from ccw_magics.notebook.panels.providers import ProvidersTab
from ccw_magics.workspace import Workspace


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


def provider(provider_id: str) -> dict[str, Any]:
    return {"id": provider_id, "name": provider_id, "type": "ollama", "apiKey": ""}


def endpoint(endpoint_id: str, provider_id: str = "p") -> dict[str, Any]:
    return {"id": endpoint_id, "providerId": provider_id, "model": "m"}


def write(path: Path, **config: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, **config}))


def opened(kind: type[Any], workspace: Workspace, entry_id: str) -> Any:
    made = kind(workspace, lambda: made.refresh())  # noqa: PLW0108 - there is none yet
    made.refresh()
    made._list._list.value = entry_id
    return made


def asked(tab: Any) -> str:
    press(tab.widget, "Delete")
    return shown(tab._question.widget)


@pytest.mark.parametrize("change", ["provider", "endpoint"])
def test_what_was_changed_after_the_question_is_asked_about_again(workspace: Workspace, change: str) -> None:
    write(workspace.config.path, providers=[provider("p")])
    tab = opened(ProvidersTab, workspace, "p")
    assert "Delete p?" in asked(tab)
    other = Workspace(workspace.root).config
    if change == "provider":
        other.update_provider("p", {"name": "theirs"})
    else:
        other.add_endpoint(endpoint("new"))
    press(tab.widget, "Delete it")
    assert other.get_provider("p") is not None
    again = shown(tab._question.widget)
    assert "was changed meanwhile by someone else" in again
    assert ("and with it new?" in again) is (change == "endpoint")
    press(tab.widget, "Delete it")
    assert other.get_provider("p") is None
    assert other.get_all_endpoints() == []
    assert "Deleted p." in shown(tab._status.widget)


def test_an_endpoint_that_was_changed_after_the_question_is_asked_about_again(workspace: Workspace) -> None:
    write(workspace.config.path, providers=[provider("p")], endpoints=[endpoint("e")])
    tab = opened(EndpointsTab, workspace, "e")
    asked(tab)
    other = Workspace(workspace.root).config
    other.update_endpoint("e", {"model": "theirs"})
    enter(tab, description="typed")
    press(tab.widget, "Delete it")
    assert other.get_endpoint("e") is not None
    assert tab._form.changes() == {"description": "typed"}, "what is being typed stays"
    press(tab.widget, "Delete it")
    assert other.get_endpoint("e") is None


def test_endpoints_of_the_other_file_that_lose_their_provider_are_named(workspace: Workspace) -> None:
    write(workspace.config.user.path, providers=[provider("p")], endpoints=[endpoint("mine")])
    write(workspace.config.path, endpoints=[endpoint("projects")])
    told = asked(opened(ProvidersTab, workspace, "p"))
    assert "Delete p, and with it mine?" in told
    assert "Without a provider then: projects." in told


def test_no_endpoint_loses_a_provider_that_the_other_file_has_too(workspace: Workspace) -> None:
    write(workspace.config.user.path, providers=[provider("p")], endpoints=[endpoint("mine")])
    write(workspace.config.path, providers=[provider("p")], endpoints=[endpoint("projects")])
    told = asked(opened(ProvidersTab, workspace, "p"))
    assert "Delete p, and with it projects?" in told
    assert "Without a provider" not in told


@pytest.mark.parametrize(
    ("endpoint_in", "named_in", "told"),
    [
        pytest.param("project", ["project"], "and with it its place as the default?", id="project"),
        pytest.param("user", ["user"], "and with it its place as the default?", id="user"),
        pytest.param("user", ["project"], "will then name none that there is", id="named by the project"),
        pytest.param("project", ["user"], "will then name none that there is", id="named by the user"),
        pytest.param("project", [], "", id="named by nobody"),
    ],
)
def test_what_becomes_of_the_default_is_said(
    workspace: Workspace, endpoint_in: str, named_in: list[str], told: str
) -> None:
    stores = {"project": workspace.config, "user": workspace.config.user}
    for name, store in stores.items():
        default = {"defaultEndpoint": "e"} if name in named_in else {}
        endpoints = [endpoint("e")] if name == endpoint_in else []
        write(store.path, providers=[provider("p")], endpoints=endpoints, **default)
    tab = opened(EndpointsTab, workspace, "e")
    said = asked(tab)
    assert told in said
    assert bool(told) is ("default" in said)
    press(tab.widget, "Delete it")
    is_left = {name: json.loads(store.path.read_text()).get("defaultEndpoint") for name, store in stores.items()}
    gone = "with it" in told
    assert [name for name, default in is_left.items() if default] == ([] if gone else named_in)

"""`endpoint add|edit|delete|list|default`, from a shell and in a notebook."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccw_magics import Workspace
from ccw_magics.cli.shell.command import _run
from ccw_magics.config.models import Endpoint
from ccw_magics.config.store import ConfigStore
from ccw_magics.notebook.door import NotebookDoor

Say = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def say(project: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a line as a shell does: exit code, standard output, standard error."""

    def run(line: str) -> tuple[int, str, str]:
        status = _run(shlex.split(line))
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


@pytest.fixture
def store(project: Path) -> ConfigStore:
    config = Workspace(project).config
    config.add_provider({"id": "p", "type": "openai"})
    return config


def stored(store: ConfigStore, endpoint_id: str) -> Endpoint:
    found = store.get_endpoint(endpoint_id)
    assert found is not None
    return found


def entry(path: Path, endpoint_id: str) -> dict[str, Any]:
    (found,) = [known for known in json.loads(path.read_text())["endpoints"] if known["id"] == endpoint_id]
    return {name: value for name, value in found.items() if name not in {"createdAt", "updatedAt"}}


def test_the_least(say: Say, store: ConfigStore) -> None:
    status, out, err = say("endpoint add e --provider p --model gpt-4o")
    assert (status, out) == (0, "added: e\n")
    assert str(store.path) in err
    assert entry(store.path, "e") == {
        "id": "e",
        "name": "e",
        "providerId": "p",
        "model": "gpt-4o",
        "enabled": True,
        "cacheStrategy": {
            "enabled": True,
            "ttlMinutes": 60,
            "maxSizeKB": 512,
            "filePatterns": [],
            "layout": "stable",
        },
    }
    assert store.get_default_endpoint() is None


FULL = (
    "endpoint add e --provider p --model m --name N --description 'a word' --system 'Be brief.' --temperature 0.2"
    " --max-tokens 99 --context-window 8000 --replay --fallback local --fallback later --no-cache --ttl-minutes 5"
    " --max-size-kb 64 --file-pattern '*.py' --file-pattern 'docs/**' --disable --default"
)


def test_all_of_it(say: Say, store: ConfigStore) -> None:
    status, _, err = say(FULL)
    assert status == 0, err
    assert entry(store.path, "e") == {
        "id": "e",
        "name": "N",
        "providerId": "p",
        "model": "m",
        "enabled": False,
        "cacheStrategy": {
            "enabled": False,
            "ttlMinutes": 5,
            "maxSizeKB": 64,
            "filePatterns": ["*.py", "docs/**"],
            "layout": "stable",
        },
        "description": "a word",
        "systemPrompt": "Be brief.",
        "contextWindow": 8000,
        "replay": True,
        "fallback": ["local", "later"],
        "params": {"temperature": 0.2, "maxTokens": 99},
    }
    assert store.get_default_endpoint() == "e"
    assert ", the default" in err
    assert "no endpoint later yet" in err


def test_an_edit_changes_what_is_given_alone(say: Say, store: ConfigStore) -> None:
    say(FULL)
    before = entry(store.path, "e")
    status, out, err = say("endpoint edit e --model m2 --ttl-minutes 7 --temperature 1 --no-replay --enable")
    assert (status, out) == (0, "changed: e\n"), err
    changed = {
        **before,
        "model": "m2",
        "replay": False,
        "enabled": True,
        "cacheStrategy": {**before["cacheStrategy"], "ttlMinutes": 7},
        "params": {"temperature": 1.0, "maxTokens": 99},
    }
    assert entry(store.path, "e") == changed


def test_an_edit_keeps_what_else_there_is(say: Say, store: ConfigStore) -> None:
    strategy = {"enabled": True, "ttlMinutes": 1, "maxSizeKB": 2, "filePatterns": ["a"], "layout": "fresh", "x": 1}
    params = {"thinking": {"budget": 5}}
    store.add_endpoint({"id": "e", "providerId": "p", "cacheStrategy": strategy, "params": params, "ours": 1})
    assert say("endpoint edit e --max-size-kb 9 --temperature 0")[0] == 0
    found = entry(store.path, "e")
    assert found["cacheStrategy"] == {**strategy, "maxSizeKB": 9}
    assert found["params"] == {**params, "temperature": 0.0}
    assert found["ours"] == 1


def test_an_empty_value_takes_one_away(say: Say, store: ConfigStore) -> None:
    say(FULL)
    empty = " ".join(
        f"--{name} ''"
        for name in (
            "description",
            "system",
            "temperature",
            "max-tokens",
            "context-window",
            "fallback",
            "ttl-minutes",
            "max-size-kb",
            "file-pattern",
        )
    )
    status, _, err = say(f"endpoint edit e {empty}")
    assert status == 0, err
    endpoint = stored(store, "e")
    assert (endpoint.description, endpoint.system_prompt, endpoint.context_window) == (None, None, None)
    assert (endpoint.params.chosen(), endpoint.fallback, endpoint.cache_strategy.file_patterns) == ({}, [], [])
    assert (endpoint.cache_strategy.ttl_minutes, endpoint.cache_strategy.max_size_kb) == (60, 512)
    assert endpoint.cache_strategy.enabled is False


REFUSED = {
    "no provider": ("add e --model m", 2, "--provider"),
    "no model": ("add e --provider p", 2, "--model"),
    "an unknown provider": ("add e --provider nope --model m", 3, "provider not found: nope"),
    "a reserved id": ("add provider --provider p --model m", 3, "a word of the %ccw command"),
    "an id that is taken": ("add known --provider p --model m", 3, "there is an endpoint known already"),
    "too hot": ("add e --provider p --model m --temperature 3", 3, "temperature"),
    "no number": ("add e --provider p --model m --ttl-minutes long", 3, "ttlMinutes"),
    "edit none": ("edit nope --name N", 3, "endpoint not found: nope"),
    "edit the embedded one": ("edit local --name N", 3, "endpoint local is built in, and cannot be changed"),
    "edit nothing": ("edit known", 2, "nothing says what to change"),
    "edit to no provider": ("edit known --provider ''", 3, "providerId"),
    "edit to another provider": ("edit known --provider nope", 3, "provider not found: nope"),
    "delete none": ("delete nope --yes", 3, "endpoint not found: nope"),
    "delete without a word": ("delete known", 1, "this would delete the endpoint known"),
    "an unknown default": ("default nope", 3, "endpoint not found: nope"),
    "no such verb": ("frobnicate", 2, "frobnicate"),
}


@pytest.mark.parametrize(("line", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(say: Say, store: ConfigStore, line: str, status: int, told: str) -> None:
    store.add_endpoint({"id": "known", "providerId": "p", "model": "m"})
    before = store.path.read_bytes()
    got, out, err = say(f"endpoint {line}")
    assert (got, out) == (status, "")
    assert told in err
    assert store.path.read_bytes() == before


def test_the_embedded_model_needs_no_model_name(say: Say, store: ConfigStore) -> None:
    assert say("endpoint add small --provider local --max-tokens 80")[0] == 0
    assert stored(store, "small").model == ""


@pytest.mark.parametrize("line", ["endpoint default e", "default e", "endpoint edit e --default"])
def test_the_default(say: Say, store: ConfigStore, line: str) -> None:
    store.add_endpoint({"id": "e", "providerId": "p", "model": "m"})
    assert say(line)[0] == 0
    assert store.get_default_endpoint() == "e"
    assert "it is the default" in say("endpoint delete e")[2]
    assert say("endpoint delete e --yes")[:2] == (0, "deleted: e\n")
    assert (store.get_default_endpoint(), store.get_endpoint("e")) == (None, None)


def test_the_users_own(say: Say, store: ConfigStore) -> None:
    assert "provider not found: p" in say("endpoint add e --provider p --model m --user")[2]
    store.user.add_provider({"id": "mine", "type": "openai"})
    assert say("endpoint add e --provider mine --model m --user --default")[0] == 0
    assert (store.user.get_default_endpoint(), stored(store, "e").provider_id) == ("e", "mine")
    for line in ("edit e --name N", "edit e --temperature 1", "delete e --yes"):
        status, _, err = say(f"endpoint {line}")
        assert status == 3
        assert "--user changes that file" in err
    assert say("endpoint edit e --temperature 1 --user")[0] == 0
    assert stored(store, "e").params.temperature == 1
    assert say("endpoint delete e --yes --user")[0] == 0
    assert store.user.get_default_endpoint() is None


def test_lists(say: Say, store: ConfigStore) -> None:
    store.add_endpoint({"id": "ours", "providerId": "p", "model": "m"})
    store.user.add_endpoint({"id": "mine", "providerId": "local", "model": ""})
    for line in ("endpoint", "endpoint list", "endpoints"):
        assert ["ours" in say(line)[1], "mine" in say(line)[1]] == [True, True]
    for line in ("endpoint list --user", "endpoints --user"):
        assert ["ours" in say(line)[1], "mine" in say(line)[1]] == [False, True]
    assert "without --user" in say("endpoint delete ours --yes --user")[2]


class Shell:
    """A stand-in for IPython's shell, as far as verbs use it."""

    display_formatter = None


def test_in_a_notebook(store: ConfigStore, capsys: pytest.CaptureFixture[str]) -> None:
    door = NotebookDoor(Shell())  # type: ignore[arg-type]  # a stand-in
    door.verb(["endpoint", "add", "e", "--provider", "p", "--model", "m", "--file-pattern", "*.{py,md}"])
    assert "added: e" in capsys.readouterr().out
    assert "e" in set(door.verb(["endpoint"])["id"])
    assert stored(store, "e").cache_strategy.file_patterns == ["*.{py,md}"]


def test_duplicate(say: Say, store: ConfigStore) -> None:
    say(FULL)
    store.update_endpoint("e", {"ours": {"a": [1]}})
    status, out, err = say("endpoint duplicate e copy")
    assert (status, out) == (0, "added: copy\n"), err
    assert "no endpoint later yet" in err
    assert entry(store.path, "copy") == {**entry(store.path, "e"), "id": "copy", "name": "copy"}
    assert store.get_default_endpoint() == "e"
    assert (stored(store, "copy").created_at or "") >= (stored(store, "e").updated_at or "")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("duplicate nope copy", "endpoint not found: nope"),
        ("duplicate e e", "there is an endpoint e already"),
        ("duplicate e cache", "word of the %ccw command"),
        ("duplicate e 'a b'", "white space"),
        ("duplicate e copy --user", "without --user that file is meant"),
    ],
)
def test_what_is_not_duplicated(say: Say, store: ConfigStore, line: str, told: str) -> None:
    say("endpoint add e --provider p --model m")
    before = store.path.read_bytes()
    status, out, err = say(f"endpoint {line}")
    assert (status, out) == (3, "")
    assert told in err
    assert store.path.read_bytes() == before


def test_the_users_own_is_duplicated_into_the_project(say: Say, store: ConfigStore) -> None:
    store.user.add_provider({"id": "mine", "type": "openai"})
    store.user.add_endpoint({"id": "e", "providerId": "mine", "model": "m"})
    assert say("endpoint duplicate e here")[0] == 0
    assert say("endpoint duplicate e there --user")[0] == 0
    origins = {known.id: store.origin(known) for known in store.get_all_endpoints()}
    assert origins == {"e": "user", "here": "project", "there": "user"}


def test_the_embedded_model_is_duplicated(say: Say, store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccw_magics.backends.local_model.available", lambda: True)
    assert say("endpoint duplicate local mine")[0] == 0
    assert stored(store, "mine").provider_id == "local"


def test_a_users_default_below_a_projects_says_so_and_an_empty_one_goes(say: Say, store: ConfigStore) -> None:
    store.user.add_provider({"id": "p", "type": "openai"})
    store.user.add_endpoint({"id": "mine", "providerId": "p"})
    store.add_endpoint({"id": "e", "providerId": "p"})
    store.set_default_endpoint("e")
    status, out, err = say("endpoint default mine --user")
    assert (status, out.strip()) == (0, "default endpoint: mine")
    assert "its own stays in force: e" in err
    assert say("endpoint default ''")[1].strip() == "default endpoint: none"
    assert store.get_default_endpoint() == "mine"

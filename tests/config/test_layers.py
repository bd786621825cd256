"""The user's own config under a project's: which wins, where a change goes, and what needs trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.config.layers import USER_PATH, merged
from ccw_magics.config.models import Config, Endpoint, Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigError, EndpointNotFound, ProviderNotFound

OWN: dict[str, Any] = {"id": "own-1", "name": "Own", "type": "openai", "apiKey": "${OPENAI_API_KEY}"}
FOREIGN: dict[str, Any] = {**OWN, "id": "gate-1", "apiBase": "https://gateway.example.net/v1"}


@pytest.fixture
def store(project: Path) -> ConfigStore:
    store = ConfigStore(project)
    store.user.add_provider(OWN)
    store.user.add_endpoint({"id": "mine", "providerId": "own-1", "model": "gpt-4o"})
    return store


def test_what_is_set_up_once_is_in_every_project(store: ConfigStore, tmp_path: Path) -> None:
    for config in (store, ConfigStore(tmp_path / "another")):
        endpoint = config.get_endpoint("mine")
        assert endpoint is not None
        assert config.origin(endpoint) == "user"
        assert [provider.id for provider in config.get_all_providers()] == ["own-1"]
        assert not config.path.exists()


def test_the_file_is_for_its_owner_and_nothing_else_is_written(store: ConfigStore, home: Path) -> None:
    assert store.user.path == home / USER_PATH
    assert store.user.path.stat().st_mode & 0o077 == 0
    assert not (home / ".gitignore").exists()


def test_the_project_wins_by_id(store: ConfigStore) -> None:
    store.add_endpoint({"id": "mine", "providerId": "own-1", "model": "gpt-4o-mini"})
    (endpoint,) = store.get_all_endpoints()
    assert (endpoint.model, store.origin(endpoint)) == ("gpt-4o-mini", "project")
    assert [known.model for known in store.user.get_all_endpoints()] == ["gpt-4o"]
    assert store.delete_endpoint("mine")
    assert [known.model for known in store.get_all_endpoints()] == ["gpt-4o"]


def test_a_change_goes_to_its_own_file(store: ConfigStore) -> None:
    with pytest.raises(ProviderNotFound) as provider:
        store.update_provider("own-1", {"name": "Other"})
    with pytest.raises(EndpointNotFound) as endpoint:
        store.update_endpoint("mine", {"name": "Other"})
    assert "--user changes that file" in (provider.value.hint or "")
    assert "--user changes that file" in (endpoint.value.hint or "")
    assert not store.delete_provider("own-1")
    store.user.update_provider("own-1", {"name": "Other"})
    assert [known.name for known in store.get_all_providers()] == ["Other"]


def test_the_default_is_the_projects_else_the_users(store: ConfigStore) -> None:
    store.user.set_default_endpoint("mine")
    assert store.get_default_endpoint() == "mine"
    store.set_default_endpoint("local")
    assert store.get_default_endpoint() == "local"
    store.set_default_endpoint("mine")
    assert json.loads(store.path.read_text())["defaultEndpoint"] == "mine"


def test_settings_go_one_by_one(store: ConfigStore) -> None:
    store.user.update_budget({"per_day_usd": 5})
    assert store.load().budget.per_day_usd == 5
    store.update_budget({"per_day_usd": 1})
    assert store.load().budget.per_day_usd == 1


def test_what_the_user_set_up_himself_needs_no_trust(store: ConfigStore) -> None:
    store.user.add_provider(FOREIGN)
    store.user.add_endpoint({"id": "gate", "providerId": "gate-1", "model": "m"})
    store.user.update_endpoint("mine", {"fallback": ["gate"]})
    store.add_endpoint({"id": "here", "providerId": "gate-1", "model": "m"})
    assert store.risks() == []
    assert store.require_trust().endpoints


@pytest.mark.parametrize(
    "brought",
    [
        pytest.param({"providers": [FOREIGN]}, id="a foreign host"),
        pytest.param({"providers": [{**FOREIGN, "id": "own-1"}]}, id="in the place of the user's own"),
        pytest.param(
            {"endpoints": [{"id": "e", "providerId": "own-1", "model": "m", "fallback": ["gate"]}]},
            id="a fallback to it",
        ),
        pytest.param({"globalCacheSettings": {"cacheDir": "/srv/cache"}}, id="a folder"),
    ],
)
def test_what_a_project_brings_needs_trust(store: ConfigStore, brought: dict[str, Any]) -> None:
    store.user.add_provider({**FOREIGN, "id": "gate-2", "apiKey": ""})
    store.user.add_endpoint({"id": "gate", "providerId": "gate-2", "model": "m"})
    store.path.parent.mkdir(parents=True)
    store.path.write_text(json.dumps({"version": 1, **brought}))
    with pytest.raises(ConfigError, match="is not trusted"):
        store.require_trust()
    store.trust()
    assert store.require_trust()


def test_a_broken_file_of_the_users_is_named(store: ConfigStore) -> None:
    store.user.path.write_text("{")
    with pytest.raises(ConfigError, match=str(USER_PATH)):
        store.load()


IDS = st.lists(st.sampled_from("abc"), unique=True)


@given(IDS, IDS, IDS, IDS)
def test_nothing_is_lost_and_the_project_wins(
    project_ids: list[str], user_ids: list[str], project_ends: list[str], user_ends: list[str]
) -> None:
    def config(ids: list[str], ends: list[str], name: str) -> Config:
        return Config(
            providers=[Provider(id=one, type="openai", name=name) for one in ids],
            endpoints=[Endpoint(id=one, provider_id="a", name=name) for one in ends],
        )

    both = merged(config(project_ids, project_ends, "project"), config(user_ids, user_ends, "user"))
    for items, own, under in ((both.providers, project_ids, user_ids), (both.endpoints, project_ends, user_ends)):
        assert {item.id: item.name for item in items} == {
            **dict.fromkeys(under, "user"),
            **dict.fromkeys(own, "project"),
        }
        assert len(items) == len({item.id for item in items})

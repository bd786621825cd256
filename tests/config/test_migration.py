"""Earlier shapes are read and, with the first change, written anew beside a backup; later ones are read alone."""

from __future__ import annotations

import copy
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ccw_files import BARE, KEY, MENDED, PRESENT, endpoint, file, provider
from filelock import FileLock, Timeout
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.config import durable
from ccw_magics.config.migration import MIGRATIONS, VERSION, is_newer, migrated, version_of
from ccw_magics.config.models import Config
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigError

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
NEWER = {**provider(), "version": VERSION + 1, "routes": [{"to": "somewhere"}]}


@pytest.fixture(params=["project", "user"])
def store(request: pytest.FixtureRequest, project: Path) -> ConfigStore:
    store = ConfigStore(project if request.param == "project" else None)
    store.path.parent.mkdir(parents=True)
    return store


def stringified(data: object) -> bytes:
    """What `JSON.stringify(data, null, 2)` gives."""
    return json.dumps(data, indent=2, ensure_ascii=False).encode()


def put(store: ConfigStore, data: object) -> bytes:
    store.path.write_bytes(content := stringified(data))
    return content


def read(store: ConfigStore) -> Any:
    return json.loads(store.path.read_bytes())


def backups(store: ConfigStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.path.parent.glob(f"{store.path.stem}.v*")}


CHANGES: dict[str, Callable[[ConfigStore], object]] = {
    "add provider": lambda store: store.add_provider({"type": "openai"}),
    "update provider": lambda store: store.update_provider(BARE["id"], {"name": "n"}),
    "delete provider": lambda store: store.delete_provider(BARE["id"]),
    "add endpoint": lambda store: store.add_endpoint({"id": "x", "providerId": BARE["id"]}),
    "update endpoint": lambda store: store.update_endpoint("my-gpt4o", {"name": "n"}),
    "delete endpoint": lambda store: store.delete_endpoint("my-gpt4o"),
    "default": lambda store: store.set_default_endpoint(None),
    "cache": lambda store: store.update_global_cache_settings({"enabled": False}),
    "budget": lambda store: store.update_budget({"per_day_usd": 1}),
}


@pytest.mark.parametrize("name", PRESENT)
def test_what_ccw_wrote_loads_and_survives_byte_for_byte(store: ConfigStore, name: str) -> None:
    content = put(store, PRESENT[name])
    config = store.load()
    assert [known.id for known in config.providers] == [known["id"] for known in PRESENT[name]["providers"]]
    assert [known.id for known in config.endpoints] == [known["id"] for known in PRESENT[name]["endpoints"]]
    assert store.path.read_bytes() == content
    added = store.add_provider({"type": "openai", "name": "another"})
    assert store.delete_provider(added.id)
    assert store.path.read_bytes() == content + b"\n"
    assert backups(store) == {}


@pytest.mark.parametrize("name", PRESENT)
def test_an_edit_of_what_ccw_wrote_changes_nothing_else(store: ConfigStore, name: str) -> None:
    put(store, PRESENT[name])
    wanted: Any = copy.deepcopy(PRESENT[name])
    for place, known in enumerate(PRESENT[name]["providers"]):
        changed = store.update_provider(known["id"], {"name": "renamed"})
        wanted["providers"][place] |= {"name": "renamed", "updatedAt": changed.updated_at}
    for place, known in enumerate(PRESENT[name]["endpoints"]):
        renamed = store.update_endpoint(known["id"], {"name": "renamed"})
        wanted["endpoints"][place] |= {"name": "renamed", "updatedAt": renamed.updated_at}
    store.update_global_cache_settings({"max_total_size_mb": 50})
    wanted["globalCacheSettings"] = {**wanted["globalCacheSettings"], "maxTotalSizeMB": 50}
    assert store.path.read_bytes() == stringified(wanted) + b"\n"


@pytest.mark.parametrize("name", MENDED)
def test_what_ccw_did_not_mean_is_read_as_it_means_it(store: ConfigStore, name: str) -> None:
    before, after = MENDED[name]
    content = put(store, before)
    assert store.load() == Config.model_validate(after)
    assert store.path.read_bytes() == content, "reading wrote"
    assert backups(store) == {}
    store.update_budget({"per_day_usd": 1})
    assert read(store) == {**after, "budget": {"perDayUsd": 1}}
    assert backups(store) == {"litellm-api-config.v1.json": content}


@pytest.mark.parametrize(("name", "change"), CHANGES.items(), ids=CHANGES)
@pytest.mark.parametrize("version", [{}, {"version": 0}, {"version": 0.0}], ids=["none", "0", "0.0"])
def test_a_file_without_a_version_is_migrated_by_its_first_change(
    store: ConfigStore, version: dict[str, Any], name: str, change: Callable[[ConfigStore], object]
) -> None:
    bare = {key: value for key, value in endpoint().items() if key != "version"}
    content = put(store, {**bare, **version})
    assert store.load() == Config.model_validate({**bare, "version": VERSION})
    assert (store.path.read_bytes(), backups(store)) == (content, {}), "reading wrote"
    change(store)
    assert backups(store) == {"litellm-api-config.v0.json": content}
    assert next(iter(read(store).items())) == ("version", VERSION)
    if os.name != "nt":
        modes = {stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.glob("litellm-api-config.*json")}
        assert modes == {0o600}


def test_an_earlier_backup_of_other_content_stays(store: ConfigStore) -> None:
    contents = []
    for place in range(3):
        contents.append(put(store, {"providers": [], "place": place}))
        store.update_budget({"per_day_usd": 1})
    put(store, {"providers": [], "place": 1})  # a backup of this is there already
    store.update_budget({"per_day_usd": 1})
    names = [f"litellm-api-config.v0{number}.json" for number in ("", "-2", "-3")]
    assert backups(store) == dict(zip(names, contents, strict=True))


def test_one_backup_is_enough_of_what_another_program_goes_on_writing(store: ConfigStore) -> None:
    """CCW's form writes `rpm: 0` each time: six edits in turn are not six copies of the keys."""
    provider = {"id": "p", "type": "openai", "advancedSettings": {"rpm": 0}}
    first = put(store, {"version": 1, "providers": [provider]})
    for place in range(3):
        store.update_budget({"per_day_usd": place})
        put(store, {"version": 1, "providers": [provider], "place": place})
    assert backups(store) == {"litellm-api-config.v1.json": first}


@pytest.mark.parametrize("edit", [
    pytest.param(lambda store: store.update_provider("none", {"name": "n"}), id="of nothing"),
    pytest.param(lambda store: store.set_default_endpoint("none"), id="default"),
    pytest.param(lambda store: store.update_budget({"per_day_usd": float("nan")}), id="wrong shape"),
])  # fmt: skip
def test_an_edit_that_fails_makes_no_backup(store: ConfigStore, edit: Callable[[ConfigStore], object]) -> None:
    content = put(store, {"providers": []})
    with pytest.raises(ConfigError):
        edit(store)
    assert (store.path.read_bytes(), backups(store)) == (content, {})


def test_without_a_backup_nothing_is_written(store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    content = put(store, {"providers": []})
    (store.path.parent / "litellm-api-config.v0.json").mkdir()
    with pytest.raises(ConfigError, match=r"litellm-api-config\.v0\.json .*directory"):
        store.update_budget({"per_day_usd": 1})
    assert store.path.read_bytes() == content


def test_the_backup_is_made_under_the_lock_and_before_the_file(
    store: ConfigStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, {"providers": []})
    replaced: list[tuple[str, bool]] = []
    replace = durable.replace

    def watch(path: Path, content: bytes, **options: Any) -> None:
        with pytest.raises(Timeout):
            FileLock(f"{store.path}.lock", timeout=0).acquire()
        replaced.append((path.name, (store.path.parent / "litellm-api-config.v0.json").exists()))
        replace(path, content, **options)

    monkeypatch.setattr(durable, "replace", watch)
    store.update_budget({"per_day_usd": 1})
    assert [entry for entry in replaced if entry[0] != ".gitignore"] == [
        ("litellm-api-config.v0.json", False),
        ("litellm-api-config.json", True),
    ]


def test_the_backup_of_a_linked_file_stands_beside_that_file(store: ConfigStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "dotfiles" / "ccw.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(content := stringified({"providers": []}))
    store.path.symlink_to(elsewhere)
    store.update_budget({"per_day_usd": 1})
    assert store.path.is_symlink()
    assert json.loads(elsewhere.read_bytes())["version"] == VERSION
    assert (elsewhere.parent / "ccw.v0.json").read_bytes() == content


@pytest.mark.parametrize(("name", "change"), CHANGES.items(), ids=CHANGES)
def test_a_newer_file_is_read_and_not_changed(
    store: ConfigStore, name: str, change: Callable[[ConfigStore], object]
) -> None:
    content = put(store, NEWER)
    before = store.path.stat()
    assert store.load().providers[0].id == BARE["id"]
    with pytest.raises(ConfigError) as caught:
        change(store)
    assert str(store.path) in caught.value.message
    assert f"its version is {VERSION + 1}, and this ccw_magics knows {VERSION}" in caught.value.message
    assert "pip install --upgrade ccw_magics" in str(caught.value.hint)
    assert store.path.read_bytes() == content
    after = store.path.stat()
    assert (after.st_mtime_ns, after.st_ino, after.st_mode) == (before.st_mtime_ns, before.st_ino, before.st_mode)
    assert backups(store) == {}


def test_a_newer_file_of_an_unknown_shape_says_that_it_is_newer(store: ConfigStore) -> None:
    put(store, {"version": 7, "providers": {"openai": {"apiKey": KEY}}})
    for operation in (store.load, *(lambda change=change: change(store) for change in CHANGES.values())):
        with pytest.raises(ConfigError, match=r"its version is 7, .*: providers: should be a valid list") as caught:
            operation()
        assert "--upgrade" in str(caught.value.hint)
        assert "canary" not in str(caught.value)


def test_a_newer_file_is_not_mended() -> None:
    before, _ = MENDED["no limit"]
    assert migrated({**before, "version": VERSION + 1}) == {**before, "version": VERSION + 1}


@pytest.mark.parametrize("version", ["1", True, None, -1, 1.5, [1], {}], ids=repr)
def test_what_is_no_version(store: ConfigStore, version: object) -> None:
    content = put(store, {**file(), "version": version})
    for operation in (store.load, *(lambda change=change: change(store) for change in CHANGES.values())):
        with pytest.raises(ConfigError, match="version: should be a whole number"):
            operation()
    assert store.path.read_bytes() == content


def test_version_one_as_a_float_is_one(store: ConfigStore) -> None:
    put(store, {**file(), "version": 1.0})
    store.update_budget({"per_day_usd": 1})
    assert backups(store) == {}


def test_the_ladder_has_a_step_for_each_version() -> None:
    assert len(MIGRATIONS) == VERSION == Config().version
    for version, step in enumerate(MIGRATIONS):
        assert version_of(step({"version": version})) == version + 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def files_of_any_shape(draw: st.DrawFn) -> dict[str, Any]:
    """Something of any sort in any place that a step looks at."""

    def mixed(names: list[str], *known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.dictionaries(st.sampled_from(names), st.one_of(json_values, *known), max_size=4) | json_values

    headers = mixed(["X-A", "X-B"])
    advanced = mixed(["timeout", "maxRetries", "rpm", "tpm", "customHeaders"], headers)
    keys = st.lists(mixed(["id", "weight", "label"]), max_size=2)
    providers = st.lists(mixed(["id", "advancedSettings", "apiKeys"], advanced, keys), max_size=2)
    strategy = mixed(["enabled", "filePatterns", "autoCachePatterns"])
    endpoints = st.lists(mixed(["id", "cacheStrategy"], strategy), max_size=2)
    cache = mixed(["cacheDir", "enabled"])
    names = ["version", "providers", "endpoints", "globalCacheSettings", "more"]
    return draw(
        st.dictionaries(st.sampled_from(names), st.one_of(json_values, providers, endpoints, cache), max_size=4)
    )


@given(files_of_any_shape())
@settings(max_examples=200 * FUZZ, deadline=None)
def test_the_ladder_takes_any_object_leaves_it_as_it_was_and_is_climbed_once(data: dict[str, Any]) -> None:
    before = json.dumps(data)
    present = migrated(data)
    assert json.dumps(data) == before
    assert migrated(present) == present
    assert data.keys() - present.keys() == set()
    if version_of(data) is None or is_newer(data):
        assert present is data
    else:
        assert version_of(present) == VERSION

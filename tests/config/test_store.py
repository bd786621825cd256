from __future__ import annotations

import errno
import json
import os
import re
import stat
import traceback
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ccw_magics.config import configfile
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import AdvancedSettings, Config, Endpoint, GlobalCacheSettings, Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigConflict, ConfigError, EndpointNotFound, ProviderNotFound, SecretMissing

KEY = "sk-canary-0123456789abcdef"
EXAMPLE = """{"version": 1,
 "providers": [{"id": "openai-1234567890", "name": "My OpenAI", "type": "openai", "apiKey": "${OPENAI_API_KEY}",
                "enabled": true, "createdAt": "2025-01-01T00:00:00.000Z", "updatedAt": "2025-01-01T00:00:00.000Z"}],
 "endpoints": [{"id": "my-gpt4o", "name": "GPT-4o with Context Cache", "providerId": "openai-1234567890", "model": "gpt-4o",
                "description": "GPT-4o with automatic file caching",
                "cacheStrategy": {"enabled": true, "ttlMinutes": 60, "maxSizeKB": 512, "filePatterns": ["*.md", "*.ts", "*.js"]},
                "enabled": true, "createdAt": "2025-01-01T00:00:00.000Z", "updatedAt": "2025-01-01T00:00:00.000Z"}],
 "defaultEndpoint": "my-gpt4o",
 "globalCacheSettings": {"enabled": true, "cacheDir": "~/.ccw/cache/context", "maxTotalSizeMB": 100}}"""
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def store(project: Path) -> ConfigStore:
    return ConfigStore(project)


@pytest.fixture
def example(store: ConfigStore) -> ConfigStore:
    put(store, EXAMPLE)
    return store


def put(store: ConfigStore, text: str | bytes) -> None:
    store.path.parent.mkdir(parents=True, exist_ok=True)
    store.path.write_bytes(text if isinstance(text, bytes) else text.encode())


def data(store: ConfigStore) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(store.path.read_text(encoding="utf-8"))
    return loaded


def test_the_example_loads(example: ConfigStore) -> None:
    provider, endpoint = example.get_provider("openai-1234567890"), example.get_endpoint("my-gpt4o")
    assert provider is not None
    assert endpoint is not None
    assert provider.api_key.reveal() == "${OPENAI_API_KEY}"
    assert (endpoint.model, endpoint.cache_strategy.file_patterns) == ("gpt-4o", ["*.md", "*.ts", "*.js"])
    assert example.get_default_endpoint() == "my-gpt4o"
    assert example.get_global_cache_settings().max_total_size_mb == 100


def test_the_example_round_trips(example: ConfigStore) -> None:
    example.set_default_endpoint("my-gpt4o")
    written = data(example)
    assert written == json.loads(EXAMPLE)
    assert json.dumps(written) == json.dumps(json.loads(EXAMPLE))  # the order of keys too


def test_the_shipped_example_is_the_same() -> None:
    shipped = files("ccw_magics").joinpath("examples", "litellm-api-config.json").read_text(encoding="utf-8")
    assert json.dumps(json.loads(shipped)) == json.dumps(json.loads(EXAMPLE))


def test_init_writes_example_and_readme_and_never_overwrites(store: ConfigStore) -> None:
    assert store.init() == store.path
    assert data(store) == json.loads(EXAMPLE)
    readme = store.path.with_name("README.md").read_text(encoding="utf-8")
    fields = [*Provider.model_fields.values(), *Endpoint.model_fields.values(), *AdvancedSettings.model_fields.values()]
    assert all(field.alias is not None and field.alias in readme for field in fields)
    before = store.path.read_bytes()
    for example in (True, False):
        with pytest.raises(ConfigError, match="exists already"):
            store.init(example=example)
    assert store.path.read_bytes() == before


def test_init_without_the_example_writes_an_empty_config(store: ConfigStore) -> None:
    store.init(example=False)
    assert store.load().providers == []
    assert data(store).keys() == {"version", "providers", "endpoints", "globalCacheSettings"}


def test_a_missing_file_is_an_empty_config(store: ConfigStore) -> None:
    assert store.load() == Config()
    assert not store.path.exists()
    assert store.get_all_providers() == []
    assert store.get_all_endpoints() == []
    assert store.get_default_endpoint() is None
    assert store.get_global_cache_settings() == GlobalCacheSettings()


def test_what_is_missing(example: ConfigStore) -> None:
    before = example.path.read_bytes()
    assert example.get_provider("x") is None
    assert example.get_endpoint("x") is example.find_endpoint_by_id("x") is None
    assert example.get_provider_with_resolved_env_vars("x") is None
    assert example.delete_provider("x") is example.delete_endpoint("x") is False
    calls: list[tuple[type[ConfigError], str, Callable[[], object]]] = [
        (ProviderNotFound, "openai-1234567890", lambda: example.update_provider("openai-123456789", {"name": "n"})),
        (EndpointNotFound, "my-gpt4o", lambda: example.update_endpoint("my-gpt4", {"name": "n"})),
        (EndpointNotFound, "my-gpt4o", lambda: example.set_default_endpoint("my-gpt-4o")),
        (ProviderNotFound, "openai-1234567890", lambda: example.add_endpoint({"id": "e", "providerId": "openai"})),
        (ProviderNotFound, "openai-1234567890", lambda: example.update_endpoint("my-gpt4o", {"provider_id": "x"})),
    ]
    for kind, nearest, call in calls:
        with pytest.raises(kind) as caught:
            call()
        assert nearest in (caught.value.hint or "")
    assert example.path.read_bytes() == before


@pytest.mark.parametrize(
    "given",
    [
        {"name": "N", "type": "openai", "apiKey": KEY, "apiBase": "http://localhost", "advancedSettings": {"maxRetries": 1}},
        {"name": "N", "type": "openai", "api_key": KEY, "api_base": "http://localhost", "advanced_settings": {"max_retries": 1}},
        {"name": "N", "type": "openai", "api_key": Secret(KEY), "api_base": "http://localhost", "advanced_settings": AdvancedSettings(max_retries=1)},
        Provider(name="N", type="openai", api_key=Secret(KEY), api_base="http://localhost", advanced_settings=AdvancedSettings(max_retries=1)),
    ],
    ids=["names of the file", "names of Python", "objects", "model"],
)  # fmt: skip
def test_add_provider(store: ConfigStore, given: Provider | dict[str, Any]) -> None:
    added = store.add_provider(given)
    assert re.fullmatch(r"openai-\d{13}", added.id)
    assert added == store.get_provider(added.id)
    (entry,) = data(store)["providers"]
    assert list(entry)[:4] == ["id", "name", "type", "apiKey"]
    assert (entry["apiKey"], entry["advancedSettings"], entry["enabled"]) == (KEY, {"maxRetries": 1}, True)
    assert all(TIMESTAMP.fullmatch(entry[key]) for key in ("createdAt", "updatedAt"))


def test_provider_ids_count_up(store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccw_magics.config.entries.time.time_ns", lambda: 1_700_000_000_000_000_000)
    ids = [store.add_provider({"type": "openai"}).id for _ in range(3)]
    assert ids == ["openai-1700000000000", "openai-1700000000001", "openai-1700000000002"]
    assert store.add_provider({"id": "mine", "type": "openai"}).id == "mine"
    with pytest.raises(ConfigError, match="already"):
        store.add_provider({"id": "mine", "type": "openai"})


def test_add_endpoint(example: ConfigStore) -> None:
    added = example.add_endpoint({"id": "e", "providerId": "openai-1234567890", "model": "gpt-4o-mini"})
    assert added == example.get_endpoint("e")
    entry = data(example)["endpoints"][1]
    strategy = {"enabled": True, "ttlMinutes": 60, "maxSizeKB": 512, "filePatterns": [], "layout": "stable"}
    assert entry["cacheStrategy"] == strategy
    example.add_endpoint(Endpoint(id="local", provider_id="local"))
    example.set_default_endpoint("local")
    for taken in ("e", "cache"):
        with pytest.raises(ConfigError):
            example.add_endpoint({"id": taken, "providerId": "openai-1234567890"})


def test_an_update_changes_only_what_it_names(store: ConfigStore) -> None:
    text = json.loads(EXAMPLE)
    text["unknown"] = {"b": None, "a": [1.0, 2]}
    text["providers"][0] = {"zeta": 1, **text["providers"][0], "healthCheck": {"enabled": True, "intervalSeconds": 300}}
    put(store, json.dumps(text))
    updated = store.update_provider("openai-1234567890", {"name": "New", "api_base": "http://localhost"})
    assert (updated.name, updated.api_base) == ("New", "http://localhost")
    written = data(store)
    entry = written["providers"][0]
    assert list(entry)[:5] == ["zeta", "id", "name", "type", "apiKey"]
    assert entry["healthCheck"] == {"enabled": True, "intervalSeconds": 300}
    assert (entry["createdAt"], entry["updatedAt"] > entry["createdAt"]) == ("2025-01-01T00:00:00.000Z", True)
    assert written["unknown"] == {"b": None, "a": [1.0, 2]}
    assert store.update_provider("openai-1234567890", {"apiBase": None}).api_base is None
    assert "apiBase" not in data(store)["providers"][0]


def test_an_id_stays(example: ConfigStore) -> None:
    example.update_endpoint("my-gpt4o", {"id": "my-gpt4o", "name": "n"})
    with pytest.raises(ConfigError, match="cannot be changed"):
        example.update_endpoint("my-gpt4o", {"id": "other"})


def test_update_endpoint_and_cache_settings(example: ConfigStore) -> None:
    endpoint = example.update_endpoint("my-gpt4o", {"cacheStrategy": {"ttlMinutes": 5}, "description": None})
    assert (endpoint.cache_strategy.ttl_minutes, endpoint.description) == (5, None)
    assert data(example)["endpoints"][0]["cacheStrategy"]["maxSizeKB"] == 512
    copied = endpoint.model_copy(update={"model": "gpt-4o-mini"})
    assert example.update_endpoint("my-gpt4o", copied).model == "gpt-4o-mini"
    assert example.update_global_cache_settings({"max_total_size_mb": 5}).max_total_size_mb == 5
    assert data(example)["globalCacheSettings"] == {
        "enabled": True,
        "cacheDir": "~/.ccw/cache/context",
        "maxTotalSizeMB": 5,
    }
    assert example.update_global_cache_settings({"maxTotalSizeMB": None}).max_total_size_mb == 100


def test_a_mask_keeps_the_stored_key(store: ConfigStore) -> None:
    added = store.add_provider(
        {
            "type": "openai",
            "apiKey": KEY,
            "apiKeys": [{"id": "1", "key": KEY + "1"}],
            "advancedSettings": {"customHeaders": {"X": KEY + "2"}, "proxy": f"http://u:{KEY}@localhost"},
        }
    )
    form = json.loads(added.model_dump_json(by_alias=True))
    assert KEY not in json.dumps(form)
    updated = store.update_provider(added.id, {**form, "name": "New"})
    assert list(updated.secrets()) == list(added.secrets())
    assert data(store)["providers"][0]["apiKey"] == KEY
    assert (
        store.update_provider(added.id, {"apiKey": "sk-another-0123456789"}).api_key.reveal() == "sk-another-0123456789"
    )
    with pytest.raises(ConfigError, match="mask"):
        store.update_provider(added.id, {"apiKeys": [{"id": "2", "key": "…"}]})
    with pytest.raises(ConfigError, match="mask"):
        store.add_provider({"type": "openai", "apiKey": "sk-…abc"})


def test_deleting_takes_along_what_depends(example: ConfigStore) -> None:
    other = example.add_provider({"type": "mistral"})
    example.add_endpoint({"id": "other", "providerId": other.id})
    assert example.delete_provider("openai-1234567890") is True
    assert [endpoint.id for endpoint in example.get_all_endpoints()] == ["other"]
    assert example.get_default_endpoint() is None
    example.set_default_endpoint("other")
    example.set_default_endpoint(None)
    assert example.get_default_endpoint() is None
    example.set_default_endpoint("other")
    assert example.delete_endpoint("other") is True
    assert "defaultEndpoint" not in data(example)


def test_keys_resolve_in_a_copy(example: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SecretMissing, match="OPENAI_API_KEY"):
        example.get_provider_with_resolved_env_vars("openai-1234567890")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    example.update_provider(
        "openai-1234567890",
        {
            "apiBase": "http://localhost/${OPENAI_API_KEY}",
            "apiKeys": [{"id": "1", "key": "${OPENAI_API_KEY}"}, {"id": "2", "key": "${UNSET_NAME}", "enabled": False}],
            "advancedSettings": {"customHeaders": {"X": "Bearer ${OPENAI_API_KEY}"}, "proxy": "http://localhost"},
        },
    )
    provider = example.get_provider_with_resolved_env_vars("openai-1234567890")
    assert provider is not None
    assert [secret.reveal() for secret in provider.secrets()] == [
        KEY, KEY, "${UNSET_NAME}", f"Bearer {KEY}", "http://localhost",
    ]  # fmt: skip
    assert KEY not in example.path.read_text()
    assert example.get_all_providers()[0].api_key.reveal() == "${OPENAI_API_KEY}"


@pytest.mark.skipif(os.name == "nt", reason="permission bits are POSIX")
def test_files_that_are_written(example: ConfigStore) -> None:
    example.path.chmod(0o644)
    example.set_default_endpoint(None)
    assert stat.S_IMODE(example.path.stat().st_mode) == 0o600
    ignore = example.path.parents[2] / ".gitignore"
    assert ignore.read_text() == "storage/\n"
    ignore.write_text("mine\n")
    (example.path.parent / f".{example.path.name}.killed.tmp").write_text(KEY)
    example.set_default_endpoint("my-gpt4o")
    assert ignore.read_text() == "mine\n"
    assert {path.name for path in example.path.parent.iterdir()} <= {example.path.name, f"{example.path.name}.lock"}


def test_a_link_is_written_through(store: ConfigStore, tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    shared.write_text(EXAMPLE)
    store.path.parent.mkdir(parents=True)
    store.path.symlink_to(shared)
    store.set_default_endpoint(None)
    assert store.path.is_symlink()
    assert "defaultEndpoint" not in json.loads(shared.read_text())


def test_a_change_by_another_is_noticed(example: ConfigStore, project: Path) -> None:
    other = ConfigStore(project)
    for number in range(20):
        name = f"name {number:02}"
        other.update_provider("openai-1234567890", {"name": name})
        assert example.get_all_providers()[0].name == name
    example.path.unlink()
    assert example.load() == Config()


def test_an_unchanged_file_is_not_read_again(example: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(example.path, ns=(1_700_000_000_000_000_000,) * 2)
    first = example.load()
    monkeypatch.setattr(configfile, "read", None)
    assert example.load() is first


def test_a_lock_that_is_held_is_an_error(example: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configfile, "LOCK_TIMEOUT_S", 0.0)
    before = example.path.read_bytes()
    with FileLock(f"{example.path}.lock"), pytest.raises(ConfigError, match="another process"):
        example.set_default_endpoint(None)
    assert example.path.read_bytes() == before


@pytest.mark.parametrize("step", ["os.fsync", "Path.replace"])
def test_a_write_that_fails_leaves_the_old_file(
    example: ConfigStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    before = example.path.read_bytes()
    monkeypatch.setattr(f"ccw_magics.config.configfile.{step}", fail)
    with pytest.raises(ConfigError, match="No space left"):
        example.set_default_endpoint(None)
    assert example.path.read_bytes() == before
    assert not list(example.path.parent.glob(".*.tmp"))


@pytest.mark.parametrize("value", [float("nan"), object(), b"x"], ids=["nan", "object", "bytes"])
def test_what_json_cannot_hold_is_not_written(example: ConfigStore, value: object) -> None:
    before = example.path.read_bytes()
    with pytest.raises(ConfigError):
        example.update_provider("openai-1234567890", {"unknown": value})
    assert example.path.read_bytes() == before


def test_not_a_provider_at_all(store: ConfigStore) -> None:
    with pytest.raises(ConfigError, match="list"):
        store.add_provider([KEY])  # type: ignore[arg-type] # that it is refused is the test
    with pytest.raises(ConfigError, match="type") as caught:
        store.add_provider({"apiKey": KEY})
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("odd", ["chat", "my id", "-x"])
def test_an_id_that_none_may_newly_take_is_read_edited_and_deleted(example: ConfigStore, odd: str) -> None:
    """CCW checks no ids: a file of its own must not be refused for one."""
    content = data(example)
    content["endpoints"].append({**content["endpoints"][0], "id": odd})
    example.path.write_text(json.dumps(content), encoding="utf-8")
    assert example.update_endpoint(odd, {"name": "new"}).id == odd
    with pytest.raises(ConfigError, match="id"):
        example.add_endpoint({"id": odd, "providerId": content["providers"][0]["id"]})
    assert example.delete_endpoint(odd)


def test_a_projects_first_change_hides_no_cache_settings_of_the_users(tmp_path: Path) -> None:
    store = ConfigStore(tmp_path)
    store.user.update_global_cache_settings({"maxTotalSizeMB": 7})
    store.add_provider({"type": "openai", "name": "n"})
    assert store.get_global_cache_settings().max_total_size_mb == 7
    assert "globalCacheSettings" not in data(store)


def test_cache_settings_are_changed_under_the_lock(example: ConfigStore) -> None:
    seen = []
    example.update_global_cache_settings(
        lambda stored: seen.append(stored) or {"maxTotalSizeMB": 2 * stored.max_total_size_mb}
    )
    assert seen[0].max_total_size_mb == 100
    assert example.get_global_cache_settings().max_total_size_mb == 200


def test_what_was_agreed_to_be_deleted_is_compared_under_the_lock(example: ConfigStore) -> None:
    (provider,), (endpoint,) = example.get_all_providers(), example.get_all_endpoints()
    example.update_provider(provider.id, {"name": "another"})
    with pytest.raises(ConfigConflict, match="changed meanwhile"):
        example.delete_provider(provider.id, expected=provider)
    example.add_endpoint({"id": "new-one", "providerId": provider.id})
    with pytest.raises(ConfigConflict, match="goes along"):
        example.delete_provider(provider.id, along=[endpoint.id])
    example.update_endpoint(endpoint.id, {"model": "other"})
    with pytest.raises(ConfigConflict):
        example.delete_endpoint(endpoint.id, expected=endpoint)
    assert len(example.get_all_endpoints()) == 2
    now = example.get_provider(provider.id)
    assert example.delete_provider(provider.id, expected=now, along=["new-one", endpoint.id])


def test_only_the_content_that_was_shown_is_trusted(example: ConfigStore) -> None:
    (provider,) = example.get_all_providers()
    content = data(example)
    content["providers"][0]["apiBase"] = "https://known-proxy.example/v1"
    example.path.write_text(json.dumps(content), encoding="utf-8")
    risks, digest = example.judged()
    assert [risk.target for risk in risks] == ["known-proxy.example"]
    content["providers"][0] |= {"apiKey": "${AWS_SECRET_ACCESS_KEY}", "apiBase": "https://evil.example/v1"}
    example.path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigConflict):
        example.trust(digest=digest)
    with pytest.raises(ConfigError, match="not trusted"):
        example.require_trust()
    example.trust(digest=example.judged()[1])
    assert example.require_trust().providers[0].id == provider.id


def _raises(_stored: object) -> dict[str, object]:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(lambda store, _: store.update_provider("q", _raises), id="a function"),
        pytest.param(lambda store, _: store.update_provider("q", {"enabled": "perhaps"}), id="a value"),
        pytest.param(lambda store, _: store.add_provider({"type": ""}), id="a new one"),
        pytest.param(lambda store, patch: (_full(patch), store.update_provider("q", {"name": "n"})), id="a full disk"),
    ],
)
def test_no_frame_tells_the_keys_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Any) -> None:
    store = ConfigStore(tmp_path)
    store.add_provider({"id": "q", "type": "openai", "apiKey": KEY, "advancedSettings": {"customHeaders": {"X": KEY}}})
    with pytest.raises((ZeroDivisionError, ConfigError)) as caught:
        fails(store, monkeypatch)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "updated" in shown or "edit" in shown
    assert KEY not in shown


def _full(patch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(os, "fsync", fsync)

from __future__ import annotations

import copy
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccw_magics.config.models import Config
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigError

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
KEY = "sk-canary-0123456789abcdef"
FULL: dict[str, Any] = {
    "version": 1,
    "providers": [
        {
            "id": "p",
            "name": "P",
            "type": "openai",
            "apiKey": KEY,
            "apiKeys": [{"id": "k", "key": KEY, "enabled": True}],
            "advancedSettings": {"timeout": 30, "customHeaders": {"X": KEY}, "proxy": KEY},
            "enabled": True,
        }
    ],
    "endpoints": [{"id": "e", "providerId": "p", "model": "m", "cacheStrategy": {"enabled": True}, "enabled": True}],
    "defaultEndpoint": "e",
    "globalCacheSettings": {"enabled": True, "cacheDir": "~/.ccw/cache/context", "maxTotalSizeMB": 100},
}


@pytest.fixture
def store(project: Path) -> ConfigStore:
    store = ConfigStore(project)
    store.path.parent.mkdir(parents=True)
    return store


def check_refused(store: ConfigStore, *expected: str) -> None:
    """One ConfigError, from reading and from every way of writing, without the key, and the file as it was."""
    before = store.path.read_bytes()
    operations: list[Callable[[], object]] = [
        store.load,
        store.require_trust,
        store.trust,
        lambda: store.add_provider({"type": "openai"}),
        lambda: store.update_provider("p", {"name": "n"}),
        lambda: store.delete_provider("p"),
        lambda: store.add_endpoint({"id": "x", "providerId": "p"}),
        lambda: store.update_endpoint("e", {"name": "n"}),
        lambda: store.delete_endpoint("e"),
        lambda: store.set_default_endpoint(None),
        lambda: store.update_global_cache_settings({"enabled": False}),
    ]
    for operation in operations:
        with pytest.raises(ConfigError) as caught:
            operation()
        assert str(store.path) in caught.value.message
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert all(part in caught.value.message for part in expected), caught.value.message
    with pytest.raises(ConfigError, match="exists already"):
        store.init()
    assert store.path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", ":1:1:", id="empty"),
        pytest.param(f'{{"providers": [\n  {{"apiKey": "{KEY}",}}]}}'.encode(), ":2:", id="comma"),
        pytest.param(f'{{"apiKey": "{KEY}'.encode(), ":1:", id="cut off"),
        pytest.param(f'{{"{KEY}": "\\q"}}'.encode(), "escape", id="escape"),
        pytest.param(f'["{KEY}"]'.encode(), "expected an object", id="list"),
        pytest.param(b"null", "expected an object", id="null"),
        pytest.param(b'{"a": "\xff"}', "not UTF-8 text (byte 7)", id="not UTF-8"),
        pytest.param(b'{"a": NaN}', "not valid JSON", id="NaN"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON", id="long number"),
        pytest.param(b'{"a": ' + b"[" * 100_000, "nested", id="deep"),
        pytest.param('{"a": 1}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
    ],
)
def test_not_json(store: ConfigStore, content: bytes, expected: str) -> None:
    store.path.write_bytes(content)
    check_refused(store, expected)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("providers", 0, "apiKey"), [KEY], "providers[0].apiKey: should be a string"),
        (("providers", 0, "apiKeys", 0, "key"), {KEY: KEY}, "providers[0].apiKeys[0].key: should be a string"),
        (("providers", 0, "apiKeys"), KEY, "providers[0].apiKeys: should be a valid list"),
        (("providers", 0, "advancedSettings", "customHeaders", "X"), [1], "advancedSettings.customHeaders.X"),
        (("providers", 0, "advancedSettings", "timeout"), KEY, "timeout: should be a valid number"),
        (("providers", 0, "advancedSettings", "timeout"), 0, "timeout: should be greater than 0"),
        (("providers", 0, "enabled"), KEY, "providers[0].enabled: should be a valid boolean"),
        (("providers",), KEY, "providers: should be a valid list"),
        (("providers", 0), KEY, "providers[0]: should be a valid dictionary"),
        (("endpoints", 0, "id"), "", "endpoints[0].id"),
        (("endpoints", 0, "cacheStrategy", "maxSizeKB"), -1, "endpoints[0].cacheStrategy.maxSizeKB"),
        (("endpoints", 0, "providerId"), None, "endpoints[0].providerId: should be a valid string"),
        (("globalCacheSettings",), None, "globalCacheSettings: should be"),
    ],
)
def test_wrong_shape(store: ConfigStore, path: tuple[str | int, ...], value: object, expected: str) -> None:
    config = copy.deepcopy(FULL)
    place: Any = config
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    store.path.write_text(json.dumps(config))
    check_refused(store, expected)


def test_ids_that_are_taken(store: ConfigStore) -> None:
    store.path.write_text(json.dumps({**FULL, "endpoints": FULL["endpoints"] * 2}))
    check_refused(store, "endpoints[1].id 'e' is already that of endpoints[0]")


def test_a_byte_order_mark_is_read_over(store: ConfigStore) -> None:
    store.path.write_text(json.dumps(FULL), encoding="utf-8-sig")
    assert store.load() == Config.model_validate(FULL)


@pytest.mark.parametrize("kind", ["directory", "fifo", "link to a device", "loop"])
def test_not_a_file(store: ConfigStore, kind: str) -> None:
    if kind == "directory":
        store.path.mkdir()
    elif kind == "fifo":
        os.mkfifo(store.path)
    else:
        store.path.symlink_to("/dev/zero" if kind == "link to a device" else store.path)
    for operation in (store.load, lambda: store.set_default_endpoint(None), store.init):
        with pytest.raises(ConfigError) as caught:
            operation()
        assert str(store.path) in caught.value.message


def test_no_permission(store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.path.write_text(json.dumps(FULL))

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        store.load()


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".ccw").write_text("")
    store = ConfigStore(tmp_path)
    for operation in (store.load, store.init):
        with pytest.raises(ConfigError):
            operation()


def test_text_that_utf8_cannot_spell_survives(store: ConfigStore) -> None:
    store.path.write_text('{"unknown": "half \\ud83d", "other": "\\u4f60\\u597d"}')
    store.set_default_endpoint("local")
    written = json.loads(store.path.read_text(encoding="utf-8"))
    assert (written["unknown"], written["other"]) == ("half \ud83d", "你好")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(KEY) | st.just("…"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [path, *(place for key, inner in items for place in places(inner, (*path, key)))]
        if path
        else [place for key, inner in items for place in places(inner, (key,))]
    )


def refusal(store: ConfigStore) -> ConfigError | None:
    try:
        store.load()
    except ConfigError as error:
        return error
    return None


def check_survives(store: ConfigStore, content: bytes) -> None:
    """A file of any content is loaded or refused; what was refused is left, what was written loads again."""
    store.path.write_bytes(content)
    if (error := refusal(store)) is not None:
        assert "canary" not in str(error)
        with pytest.raises(ConfigError):
            store.add_provider({"type": "openai"})
        assert store.path.read_bytes() == content
        return
    added = store.add_provider({"type": "openai"})
    assert store.get_provider(added.id) == added
    assert store.delete_provider(added.id)


@given(st.data())
@settings(max_examples=150 * FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_place(store: ConfigStore, data: st.DataObject) -> None:
    config = copy.deepcopy(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(config)))
        place: Any = config
        for part in parents:
            place = place[part]
        if isinstance(place, dict) and data.draw(st.booleans()):
            del place[last]
        else:
            place[last] = data.draw(json_values)
        if not places(config):
            break
    check_survives(store, json.dumps(config).encode())


@given(st.data())
@settings(max_examples=150 * FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(store: ConfigStore, data: st.DataObject) -> None:
    content = bytearray(json.dumps(FULL).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 20)))
        content[start:end] = data.draw(
            st.binary(max_size=5) | st.sampled_from([b'"', b"{", b"}", b"[", b"]", b",", b"\\"])
        )
    check_survives(store, bytes(content))

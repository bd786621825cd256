"""Damaged and strange files: each is loaded, or refused with a ConfigError; none is written over.

`CCW_FUZZ_EXAMPLES=34` makes more than 10,000 of them.
"""

from __future__ import annotations

import copy
import json
import os
import re
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ccw_files import BARE, KEY, MENDED, PRESENT, STRATEGY, endpoint, file, provider
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigError

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
OURS = file(
    {
        **BARE,
        "apiKey": KEY,
        "apiKeys": [{"id": "k", "key": KEY, "weight": 0.5, "enabled": True}],
        "advancedSettings": {"timeout": 30, "connectTimeout": 5, "customHeaders": {"X": KEY}, "proxy": f"http://u:{KEY}@localhost"},
        "routingStrategy": "weighted",
    },
    endpoints=(
        {"id": "my-gpt4o", "providerId": BARE["id"], "model": "m", "cacheStrategy": {**STRATEGY, "layout": "fresh"},
         "params": {"temperature": 0.2, "extra_body": {"a": [1]}}, "fallback": ["local"], "contextWindow": 1000, "providerTtl": "1h"},
    ),
    defaultEndpoint="my-gpt4o",
    budget={"perDayUsd": 1},
    journal="meta",
)  # fmt: skip
SOUND = [OURS, provider(apiKey=KEY), endpoint(), *PRESENT.values(), *(before for before, _ in MENDED.values())]
Change = Callable[[ConfigStore], object]
CHANGES: dict[str, Change] = {
    "add provider": lambda store: store.add_provider({"type": "openai"}),
    "update provider": lambda store: store.update_provider(BARE["id"], {"name": "n"}),
    "update provider by a function": lambda store: store.update_provider(BARE["id"], lambda _: {"name": "n"}),
    "delete provider": lambda store: store.delete_provider(BARE["id"]),
    "add endpoint": lambda store: store.add_endpoint({"id": "x", "providerId": BARE["id"]}),
    "update endpoint": lambda store: store.update_endpoint("my-gpt4o", {"name": "n"}),
    "delete endpoint": lambda store: store.delete_endpoint("my-gpt4o"),
    "set default": lambda store: store.set_default_endpoint("local"),
    "clear default": lambda store: store.set_default_endpoint(None),
    "cache": lambda store: store.update_global_cache_settings({"enabled": False}),
    "budget": lambda store: store.update_budget({"per_day_usd": 1}),
    "init": lambda store: store.init(),
}
READS: dict[str, Change] = {
    "load": ConfigStore.load,
    "require_trust": ConfigStore.require_trust,
    "trust": ConfigStore.trust,
    "risks": ConfigStore.risks,
    "providers": ConfigStore.get_all_providers,
    "endpoint": lambda store: store.get_endpoint("my-gpt4o"),
    "default": ConfigStore.get_default_endpoint,
    "cache settings": ConfigStore.get_global_cache_settings,
}


@pytest.fixture
def store(project: Path) -> ConfigStore:
    store = ConfigStore(project)
    store.path.parent.mkdir(parents=True)
    return store


def state(path: Path) -> tuple[object, ...]:
    """Everything that a write would change; the content too, where there is one."""
    status = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return content, status.st_mtime_ns, status.st_ino, status.st_mode


def failure(call: Change, store: ConfigStore) -> ConfigError | None:
    """How it is refused; any other exception is the test's."""
    try:
        call(store)
    except ConfigError as error:
        refused = error
    else:
        return None
    assert "canary" not in "".join(traceback.format_exception(refused))
    str(refused).encode()  # half a surrogate pair could not be printed
    return refused


def check_refusal(error: ConfigError, path: Path) -> None:
    """File, place and expectation, in one line."""
    name, _, rest = error.message.partition(f"{path}")
    assert name == ""
    assert re.fullmatch(r"(?::\d+:\d+)?: \S.*| (?:cannot be read|can be read|exists).*", rest), error.message


def check_file(store: ConfigStore, change: Change) -> str:
    """What must hold of a file of any content; what became of it."""
    before = state(store.path)
    refused = failure(ConfigStore.load, store)
    if refused is None:
        return check_loaded(store, change, before)
    check_refusal(refused, store.path)
    for call in (*READS.values(), *CHANGES.values()):
        error = failure(call, store)
        assert error is not None
        check_refusal(error, store.path)
        assert state(store.path) == before
    return "refused"


def check_loaded(store: ConfigStore, change: Change, before: tuple[object, ...]) -> str:
    for read in READS.values():
        failure(read, store)  # what is not trusted is refused, for one
        assert state(store.path) == before
    if failure(change, store) is not None:
        assert state(store.path) == before
        return "loaded, change refused"
    assert failure(ConfigStore.load, store) is None
    changed = state(store.path)
    if changed != before:
        assert os.name == "nt" or stat.S_IMODE(store.path.stat().st_mode) == 0o600
        json.loads(store.path.read_bytes().decode())
        return "loaded, changed"
    return "loaded, nothing to change"


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [place for key, item in items for place in places(item, (*path, key))]
    return [path, *inner] if path else inner


RAW = "raw:"  # a string that begins so is spelled out in the file without its quotes
strange = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([10**30, -(10**400), 1e308, -0.0, 5e-324]),
    st.sampled_from(
        [f"{RAW}{text}" for text in ("NaN", "-Infinity", "1e999", "9" * 5000, "01", "'x'", "undefined", "\\x")]
    ),
    st.sampled_from(
        ["", " ", "-x", "a b", "cache", "\ud83d", "\x00", "﻿", "…", "***", KEY, "${X}", "keyring:x", "x" * 10_000]
    ),
    st.sampled_from([[], {}, [[]], [None], {"": None}, {"id": "x"}, [{"id": "x"}, {"id": "x"}]]),
    st.sampled_from([50, 900, 100_000]).map(lambda depth: f"{RAW}{'[' * depth}{']' * depth}"),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound file after some structural mutations, in some spelling, after some mutations of its bytes."""
    data = copy.deepcopy(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        if found := places(data):
            mutate(draw, data, draw(st.sampled_from(found)))
    content = spelled(draw, data)
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1]))):
        content = with_bytes_changed(draw, content)
    return content


def mutate(draw: st.DrawFn, data: dict[str, Any], place: tuple[str | int, ...]) -> None:
    *parents, last = place
    inner: Any = data
    for part in parents:
        inner = inner[part]
    match draw(st.sampled_from(["delete", "retype", "double", "rename", "swap"])):
        case "delete":
            del inner[last]
        case "double" if isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
        case "rename" if isinstance(inner, dict):
            inner[draw(st.sampled_from([f"{last} ", str(last).upper(), "id", "", "api_key", "\ud83d"]))] = inner.pop(
                last
            )
        case "swap":
            inner[last] = copy.deepcopy(
                draw(st.sampled_from([data, data.get("providers"), data.get("endpoints"), inner]))
            )
        case _:
            inner[last] = copy.deepcopy(draw(strange))  # a sampled list is the same one each time


def spelled(draw: st.DrawFn, data: dict[str, Any]) -> bytes:
    text = json.dumps(data, indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))
    text = re.sub(rf'"{RAW}([^"]*)"', lambda found: found[1].replace("\\\\", "\\"), text)
    if draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(["version", "providers", "endpoints", "apiKey", "id"]))
        text = text.replace(f'"{name}":', f'"{name}": {draw(st.sampled_from(["null", "1", "[]"]))}, "{name}":', 1)
    if draw(st.integers(0, 9)) == 0:
        text = text.replace("\n", "\r\n")
    encoding = draw(st.sampled_from(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"]))
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def with_bytes_changed(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, max(0, len(content) - 1)))
    match draw(st.sampled_from(["cut", "flip", "insert", "remove", "null", "double"])):
        case "cut":
            return content[:at]
        case "flip":
            return (
                content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
                if content
                else b""
            )
        case "insert":
            return (
                content[:at]
                + draw(st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"}", b"[", b"]", b",", b"\\"]))
                + content[at:]
            )
        case "remove":
            return content[:at] + content[at + draw(st.integers(1, 20)) :]
        case "null":
            return content[:at] + b"\x00" * draw(st.integers(1, 600))
    return content + content[at:]


@given(damaged(), st.sampled_from(sorted(CHANGES)))
@settings(max_examples=300 * FUZZ, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_loaded_or_refused_and_never_written_over(
    store: ConfigStore, content: bytes, change: str
) -> None:
    store.path.write_bytes(content)
    event(check_file(store, CHANGES[change]))
    for left in store.path.parent.iterdir():
        assert left.name == store.path.name or re.fullmatch(
            rf"{store.path.stem}(\.json\.lock|\.v[01]\.json)", left.name
        )
        left.unlink()


@pytest.mark.parametrize("place", places(OURS), ids=lambda place: ".".join(map(str, place)))
def test_a_value_of_each_sort_in_each_place(store: ConfigStore, place: tuple[str | int, ...]) -> None:
    for value in (None, True, -1, 10**400, "", [None], {"": {}}):
        data: Any = copy.deepcopy(OURS)
        *parents, last = place
        inner = data
        for part in parents:
            inner = inner[part]
        inner[last] = value
        store.path.write_text(json.dumps(data))
        check_file(store, CHANGES["add provider"])


def test_each_beginning_of_a_file_is_refused(store: ConfigStore) -> None:
    content = json.dumps(OURS).encode()
    for length in range(0, len(content), 7):
        store.path.write_bytes(content[:length])
        refused = failure(ConfigStore.load, store)
        assert refused is not None
        check_refusal(refused, store.path)
        assert failure(CHANGES["add provider"], store) is not None
        assert store.path.read_bytes() == content[:length]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b'{"version": 1, "providers": [], "providers": []}', r"the same name \(providers\) stands twice", id="twice"),
        pytest.param(f'{{"{KEY * 2}": 1, "{KEY * 2}": 2}}'.encode(), "the same name stands twice", id="a key twice"),
        pytest.param(b'{"version": 1, "more": 1e999}', "a number that JSON does not have", id="infinite"),
        pytest.param(b'{"version": 1, "more": [-1e999]}', "a number that JSON does not have", id="infinite, inside"),
        pytest.param(b"", ":1:1: not valid JSON", id="empty"),
        pytest.param(b"\n" * 3, "not valid JSON", id="blank"),
        pytest.param(b"\x00" * 4096, "not valid JSON", id="null bytes, as after a power cut"),
        pytest.param("﻿﻿{}".encode(), "not valid JSON", id="two byte order marks"),
        pytest.param('{"providers": []}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b'{"providers": [{"type": "openai", "id": "\\ud83d", "enabled": 2}]}', "enabled", id="surrogate"),
        pytest.param(
            b'{"providers": [{"id": "p", "type": "x", "advancedSettings": {"customHeaders": {"\\ud83d": []}}}]}',
            r"customHeaders\..*: should be a string",
            id="surrogate in a header's name",
        ),
    ],
)  # fmt: skip
def test_what_is_said(store: ConfigStore, content: bytes, expected: str) -> None:
    store.path.write_bytes(content)
    assert check_file(store, CHANGES["budget"]) == "refused"
    with pytest.raises(ConfigError, match=expected):
        store.load()


@pytest.mark.parametrize("kind", ["directory", "fifo", "broken link", "link to a folder", "link to a device", "loop"])
def test_what_is_no_file_is_refused_and_stays(store: ConfigStore, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make: dict[str, Callable[[], object]] = {
        "directory": store.path.mkdir,
        "fifo": lambda: os.mkfifo(store.path),
        "broken link": lambda: store.path.symlink_to("gone.json"),
        "link to a folder": lambda: store.path.symlink_to("."),
        "link to a device": lambda: store.path.symlink_to("/dev/zero"),
        "loop": lambda: store.path.symlink_to(store.path),
    }
    make[kind]()
    before = state(store.path)
    for call in (*READS.values(), *CHANGES.values()):
        error = failure(call, store)
        assert error is not None
        assert str(store.path) in error.message
        assert state(store.path) == before
    assert not store.path.with_name("gone.json").exists()


@pytest.fixture
def as_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConfigStore]:
    """The store of a sound file in a folder of its own; to root nothing would be refused."""
    with tempfile.TemporaryDirectory() as elsewhere:  # what is imported late is imported now: nobody may not read it
        warm = ConfigStore(Path(elsewhere))
        warm.init(example=False)
        for call in (*READS.values(), *CHANGES.values()):
            failure(call, warm)
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setenv("HOME", directory)
        store = ConfigStore(Path(directory))
        store.path.parent.mkdir(parents=True)
        store.path.write_text(json.dumps(OURS))
        user = os.geteuid()
        if user == 0:
            for path in (Path(directory), *Path(directory).rglob("*")):
                os.chown(path, 65534, -1)
            os.seteuid(65534)
        try:
            yield store
        finally:
            os.seteuid(user)


# But for `init`, which reads the package's own files: those may be out of nobody's reach.
REFUSED = [call for name, call in {**READS, **CHANGES}.items() if name != "init"]


def inode_of(path: Path) -> tuple[int, ...]:
    """What a write would change: the time of the last reading is none of it."""
    status = path.stat()
    return status.st_ino, status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns


def check_untouched(store: ConfigStore) -> None:
    errors = [failure(call, store) for call in REFUSED]
    assert all(error is not None and str(store.path) in error.message for error in errors)


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o000, 0o200])
def test_a_file_that_may_not_be_read_stays(as_nobody: ConfigStore, mode: int) -> None:
    as_nobody.path.chmod(mode)
    before = inode_of(as_nobody.path)
    check_untouched(as_nobody)
    assert inode_of(as_nobody.path) == before


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_in_a_folder_that_may_not_be_entered(as_nobody: ConfigStore) -> None:
    as_nobody.path.parent.chmod(0o600)
    check_untouched(as_nobody)
    as_nobody.path.parent.chmod(0o700)
    assert json.loads(as_nobody.path.read_text()) == OURS


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_in_a_folder_that_may_not_be_written(as_nobody: ConfigStore) -> None:
    folder = as_nobody.path.parent
    folder.chmod(0o500)
    before = inode_of(as_nobody.path)
    assert failure(ConfigStore.load, as_nobody) is None
    for change in (call for call in REFUSED if call in CHANGES.values()):
        error = failure(change, as_nobody)
        assert error is not None
        assert str(as_nobody.path) in error.message
        assert inode_of(as_nobody.path) == before
    folder.chmod(0o700)
    assert sorted(path.name for path in folder.iterdir()) == [as_nobody.path.name]

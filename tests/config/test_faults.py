"""A config change meets a file system that fails, a power cut at any moment, and kill -9."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ccw_files import BARE, KEY, endpoint, provider
from watched_os import FAULTS, Calls, PowerCut, State

from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ConfigError

KILLS = int(os.environ.get("CCW_FUZZ_KILLS", "20"))
ELSEWHERE = "https://elsewhere.example"
Act = Callable[[ConfigStore], object]
OF_THE_LOCK = ("ftruncate", "fchmod")
"""Calls of filelock, some microseconds in which an interrupt makes it keep the lock: not to be mended from here."""
pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes, folders that are synced and SIGKILL are POSIX's")


@dataclass(frozen=True)
class Situation:
    """A file, or None for none, whether it is trusted, and what is done to it."""

    before: Mapping[str, Any] | None
    act: Act
    is_trusted: bool = False


def rename(store: ConfigStore) -> object:
    return store.update_provider(BARE["id"], {"name": "new"})


SITUATIONS = {
    "first file": Situation(None, lambda store: store.add_provider({**BARE, "apiKey": KEY})),
    "change": Situation(endpoint(apiKey=KEY), rename),
    "migration": Situation({"providers": [BARE], "more": KEY}, rename),
    "now risky": Situation(provider(), lambda store: store.update_provider(BARE["id"], {"api_base": ELSEWHERE})),
    "risky": Situation(provider(apiBase=ELSEWHERE), rename, is_trusted=True),
    "init": Situation(None, ConfigStore.init),
}


@pytest.fixture
def new_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Situation], ConfigStore]:
    """Makes stores, each in a folder of its own that is the home as well."""
    numbers = iter(range(100_000))

    def make(situation: Situation) -> ConfigStore:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        monkeypatch.setenv("HOME", str(root))
        store = ConfigStore(root)
        if situation.before is not None:
            store.path.parent.mkdir(parents=True)
            store.path.write_text(json.dumps(situation.before))
            store.path.chmod(0o600)
            (root / ".ccw" / ".gitignore").write_text("storage/\n")
        if situation.is_trusted:
            store.trust()
        return store

    return make


def root_of(store: ConfigStore) -> Path:
    return store.path.parents[3]


def meaning(store: ConfigStore) -> Any:
    """The config without the times in it."""
    return json.loads(
        store.load().model_dump_json(),
        object_hook=lambda found: {key: found[key] for key in found if not key.endswith("_at")},
    )


def old_and_new(situation: Situation, make: Callable[[Situation], ConfigStore]) -> tuple[Any, Any]:
    store = make(situation)
    before = meaning(store)
    situation.act(store)
    return before, meaning(store)


def leftovers(store: ConfigStore) -> list[Path]:
    return [path for path in root_of(store).rglob("*") if path.name.endswith(".tmp")]


def check_goes_on(store: ConfigStore) -> None:
    """The next change works, and takes along what was left."""
    added = store.add_provider({"type": "openai", "name": "next"})
    assert ConfigStore(root_of(store)).get_provider(added.id) == added
    assert leftovers(store) == []


@pytest.mark.parametrize(("name", "fault"), FAULTS.items(), ids=FAULTS)
@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_each_call_that_fails_leaves_the_old_or_the_new_file(
    situation: Situation, name: str, fault: BaseException, new_store: Callable[[Situation], ConfigStore]
) -> None:
    before, after = old_and_new(situation, new_store)
    counted = Calls(root_of(store := new_store(situation)))
    with counted.watching():
        situation.act(store)
    assert {"open", "write", "fsync", "replace"} <= set(counted.seen)
    for place, call in enumerate(counted.seen):
        if name == "Ctrl-C" and call in OF_THE_LOCK:
            continue
        store = new_store(situation)
        error = failure(situation, store, Calls(root_of(store), place, fault))
        where = f"call {place}, {call}"
        if error is None:
            assert meaning(store) == after, f"{where}: reported as done"
        else:
            assert meaning(store) in (before, after), where
            check_error(error, fault, root_of(store), where)
        if store.path.exists():
            assert stat.S_IMODE(store.path.stat().st_mode) == 0o600, where
        for backup in store.path.parent.glob("*.v0.json"):
            assert json.loads(backup.read_text()) == situation.before, where
        if name in ("EIO", "Ctrl-C") or leftovers(store):
            check_goes_on(store)


def failure(situation: Situation, store: ConfigStore, calls: Calls) -> BaseException | None:
    try:
        with calls.watching():
            situation.act(store)
    except (ConfigError, KeyboardInterrupt) as error:
        return error
    return None


def check_error(error: BaseException, fault: BaseException, root: Path, where: str) -> None:
    """It names a file and the cause, and no key."""
    if isinstance(fault, KeyboardInterrupt):
        assert error is fault, where
        return
    assert isinstance(fault, OSError)
    assert isinstance(error, ConfigError), where
    assert str(root / ".ccw") in error.message, where
    assert str(fault.strerror) in error.message, f"{where}: {error.message}"
    assert "canary" not in str(error), where


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_a_power_cut_at_any_moment_leaves_the_old_or_the_new_file(
    situation: Situation, new_store: Callable[[Situation], ConfigStore], tmp_path: Path
) -> None:
    before, after = old_and_new(situation, new_store)
    store = new_store(situation)
    disk = PowerCut(root_of(store))
    with disk.watching():
        situation.act(store)
    seen: set[tuple[tuple[str, bytes], ...]] = set()
    for state, is_done in states_of(disk):
        key = (*sorted(state.items()), ("done", bytes([is_done])))
        if key in seen:
            continue
        seen.add(key)
        left = restored(state, root_of(store), tmp_path / "restored" / str(len(seen)))
        assert meaning(left) == after if is_done else meaning(left) in (before, after), state
        check_beside(left, situation, is_new=meaning(left) == after != before)
        check_goes_on(left)
    assert len(seen) > 5, "cuts that differ"


def states_of(disk: PowerCut) -> Iterator[tuple[State, bool]]:
    """Each state that a cut may leave, and whether the change had been reported by then."""
    for place, states in enumerate(disk.states):
        for state in states:
            yield state, place == len(disk.states) - 1


def restored(state: State, old_root: Path, root: Path) -> ConfigStore:
    """The store of a project as a power cut left it."""
    root.mkdir(parents=True)
    os.environ["HOME"] = str(root)  # the fixture puts it back
    for name, content in state.items():
        path = root / Path(name).relative_to(old_root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return ConfigStore(root)


def check_beside(store: ConfigStore, situation: Situation, *, is_new: bool) -> None:
    """Whatever stands beside the config is whole, and was there before it."""
    ignored = root_of(store) / ".ccw" / ".gitignore"
    backup = store.path.with_name("litellm-api-config.v0.json")
    if ignored.exists() or is_new:
        assert ignored.read_text() == "storage/\n"
    is_older = situation.before is not None and "version" not in situation.before
    if backup.exists() or (is_new and is_older):
        assert json.loads(backup.read_text()) == situation.before


# Imports once; then each line asks for a process that counts in the file, and tells, until it is killed.
COUNT = """
import os, sys
from pathlib import Path
from ccw_magics.config.store import ConfigStore
store = ConfigStore(Path(sys.argv[1]))
count = lambda stored: {"name": str(int(stored.name) + 1), "padding": "x" * (int(stored.name) % 5 * 20_000)}
print(store.update_provider("p", count).name, flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        while True:
            print(store.update_provider("p", count).name, flush=True)
    print("child", child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def test_what_was_reported_before_a_kill_is_in_the_file(project: Path) -> None:
    store = ConfigStore(project)
    store.add_provider({"id": "p", "type": "openai", "name": "0"})
    moment = random.Random(os.environ.get("CCW_FUZZ_SEED", "1"))
    reported = before_they_told = 0
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", COUNT, str(project)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        reported = int(parent.stdout.readline())
        for _ in range(KILLS):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            while not (line := parent.stdout.readline()).startswith("child"):
                reported = int(line)
            time.sleep(moment.uniform(0, 0.03))  # the random moment; nothing is waited for
            os.kill(int(line.split()[1]), signal.SIGKILL)
            while (line := parent.stdout.readline()) != "dead\n":
                reported = int(line)
            entry = json.loads(store.path.read_text())["providers"][0]
            assert int(entry["name"]) in (reported, reported + 1)
            assert len(entry["padding"]) == (int(entry["name"]) - 1) % 5 * 20_000
            before_they_told += int(entry["name"]) - reported
            reported = int(entry["name"])
        parent.stdin.close()
    check_goes_on(store)
    print(f"{KILLS} kills, {reported} edits, {before_they_told} of them made and not yet reported")

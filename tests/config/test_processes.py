"""What several processes, and a killed one, do to the file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccw_magics.config.store import ConfigStore

KILLS = 200 if os.environ.get("CCW_FUZZ_EXAMPLES", "1") != "1" else 30

ADD = """
import sys
from pathlib import Path
from ccw_magics.config.store import ConfigStore
store = ConfigStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    store.add_provider({"type": "openai", "name": f"{sys.argv[2]} {number}"})
"""

# Imports once; then each line asks for a process that writes until it is killed.
WRITE = """
import os, sys
from pathlib import Path
from ccw_magics.config.store import ConfigStore
store = ConfigStore(Path(sys.argv[1]))
store.update_provider("p", {"name": "0"})  # what writing imports is imported
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        for number in range(1_000_000):
            store.update_provider("p", {"name": str(number), "padding": str(number % 10) * 100_000})
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_two_processes_lose_nothing(project: Path) -> None:
    children = [start(ADD, str(project), name) for name in ("a", "b")]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=100)
        assert child.returncode == 0
    providers = ConfigStore(project).get_all_providers()
    assert {provider.name for provider in providers} == {f"{name} {number}" for name in "ab" for number in range(200)}
    assert len({provider.id for provider in providers}) == 400


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_process_leaves_the_old_or_the_new_file(project: Path) -> None:
    store = ConfigStore(project)
    store.add_provider({"id": "p", "type": "openai", "name": "0", "padding": "0" * 100_000})
    moment = random.Random(os.environ.get("CCW_FUZZ_SEED", "1"))
    last = leftovers = 0
    with start(WRITE, str(project)) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for _ in range(KILLS):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            writer = int(parent.stdout.readline())
            time.sleep(moment.uniform(0, 0.06))  # the random point; nothing is waited for
            os.kill(writer, signal.SIGKILL)
            assert parent.stdout.readline() == "dead\n"
            entry = json.loads(store.path.read_text())["providers"][0]
            assert entry["padding"] == entry["padding"][0] * 100_000
            assert int(entry["name"]) % 10 == int(entry["padding"][0])
            last = max(last, int(entry["name"]))
            leftovers += len(list(store.path.parent.glob(".*.tmp")))
        parent.stdin.close()
    assert store.update_provider("p", {"name": "after"}).name == "after"
    assert not list(store.path.parent.glob(".*.tmp"))
    assert last > 0
    print(f"{KILLS} kills, {leftovers} of them left a temporary file, up to {last} writes each")

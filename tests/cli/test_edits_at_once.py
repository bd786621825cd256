"""Verbs of several processes at once: an edit of one header, key, or setting loses no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ccw_magics.config.store import ConfigStore

ROUNDS = 25 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))

EDIT = """
import os, sys
from contextlib import redirect_stderr, redirect_stdout
from ccw_magics.cli.shell.command import _run
who, rounds = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with open(os.devnull, "w") as silence, redirect_stdout(silence), redirect_stderr(silence):
    for n in range(rounds):
        ways = {"a": ["--timeout", "--ttl-minutes"], "b": ["--rpm", "--max-size-kb"]}[who]
        for words in (
            ["provider", "edit", "p", "--header", f"X-{who}{n}: {n}"],
            ["provider", "key", "add", "p", "--id", f"{who}{n}", "--key", f"${{{who.upper()}{n}}}"],
            ["provider", "edit", "p", ways[0], str(n + 1)],
            ["provider", "key", "edit", "p", who, "--weight", str(n + 1)],
            ["endpoint", "edit", "e", ways[1], str(n + 1)],
        ):
            assert _run(words) == 0, words
"""


def test_two_processes_lose_no_edit(project: Path) -> None:
    store = ConfigStore(project)
    keys = [{"id": who, "key": f"sk-{who}-0123456789abcdef"} for who in "ab"]
    store.add_provider({"id": "p", "type": "openai", "apiKey": "sk-canary-0123456789abcdef", "apiKeys": keys})
    store.add_endpoint({"id": "e", "providerId": "p", "model": "m"})
    children = [_start(who) for who in "ab"]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, said = child.communicate(timeout=100)
        assert child.returncode == 0, said
    provider, endpoint = store.get_provider("p"), store.get_endpoint("e")
    assert provider is not None
    assert endpoint is not None
    settings, strategy = provider.advanced_settings, endpoint.cache_strategy
    numbers = range(ROUNDS)
    assert {*settings.custom_headers} == {f"X-{who}{n}" for who in "ab" for n in numbers}
    assert {entry.id for entry in provider.api_keys} == {"a", "b"} | {f"{who}{n}" for who in "ab" for n in numbers}
    assert [(entry.key.reveal(), entry.weight) for entry in provider.api_keys[:2]] == [
        (key["key"], ROUNDS) for key in keys
    ]
    assert provider.api_key.reveal() == "sk-canary-0123456789abcdef"
    assert (settings.timeout, settings.rpm) == (ROUNDS, ROUNDS)
    assert (strategy.ttl_minutes, strategy.max_size_kb) == (ROUNDS, ROUNDS)


def _start(who: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", EDIT, who, str(ROUNDS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child

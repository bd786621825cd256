"""What the benchmarks share: a server in a process of its own, a project that names it, and tables of medians."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

TESTS = Path(__file__).resolve().parent.parent
ENDPOINT = "wired"
MODEL = "gpt-4o"
KEY = "sk-benchmark"
QUESTION = "What does this project do?"
REFERENCE = "@notes.md"
FILE_BYTES = 50_000

# The answer is a digest of the messages: equal answers show that both rivals sent the same. A process of its own, or
# the server's work would hold the lock of the interpreter that is measured.
SERVER = """
import hashlib, json, sys
from wire_server import Answer, WireServer

def answer(received):
    digest = hashlib.sha256(json.dumps(received.json["messages"]).encode()).hexdigest()
    received.sent_s.clear()
    return Answer(digest, pieces=8, delay_s=float(sys.argv[1]))

with WireServer() as server:
    server.answers(answer)
    print(server.url, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Project:
    """A project with one endpoint, `wired`, and a file of 50 kB to refer to.

    Attributes:
        root: The project's root.
        api_base: The server's address, as the provider's `apiBase`.
        environment: The environment for processes that work in it: a home of its own, and no network for litellm.
    """

    root: Path
    api_base: str
    environment: Mapping[str, str]


@contextlib.contextmanager
def server(delay_s: float = 0.0) -> Iterator[str]:
    """Run the server; gives its URL, and ends it by closing its standard input. It waits so long before it answers."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", SERVER, str(delay_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@contextlib.contextmanager
def project(delay_s: float = 0.0) -> Iterator[Project]:
    """A temporary home and project, and the server that its endpoint names, which waits so long before it answers."""
    with server(delay_s) as url, tempfile.TemporaryDirectory() as directory:
        home, root = Path(directory) / "home", Path(directory) / "project"
        home.mkdir()
        folder = root / ".ccw" / "storage" / "config"
        folder.mkdir(parents=True)
        (folder / "litellm-api-config.json").write_text(json.dumps(_config(f"{url}/v1")))
        line = "The quick brown fox jumps over the lazy dog, and the dog does not mind.\n"
        (root / "notes.md").write_text((line * (FILE_BYTES // len(line) + 1))[:FILE_BYTES])
        yield Project(root, f"{url}/v1", isolated(home))


def isolated(home: Path) -> dict[str, str]:
    """This process's environment with another home, and no price map fetched: the network is not what is measured."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def _config(api_base: str) -> dict[str, object]:
    provider = {"id": "wire-1", "name": "Wire", "type": "openai", "apiKey": KEY, "apiBase": api_base}
    endpoint = {"id": ENDPOINT, "name": "Wired", "providerId": "wire-1", "model": MODEL}
    return {"version": 1, "providers": [provider], "endpoints": [endpoint], "defaultEndpoint": ENDPOINT}


def bare_arguments(api_base: str, content: str) -> dict[str, object]:
    """The rival's call: what a person who knows litellm writes."""
    return {
        "model": f"openai/{MODEL}",
        "messages": [{"role": "user", "content": content}],
        "api_key": KEY,
        "api_base": api_base,
        "stream": True,
        "stream_options": {"include_usage": True},
        "num_retries": 0,
    }


@dataclass(frozen=True)
class Row:
    """One contestant: its name, and one figure a round, in seconds."""

    name: str
    seconds: Sequence[float]


def paired_ratio(row: Row, rival: Row) -> float:
    """The median of the rounds' ratios: what slows a whole round down slows both."""
    return median(ours / theirs for ours, theirs in zip(row.seconds, rival.seconds, strict=True))


def paired_added_ms(row: Row, rival: Row) -> float:
    """The median of the rounds' differences, in milliseconds."""
    return 1000 * median(ours - theirs for ours, theirs in zip(row.seconds, rival.seconds, strict=True))


def report(title: str, rival: Row, rows: Sequence[Row]) -> None:
    """Print a table: each contestant's median and fastest tenth, and what it adds to its rival at both.

    On a busy machine the fastest tenth is nearest to what a quiet one would show.
    """
    print(f"\n{title} ({len(rival.seconds)} rounds, interleaved)")
    print(f"  {'ms':36} {'median':>8} {'added':>8} {'ratio':>7} {'fastest tenth':>15} {'added':>8}")
    for row in (rival, *rows):
        line = f"  {row.name:36} {1000 * median(row.seconds):8.1f} {{:>8}} {{:>7}} {1000 * fast(row):15.1f} {{:>8}}"
        added = (
            f"{paired_added_ms(row, rival):+.1f}",
            f"{paired_ratio(row, rival):.3f}",
            f"{1000 * (fast(row) - fast(rival)):+.1f}",
        )
        print(line.format(*(("", "", "") if row is rival else added)).rstrip())


def fast(row: Row) -> float:
    """The figure, in seconds, that a tenth of the rounds stay below."""
    return quantiles(row.seconds, n=10, method="inclusive")[0]


def verdict(what: str, figure: float, limit: float, unit: str = "") -> bool:
    """Print one figure beside its limit; True where it is kept."""
    kept = figure <= limit
    print(f"  {'ok  ' if kept else 'OVER'}  {what}: {figure:.2f}{unit} (limit {limit:g}{unit})")
    return kept

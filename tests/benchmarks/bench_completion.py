"""What Tab costs the kernel on a tree of 60,000 files: `python tests/benchmarks/bench_completion.py [ROUNDS]`.

The tree is a git repository of 600 directories with 100 files each, beside a directory that git ignores; a second one
holds as many files in a single directory. The config has 50 providers and 200 endpoints, the journal 100 conversations.
Each case is asked in a new process of IPython with the extension loaded: the first request there is the cold one, with
all that it imports; the median of those after it is the warm one. Beside it stands what it takes, at the same time, to
list the directory and to do nothing else, and what jedi takes for a name in an ordinary cell, which is what a user knows.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from measuring import isolated, verdict

COLD_LIMIT_MS = 500
WARM_LIMIT_MS = 50
ROUNDS = 10
WARM = 15
DIRECTORIES = 600
FILES = 100
CASES = {
    "@ in the root": ("%%ccw\n@", "."),
    "@ two levels down": ("%%ccw\n@src/pkg00/mod003/f", "src/pkg00/mod003"),
    "@ of 60,000 files in one directory": ("%%ccw\n@flat/", "flat"),
    "prose": ("%%ccw\nWe impor", ""),
    "200 endpoints": ("%%ccw ", ""),
    "verbs": ("%ccw ", ""),
    "100 conversations": ("%%ccw --chat ", ""),
    "jedi, an ordinary cell": ("import os.path\nos.path.jo", ""),
}
RIVAL = "jedi, an ordinary cell"
CHILD = f"""
import json, os, sys, time
from statistics import median
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

shell = InteractiveShell(config=Config({{"HistoryManager": {{"enabled": False}}}}))
shell.run_line_magic("load_ext", "ccw_magics")
text, directory = sys.argv[1:]

def ask():
    started = time.perf_counter()
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    return 1000 * (time.perf_counter() - started), len(found)

def listing():
    started = time.perf_counter()
    if directory:
        list(os.scandir(directory))
    return 1000 * (time.perf_counter() - started)

cold, count = ask()
rounds = [(ask()[0], listing()) for _ in range({WARM})]
warm, listed = (median(column) for column in zip(*rounds))
print(json.dumps([cold, warm, listed, count]))
"""


@contextmanager
def trees() -> Iterator[Path]:
    """Both trees, one below the other, and the git repository around the first."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "project"
        for number in range(DIRECTORIES):
            folder = root / "src" / f"pkg{number // 30:02}" / f"mod{number:03}"
            folder.mkdir(parents=True)
            for file in range(FILES):
                (folder / f"file{file:03}.py").touch()
        (root / "build").mkdir()
        (root / "build" / "out.o").touch()
        (root / ".gitignore").write_text("build/\n*.log\n*.py[cod]\n__pycache__/\n")
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", "-C", root, *command], check=True)
        (root / "flat").mkdir()
        for file in range(DIRECTORIES * FILES):
            (root / "flat" / f"file{file:05}.py").touch()
        write_state(root)
        yield root


def write_state(root: Path) -> None:
    """A config and a journal of some size."""
    from ccw_magics import Workspace
    from ccw_magics.journal.turn import Turn

    providers = [
        {"id": f"openai-{n}", "name": f"Provider {n}", "type": "openai", "apiKey": "${KEY}"} for n in range(50)
    ]
    endpoints = [
        {"id": f"endpoint-{n}", "name": f"Endpoint {n}", "providerId": f"openai-{n % 50}", "model": "gpt-4o"}
        for n in range(200)
    ]
    folder = root / ".ccw" / "storage" / "config"
    folder.mkdir(parents=True)
    config = {"version": 1, "providers": providers, "endpoints": endpoints}
    (folder / "litellm-api-config.json").write_text(json.dumps(config))
    chats = Workspace(root).journal.chats
    for number in range(100):
        parent = None
        for _ in range(5):
            turn = Turn("endpoint-1", (), b"x" * 1000, "[]", "Why?", "Why?", f"{number}", "", datetime.now(UTC))
            kept = chats.append(f"talk {number}", parent, turn)
            parent = kept.turn_id if kept else None


def ask(name: str, root: Path) -> list[float]:
    """Cold, warm and the bare listing in milliseconds, and how many completions there are."""
    command = [sys.executable, "-c", CHILD, *CASES[name]]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    return list(json.loads(done.stdout))


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limits are kept."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(isolated(Path(home)))
        return report(measure(rounds))


def measure(rounds: int) -> dict[str, list[float]]:
    """The medians of each case."""
    with trees() as root:
        figures: dict[str, list[list[float]]] = {name: [] for name in CASES}
        for name in CASES:
            ask(name, root)  # compiles
        for _ in range(rounds):
            for name in random.sample(list(CASES), k=len(CASES)):
                figures[name].append(ask(name, root))
    return {name: [median(column) for column in zip(*rows, strict=True)] for name, rows in figures.items()}


def report(medians: dict[str, list[float]]) -> bool:
    """Print the table and the verdicts."""
    jedi = medians[RIVAL][1]
    print(f"  {'ms':36} {'cold':>7} {'warm':>7} {'/ jedi':>7} {'listing':>8} {'offered':>8}")
    for name, (cold, warm, listed, count) in medians.items():
        print(f"  {name:36} {cold:7.0f} {warm:7.1f} {warm / jedi:7.2f} {listed:8.1f} {count:8.0f}")
    ours = [name for name in medians if name != RIVAL]
    return all(
        [
            *(verdict(f"{name}, cold", medians[name][0], COLD_LIMIT_MS, " ms") for name in ours),
            *(verdict(f"{name}, warm", medians[name][1], WARM_LIMIT_MS, " ms") for name in ours),
        ]
    )


if __name__ == "__main__":
    started = time.perf_counter()
    kept = main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    print(f"  {time.perf_counter() - started:.0f} s in all, {os.cpu_count()} cores")
    sys.exit(not kept)

"""What `ccw` takes to start, beyond `python -c pass`: `python tests/benchmarks/bench_cli_start.py [ROUNDS]`.

Whole processes, in a project with one endpoint. A Tab in a shell starts one too.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import Row, isolated, paired_added_ms, project, report, verdict

ROUNDS = 20
BARE = "python -c pass"
LIMITS_MS = {"ccw --help": 100.0, "ccw providers": 300.0}
"""Those of the project's own promise; the other rows have none."""
PROGRAM = "from ccw_magics.cli.shell.command import main; main()"
LINES = {"ccw --help": ["--help"], "ccw providers": ["providers"], "ccw cache": ["cache"], "ccw history": ["history"]}
TABS = {"Tab on `ccw `": "ccw ", "Tab on `ccw cli --model `": "ccw cli --model ", 'Tab on `-p "@`': 'ccw cli -p "@'}


def seconds(words: list[str], environment: Mapping[str, str], root: Path) -> float:
    """How long a whole process takes."""
    started = time.perf_counter()
    command = [sys.executable, "-c", *words]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environment, cwd=root)
    return time.perf_counter() - started


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limits are kept."""
    with project() as at, tempfile.TemporaryDirectory() as compiled:
        # An installed package is compiled; a checkout's modules are not, where Python may not write beside them.
        base = {
            **isolated(Path(at.environment["HOME"])),
            "PYTHONPYCACHEPREFIX": compiled,
            "PYTHONDONTWRITEBYTECODE": "",
        }
        asked = base | {"_CCW_COMPLETE": "bash_complete"}
        runs = {BARE: (["pass"], base)}
        runs |= {name: ([PROGRAM, *words], base) for name, words in LINES.items()}
        runs |= {name: ([PROGRAM], asked | {"COMP_LINE": line, "COMP_CURRENT": ""}) for name, line in TABS.items()}
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for words, environment in runs.values():
            seconds(words, environment, at.root)
        for _ in range(rounds):
            for name in random.sample(list(runs), k=len(runs)):
                taken[name].append(seconds(*runs[name], at.root))
    bare, *rows = (Row(name, taken[name]) for name in runs)
    report(f"whole process, {os.cpu_count()} cores", bare, rows)
    limited = [row for row in rows if row.name in LIMITS_MS]
    kept = [verdict(f"{row.name}, added", paired_added_ms(row, bare), LIMITS_MS[row.name], " ms") for row in limited]
    return all(kept)


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

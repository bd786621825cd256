"""`%load_ext ccw_magics` against `ipython` alone, whole process: `python tests/benchmarks/bench_load_ext.py [ROUNDS]`.

A control loads an extension that registers one empty magic: no real one can be cheaper.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import Row, isolated, paired_ratio, report, verdict

LIMIT_RATIO = 1.1
ROUNDS = 30
HEAVY = {"click", "ipywidgets", "litellm", "pandas", "pydantic", "tornado"}
BARE_MAGIC = """
from IPython.core.magic import Magics, line_magic, magics_class

@magics_class
class Bare(Magics):
    @line_magic
    def bare(self, line):
        pass

def load_ipython_extension(ipython):
    ipython.register_magics(Bare)
"""
CELLS = {"ipython alone": "pass", "bare magic": "%load_ext bare_magic", "ccw_magics": "%load_ext ccw_magics"}
ADDED = """
import sys
before = set(sys.modules)
%load_ext ccw_magics
print(*sorted(set(sys.modules) - before))
"""


def ipython(cell: str, environment: Mapping[str, str]) -> tuple[float, str]:
    """Seconds of a whole `ipython -c CELL`, and what it printed."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "IPython", "-c", cell]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return time.perf_counter() - started, result.stdout


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limits are kept."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "bare_magic.py").write_text(BARE_MAGIC)
        environment = isolated(Path(home)) | {"PYTHONPATH": home}
        for cell in CELLS.values():
            ipython(cell, environment)  # compiles, and creates IPython's profile
        seconds: dict[str, list[float]] = {name: [] for name in CELLS}
        for _ in range(rounds):
            for name in random.sample(list(CELLS), k=len(CELLS)):
                seconds[name].append(ipython(CELLS[name], environment)[0])
        added = ipython(ADDED, environment)[1].split()
    alone, control, ours = (Row(name, seconds[name]) for name in CELLS)
    report("ipython -c CELL, whole process", alone, [control, ours])
    print(f"  modules added: {', '.join(added)}")
    heavy = sorted(HEAVY & {name.partition(".")[0] for name in added})
    print(f"  heavy ones among them: {', '.join(heavy) or 'none'}")
    return verdict("%load_ext ccw_magics / ipython alone", paired_ratio(ours, alone), LIMIT_RATIO) and not heavy


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

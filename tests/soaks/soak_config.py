"""Two kernels and a `ccw` process edit the project's config and the user's own one at once, and a reader reads both.

python tests/soaks/soak_config.py [EDITS=1000] [--seed N]

Every edit that was reported is there at the end, whoever wrote in between, and the reader has never seen a file that is
not whole, older than one it had seen, or readable by others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config_probe import DONE, SHARED, WRITERS, keep, mark
from soaking import HERE, Cell, Findings, Kernel, home_of, kernel

from ccw_magics.config.store import ConfigStore

CELLS = 5
"""A kernel's edits are spread over so many cells."""
LONGEST_S = 600.0


@contextmanager
def new_project() -> Iterator[Path]:
    """A temporary home, made this process's own, and a project; in both files what everybody edits."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "project"
        (root / ".ccw" / "storage").mkdir(parents=True)
        home_of(root).mkdir()
        os.environ["HOME"] = str(home_of(root))
        project = ConfigStore(root)
        for store in (project, project.user):
            store.add_provider({"id": SHARED, "type": "openai", "name": "everybody's"})
            for name in WRITERS:
                store.add_provider({"id": mark(name), "type": "openai", "name": "0"})
                store.add_endpoint({"id": keep(name), "name": "kept", "providerId": SHARED, "model": "m"})
        yield root


def start(root: Path, what: str, *arguments: str) -> subprocess.Popen[str]:
    """Run `config_probe.py`."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, str(HERE / "config_probe.py"), what, str(root), *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, env=environment
    )


def tell(process: subprocess.Popen[str]) -> None:
    """Let it go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    """Wait for its next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run_in_each(kernels: Mapping[str, Kernel], code: Mapping[str, str], findings: Findings) -> None:
    """Run a cell in each kernel at the same time."""
    cells: dict[str, Cell] = {name: kernels[name].begin(code[name]) for name in kernels}
    for name, cell in cells.items():
        kernels[name].listen(cell, for_s=LONGEST_S)
        findings.require(not cell.error[0], f"kernel {name}: {cell.error[0]} {' '.join(cell.error[1])[-2000:]}")


def edit_everywhere(root: Path, edits: int, seed: int, findings: Findings) -> None:
    """Let the three writers make their edits, a third each, then hold what is there against what they did."""
    share = edits // len(WRITERS)
    with (
        start(root, "edit", "ccw", str(edits - 2 * share), str(seed)) as shell,
        kernel(root) as first,
        kernel(root) as second,
    ):
        kernels = {"a": first, "b": second}
        made = "import config_probe, pathlib\nwriter = config_probe.Writer(pathlib.Path({!r}), {!r}, {}, config_probe.in_kernel)"
        run_in_each(kernels, {name: made.format(str(root), name, seed) for name in kernels}, findings)
        findings.require(hear(shell) == "ready", "the ccw process did not start")
        tell(shell)
        for place in range(CELLS):
            count = share * (place + 1) // CELLS - share * place // CELLS
            run_in_each(kernels, dict.fromkeys(kernels, f"writer.edit({count})"), findings)
        findings.require(hear(shell) == "edited", "the ccw process failed")
        tell(shell)
        run_in_each(kernels, dict.fromkeys(kernels, "writer.report()"), findings)
    findings.require(shell.returncode == 0, f"the ccw process ended with {shell.returncode}")


def check_reports(root: Path, edits: int, findings: Findings) -> None:
    """Hold the files against what the writers say they did."""
    reports = {name: json.loads((root / f"{name}.json").read_text()) for name in WRITERS}
    done: Counter[str] = Counter()
    for name, report in reports.items():
        done.update(report["done"])
        findings.say(f"edits of {name}", sum(report["done"].values()))
        for lost in report["lost"]:
            findings.require(False, f"{name}: {lost}")
    for what, count in sorted(done.items()):
        findings.say(f"  {what}", count)
    findings.require(done.total() == edits, f"{done.total()} edits were reported, of {edits}")
    project = ConfigStore(root)
    for place, store in (("project", project), ("user", project.user)):
        default = json.loads(store.path.read_bytes()).get("defaultEndpoint")
        last = {report["defaults"][place] for report in reports.values()}
        findings.require(default in last, f"the default of {place} is {default}, and not one of {last}")
        left = sorted(path.name for path in store.path.parent.iterdir())
        findings.require(left == [store.path.name, f"{store.path.name}.lock"], f"left in {place}: {left}")


def soak(edits: int, seed: int) -> int:
    findings = Findings(f"{edits} edits of three writers, seed {seed}")
    with new_project() as root:
        began_s = time.monotonic()
        with start(root, "read") as reader:
            try:
                edit_everywhere(root, edits, seed, findings)
            finally:
                (root / DONE).touch()
            seen = json.loads(hear(reader))
        check_reports(root, edits, findings)
        findings.say("files read meanwhile", seen["reads"])
        for wrong in seen["wrong"]:
            findings.require(False, f"the reader: {wrong}")
        findings.say("seconds, the kernels' start included", round(time.monotonic() - began_s))
    return findings.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edits", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return soak(given.edits, given.seed)


if __name__ == "__main__":
    sys.exit(main())

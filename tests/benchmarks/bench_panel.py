"""`%ccw panel` with 50 providers and 200 endpoints against 250 bare buttons: `python tests/benchmarks/bench_panel.py [ROUNDS]`.

Kernel time from the line to the last message sent, imports included: each round of each in a fresh kernel. What is
printed beside it is that of a second `%ccw panel` in the same kernel, and of the other tabs when they are first opened.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from jupyter_client import KernelManager
from measuring import Row, isolated, paired_ratio, report, verdict

LIMIT_MS = 300.0
ROUNDS = 15
PROVIDERS = 50
ENDPOINTS = 200
DEADLINE_S = 60.0
TIMED = """
import time
def timed(work):
    begun = time.perf_counter()
    made = work()
    print("seconds", time.perf_counter() - begun)
    return made
shell = get_ipython()
"""
RIVAL = """
def buttons():
    import ipywidgets
    from IPython.display import display
    display(ipywidgets.VBox([ipywidgets.Button(description=str(number)) for number in range(250)]))
timed(buttons)
"""
OURS = """
timed(lambda: shell.run_line_magic("ccw", "panel"))
timed(lambda: shell.run_line_magic("ccw", "panel"))
import ccw_magics
from IPython.display import display
panel = ccw_magics.panel()
display(panel)
for index in (1, 2, 3):
    timed(lambda: setattr(panel._pages, "selected_index", index))
timed(panel.refresh)
"""
LOADED = f"{TIMED}shell.run_line_magic('load_ext', 'ccw_magics')"
CELLS = {"250 buttons": (TIMED, RIVAL), "%ccw panel": (LOADED, OURS)}
ALSO = ("%ccw panel again", "Endpoints opened", "Cache opened", "History opened", "after a cell")


def write_config(root: Path) -> None:
    """A project with many providers and endpoints."""
    providers = [
        {"id": f"p-{number}", "name": f"Provider {number}", "type": "openai", "apiKey": "${OPENAI_API_KEY}"}
        for number in range(PROVIDERS)
    ]
    endpoints = [
        {"id": f"endpoint-{number}", "name": "", "providerId": f"p-{number % PROVIDERS}", "model": "gpt-4o"}
        for number in range(ENDPOINTS)
    ]
    folder = root / ".ccw" / "storage" / "config"
    folder.mkdir(parents=True)
    content = {"version": 1, "providers": providers, "endpoints": endpoints, "defaultEndpoint": "endpoint-7"}
    (folder / "litellm-api-config.json").write_text(json.dumps(content))


def in_a_fresh_kernel(cells: tuple[str, ...], root: Path, environment: Mapping[str, str]) -> list[float]:
    """The seconds that the cells print."""
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(cwd=str(root), env=dict(environment), stderr=subprocess.DEVNULL)
    client = kernel.client()
    client.start_channels()
    printed: list[str] = []

    def keep(message: Mapping[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        if message["msg_type"] == "error":
            raise RuntimeError("\n".join(content["traceback"]))
        printed.append(content.get("text", "") if message["msg_type"] == "stream" else "")

    try:
        client.wait_for_ready(timeout=DEADLINE_S)
        for cell in cells:
            client.execute_interactive(cell, output_hook=keep, timeout=DEADLINE_S)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    return [float(line.split()[1]) for line in "".join(printed).splitlines() if line.startswith("seconds ")]


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limit is kept."""
    seconds: dict[str, list[list[float]]] = {name: [] for name in CELLS}
    with tempfile.TemporaryDirectory() as directory:
        home, root = Path(directory, "home"), Path(directory, "project")
        home.mkdir()
        write_config(root)
        for number in range(rounds + 1):
            for name in random.sample(list(CELLS), k=len(CELLS)):
                found = in_a_fresh_kernel(CELLS[name], root, isolated(home))
                if number:  # the first round compiles
                    seconds[name].append(found)
    rival, ours = (Row(name, [found[0] for found in seconds[name]]) for name in CELLS)
    report(f"first use in a fresh kernel, {PROVIDERS} providers, {ENDPOINTS} endpoints", rival, [ours])
    for place, what in enumerate(ALSO, start=1):
        print(f"  {what:36} {1000 * median(found[place] for found in seconds['%ccw panel']):8.1f} ms")
    print(f"  ratio to 250 buttons: {paired_ratio(ours, rival):.2f}")
    return verdict("%ccw panel, kernel time", 1000 * median(ours.seconds), LIMIT_MS, " ms")


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

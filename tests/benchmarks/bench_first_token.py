"""Time to the first token of a new kernel's first cell, import included: `... bench_first_token.py [ROUNDS]`.

A `%%ccw` cell, `%load_ext` counted in, against a cell that imports litellm and prints the pieces of a bare streamed call.
From the client's side: from the request to the first message that holds text of the answer. The price map is local for
both; the rival would wait for the network otherwise.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping

from bench_overhead import BARE_IN_A_CELL, kernel
from measuring import ENDPOINT, QUESTION, Project, Row, bare_arguments, paired_ratio, project, report, verdict

LIMIT_RATIO = 1.1
ROUNDS = 10
LIMIT_S = 60


def first_token_s(where: Project, cells: list[str]) -> float:
    """Seconds until the last cell's answer begins, all cells counted in, in a new kernel that is idle."""
    with kernel(where) as client:
        client.execute_interactive("pass", timeout=LIMIT_S)
        started = time.perf_counter()
        for cell in cells[:-1]:
            client.execute_interactive(cell, timeout=LIMIT_S)
        client.execute(cells[-1])
        while True:
            message = client.get_iopub_msg(timeout=LIMIT_S)
            content = message["content"]
            if content.get("text") or content.get("data", {}).get("text/markdown"):
                return time.perf_counter() - started
            assert message["msg_type"] != "error", content


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limit is kept."""
    with project() as where:
        bare = f"import litellm\nbare = {bare_arguments(where.api_base, QUESTION)!r}{BARE_IN_A_CELL}"
        ours = ["%load_ext ccw_magics", f"%%ccw {ENDPOINT}\n{QUESTION}"]
        contestants: Mapping[str, list[str]] = {"import litellm, bare call": [bare], "%load_ext, %%ccw cell": ours}
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(1 + rounds):  # the first round compiles and fills the disk cache
            for name in random.sample(list(contestants), k=len(contestants)):
                figure = first_token_s(where, contestants[name])
                if number:
                    seconds[name].append(figure)
    rival, row = (Row(name, figures) for name, figures in seconds.items())
    report("First token of a new kernel", rival, [row])
    return verdict("first token, %%ccw / bare call", paired_ratio(row, rival), LIMIT_RATIO)


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

"""Calls a second with 64 under way, against bare `litellm.acompletion`: `... bench_concurrent.py [ROUNDS]`.

The server runs in a process of its own and waits 100 ms before it answers. A round is 64 streamed calls at once, awaited
together; the ideal is that they all take the 100 ms together. The rest is the interpreter's time for one call, which no
second core shares: what litellm takes for it, and what we add.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import random
import sys
import time
from statistics import median
from typing import Any

from measuring import QUESTION, Row, bare_arguments, paired_ratio, project

CALLS = 64
DELAY_S = 0.1
ROUNDS = 15
WARMING = 3
LEAST_SHARE = 0.9


async def measure(api_base: str, rounds: int) -> tuple[Row, Row]:
    """Seconds of each round: the bare calls, and `Workspace.arun`."""
    from ccw_magics import Workspace

    litellm: Any = importlib.import_module("litellm")
    arguments, workspace = bare_arguments(api_base, QUESTION), Workspace()

    async def bare() -> str:
        answer = await litellm.acompletion(**arguments)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])

    async def ours() -> str:
        return (await workspace.arun(QUESTION)).raise_for_error().output

    seconds: dict[Any, list[float]] = {bare: [], ours: []}
    for number in range(WARMING + rounds):
        for contestant in random.sample(list(seconds), k=len(seconds)):
            started = time.perf_counter()
            answers = await asyncio.gather(*(contestant() for _ in range(CALLS)))
            took_s = time.perf_counter() - started
            assert len(set(answers)) == 1
            if number >= WARMING:
                seconds[contestant].append(took_s)
    return Row("bare litellm.acompletion", seconds[bare]), Row("Workspace.arun", seconds[ours])


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limit is kept."""
    with project(delay_s=DELAY_S) as where, contextlib.chdir(where.root):
        os.environ.update(where.environment)
        bare, ours = asyncio.run(measure(where.api_base, rounds))
    print(f"\n{CALLS} calls at once, {DELAY_S * 1000:.0f} ms before each answer ({rounds} rounds, interleaved)")
    for row in (bare, ours):
        rate = CALLS / median(row.seconds)
        print(f"  {row.name:28} {rate:7.0f} calls a second, {rate * DELAY_S / CALLS:.0%} of the ideal")
    share = 1 / paired_ratio(ours, bare)
    kept = share >= LEAST_SHARE
    print(f"  {'ok  ' if kept else 'UNDER'}  Workspace.arun reaches {share:.1%} of bare (at least {LEAST_SHARE:.0%})")
    return kept


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

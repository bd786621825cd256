"""Several kernels call at once, and one is killed (SIGKILL) in the middle: no limit is passed by more than is under way.

python tests/soaks/soak_budget.py [ROUNDS=20] [--seed N] [--cut]

Each round is a project with a limit a day. Two processes make calls, eight at a time each, with answers of random lengths,
refusals, cut streams, interrupts and fallbacks, until the limit refuses them; a third is killed while it calls. The
server bills as a provider does, by a count of its own. Then its sum is held against the limit and what the calls that
were under way when the last one was let through cost beyond what was expected of them. `--cut` asks again where a
stream is cut.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from soaking import HANG_S, Findings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from wire_billing import Bill, Provider, Watch
from wire_server import WireServer
from wired_project import make_project

from ccw_magics import Workspace
from ccw_magics.calls.spending import midnight
from ccw_magics.errors import BudgetExceeded

CALLERS = 8
STALL_S = 0.2
LATEST_KILL = 24
"""Of what a process tells: it is let through, or settled."""
CAPS_USD = (0.3, 1.0, 2.0)
KINDS = ("ok", "ok", "ok", "ok", "ok", "429 ok", "401", "500 ok", "cut", "stall", "cut cut ok")


async def _calls(root: Path, name: str, seed: int, *, retry_cut: bool) -> None:
    """Call until a limit says no."""

    async def caller(number: int) -> None:
        chance = random.Random(f"{seed}-{name}-{number}")
        for call in range(1000):
            kind = chance.choice(KINDS)
            prompt = f"[case {name}-{number}-{call}] [tries {kind}] " + "word " * chance.randrange(2000)
            asked = workspace.arun(prompt, retry_cut=retry_cut)
            with suppress(TimeoutError):
                reply = await asyncio.wait_for(asked, STALL_S if kind == "stall" else None)
                if isinstance(reply.failure, BudgetExceeded):
                    return

    workspace = Workspace(root)
    await asyncio.gather(*map(caller, range(CALLERS)))


def kernel(root: Path, name: str, seed: int, retry_cut: bool, told: Connection) -> None:
    """A process that calls until a limit says no, and tells what it was let through."""
    from ccw_magics.calls import retry

    async def rest(_seconds: float) -> None:
        """Nobody has to be spared here."""

    retry.rest = rest
    with Watch(told.send).watching():
        asyncio.run(_calls(root, name, seed, retry_cut=retry_cut))
    told.send("")


class Kernel:
    """A process at work.

    Args:
        arguments: Of `kernel`, but for the last.
    """

    def __init__(self, *arguments: Any) -> None:
        context = multiprocessing.get_context("forkserver")
        self._told, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=kernel, args=(*arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def listen(self, watch: Watch, at_most: float = math.inf) -> bool:
        """Take in so much of what it tells; whether it came to its end, or to so much."""
        deadline_s, heard = time.monotonic() + HANG_S, 0
        with suppress(EOFError):
            while heard < at_most and self._told.poll(max(0.0, deadline_s - time.monotonic())):
                told, heard = self._told.recv(), heard + 1
                if not told:
                    return True
                watch.add(json.loads(told))
        return heard >= at_most

    def kill(self) -> None:
        """End it as the system would where memory runs out."""
        self._process.kill()
        self._process.join()


def run_once(wire: WireServer, seed: int, cap_usd: float, findings: Findings, *, retry_cut: bool) -> dict[str, float]:
    """One project, three processes: the figures."""
    with tempfile.TemporaryDirectory() as directory:
        root = make_project(Path(directory) / "project", wire)
        workspace = Workspace(root)
        workspace.config.update_budget({"per_day_usd": cap_usd})
        wire.answers(provider := Provider(seed))
        watch = Watch()
        kernels = [Kernel(root, name, seed, retry_cut) for name in ("a", "b", "killed")]
        kernels[2].listen(watch, random.Random(seed).randint(1, LATEST_KILL))
        kernels[2].kill()
        kernels[2].listen(watch)  # what it still told
        for number, one in enumerate(kernels[:2]):
            findings.require(one.listen(watch), f"seed {seed}: kernel {number} did not end")
            one.kill()
        spent = workspace.journal.ledger.spent(midnight())
        workspace.journal.close()
        return _figures(watch, provider.bills, cap_usd, spent.calls_usd + spent.reserved_usd)


def _figures(watch: Watch, bills: list[Bill], cap_usd: float, counted_usd: float) -> dict[str, float]:
    billed_usd = sum(bill.usd for bill in bills)
    return {
        "requests": len(bills),
        "billed": billed_usd / cap_usd,
        "counted": counted_usd / cap_usd,
        "most": watch.most_usd(cap_usd, bills) / cap_usd,
    }


def soak(rounds: int, seed: int, *, retry_cut: bool) -> int:
    chance = random.Random(seed)
    findings = Findings(f"{rounds} limits of a day, three kernels each, one killed; seed {seed}")
    multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__", "litellm"])
    found = []
    with WireServer() as wire:
        for number in range(rounds):
            cap_usd = chance.choice(CAPS_USD)
            figures = run_once(wire, seed * 1000 + number, cap_usd, findings, retry_cut=retry_cut)
            kept = figures["billed"] <= figures["most"] + 1e-9
            findings.require(kept, f"round {number}: {figures} of a limit of ${cap_usd}")
            found.append(figures)
    for name in ("requests", "billed", "counted", "most"):
        values = sorted(figures[name] for figures in found)
        unit = "" if name == "requests" else " of the limit"
        findings.say(
            f"{name}: least, median, most", f"{values[0]:.3g}, {values[len(values) // 2]:.3g}, {values[-1]:.3g}{unit}"
        )
    findings.say("rounds in which more was billed than the limit", sum(figures["billed"] > 1 for figures in found))
    return findings.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cut", action="store_true", help="ask again where a stream is cut")
    given = parser.parse_args()
    return soak(given.rounds, given.seed, retry_cut=given.cut)


if __name__ == "__main__":
    sys.exit(main())

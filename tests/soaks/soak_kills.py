"""Processes that call in a loop are killed (SIGKILL) at random points: what was reported as ended is in the journal.

python tests/soaks/soak_kills.py [TIMES=200] [--seed N]

Each kill falls on one of three kinds of process: one that makes calls, two at once that make calls, and two at once that
only record, so that nearly every kill falls into a commit. Half of them work as on a network file system, where there is
no WAL: their processes are told that the project lies on one.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from soaking import FORMATS, HANG_S, Findings, home_of, project, serving

from ccw_magics.database import DAMAGED
from ccw_magics.database import file as database
from ccw_magics.journal import Call, Entry, Journal

LONGEST_S = 0.3
"""A process is killed within so many seconds after its first report."""
ANSWER = "Hello from the wire."
"""What `serving` says where nothing is expected."""
SETTINGS = {"maxRetries": 0}
ON_NETWORK = "on-network"
IMPORTED = ("litellm", "ccw_magics.workspace", "ccw_magics.backends.litellm_clients")
"""What each process is forked with, or it would spend seconds on it before its first call."""
RECORDED = Call(
    at=datetime(2026, 1, 1, tzinfo=UTC),
    endpoint="openai",
    provider="openai",
    model="gpt-4o",
    mode="analysis",
    prompt_hash="0" * 64,
    pack_hash="",
    files=(),
    input_tokens=12,
    cached_tokens=0,
    written_tokens=0,
    output_tokens=5,
    cost_usd=None,
    uncached_cost_usd=None,
    duration_s=0.1,
    first_token_s=0.1,
    retries=0,
    fallback_from="",
    key="",
    chat="",
    outcome="ok",
    error="",
    prompt="",
    answer=ANSWER,
)
Work = Callable[[Path, str, Connection], None]


def make_calls(root: Path, name: str, reports: Connection) -> None:
    """Call for ever, and report the prompt of each call that has ended."""
    from ccw_magics import Workspace

    workspace, number = Workspace(root), 0
    while True:
        prompt = f"[case {name}-{number}] Well?"
        reply = workspace.run(prompt, endpoint=list(FORMATS)[number % len(FORMATS)])
        reports.send(prompt if reply.success and not reply.warnings else f"failed: {reply.error} {reply.warnings}")
        number += 1


def only_record(root: Path, name: str, reports: Connection) -> None:
    """Record for ever, with nothing between."""
    journal, number = Journal(root), 0
    while True:
        prompt = f"[case {name}-{number}] Well?"
        kept = journal.append(dataclasses.replace(RECORDED, prompt=prompt))
        reports.send(prompt if kept is not None else f"failed: {journal.take_trouble()}")
        number += 1


KINDS: dict[str, Sequence[Work]] = {
    "one that calls": (make_calls,),
    "two that call": (make_calls, make_calls),
    "two that only record": (only_record, only_record),
}


def _begin(work: Work, root: Path, name: str, reports: Connection) -> None:
    os.environ["HOME"] = str(home_of(root))  # the process that is forked knows an older one
    if (root / ON_NETWORK).exists():
        database.is_on_network = lambda _: True
    work(root, name, reports)


class Caller:
    """A process at work, and what it reported.

    Args:
        work: What it does.
        root: The project.
        name: Stands in its prompts.
    """

    def __init__(self, work: Work, root: Path, name: str) -> None:
        self.name = name
        self.reported: list[str] = []
        context = multiprocessing.get_context("forkserver")  # imports litellm once for all of them
        self._reports, theirs = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(target=_begin, args=(work, root, name, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def begins(self) -> bool:
        """Wait for the first report; False where none comes."""
        with suppress(EOFError):
            if self._reports.poll(HANG_S):
                self._take()
        return bool(self.reported)

    def kill(self) -> None:
        """End it as the system would where memory runs out, and read what it still said."""
        self._process.kill()
        self._process.join()
        with suppress(EOFError, OSError):  # its last report may be a half one
            while True:
                self._take()
        self._reports.close()

    def _take(self) -> None:
        self.reported.append(self._reports.recv())


def run_once(kind: str, root: Path, name: str, chance: random.Random, findings: Findings) -> list[Caller]:
    """Start the processes and kill each at a moment of its own; the later one goes on while the first is dead."""
    callers = [Caller(work, root, f"{name}-{place}") for place, work in enumerate(KINDS[kind])]
    for caller in callers:
        findings.require(caller.begins(), f"{caller.name} ({kind}) reports nothing")
    for caller in callers:
        time.sleep(chance.uniform(0, LONGEST_S))
        caller.kill()
    return callers


def check(root: Path, callers: Sequence[Caller], kind: str, findings: Findings) -> int:
    """Hold the journal against what was reported; how many calls are kept that nobody had reported yet."""
    unreported = 0
    try:
        rows = [row for row in Journal(root).calls(with_text=True) if _is_of(row, callers)]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the soak looks for
        findings.require(False, f"{callers[0].name} ({kind}): the journal does not open: {error}")
        return 0
    count = Counter(row.call.prompt for row in rows)
    for caller in callers:
        lost = [prompt for prompt in caller.reported if count[prompt] != 1]
        findings.require(not lost, f"{caller.name} ({kind}): reported, and not once in the journal: {lost}")
        more = sum(_is_of(row, [caller]) for row in rows) - len(caller.reported)
        findings.require(more in (0, 1), f"{caller.name} ({kind}): {more} calls in the journal beyond those reported")
        unreported += more
    halves = [row for row in rows if row.call.outcome != "ok" or row.call.answer != ANSWER]
    findings.require(not halves, f"{callers[0].name} ({kind}): half calls: {halves}")
    return unreported


def _is_of(row: Entry, callers: Sequence[Caller]) -> bool:
    return any((row.call.prompt or "").startswith(f"[case {caller.name}-") for caller in callers)


def check_files(root: Path, findings: Findings) -> str:
    """Hold the files against what sqlite says of them; how commits are kept."""
    file = Journal(root).status().path
    aside = [path.name for path in file.parent.glob(f"*{DAMAGED}*")]
    findings.require(not aside, f"set aside: {aside}")
    with closing(sqlite3.connect(file)) as connection:
        try:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            halves = connection.execute(
                "SELECT COUNT(*) FROM call LEFT JOIN call_text ON call_id = id WHERE prompt IS NULL"
            )
            findings.require(halves.fetchone()[0] == 0, "calls without their texts")
        except sqlite3.Error as error:
            found, mode = str(error), "unknown"
    findings.require(found == "ok", f"sqlite says of the file: {found}")
    return mode


def refuse_wal(root: Path) -> None:
    """Let the processes take the project for one on a network file system."""
    (root / ON_NETWORK).touch()


def soak(times: int, seed: int) -> int:
    chance = random.Random(seed)
    findings = Findings(f"{times} processes killed, seed {seed}")
    multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__", *IMPORTED])
    for place, is_refused in (("where WAL works", False), ("where there is no WAL", True)):
        with serving() as wire, project(wire, SETTINGS) as root:
            if is_refused:
                refuse_wal(root)
            seen = soak_place(root, (times + 1) // 2 if not is_refused else times // 2, chance, findings)
            mode = check_files(root, findings)
        findings.require((mode == "wal") != is_refused, f"{place}: the journal's mode is {mode}")
        findings.say(f"{place} (journal_mode={mode}): processes killed", seen["killed"])
        for kind in KINDS:
            findings.say(f"  {kind}", seen[kind])
        findings.say("  reported as ended, all in the journal", seen["reported"])
        findings.say("  in the journal, killed before they were reported", seen["unreported"])
    return findings.close()


def soak_place(root: Path, times: int, chance: random.Random, findings: Findings) -> Counter[str]:
    """Kill so many processes in one project; what was done, counted."""
    seen: Counter[str] = Counter()
    while seen["killed"] < times:
        kinds = [kind for kind, works in KINDS.items() if len(works) <= times - seen["killed"]]
        kind = kinds[seen["rounds"] % len(kinds)]
        callers = run_once(kind, root, str(seen["rounds"]), chance, findings)
        failed = [told for caller in callers for told in caller.reported if told.startswith("failed")]
        findings.require(not failed, f"{callers[0].name} ({kind}): {failed[:3]}")
        more = {"unreported": check(root, callers, kind, findings), "reported": sum(len(c.reported) for c in callers)}
        seen.update({"rounds": 1, "killed": len(callers), kind: len(callers), **more})
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return soak(given.times, given.seed)


if __name__ == "__main__":
    sys.exit(main())

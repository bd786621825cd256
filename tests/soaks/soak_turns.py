"""Processes that talk in a loop are killed (SIGKILL) at random points: what was reported as ended is on file.

python tests/soaks/soak_turns.py [TIMES=200] [--seed N]

Each round, two processes go on with one conversation, and now and then branch off from it; they keep each turn's reply
under its key, and report it. Half of the rounds are as on a network file system, where there is no WAL. Then every turn
reported is on a line that some name leads to, every reply reported is given again, both are whole, and sqlite finds
both files in order.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from soaking import HANG_S, Findings

from ccw_magics.database import DAMAGED
from ccw_magics.database import file as database
from ccw_magics.journal import Journal, Recorded, Replies, StoredTurn, Turn

LONGEST_S = 0.3
"""A process is killed within so many seconds after its first report."""
AT = datetime(2026, 1, 1, tzinfo=UTC)
CHAT = "the talk"
LENGTH = 40
"""A conversation of so many turns is begun anew: each report reads all of it."""
FAILED = -1
"""Stands for the number of a turn that was not kept."""


def turn(key: str) -> Turn:
    """What a process says; its key tells it from all others."""
    return Turn("openai", (f"@{key}.py",), key.encode() * 200, "[]", key, f"{key}?", f"{key}!" * 50, key, AT)


def recorded(key: str) -> Recorded:
    """The reply to it."""
    return Recorded(AT, f"{key}!" * 50, "gpt-4o", "openai", "openai", 12, 0, None, 5, 0.25, None, 0.1, is_cut=False)


def replies_of(root: Path) -> Replies:
    """The recorded replies beside a project; the limit is never reached."""
    return Replies(lambda: (root / "cache", 10**9))


def talk(root: Path, name: str, without_wal: bool, reports: Connection) -> None:
    """Go on for ever; report the number and the key of each turn that is kept, with its reply."""
    if without_wal:
        database.is_on_network = lambda _: True
    journal, replies, chance, number = Journal(root), replies_of(root), random.Random(name), 0
    while True:
        key = f"{name}-{number}"
        path = journal.chats.path(CHAT)
        parent_id = _parent(path, chance)
        kept = journal.chats.append(CHAT, parent_id, turn(key))
        replies.put(key, recorded(key))
        trouble = journal.take_trouble() or replies.take_trouble()
        reports.send((kept.turn_id if kept and not trouble else FAILED, trouble or key))
        number += 1


def _parent(path: Sequence[StoredTurn], chance: random.Random) -> int | None:
    """The newest turn, now and then one further up, and none once the talk is long."""
    if not path or len(path) >= LENGTH:
        return None
    return path[-1].id if chance.random() < 0.9 else chance.choice(path).id


class Talker:
    """A process at work, and what it reported.

    Args:
        root: The project.
        name: Begins its keys.
        without_wal: Whether the project lies on a network, as far as the process knows.
    """

    def __init__(self, root: Path, name: str, *, without_wal: bool) -> None:
        self.name = name
        self.reported: list[tuple[int, str]] = []
        context = multiprocessing.get_context("forkserver")
        self._reports, theirs = context.Pipe(duplex=False)
        arguments = (root, name, without_wal, theirs)
        self._process: BaseProcess = context.Process(target=talk, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def begins(self) -> bool:
        """Wait for the first report; False where none comes."""
        with suppress(EOFError):
            if self._reports.poll(HANG_S):
                self.reported.append(self._reports.recv())
        return bool(self.reported)

    def kill(self) -> None:
        """End it as the system would where memory runs out, and read what it still said."""
        self._process.kill()
        self._process.join()
        with suppress(EOFError, OSError):  # its last report may be a half one
            while True:
                self.reported.append(self._reports.recv())
        self._reports.close()


def run_once(root: Path, name: str, chance: random.Random, findings: Findings, *, without_wal: bool) -> list[Talker]:
    """Start two and kill each at a moment of its own; the second goes on while the first is dead."""
    talkers = [Talker(root, f"{name}{letter}", without_wal=without_wal) for letter in "ab"]
    for talker in talkers:
        findings.require(talker.begins(), f"{talker.name} reports nothing")
    for talker in talkers:
        time.sleep(chance.uniform(0, LONGEST_S))
        talker.kill()
    return talkers


def check(root: Path, talkers: Sequence[Talker], findings: Findings) -> Counter[str]:
    """Hold the files against what was reported; what was seen, counted."""
    journal, replies = Journal(root), replies_of(root)
    kept: dict[int, StoredTurn] = {}
    names = journal.chats.names()
    for row in names:
        kept |= {stored.id: stored for stored in journal.chats.path(row.name)}
    seen: Counter[str] = Counter(killed=len(talkers), lines=len(names))
    for talker in talkers:
        seen.update(_check_one(talker, kept, replies, findings))
    told = journal.take_trouble() or replies.take_trouble()
    findings.require(not told, f"{talkers[0].name}: {told}")
    journal.close()
    replies.close()
    return seen


def _check_one(talker: Talker, kept: Mapping[int, StoredTurn], replies: Replies, findings: Findings) -> Counter[str]:
    failed = [told for number, told in talker.reported if number == FAILED]
    findings.require(not failed, f"{talker.name} could not keep: {failed[:3]}")
    lost = [key for number, key in talker.reported if number not in kept or kept[number].turn != turn(key)]
    findings.require(not lost, f"{talker.name}: turns reported, and not whole on any line: {lost}")
    gone = [key for _, key in talker.reported if replies.get(key) != recorded(key)]
    findings.require(not gone, f"{talker.name}: replies reported, and not given again: {gone}")
    own = [stored for stored in kept.values() if stored.turn.key.startswith(f"{talker.name}-")]
    more = len(own) - len(talker.reported)
    findings.require(more in (0, 1), f"{talker.name}: {more} turns on file beyond those reported")
    return Counter(reported=len(talker.reported), unreported=more)


def check_file(path: Path, findings: Findings) -> str:
    """Hold a file against what sqlite says of it; how commits are kept."""
    aside = [other.name for other in path.parent.glob(f"*{DAMAGED}*")]
    findings.require(not aside, f"set aside: {aside}")
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        findings.require(found == "ok", f"sqlite says of {path.name}: {found}")
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def soak(times: int, seed: int) -> int:
    chance = random.Random(seed)
    findings = Findings(f"{times} processes killed, seed {seed}")
    multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__"])
    for place, without_wal in (("where WAL works", False), ("where there is no WAL", True)):
        seen: Counter[str] = Counter()
        while seen["killed"] < times / 2:
            # A project of its own for each round: the lines set aside, all of them read, would grow without end.
            with tempfile.TemporaryDirectory() as directory:
                root = Path(directory)
                talkers = run_once(root, str(seen["killed"]), chance, findings, without_wal=without_wal)
                seen.update(check(root, talkers, findings))
                files = (Journal(root).status().path, root / "cache" / "replies.sqlite3")
                modes = {check_file(path, findings) for path in files}
            findings.require(
                modes == ({"delete"} if without_wal else {"wal"}), f"{place}: the files' modes are {modes}"
            )
        findings.say(f"{place}: processes killed", seen["killed"])
        findings.say("  turns reported as ended, all on some line, with their replies", seen["reported"])
        findings.say("  turns on file, killed before they were reported", seen["unreported"])
        findings.say("  lines, those set aside included", seen["lines"])
    return findings.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return soak(given.times, given.seed)


if __name__ == "__main__":
    sys.exit(main())

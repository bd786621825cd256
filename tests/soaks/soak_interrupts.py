"""Interrupts at random moments of a call: the kernel comes back at once, and nothing of the call is lost.

python tests/soaks/soak_interrupts.py [TIMES=200] [--seed N] [--untimed]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from soaking import HANG_S, Asked, Cell, Findings, Kernel, Wire, kernel, pieces, project, serving

from ccw_magics.journal import Call, Journal

USABLE_S = 0.5
"""From the interrupt to the end of a `1+1` that follows it."""
HANG_UP_S = 0.5
"""From the interrupt until the server knows."""
BEHIND_S = 0.5
"""What the server sent so long before the interrupt must be in the text that is kept."""
BEGUN_S = 0.25
"""By then a cell's call has begun: an earlier interrupt may hit IPython on its way to the call."""
KNOWN_WITHIN_S = 5.0
NEW_KERNEL_EACH = 40
"""So many interrupts share a kernel; each kernel's first one comes while it imports litellm."""
SETTINGS = {"maxRetries": 3, "timeout": 60}
RATED = {"rpm": 1}
TREE_FILES = 4_000
FILE_LINES = 40


@dataclass(frozen=True)
class Moment:
    """A part of a call to be interrupted in.

    Attributes:
        longest_s: The interrupt comes within so many seconds from the cell's begin, which may be beyond its end.
        answers: The server's, by try; their pieces are added.
        endpoint: Who is asked.
        references: What is packed; `{}` is another number each time.
        words: How many pieces the answer has.
    """

    longest_s: float
    answers: Sequence[Mapping[str, Any]] = ({},)
    endpoint: str = ""
    references: str = ""
    words: int = 20


MOMENTS = {
    "packing": Moment(0.6, references="@tree/**/*[!{}] "),
    "waiting for the first token": Moment(0.8, [{"delay_s": 0.7}]),
    "streaming": Moment(1.1, [{"gap_s": 0.02}], words=50),
    "streaming in bursts": Moment(0.3, [{"gap_s": 0.001}], words=300),
    "waiting for a retry": Moment(1.0, [{"status": 429, "headers": {"Retry-After": "5"}}, {}]),
    "waiting for rpm": Moment(1.0, endpoint="rated"),
    "a short call, and beyond it": Moment(0.08),
    "first call of a kernel": Moment(4.0),
}
FIRST = "first call of a kernel"


@dataclass
class Interrupted:
    """One case: what was done, and what was seen.

    Attributes:
        at_s: When the interrupt was sent, on `time.monotonic`'s clock.
        after_s: That many seconds after the cell's begin.
        had_ended: Whether the cell had ended by then.
        usable_s: Seconds from the interrupt until `1+1` was done.
        idle_s: Seconds from the interrupt until the cell was.
        reply: What the `--out` name holds; None where there is none.
        asked: The requests at the server.
    """

    name: str
    moment: str
    words: Sequence[str]
    after_s: float
    at_s: float = 0.0
    had_ended: bool = False
    usable_s: float = 0.0
    idle_s: float = 0.0
    error: str = ""
    reply: Mapping[str, Any] | None = None
    asked: Sequence[Asked] = ()
    call: Call | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"case {self.name} ({self.moment}, interrupted after {self.after_s:.3f} s)"

    def is_open(self, request: Asked) -> bool:
        """Whether the server neither finished a request nor knows that nobody waits for it."""
        is_answered = len(request.sent_s) > len(self.words) or "retry" in self.moment
        return not is_answered and request.gone_s is None

    @property
    def sent_pieces(self) -> int:
        """Pieces of the text that the server had sent, all in all."""
        return max((min(len(request.sent_s), len(self.words)) for request in self.asked), default=0)

    @property
    def kept_pieces(self) -> int:
        """Pieces in the text that was kept; -1 where it is none of the answer's beginnings."""
        output = self.reply["output"] if self.reply is not None else ""
        count = output.count(" ")
        return count if output == "".join(self.words[:count]) else -1

    @property
    def due_pieces(self) -> int:
        """Pieces that had been sent long enough before the interrupt."""
        due = (sum(sent_s < self.at_s - BEHIND_S for sent_s in request.sent_s) for request in self.asked)
        return min(max(due, default=0), len(self.words))


def interrupt_once(running: Kernel, wire: Wire, case: Interrupted, endpoint: str) -> None:
    """Run the case's cell and interrupt it at the case's moment; fills the case."""
    moment = MOMENTS[case.moment]
    wire.expect(case.name, *({"pieces": list(case.words), **answer} for answer in moment.answers))
    references = moment.references.format(case.name[-1])
    cell = running.begin(f"%%ccw {moment.endpoint or endpoint} -o reply\n{references}[case {case.name}] Well?")
    began_s = time.monotonic()
    _listen_for(running, cell, case.after_s)
    case.had_ended, case.at_s = cell.is_idle, time.monotonic()
    case.after_s = case.at_s - began_s
    running.interrupt()
    running.listen(cell)
    case.idle_s = time.monotonic() - case.at_s
    after = running.run("1+1;")
    case.usable_s = time.monotonic() - case.at_s
    case.error = f"{cell.error[0]}{' | then ' + after.error[0] if after.error[0] else ''}"
    case.reply = running.ask("kept(get_ipython(), 'reply')")
    running.run("globals().pop('reply', None);")
    case.asked = _settled(wire, case)


def _listen_for(running: Kernel, cell: Cell, seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while (left_s := deadline_s - time.monotonic()) > 0:
        if cell.is_idle:
            time.sleep(left_s)
            return
        try:
            running.listen(cell, for_s=left_s)
        except TimeoutError:
            return


def _settled(wire: Wire, case: Interrupted) -> Sequence[Asked]:
    """The case's requests, once none of them is open any more, or it takes too long."""
    deadline_s = time.monotonic() + KNOWN_WITHIN_S
    while True:
        asked = wire.asked(case.name)
        if not any(map(case.is_open, asked)) or time.monotonic() > deadline_s:
            return asked
        time.sleep(0.02)


def check(case: Interrupted, findings: Findings, *, timed: bool) -> None:
    call, reply = case.call, case.reply
    if timed:
        findings.require(case.usable_s <= USABLE_S, f"{case}: usable after {case.usable_s:.3f} s")
    findings.require(" | then " not in case.error, f"{case}: the next cell ended in {case.error}")
    findings.require(not any(map(case.is_open, case.asked)), f"{case}: the server was never told")
    findings.require(case.error in {"", "KeyboardInterrupt", "Interrupted"}, f"{case}: the cell ended in {case.error}")
    if call is None:
        findings.require(not case.asked, f"{case}: the server was asked, and the journal has nothing")
        findings.require(reply is None, f"{case}: there is a reply, and the journal has nothing")
        if timed:
            findings.require(case.after_s < BEGUN_S, f"{case}: the journal has nothing")
        return
    findings.require(call.outcome in ("interrupted", "ok"), f"{case}: the journal says {call.outcome}: {call.error}")
    findings.require(case.kept_pieces >= 0, f"{case}: kept {reply and reply['output']!r}")
    findings.require(case.kept_pieces <= case.sent_pieces, f"{case}: kept more than was sent")
    if reply is None:
        findings.require(
            False, f"{case}: the journal says {call.outcome}, and there is no reply; the cell: {case.error}"
        )
    else:
        said = "ok" if reply["success"] else "interrupted"
        findings.require(call.outcome == said, f"{case}: the journal says {call.outcome}, the reply {said}")
        findings.require(call.answer == reply["output"], f"{case}: the journal's answer is not the reply's")
        findings.require(reply["is_last"], f"{case}: the reply is not `_`")
    if timed:
        check_times(case, findings)


def check_times(case: Interrupted, findings: Findings) -> None:
    findings.require(
        case.kept_pieces >= case.due_pieces, f"{case}: kept {case.kept_pieces} of {case.due_pieces} pieces"
    )
    gone_s = hang_up_s(case)
    findings.require(gone_s <= HANG_UP_S, f"{case}: the server knew after {gone_s:.3f} s")


def hang_up_s(case: Interrupted) -> float:
    """Seconds from the interrupt until the server knew; 0 where no request was open."""
    return max((request.gone_s - case.at_s for request in case.asked if request.gone_s is not None), default=0.0)


def say(cases: Sequence[Interrupted], findings: Findings) -> None:
    findings.say(
        "what was interrupted", "count; usable after: median, worst; knew after: worst; early, ended, ok, kept"
    )
    for name in MOMENTS:
        ours = [case for case in cases if case.moment == name]
        if not ours:
            continue
        usable_s = [case.usable_s for case in ours]
        early = sum(case.call is None for case in ours)
        ended = sum(case.had_ended for case in ours)
        fine = sum(case.call is not None and case.call.outcome == "ok" for case in ours)
        kept = sum(case.kept_pieces > 0 for case in ours)
        findings.say(
            f"  {name}",
            f"{len(ours):3}; {median(usable_s):.3f} s, {max(usable_s):.3f} s; {max(map(hang_up_s, ours)):.3f} s; "
            f"{early}, {ended}, {fine}, {kept}",
        )
    usable_s = sorted(case.usable_s for case in cases)
    shares = [usable_s[min(len(usable_s) - 1, round(share * len(usable_s)))] for share in (0.5, 0.9, 0.99, 1.0)]
    findings.say("usable after: median, 90 %, 99 %, worst", ", ".join(f"{figure:.3f} s" for figure in shares))
    early_s = [case.after_s for case in cases if case.call is None]
    findings.say("before a call had begun", f"{len(early_s)}, the latest after {max(early_s, default=0.0):.3f} s")
    outcomes = Counter(case.call.outcome for case in cases if case.call is not None)
    findings.say("journal", ", ".join(f"{outcome} {count}" for outcome, count in outcomes.items()))
    hung = [case for case in cases if any(request.gone_s is not None for request in case.asked)]
    findings.say(
        "requests that were open, and the server's knowing: median",
        f"{len(hung)}, {median(map(hang_up_s, hung)):.3f} s" if hung else "0",
    )


def write_tree(root: Path) -> None:
    """A tree that takes a while to pack."""
    for number in range(TREE_FILES):
        folder = root / "tree" / f"part{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}.py").write_text(f"number = {number}  # {'x' * 30}\n" * FILE_LINES)


def draw(number: int, chance: random.Random) -> Interrupted:
    name = FIRST if number % NEW_KERNEL_EACH == 0 else chance.choice([name for name in MOMENTS if name != FIRST])
    moment = MOMENTS[name]
    return Interrupted(f"{number}", name, pieces(moment.words, chance), chance.uniform(0, moment.longest_s))


def soak(times: int, seed: int, *, timed: bool) -> int:
    chance = random.Random(seed)
    findings = Findings(f"{times} interrupts at random moments, seed {seed}")
    cases = [draw(number, chance) for number in range(times)]
    with serving() as wire, project(wire, SETTINGS, rated=RATED) as root:
        write_tree(root)
        with kernel(root) as running:
            run_all(cases, running, wire, chance, findings)
        rows = Journal(root).calls(with_text=True)
    by_case = {(row.call.prompt or "").rpartition("[case ")[2].partition("]")[0]: row.call for row in rows}
    findings.require(len(by_case) == len(rows), f"{len(rows)} rows of {len(by_case)} cases")
    for case in cases:
        case.call = by_case.get(case.name)
        check(case, findings, timed=timed)
    say(cases, findings)
    return findings.close()


def run_all(
    cases: Sequence[Interrupted], running: Kernel, wire: Wire, chance: random.Random, findings: Findings
) -> None:
    for number, case in enumerate(cases):
        if number and case.moment == FIRST:
            running.restart()
        try:
            interrupt_once(running, wire, case, chance.choice(("openai", "anthropic", "google")))
        except TimeoutError:
            findings.require(False, f"{case}: hung for {HANG_S:g} s")
            running.restart()
        if case.moment == FIRST:
            warm_up(running, wire, number)


def warm_up(running: Kernel, wire: Wire, number: int) -> None:
    """A whole call in each format, so that only first calls import anything."""
    for endpoint in ("openai", "anthropic", "google", "rated"):
        wire.expect(f"warm-{number}-{endpoint}", {})
        running.run(f"%%ccw {endpoint}\n[case warm-{number}-{endpoint}] Well?")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--untimed", action="store_true", help="do not judge seconds")
    given = parser.parse_args()
    return soak(given.times, given.seed, timed=not given.untimed)


if __name__ == "__main__":
    sys.exit(main())

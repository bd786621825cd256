"""Many cells in one kernel, a fifth of them with a fault: each ends as it must, and nothing is left behind.

python tests/soaks/soak_cells.py [CELLS] [--seed N] [--untimed]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from soaking import FORMATS, Findings, Kernel, Wire, kernel, pieces, project, serving

from ccw_magics import errors
from ccw_magics.journal import Journal

FAULT_SHARE = 0.2
WARM_CELLS = 26
"""By then every format has been asked and every fault been met: everything that is made once is made.

litellm's first broken stream alone takes some 70 MB: it loads a tokenizer to count what had come.
"""
CONTROL_CELLS = 100
"""Cells of plain Python at the end, which show what IPython itself keeps of a cell."""
SETTLE_S = 2.0
SETTINGS = {"maxRetries": 1, "firstTokenTimeout": 1.0, "betweenTokensTimeout": 1.0, "timeout": 20}
REFERENCES = ("", "", "@notes.md ", "@src/**/*.py @notes.md ")
LIMITS_BYTES = {"reply": 8_000, "cell": 24_000}
"""What a reply may hold, and what the process may grow by for each cell, IPython's own share included."""
SPARE_OBJECTS = 100
"""Further objects that may lie about for each cell."""
SPARE_DESCRIPTORS = 2


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        answer: The server's.
        asks_again: Whether it is such that the call is tried once more.
        may_have_text: Whether a part of the answer may have come.
    """

    answer: Mapping[str, Any]
    asks_again: bool = True
    may_have_text: bool = False


FAULTS = {
    "429": Fault({"status": 429, "headers": {"Retry-After": "0"}}),
    "500": Fault({"status": 500}),
    "503": Fault({"status": 503}),
    "cut before the status": Fault({"cut_after": 0}),
    "cut in the text": Fault({"cut_after": 3}, asks_again=False, may_have_text=True),
    "ended in the text": Fault({"end_after": 3}, asks_again=False, may_have_text=True),
    "reset before the status": Fault({"reset_after": 0}),
    "reset in the text": Fault({"reset_after": 3, "gap_s": 0.05}, asks_again=False, may_have_text=True),
    "empty": Fault({"empty": True}),
    "stalled before the text": Fault({"stall_after": 0}),
    "stalled in the text": Fault({"stall_after": 3}, asks_again=False, may_have_text=True),
    "malformed": Fault({"malformed_at": 3}, asks_again=False, may_have_text=True),
    "error event": Fault({"error_after": 3}, asks_again=False, may_have_text=True),
    "401": Fault({"status": 401, "echo_key": True}, asks_again=False),
}


@dataclass(frozen=True)
class Case:
    """One cell, and what must come of it.

    Attributes:
        fault: A key of `FAULTS`, or empty.
        is_lasting: Whether every try meets it.
    """

    name: str
    endpoint: str
    references: str
    words: Sequence[str]
    fault: str = ""
    is_lasting: bool = False

    @property
    def code(self) -> str:
        return f"%%ccw {self.endpoint}\n{self.references}[case {self.name}] Well?"

    @property
    def succeeds(self) -> bool:
        return not self.fault or (not self.is_lasting and FAULTS[self.fault].asks_again)

    @property
    def answers(self) -> list[Mapping[str, Any]]:
        whole: Mapping[str, Any] = {"pieces": self.words}
        faulty: list[Mapping[str, Any]] = [{**whole, **FAULTS[self.fault].answer}] if self.fault else []
        return faulty if self.is_lasting else [*faulty, whole]

    def explains(self, output: str) -> bool:
        """Whether a text is what must be kept of the answer."""
        text = "".join(self.words)
        if self.succeeds:
            return output == text
        return text.startswith(output) and (FAULTS[self.fault].may_have_text or not output)


def draw(number: int, chance: random.Random) -> Case:
    """A case at random; the first ones ask every format with every reference, then meet every fault."""
    first, second = list(product(REFERENCES, FORMATS)), list(FAULTS)
    references, endpoint = first[number] if number < len(first) else chance.choice(first)
    fault = chance.choice(second) if number >= WARM_CELLS and chance.random() < FAULT_SHARE else ""
    if len(first) <= number < WARM_CELLS:
        fault = second[number - len(first)]
    words = pieces(chance.randint(8, 60), chance)
    return Case(str(number), endpoint, references, words, fault, is_lasting=bool(fault) and chance.random() < 0.5)


@dataclass(frozen=True)
class Ended:
    """A case that came to its end: the cell's number in `Out`, its error's name and lines, and its seconds."""

    case: Case
    count: int
    error: str
    lines: Sequence[str]
    seconds: float


def run_case(running: Kernel, wire: Wire, case: Case) -> Ended:
    wire.expect(case.name, *case.answers)
    began_s = time.monotonic()
    cell = running.run(case.code)
    return Ended(case, cell.count, *cell.error, time.monotonic() - began_s)


def check_cell(ended: Ended, findings: Findings) -> None:
    case, where = ended.case, f"case {ended.case.name} ({ended.case.endpoint}, {ended.case.fault or 'sound'})"
    if case.succeeds:
        findings.require(not ended.error, f"{where} failed: {list(ended.lines)}")
        return
    kind = getattr(errors, ended.error, None)
    is_typed = isinstance(kind, type) and issubclass(kind, errors.CcwError)
    findings.require(is_typed, f"{where} ended in {ended.error or 'no error'}")
    findings.require(len(ended.lines) == 2, f"{where} shows {len(ended.lines)} lines: {list(ended.lines)[:4]}")


def check_replies(done: Sequence[Ended], told: Mapping[str, Any], findings: Findings) -> None:
    findings.require(len(told) == len(done), f"`Out` holds {len(told)} replies of {len(done)}")
    for ended in done:
        reply = told.get(str(ended.count))
        where = f"the reply of case {ended.case.name} ({ended.case.fault or 'sound'})"
        if reply is None:
            findings.require(False, f"{where} is not in `Out`")
            continue
        findings.require(ended.case.explains(reply["output"]), f"{where} says {reply['output']!r}")
        findings.require(bool(reply["files"]) == bool(ended.case.references), f"{where} has {reply['files']} files")
        findings.require(reply["failure"] == ended.error, f"{where} has the failure {reply['failure']!r}")
        findings.require(not reply["warnings"], f"{where} warns: {reply['warnings']}")


def check_journal(root: Path, done: Sequence[Ended], told: Mapping[str, Any], findings: Findings) -> None:
    rows = Journal(root).calls(with_text=True)
    by_prompt = Counter(row.call.prompt for row in rows)
    findings.say("journal rows", f"{len(rows)} for {len(done)} cells")
    findings.require(len(rows) == len(done), f"the journal has {len(rows)} rows for {len(done)} cells")
    found = {row.call.prompt: row.call for row in rows}
    for ended in done:
        prompt = ended.case.code.partition("\n")[2]
        call, where = found.get(prompt), f"the journal, case {ended.case.name} ({ended.case.fault or 'sound'})"
        findings.require(by_prompt[prompt] == 1, f"{where}: {by_prompt[prompt]} rows")
        if call is not None:
            findings.require(call.outcome == (ended.error or "ok"), f"{where}: {call.outcome}")
            findings.require(call.answer == told.get(str(ended.count), {}).get("output"), f"{where}: {call.answer!r}")


def say_growth(measured: Sequence[Mapping[str, Any]], cells: int, findings: Findings, *, timed: bool) -> None:
    """What the process holds at the end beside what it held once warm."""
    first, middle, last = measured[0], measured[-2], measured[-1]
    for what in ("threads", "sockets", "descriptors"):
        findings.say(f"{what}, once warm and at the end", f"{first[what]}, {last[what]}")
        spare = SPARE_DESCRIPTORS if what != "threads" else 0
        findings.require(last[what] <= first[what] + spare, f"{what}: {first[what]} became {last[what]}")
    extra = Counter(last["thread_names"]) - Counter(first["thread_names"])
    findings.require(not extra, f"threads that were not there: {dict(extra)}")
    grown = last["rss_bytes"] - first["rss_bytes"]
    findings.say(
        "resident memory, once warm and at the end",
        f"{first['rss_bytes'] / 1e6:.1f} MB, {last['rss_bytes'] / 1e6:.1f} MB",
    )
    late = (last["rss_bytes"] - middle["rss_bytes"]) / (cells / 2)
    findings.say(
        "  for each cell between, and in the second half", f"{grown / cells / 1e3:+.1f} kB, {late / 1e3:+.1f} kB"
    )
    objects = (last["objects"] - first["objects"]) / cells
    findings.say("objects that the collector knows, for each cell between", f"{objects:+.1f}")
    findings.require(objects <= SPARE_OBJECTS, f"{objects:.0f} more objects for each cell")
    if timed:
        findings.require(grown / cells <= LIMITS_BYTES["cell"], f"memory grew by {grown / cells:,.0f} bytes a cell")
    for name, count in last["counts"].items():
        findings.say(f"  {name}, once warm and at the end", f"{first['counts'][name]}, {count}")
        if name not in {"Reply", "PackHandle", "frame"}:
            findings.require(count <= first["counts"][name] + 1, f"{name}: {first['counts'][name]} became {count}")


def write_project(root: Path) -> None:
    (root / "src").mkdir()
    (root / "notes.md").write_text("What there is to know of it.\n" * 200)
    for number in range(20):
        (root / "src" / f"part{number}.py").write_text(f"number = {number}\n" * 50)


def settled(running: Kernel, *, timed: bool) -> dict[str, Any]:
    """What the kernel holds, a while after its last call."""
    time.sleep(SETTLE_S if timed else 0)
    found: dict[str, Any] = running.ask("measure()")
    return found


def run_all(
    cases: Sequence[Case], running: Kernel, wire: Wire, findings: Findings, *, timed: bool
) -> tuple[list[Ended], list[dict[str, Any]]]:
    """Every case's end, and what the kernel held once warm, half way, and at the end."""
    done: list[Ended] = []
    measured: list[dict[str, Any]] = []
    marks = {WARM_CELLS, (WARM_CELLS + len(cases)) // 2, len(cases)}
    for case in cases:
        done.append(run_case(running, wire, case))
        check_cell(done[-1], findings)
        if len(done) in marks:
            measured.append(settled(running, timed=timed))
    return done, measured


def say_ends(done: Sequence[Ended], findings: Findings) -> None:
    faulty = [ended for ended in done if ended.case.fault]
    findings.say("cells with a fault", f"{len(faulty)} ({sum(ended.case.is_lasting for ended in faulty)} at every try)")
    findings.say(
        "ended in an answer, and in an error", f"{sum(not e.error for e in done)}, {sum(bool(e.error) for e in done)}"
    )
    for name, ended in (("sound", [e for e in done if not e.case.fault]), ("faulty", faulty)):
        seconds = [one.seconds for one in ended] or [0.0]
        findings.say(f"seconds of a {name} cell: median, worst", f"{median(seconds):.3f}, {max(seconds):.3f}")
    faults = Counter(ended.case.fault for ended in faulty)
    findings.say("faults", ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))


def own_growth(running: Kernel) -> float:
    """Bytes by which the process grows for a cell of plain Python."""
    before = settled(running, timed=True)
    for _ in range(CONTROL_CELLS):
        running.run("object()")
    grown: int = settled(running, timed=True)["rss_bytes"] - before["rss_bytes"]
    return grown / CONTROL_CELLS


def say_weight(weight: Sequence[int], count: int, findings: Findings) -> None:
    bare, raised = (total / max(1, count) for total in weight)
    findings.say("bytes that a reply in `Out` holds", f"{bare:,.0f}; {raised:,.0f} with the frames of raised errors")
    findings.require(bare <= LIMITS_BYTES["reply"], f"a reply holds {bare:,.0f} bytes")


def soak(cells: int, seed: int, *, timed: bool) -> int:
    chance = random.Random(seed)
    findings = Findings(f"{cells} cells in one kernel, seed {seed}")
    cases = [draw(number, chance) for number in range(cells)]
    with serving() as wire, project(wire, SETTINGS) as root:
        write_project(root)
        with kernel(root) as running:
            done, measured = run_all(cases, running, wire, findings, timed=timed)
            told = running.ask("replies(get_ipython())")
            say_weight(running.ask("weight(get_ipython())"), len(told), findings)
            if timed:
                findings.say("resident memory for each cell of plain Python", f"{own_growth(running) / 1e3:+.1f} kB")
        say_ends(done, findings)
        check_replies(done, told, findings)
        check_journal(root, done, told, findings)
    say_growth(measured, len(cases) - WARM_CELLS, findings, timed=timed)
    return findings.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=int, nargs="?", default=500, help=f"more than {WARM_CELLS}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--untimed", action="store_true", help="do not judge seconds and resident memory")
    given = parser.parse_args()
    return soak(given.cells, given.seed, timed=not given.untimed)


if __name__ == "__main__":
    sys.exit(main())

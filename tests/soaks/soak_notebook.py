"""notebooks/twenty_cells.ipynb, run four times with replay: what was asked anew, and what it would have cost elsewhere.

python tests/soaks/soak_notebook.py [--short]

It is executed; one file of its project is edited, and it is executed again in the same kernel; then in a new kernel; then
the edit is undone, and it is executed in another new kernel. Requests and tokens are counted at the kernel's HTTP
client (`request_probe.py`), and held against the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from soaking import HERE, Findings, Kernel, kernel

from ccw_magics.backends import backend_for, local_model
from ccw_magics.backends.base import ModelCall, Usage
from ccw_magics.journal import Call, Journal

NOTEBOOK = HERE.parents[1] / "notebooks" / "twenty_cells.ipynb"
PROJECT = "bike-counts"
"""The folder that its first cell makes."""
EDITED, BEFORE, AFTER = "docs/model.md", "38 bikes", "35 bikes"
PRICES = {"gpt-4o": "openai", "claude-sonnet-4-5": "anthropic", "gemini-2.5-flash": "google"}
"""The models whose prices are asked for, with their providers' types."""
SENT = {"ok", "cut"}
"""What the journal says of a call that a model has answered."""
SHORT, FAILS = "short", "raises-exception"
"""Tags of cells: it is a part of the short form; it is expected to fail."""
COLUMNS = ("requests", "replayed", "refused", "tokens in", "cached", "out", *PRICES, "seconds")


@dataclass(frozen=True)
class Pass:
    """The notebook, executed once.

    Attributes:
        calls: The journal's rows of it, the first one first.
        heard: What the probe has heard.
        seconds: From the first cell's begin to the last one's end.
    """

    calls: Sequence[Call]
    heard: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def usages(self) -> list[Usage]:
        """Tokens of each request, as the server told them."""
        answers = (event for event in self.heard if event["event"] == "answer")
        return [Usage(answer["input"], answer["cached"], 0, answer["output"]) for answer in answers]

    @property
    def outcomes(self) -> Counter[str]:
        """How often the journal has which."""
        return Counter("ok" if call.outcome in SENT else call.outcome for call in self.calls)

    @property
    def answers(self) -> dict[str | None, str | None]:
        """What was answered to each prompt."""
        return {call.prompt: call.answer for call in self.calls if call.outcome in {*SENT, "replayed"}}

    def count(self, event: str) -> int:
        """How often something was heard."""
        return sum(heard["event"] == event for heard in self.heard)


class Laboratory:
    """The notebook in kernels of its own.

    Args:
        root: The folder it is executed in.
        findings: Where failed cells are noted.
        is_short: Whether to execute the cells of the short form only.
    """

    def __init__(self, root: Path, findings: Findings, *, is_short: bool) -> None:
        self._root = root
        self._findings = findings
        self._log = root / "heard.jsonl"
        cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
        self._cells = [cell for cell in cells if not is_short or SHORT in cell.metadata.get("tags", ())]
        self.asking = sum(cell.source.startswith("%%ccw") for cell in self._cells)

    def prepare(self, running: Kernel) -> None:
        """Begin to listen in a kernel that has just started."""
        failed, _ = running.run(f"import request_probe; request_probe.listen({str(self._log)!r})").error
        self._findings.require(not failed, f"the probe does not listen: {failed}")

    def execute(self, running: Kernel) -> Pass:
        """Run all cells."""
        self._log.unlink(missing_ok=True)
        known = len(self._calls())
        began_s = time.monotonic()
        for cell in self._cells:
            self._run(running, cell)
        seconds = time.monotonic() - began_s
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return Pass(self._calls()[known:], [json.loads(line) for line in lines], seconds)

    def edit(self, before: str, after: str) -> None:
        """Replace a word in one file of the project."""
        path = self._root / PROJECT / EDITED
        text = path.read_text(encoding="utf-8")
        self._findings.require(before in text, f"{EDITED} has no {before!r}")
        path.write_text(text.replace(before, after), encoding="utf-8")

    def _run(self, running: Kernel, cell: Any) -> None:
        name, lines = running.run(cell.source).error
        expected = "BudgetExceeded" if FAILS in cell.metadata.get("tags", ()) else ""
        self._findings.require(name == expected, f"{cell.source[:60]!r} ended in {name or 'no error'}: {lines[:2]}")

    def _calls(self) -> list[Call]:
        if not (self._root / PROJECT).exists():
            return []
        journal = Journal(self._root / PROJECT)
        try:
            return [entry.call for entry in reversed(journal.calls(limit=1000, with_text=True))]
        finally:
            journal.close()


@contextmanager
def home_with_model() -> Iterator[Path]:
    """A folder to work in, beside a temporary home, made this process's own, that has the embedded model."""
    weights = local_model.installed() or asyncio.run(local_model.fetch(print))
    with tempfile.TemporaryDirectory() as directory:
        home, root = Path(directory) / "home", Path(directory) / "work"
        root.mkdir()
        kept = home / ".ccw" / "models" / weights.name
        kept.parent.mkdir(parents=True)
        try:
            kept.hardlink_to(weights)
        except OSError:
            shutil.copyfile(weights, kept)
        os.environ.update(HOME=str(home), LITELLM_LOCAL_MODEL_COST_MAP="True")
        for name in [name for name in os.environ if name.endswith("_API_KEY")]:
            del os.environ[name]
        yield root


async def prices_usd(usages: Sequence[Usage]) -> list[float]:
    """What requests with these tokens cost at each of the `PRICES`, by the package's own arithmetic."""
    sums = []
    for model, kind in PRICES.items():
        call = ModelCall(provider_type=kind, model=model, prompt="")
        costs = [await backend_for(kind).price_usd(call, usage) for usage in usages]
        sums.append(sum(cost for cost in costs if cost is not None))
    return sums


def check_first(done: Pass, asking: int, findings: Findings) -> None:
    """Every cell was asked once, but the one that is too dear."""
    findings.require(done.outcomes == {"ok": asking - 1, "BudgetExceeded": 1}, f"first: {dict(done.outcomes)}")


def check_edited(done: Pass, first: Pass, findings: Findings) -> None:
    """Asked anew were the cells that refer to the edited file, and the conversation; what was replayed is the same."""
    touched = {call.prompt for call in first.calls if call.outcome in SENT and (EDITED in call.files or call.chat)}
    asked = {call.prompt for call in done.calls if call.outcome in SENT}
    findings.require(asked == touched, f"edited: asked were {asked ^ touched} beside what had to be, or not")
    for prompt in first.answers.keys() - touched:
        findings.require(done.answers.get(prompt) == first.answers[prompt], f"edited: another answer to {prompt!r}")


def check_replayed(name: str, done: Pass, like: Pass, findings: Findings) -> None:
    """Nothing left the kernel, no model started, and every answer is that of an earlier pass."""
    findings.require(not done.heard, f"{name}: {Counter(event['event'] for event in done.heard)}")
    findings.require(set(done.outcomes) == {"replayed", "BudgetExceeded"}, f"{name}: {dict(done.outcomes)}")
    findings.require(done.answers == like.answers, f"{name}: other answers than those recorded")


def check_counts(name: str, done: Pass, findings: Findings) -> None:
    """The journal counts what the server has counted."""
    told = [(call.input_tokens, call.cached_tokens, call.output_tokens) for call in done.calls if call.outcome in SENT]
    heard = [(usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) for usage in done.usages]
    findings.require(told == heard, f"{name}: the journal has {told}, the server said {heard}")


def figures(done: Pass) -> list[str]:
    """A row of the table."""
    usages, outcomes = done.usages, done.outcomes
    tokens = [
        sum(getattr(usage, name) for usage in usages)
        for name in ("input_tokens", "cached_input_tokens", "output_tokens")
    ]
    counts = [done.count("answer"), outcomes["replayed"], outcomes["BudgetExceeded"], *tokens]
    costs = asyncio.run(prices_usd(usages))
    return [*(f"{count:,}" for count in counts), *(f"${cost:.5f}" for cost in costs), f"{done.seconds:.1f}"]


def show(passes: Mapping[str, Pass]) -> None:
    """Print a column for each pass."""
    rows = [figures(done) for done in passes.values()]
    print(f"{'':20}" + "".join(f"{name:>24}" for name in passes))
    for place, column in enumerate(COLUMNS):
        print(f"{column:20}" + "".join(f"{row[place]:>24}" for row in rows))


def soak(*, is_short: bool) -> int:
    """Run the notebook four times; 1 where something was found."""
    with home_with_model() as root:
        findings = Findings("a notebook with replay")
        laboratory, passes = Laboratory(root, findings, is_short=is_short), {}
        with kernel(root) as running:
            laboratory.prepare(running)
            passes["first"] = laboratory.execute(running)
            laboratory.edit(BEFORE, AFTER)
            passes["edited"] = laboratory.execute(running)
            running.restart()
            laboratory.prepare(running)
            passes["restarted"] = laboratory.execute(running)
            laboratory.edit(AFTER, BEFORE)
            running.restart()
            laboratory.prepare(running)
            passes["undone, restarted"] = laboratory.execute(running)
        check_first(passes["first"], laboratory.asking, findings)
        check_edited(passes["edited"], passes["first"], findings)
        check_replayed("restarted", passes["restarted"], passes["edited"], findings)
        check_replayed("undone, restarted", passes["undone, restarted"], passes["first"], findings)
        for name, done in passes.items():
            check_counts(name, done, findings)
        show(passes)
        return findings.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the cells with the tag `short` only")
    sys.exit(soak(is_short=parser.parse_args().short))

"""The embedded model's caches: `... bench_embedded.py [ROUNDS]`.

Each round asks about a project of more than 2,000 tokens, edits one file, and asks again, once with each layout and each
time in a new child: how much of the text that the two packs share came from the cache, and how long the first token took.
Then the child is ended, and asked the same with its saved slot and without. The layouts take turns in random order.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from measuring import verdict

from ccw_magics import Workspace
from ccw_magics.backends import embedded, local_model
from ccw_magics.backends.base import SEPARATOR, ModelCall
from ccw_magics.backends.local_process import processes
from ccw_magics.calls.reply import Reply

LEAST_SHARE_PERCENT: Final = 90.0
LEAST_TOKENS: Final = 2000
ROUNDS: Final = 3
MODULES: Final = ("accounts", "billing", "calendar", "delivery", "exports", "filters", "gateway", "history")
LINES: Final = 26
QUESTION: Final = "@src/ Which module sets a port?"
LAYOUTS: Final = ("stable", "fresh")


@dataclass(frozen=True)
class Edited:
    """What the call after an edit showed.

    Attributes:
        first_token_s: Seconds to its first token.
        cold_s: Seconds to the first token of the call before, in a new child.
        pack_tokens: The pack's size.
        shared_tokens: What this pack and the one before begin with.
        cached_tokens: What of the pack the server says it had.
    """

    first_token_s: float
    cold_s: float
    pack_tokens: int
    shared_tokens: int
    cached_tokens: int

    @property
    def share_percent(self) -> float:
        """The cached part of what both packs share."""
        return 100 * self.cached_tokens / self.shared_tokens


@contextmanager
def project() -> Iterator[Workspace]:
    """A project with an endpoint for each layout, in a home that holds the model and nothing else."""
    model = asyncio.run(local_model.fetch(lambda note: print(note, file=sys.stderr)))
    with tempfile.TemporaryDirectory() as directory:
        home, root = Path(directory) / "home", Path(directory) / "project"
        kept = home / ".ccw" / "models" / model.name
        kept.parent.mkdir(parents=True)
        shutil.copyfile(model, kept)
        os.environ.update(HOME=str(home), USERPROFILE=str(home))
        folder = root / ".ccw" / "storage" / "config"
        folder.mkdir(parents=True)
        (folder / "litellm-api-config.json").write_text(json.dumps(_config()))
        (root / "src").mkdir()
        yield Workspace(root)
        processes.stop()


def _config() -> dict[str, object]:
    provider = {"id": "local-1", "name": "Embedded", "type": "local"}
    endpoints = [
        {"id": layout, "name": layout, "providerId": "local-1", "model": "", "cacheStrategy": {"layout": layout}}
        for layout in LAYOUTS
    ]
    return {"version": 1, "providers": [provider], "endpoints": endpoints}


def write_files(root: Path) -> None:
    """Eight modules, as they are before the edit."""
    for module in MODULES:
        lines = (f"{module.upper()}_LIMIT_{number} = {number * 37}" for number in range(LINES))
        (root / "src" / f"{module}.py").write_text(f'"""Settings of {module}."""\n\n' + "\n".join(lines) + "\n")


def edit(root: Path, module: str) -> None:
    """One line of one module changes."""
    path = root / "src" / f"{module}.py"
    path.write_text(path.read_text().replace("_LIMIT_9 = 333", "_PORT = 8123"))


def forget(workspace: Workspace) -> None:
    """End the child and delete its saved slots."""
    processes.stop()
    shutil.rmtree(slots_dir(workspace), ignore_errors=True)


def slots_dir(workspace: Workspace) -> Path:
    """Where the project's cache settings keep the slots."""
    settings = workspace.config.get_global_cache_settings()
    return Path(settings.cache_dir).expanduser() / "slots"


def ask(workspace: Workspace, layout: str) -> Reply:
    """Ask the question, for an answer of a few tokens."""
    reply = workspace.run(QUESTION, endpoint=layout, cwd=workspace.root, max_tokens=4)
    reply.raise_for_error()
    return reply


def tokens(text: str) -> int:
    """How many tokens the model counts."""
    counted = asyncio.run(embedded().count_tokens(ModelCall("local", "", ""), text))
    assert counted is not None
    return counted


def pack_text(workspace: Workspace, layout: str) -> str:
    """The text that the last call sent."""
    return workspace.pack(["@src/"], endpoint=layout, cwd=workspace.root).text


def measure_edit(workspace: Workspace, layout: str, module: str) -> Edited:
    """Ask in a new child, edit, and ask again."""
    write_files(workspace.root)
    forget(workspace)
    workspace.cache.clear()
    cold = ask(workspace, layout)
    before = pack_text(workspace, layout)
    edit(workspace.root, module)
    warm = ask(workspace, layout)
    after = pack_text(workspace, layout)
    assert warm.usage is not None
    assert cold.first_token_s is not None
    assert warm.first_token_s is not None
    # The chat format's own tokens are cached as well, and are no part of the pack.
    around = warm.usage.input_tokens - tokens(f"{after}{SEPARATOR}{QUESTION}")
    return Edited(
        first_token_s=warm.first_token_s,
        cold_s=cold.first_token_s,
        pack_tokens=tokens(after),
        shared_tokens=tokens(os.path.commonprefix([before, after])),  # noqa: RUF071 - texts, not paths
        cached_tokens=warm.usage.cached_input_tokens - around,
    )


def measure_restart(workspace: Workspace, *, with_slot: bool) -> tuple[float, int]:
    """Seconds to the first token of a new child, and the tokens it says were cached."""
    processes.stop()
    if not with_slot:
        shutil.rmtree(slots_dir(workspace), ignore_errors=True)
    reply = ask(workspace, "stable")
    assert reply.usage is not None
    assert reply.first_token_s is not None
    return reply.first_token_s, reply.usage.cached_input_tokens


def measure_saving(workspace: Workspace) -> str:
    """How long the child is busy saving, and what it wrote."""
    process = processes.running(local_model.resolve(""))
    assert process is not None
    process.slots.flush()
    found = list(slots_dir(workspace).glob("*.slot"))
    started = time.perf_counter()
    written = process._slot_action("save", slots_dir(workspace) / "measured.part")
    seconds = time.perf_counter() - started
    (slots_dir(workspace) / "measured.part").unlink(missing_ok=True)
    return f"{len(found)} slot(s) kept; saving {written / 1e6:.1f} MB takes the child {1000 * seconds:.0f} ms"


def main(rounds: int) -> bool:
    """Measure, print, and tell whether the limits are kept."""
    edits: dict[str, list[Edited]] = {layout: [] for layout in LAYOUTS}
    restarts: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    with project() as workspace:
        for number in range(rounds):
            module = MODULES[(2 + 3 * number) % len(MODULES)]
            for layout in random.sample(LAYOUTS, k=len(LAYOUTS)):
                edits[layout].append(measure_edit(workspace, layout, module))
            forget(workspace)
            ask(workspace, "stable")  # what the next child finds saved
            for with_slot in (True, False):
                restarts[with_slot].append(measure_restart(workspace, with_slot=with_slot))
        saving = measure_saving(workspace)
    return report(edits, restarts, saving)


def report(edits: dict[str, list[Edited]], restarts: dict[bool, list[tuple[float, int]]], saving: str) -> bool:
    """Print the medians, and the figures beside their limits."""
    print(f"\nOne file of {len(MODULES)} edited ({len(edits['stable'])} rounds, medians)")
    print(f"  {'layout':8} {'pack':>6} {'shared':>7} {'cached':>7} {'share':>7} {'cold s':>7} {'edited s':>9}")
    for layout, figures in edits.items():
        columns = zip(
            *(
                (e.pack_tokens, e.shared_tokens, e.cached_tokens, e.share_percent, e.cold_s, e.first_token_s)
                for e in figures
            ),
            strict=True,
        )
        row = [median(column) for column in columns]
        print("  {:8} {:6.0f} {:7.0f} {:7.0f} {:5.1f} % {:7.2f} {:9.2f}".format(layout, *row))
    print("\nA new child, first token")
    for with_slot, values in restarts.items():
        seconds, cached = (median(column) for column in zip(*values, strict=True))
        print(f"  {'with' if with_slot else 'without':8} the saved slot: {seconds:6.2f} s, {cached:.0f} tokens cached")
    print(f"  {saving}\n")
    pairs = zip(edits["stable"], edits["fresh"], strict=True)
    layouts = median(stable.first_token_s / fresh.first_token_s for stable, fresh in pairs)
    slot = median(with_[0] / without[0] for with_, without in zip(restarts[True], restarts[False], strict=True))
    kept = [
        verdict("first token after an edit, stable / fresh", layouts, 1.0),
        verdict("first token of a new child, with / without its slot", slot, 1.0),
    ]
    share = min(figure.share_percent for figure in edits["stable"])
    smallest = min(figure.pack_tokens for figure in edits["stable"])
    kept += [share >= LEAST_SHARE_PERCENT, smallest >= LEAST_TOKENS]
    print(f"  {'ok  ' if kept[-2] else 'OVER'}  cached of what both packs share: {share:.1f} % (at least 90 %)")
    print(f"  {'ok  ' if kept[-1] else 'OVER'}  smallest pack: {smallest:,} tokens (at least {LEAST_TOKENS:,})")
    return all(kept)


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

"""Does a model read an edited pack as well as a fresh one? `... reading_test.py MODEL.gguf [--layouts fresh,stable]`.

Small projects are edited over up to ten rounds (`reading_project`), and the same questions about what holds now are
asked of every layout. An answer is right where it names the present value and none that the fact once had. A
layout is a function of the versions of a project, oldest first, to the text that is sent for the last one; one that is
not listed here is named as `MODULE:FUNCTION`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reading_project import GROUPS, Tree, projects

Layout = Callable[[Sequence[Tree]], str]

MAX_ANSWER_TOKENS: Final = 24
RESAMPLES: Final = 4000


def fresh(versions: Sequence[Tree]) -> str:
    """The pack of a first call, by the public API."""
    return _packed(versions[-1:], "fresh")


def stable(versions: Sequence[Tree]) -> str:
    """The pack of the last of several calls, by the public API."""
    return _packed(versions, "stable")


def _packed(versions: Sequence[Tree], layout: str) -> str:
    from ccw_magics.workspace import Workspace

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        (root / ".git").mkdir()
        workspace = Workspace(root)
        workspace.config.update_global_cache_settings({"cacheDir": str(root / ".git" / "packs")})
        strategy = {"enabled": True, "layout": layout, "filePatterns": []}
        provider = workspace.config.add_provider({"name": "none", "type": "local"})
        workspace.config.add_endpoint(
            {"id": "reader", "name": "reader", "providerId": provider.id, "model": "", "cacheStrategy": strategy}
        )
        for number, tree in enumerate(versions):
            _write(root, tree, versions[number - 1] if number else {}, mtime_s=1_700_000_000 + 60 * number)
            pack = workspace.pack(["@**/*"], endpoint="reader", cwd=root)
        return pack.text


def _write(root: Path, tree: Tree, before: Tree, *, mtime_s: int) -> None:
    for path in before.keys() - tree.keys():
        (root / path).unlink()
    for path, text in tree.items():
        if before.get(path) != text:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            os.utime(root / path, (mtime_s, mtime_s))


LAYOUTS: Final[dict[str, Layout]] = {"fresh": fresh, "stable": stable}


class Reader:
    """The model, served as the embedded one is, with its prompt cache."""

    def __init__(self, model: Path) -> None:
        from ccw_magics.backends.local_process import ModelSettings, processes

        self._process = processes.start(ModelSettings(model))

    def answer(self, pack: str, question: str) -> str:
        """The answer to a question after a pack, as a call sends them."""
        body = {
            "messages": [{"role": "user", "content": f"{pack}\n\n---\n\n{question}"}],
            "max_tokens": MAX_ANSWER_TOKENS,
            "temperature": 0,
            "cache_prompt": True,
        }
        headers = {**self._process.headers, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._process.url}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as response:
            return str(json.load(response)["choices"][0]["message"]["content"])


@dataclass
class Score:
    """What one layout got: for each question its group and whether it was right, and the seconds it took."""

    answers: list[tuple[str, bool]] = field(default_factory=list)
    seconds: float = 0.0
    sent_bytes: int = 0

    def of(self, group: str | None = None) -> str:
        marks = [right for of_group, right in self.answers if group in {None, of_group}]
        return f"{sum(marks)}/{len(marks)}"


def interval(score: Score, rival: Score, rng: random.Random) -> tuple[float, float, float]:
    """The paired difference in points of a hundred, and the bounds of its 95 % bootstrap interval."""
    gains = [mine - theirs for (_, mine), (_, theirs) in zip(score.answers, rival.answers, strict=True)]
    means = sorted(100 * sum(rng.choices(gains, k=len(gains))) / len(gains) for _ in range(RESAMPLES))
    return 100 * sum(gains) / len(gains), means[RESAMPLES // 40], means[-RESAMPLES // 40]


def _layout(name: str) -> Layout:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function) if function else LAYOUTS[name]


def run(
    model: Path, layouts: dict[str, Layout], seed: int, questions: int, log: Path | None = None
) -> dict[str, Score]:
    """Ask every question of every layout; those of a project one after another, so that they share a cached prefix."""
    reader = Reader(model)
    scores = {name: Score() for name in layouts}
    for number, (versions, chosen) in enumerate(projects(seed, questions)):
        for name, layout in layouts.items():
            pack = layout(versions)
            score = scores[name]
            score.sent_bytes += len(pack.encode())
            started = time.perf_counter()
            for question in chosen:
                answer = reader.answer(pack, question.text)
                score.answers.append((question.group, question.is_answered_by(answer)))
                if log:
                    with log.open("a") as lines:
                        row = [
                            number,
                            name,
                            question.group,
                            question.text,
                            question.right,
                            question.wrong,
                            answer,
                            score.answers[-1][1],
                        ]
                        lines.write(json.dumps(row) + "\n")
            score.seconds += time.perf_counter() - started
    return scores


def report(scores: dict[str, Score], seed: int) -> None:
    """Print a row a layout; differences are to the first one."""
    rival = next(iter(scores.values()))
    columns = "".join(f"{group:>12}" for group in GROUPS)
    print(f"{'layout':32}{'right':>10}{columns}{'against the first':>26}{'bytes':>9}{'seconds':>9}")
    for name, score in scores.items():
        gain, low, high = interval(score, rival, random.Random(seed))
        marks = f"{score.of():>10}" + "".join(f"{score.of(group):>12}" for group in GROUPS)
        print(
            f"{name:32}{marks}{f'{gain:+.1f} [{low:+.1f}, {high:+.1f}]':>26}{score.sent_bytes:>9,}{score.seconds:>9.0f}"
        )


def main() -> None:
    """Read the command line, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="a GGUF file of an instruct model, 0.5 billion parameters or more")
    parser.add_argument("--layouts", default="fresh,stable", help="comma-separated names or MODULE:FUNCTION")
    parser.add_argument("--questions", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="a file that gets a JSON line for each answer")
    args = parser.parse_args()
    layouts = {name: _layout(name) for name in args.layouts.split(",")}
    report(run(args.model.resolve(), layouts, args.seed, args.questions, args.log), args.seed)


if __name__ == "__main__":
    main()

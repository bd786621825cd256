"""What a dry run says of tokens and cost against what the provider then reports: `bench_dry_run.py [--embedded]`.

Ten prompts about real files, this package's own and the standard library's, are each asked twice in a kernel that knows
nothing yet: first with nothing cached, then with another question, when the provider has the files in its cache and the
count was corrected by what it reported. The servers are on loopback, and count by tokenizers that come with litellm:

- openai (gpt-4o): o200k, the model's own. Cached in steps of 128 tokens from 1,024 on.
- anthropic (claude-sonnet-4-5): Claude 2's tokenizer, the last that was published: a stand-in. Cached at breakpoints,
  from 1,024 tokens on.
- google (gemini-2.5-flash): cl100k, a stand-in; Gemini's own is not to be had here. Any prefix from 1,024 tokens on.

With `--embedded`, the embedded model's server is a provider too, with a tokenizer and an account of its own: as `local`,
and as `custom`, where nothing is known of its tokenizer. Only prompts that fit its window are asked.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import isolated
from wire_conversation import conversation
from wire_formats import Answer, Received
from wire_server import WireServer

import ccw_magics
from ccw_magics import Workspace
from ccw_magics.backends.local_process import processes
from ccw_magics.calls import tokens
from ccw_magics.calls.plan import Plan
from ccw_magics.calls.reply import Reply

PROMPTS = (
    "@own/errors.py Which of these should a caller catch?",
    "@own/calls/*.py How does a request become a reply?",
    "@own/backends/base.py @own/backends/litellm_cost.py Where does the price come from?",
    "@own/context Which layout is kept, and why?",
    "@README.md @own/workspace.py Does the page say what the class does?",
    "@std/textwrap.py Where is a long word broken?",
    "@std/json Is a number with an exponent read as a float?",
    "@std/csv.py @std/shlex.py Which of them treats a quote within a quote?",
    "@std/asyncio/*.py What happens to a task that is cancelled twice?",
    "@std/bisect.py @std/heapq.py What does it cost to insert?",
)
AGAIN = "Answer in one line, and name the place in the file."
STANDARD = ("textwrap.py", "csv.py", "shlex.py", "bisect.py", "heapq.py", "json", "asyncio")
LEAST_CACHED = 1024
STEP = 128
ANSWER_TOKENS = 300
EMBEDDED_TOKENS = 7500
HOSTED = {"openai": ("gpt-4o", "/v1"), "anthropic": ("claude-sonnet-4-5", ""), "google": ("gemini-2.5-flash", "")}
Encode = Callable[[str], Sequence[int]]


def tokenizers() -> dict[str, Encode]:
    """How each provider counts: the files lie in litellm's folder."""
    spec = find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    import tiktoken
    from tokenizers import Tokenizer

    claude = Tokenizer.from_file(str(folder / "anthropic_tokenizer.json"))
    o200k, cl100k = (tiktoken.get_encoding(name) for name in ("o200k_base", "cl100k_base"))
    return {
        "openai": lambda text: o200k.encode(text, disallowed_special=()),
        "anthropic": lambda text: claude.encode(text).ids,
        "google": lambda text: cl100k.encode(text, disallowed_special=()),
    }


class Provider:
    """Counts what it is sent, and keeps it as the provider's cache would.

    Args:
        kind: The provider's type.
        encode: Its tokenizer.
    """

    def __init__(self, kind: str, encode: Encode) -> None:
        self._kind = kind
        self._encode = encode
        self._read: list[list[int]] = []
        self._kept: set[str] = set()

    def __call__(self, received: Received) -> Answer:
        said = conversation(received)
        read = [
            token
            for message in said
            for token in (*[0] * (4 if self._kind == "openai" else 3), *self._encode(message.text))
        ]
        cached, written = self._marked(received) if self._kind == "anthropic" else (self._shared(read), 0)
        self._read.append(read)
        counts = {"input_tokens": len(read) + 3, "cached_tokens": cached, "written_tokens": written}
        return Answer("So it is.", output_tokens=ANSWER_TOKENS, **counts)

    def _shared(self, read: list[int]) -> int:
        """Of a prefix that was read before."""
        longest = max((_common(read, before) for before in self._read), default=0)
        if longest < LEAST_CACHED:
            return 0
        return longest - longest % STEP if self._kind == "openai" else longest

    def _marked(self, received: Received) -> tuple[int, int]:
        """Read and written, up to the last breakpoint."""
        text, cached, marked = "", 0, 0
        for message in conversation(received):
            for place, part in enumerate(message.parts):
                text += part
                if place in message.marked and (size := len(self._encode(text))) >= LEAST_CACHED:
                    cached, marked = (size if text in self._kept else cached), size
                    self._kept.add(text)
        return cached, marked - cached


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(other))


@dataclass(frozen=True)
class Error:
    """What was said before a call against what was reported after it, in per cent of the latter.

    Attributes:
        input_tokens: As reported.
        tokens: Of the prompt.
        cost: Of the prompt's cost; None where it costs nothing, or nobody knows.
    """

    input_tokens: int
    tokens: float
    cost: float | None


def error_of(plan: Plan, reply: Reply, *, is_cached: bool) -> Error:
    """The dry run against the reply, the answer aside: nobody can know how long it will be."""
    answer, total = plan.parts[-2:]
    usage = reply.raise_for_error().usage
    assert usage is not None
    assert total.tokens is not None
    assert answer.tokens is not None
    said = total.tokens - answer.tokens
    said_usd, cost = total.cached_usd if is_cached else total.cold_usd, None
    if said_usd and reply.cost_usd and answer.cold_usd:
        told_usd = reply.cost_usd - answer.cold_usd / answer.tokens * usage.output_tokens
        cost = 100 * ((said_usd - answer.cold_usd) / told_usd - 1)
    return Error(usage.input_tokens, 100 * (said / usage.input_tokens - 1), cost)


def errors(workspace: Workspace, kind: str, **options: Any) -> Iterator[tuple[Error, Error]]:
    """Of each prompt, cold and then cached."""
    for prompt in PROMPTS:
        tokens._factors.clear()  # as in a kernel that was just started
        plans = workspace.plan(prompt, endpoint=kind, **options)
        needed = plans.parts[-1].tokens
        if options and (needed is None or needed > EMBEDDED_TOKENS):
            continue
        first = error_of(plans, workspace.run(prompt, endpoint=kind, **options), is_cached=False)
        again = f"{prompt} {AGAIN}"
        plans = workspace.plan(again, endpoint=kind, **options)
        yield first, error_of(plans, workspace.run(again, endpoint=kind, **options), is_cached=True)


def make_project(root: Path) -> Workspace:
    """The files that are asked about."""
    package = Path(ccw_magics.__file__).parent
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(package, root / "own", ignore=skip)
    shutil.copy(package.parent / "README.md", root)
    (root / ".ccw" / "storage").mkdir(parents=True)
    (root / "std").mkdir()
    for name in STANDARD:
        source = Path(sysconfig.get_path("stdlib")) / name
        if source.is_dir():
            shutil.copytree(source, root / "std" / name, ignore=skip)
        else:
            shutil.copy(source, root / "std")
    return Workspace(root)


def add(workspace: Workspace, kind: str, base: str, model: str, key: str = "sk-benchmark") -> None:
    """An endpoint of a provider of its own, both named by its kind."""
    given = {"name": kind, "type": kind, "apiKey": key, "apiBase": base}
    provider = workspace.config.add_provider(given)
    endpoint = {"id": kind, "name": kind, "providerId": provider.id, "model": model}
    workspace.config.add_endpoint({**endpoint, "cacheStrategy": {"enabled": True, "maxSizeKB": 4096}})


def report(kind: str, found: Sequence[tuple[Error, Error]]) -> None:
    """A line for cold, and one for cached."""
    for name, column in (("cold", 0), ("again", 1)):
        rows = [pair[column] for pair in found]
        costs = [row.cost for row in rows if row.cost is not None]
        line = f"  {kind:<11}{name:<7}{len(rows):>7}{sum(row.input_tokens for row in rows):>11,}{_spread([row.tokens for row in rows])}"
        print(line + (_spread(costs) if costs else ""), flush=True)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):>+9.1f}{median(map(abs, values)):>7.1f}{max(values, key=abs):>+8.1f}  "


def embedded(workspace: Workspace) -> Iterator[str]:
    """Its endpoints, one after the other: the second is the running child, asked as any server."""
    workspace.config.add_endpoint({"id": "local", "name": "", "providerId": "local", "model": ""})
    yield "local"
    child = next(iter(processes._running.values()))
    add(workspace, "custom", f"{child.url}/v1", "smollm2", child.headers["Authorization"].removeprefix("Bearer "))
    yield "custom"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--embedded", action="store_true")
    given = parser.parse_args()
    models = Path.home() / ".ccw" / "models"
    print(f"  {'in per cent':<18}{'prompts':>7}{'tokens':>11}" + f"{'median':>9}{'size':>7}{'worst':>8}  " * 2)
    print(f"  {'':<36}  of the tokens             of the prompt's cost")
    with tempfile.TemporaryDirectory() as directory, WireServer() as wire:
        home = Path(directory) / "home"
        (home / ".ccw").mkdir(parents=True)
        if models.is_dir():
            (home / ".ccw" / "models").symlink_to(models)
        os.environ.update(isolated(home))
        workspace = make_project(Path(directory) / "project")
        for kind, encode in tokenizers().items():
            model, suffix = HOSTED[kind]
            add(workspace, kind, f"{wire.url}{suffix}", model)
            wire.answers(Provider(kind, encode))
            report(kind, [*errors(workspace, kind)])
        for kind in embedded(workspace) if given.embedded else ():
            report(kind, [*errors(workspace, kind, max_tokens=4)])


if __name__ == "__main__":
    main()

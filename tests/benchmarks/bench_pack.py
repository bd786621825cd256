"""Packing against the disk itself and against other packers: `bench_pack.py PROJECT [--glob '**/*.py'] [--rounds 8]`.

All in one run, in turns. Cold is a first `ContextCache.pack`, its file on disk included; `rg | cat` is the process
`rg --files -g '*.py' | xargs cat`; stat is an `os.stat` of each known file and directory. Packers that are not
installed are left out.
"""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from ccw_magics.context.cache import ContextCache
from ccw_magics.context.disk import CacheSettings
from ccw_magics.context.pack import PackRequest

LIMIT_BYTES = 1 << 30
RIVALS = {
    "git ls-files | cat": "git ls-files -z -- {glob} | xargs -0 cat > /dev/null",
    "files-to-prompt": "files-to-prompt . -e py > /dev/null",
    "gitingest": "gitingest . -i '*.py' -o /dev/null",
    "repomix": "repomix --include '**/*.py' -o /dev/null",
    "code2prompt": "code2prompt -p . -f '*.py' -o /dev/null",
}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--glob", default="**/*.py")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--rivals", action="store_true", help="run other packers too, once each")
    arguments = parser.parse_args()
    root = arguments.project.resolve()
    request = PackRequest((arguments.glob,), root, max_size_bytes=LIMIT_BYTES)
    times = _measure(request, arguments.rounds)
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    for name, one, other, limit in (
        ("cold / rg | cat", "cold", "rg | cat", 1.3),
        ("unchanged / stat", "unchanged", "stat", 1.3),
        ("unchanged / cold", "unchanged", "cold", 0.25),
        ("edited / unchanged", "edited", "unchanged", 1.6),
    ):
        print(f"{name:<22}{middle[one] / middle[other]:>7.2f}   limit {limit}   ({middle[one] * 1000:.1f} ms)")
    print(f"{'memory / pack':<22}{_memory_ratio(request):>7.2f}   limit 2.5")
    if arguments.rivals:
        _rivals(root, middle["cold"])


def _measure(request: PackRequest, rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in ("rg | cat", "cold", "unchanged", "stat", "edited")}
    for _ in range(rounds):
        for name, taken in _round(request):
            times[name].append(taken)
        gc.collect()
    return times


def _round(request: PackRequest) -> Iterator[tuple[str, float]]:
    command = "rg --files -g '*.py' | xargs cat > /dev/null"
    yield "rg | cat", _timed(lambda: subprocess.run(command, shell=True, cwd=request.root, check=True))
    cache, packs = _cache(), []
    yield "cold", _timed(lambda: packs.append(cache.pack(request)))
    cache.close()  # the write in the background is over
    known = _known(request.root, packs[0].files)
    for _ in range(5):
        yield "stat", _timed(lambda: [os.stat(path) for path in known])  # noqa: PTH116 - the rival itself
        yield "unchanged", _timed(lambda: cache.pack(request))
    yield "edited", _edit(cache, request, packs[0].files[len(packs[0].files) // 2])
    cache.close()


def _edit(cache: ContextCache, request: PackRequest, path: str) -> float:
    file = request.root / path
    original = file.read_bytes()
    try:
        file.write_bytes(original + b"\n# edited\n")
        time.sleep(0.05)  # past the clock's grain, as an edit by hand is
        taken = _timed(lambda: cache.pack(request))
    finally:
        file.write_bytes(original)
    time.sleep(0.05)
    cache.pack(request)
    return taken


def _cache() -> ContextCache:
    directory = Path(tempfile.mkdtemp(prefix="bench-pack-"))
    return ContextCache(lambda: CacheSettings(directory, LIMIT_BYTES))


def _known(root: Path, files: tuple[str, ...]) -> list[str]:
    """The found files and the directories that were looked through."""
    directories = [place for place, _, _ in os.walk(root) if "/.git" not in place.removeprefix(str(root))]
    return [*(str(root / file) for file in files), *directories]


def _memory_ratio(request: PackRequest) -> float:
    tracemalloc.start()
    pack = ContextCache().pack(request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / pack.size_bytes


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _rivals(root: Path, cold_s: float) -> None:
    for name, command in RIVALS.items():
        line = command.format(glob=shlex.quote("*.py"))
        if shutil.which(shlex.split(line)[0]) is None:
            print(f"{name:<22}not installed")
            continue
        done: list[subprocess.CompletedProcess[bytes]] = []
        taken = _timed(
            lambda line=line, done=done: done.append(
                subprocess.run(line, shell=True, cwd=root, capture_output=True, check=False)
            )
        )
        said = "" if done[0].returncode == 0 else f"   failed: {done[0].stderr.decode(errors='replace').strip()[-80:]}"
        print(f"{name:<22}{taken / cold_s:>7.1f} times a cold pack{said}")


if __name__ == "__main__":
    main()

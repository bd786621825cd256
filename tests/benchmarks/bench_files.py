"""What finding and reading files costs, as ratios: `... bench_files.py DJANGO [ROUNDS]`.

DJANGO is an unpacked source distribution of Django; the other tree is this interpreter's site-packages, copied until
there are 50,000 files. Both are copied to a temporary directory, Django into a git repository, and asked for
`@**/*.py`. All contestants of a round run one after the other, and ratios are taken within a round:

- cold: a new `Finder`, and each file read; against the processes `rg --files -g '*.py' | xargs cat`;
- unchanged: the same `Finder` again; against an `os.stat` of each known file and directory;
- edited: likewise after one file was written in place, replaced by a rename, or added.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from measuring import Row, paired_ratio, verdict

from ccw_magics.context.files import Finder, Found, read_text

ROUNDS = 15
SITE_FILES = 50_000
REFERENCES = ["@**/*.py"]
RIVAL = "rg --files -g '*.py' | xargs cat > /dev/null"
SETTLING_S = 0.05
WARM_REPEATS = 3


@contextlib.contextmanager
def django(source: Path) -> Iterator[Path]:
    """A copy of the tree in a git repository, everything committed to the index."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "django"
        shutil.copytree(source, root, symlinks=True, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", "-C", root, *command], check=True)
        yield root


@contextlib.contextmanager
def site_packages() -> Iterator[Path]:
    """Copies of this interpreter's packages, as many as it takes."""
    packages = [path for path in sorted(Path(sysconfig.get_paths()["purelib"]).iterdir()) if path.is_dir()]
    with tempfile.TemporaryDirectory() as directory:
        files = 0
        for number, package in ((number, package) for number in itertools.count() for package in packages):
            copy = shutil.copytree(package, Path(directory) / f"{number}" / package.name, symlinks=True)
            files += count(copy)
            if files >= SITE_FILES:
                break
        yield Path(directory)


def count(root: Path) -> int:
    """How many files there are."""
    return sum(len(files) for _, _, files in os.walk(root))


def seconds_of(contestant: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    contestant()
    return time.perf_counter() - started


class Contest:
    """The contestants on one tree.

    Args:
        root: The tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        time.sleep(SETTLING_S)
        self.finder = Finder(REFERENCES, root=root)
        self.found = self.finder.find()
        self.directories = [directory for directory, _, _ in os.walk(root) if self._is_known(directory)]
        self.paths = [os.fsencode(directory) for directory in self.directories]
        self.paths += [file.location for file in self.found.files]
        self.victim = Path(os.fsdecode(self.found.files[len(self.found.files) // 2].location))
        self.seconds: dict[str, list[float]] = {}

    def _is_known(self, directory: str) -> bool:
        return not {".git", "__pycache__", "node_modules"} & set(Path(directory).relative_to(self.root).parts)

    def cold(self) -> None:
        for file in Finder(REFERENCES, root=self.root).find().files:
            read_text(file)

    def rival(self) -> None:
        subprocess.run(RIVAL, shell=True, cwd=self.root, check=False, stderr=subprocess.DEVNULL)

    def stat(self) -> None:
        for path in self.paths:
            os.stat(path)  # noqa: PTH116 - the measure itself

    def find(self) -> Found:
        return self.finder.find()

    def edit(self) -> None:
        self.victim.write_bytes(self.victim.read_bytes()[::-1])

    def replace(self) -> None:
        new = self.victim.with_name("new~")
        new.write_bytes(self.victim.read_bytes()[::-1])
        new.replace(self.victim)

    def add_or_delete(self) -> None:
        new = self.victim.with_name("new.py")
        if new.exists():
            new.unlink()
        else:
            new.touch()

    def settle(self) -> None:
        """Let the last edit come to rest, so that it does not count twice."""
        time.sleep(SETTLING_S)
        self.finder.find()
        self.found = self.finder.find()

    def round(self) -> None:
        """One round: each contestant once, the short ones the best of a few."""
        figures = {"rg | cat": seconds_of(self.rival), "cold": seconds_of(self.cold)}
        short: dict[str, list[float]] = {}
        for _ in range(WARM_REPEATS):
            short.setdefault("os.stat", []).append(seconds_of(self.stat))
            short.setdefault("unchanged", []).append(seconds_of(self.find))
            assert self.finder.find() is self.found
            for name, event in (("edited", self.edit), ("replaced", self.replace), ("added", self.add_or_delete)):
                event()
                short.setdefault(name, []).append(seconds_of(self.find))
                assert self.finder.find() is not self.found
                self.settle()
        for name, seconds in (figures | {name: min(values) for name, values in short.items()}).items():
            self.seconds.setdefault(name, []).append(seconds)


LIMITS = (
    ("cold", "rg | cat", 1.3),
    ("unchanged", "os.stat", 1.3),
    ("unchanged", "cold", 0.25),
    ("edited", "unchanged", 1.6),
    ("replaced", "unchanged", 1.6),
    ("added", "unchanged", 4.0),
)


def measure(name: str, root: Path, rounds: int) -> bool:
    """Run the contest on one tree and print it; whether every limit is kept."""
    contest = Contest(root)
    for _ in range(rounds):
        contest.round()
    rows = {label: Row(label, seconds) for label, seconds in contest.seconds.items()}
    print(
        f"\n{name}: {len(contest.found.files):,} files found, {len(contest.directories):,} directories, {rounds} rounds"
    )
    for row in rows.values():
        print(f"  {row.name:10} best {1000 * min(row.seconds):8.1f} ms")
    kept = [
        verdict(f"{label} / {rival}", paired_ratio(rows[label], rows[rival]), limit) for label, rival, limit in LIMITS
    ]
    return all(kept)


def main(source: Path, rounds: int) -> bool:
    """Measure both trees; whether every limit is kept."""
    with django(source) as root:
        kept = measure("Django in a git repository", root, rounds)
    with site_packages() as root:
        return measure("site-packages", root, max(3, rounds // 3)) and kept


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS))

"""Random trees with random ignore files, and what git says of them."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

NAMES = (
    "a",
    "b",
    "foo",
    "foobar",
    "x.py",
    "y.pyc",
    "#h",
    "!n",
    "a b",
    "c ",
    "[d]",
    "é",
    "-",
    "]",
    "a-b",
    "\\",
    ".h",
    "b.",
    "*",
)
ATOMS = (
    "a", "b", "foo", "bar", "x", ".py", ".pyc", "*", "*", "**", "?", "/", "/", "[ab]", "[!a]", "[^a]", "[a-f]", "[]-]",
    "[[:alpha:]]", "[[:bad:]]", "[[:punct:]x]", "[", "]", "\\", "\\*", "\\ ", " ", "#h", "!", "!n", "-", "a b", "é",
    "[\\]]", "[a-]", "[z-a]", "[a\\-f]", "\\/", "[/]", ".h", "[[:al]", "[a/b]", "[!/]", "\r", "\t",
)  # fmt: skip
COMMON = ("*.py", "*.pyc", "!x.py", "foo/", "/foo", "!/foo", "foo/*", "!foo/a", "**/foo", "foo/**", "a/**/b", "foo**/bar", "# c", "", "*", "!*/", "!foo/", "*/", "/*", "/*/", "!/*/", "**", "**/", "a*b", "[a-f]*", "**/a/**/b", "foo/**/", "***/a")  # fmt: skip


def rule(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(COMMON)
    line = "".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 5)))
    return ("!" if rng.random() < 0.25 else "") + line + ("/" if rng.random() < 0.2 else "")


def ignore_file(rng: random.Random) -> bytes:
    end = "\r\n" if rng.random() < 0.1 else "\n"
    text = end.join(rule(rng) for _ in range(rng.randint(1, 6)))
    bom = "\ufeff" if rng.random() < 0.05 else ""
    return (bom + text + (end if rng.random() < 0.8 else "")).encode()


def grow(directory: Path, rng: random.Random, depth: int = 0) -> None:
    """Fill a directory; none stays empty, and no name is both."""
    if rng.random() < (0.9 if depth == 0 else 0.35):
        (directory / ".gitignore").write_bytes(ignore_file(rng))
    for name in rng.sample(NAMES, rng.randint(2, 5)):
        if depth < 3 and rng.random() < 0.55:
            (directory / name).mkdir()
            grow(directory / name, rng, depth + 1)
        else:
            (directory / name).write_bytes(b"text\n")
            if rng.random() < 0.03:
                (directory / f"{name}.link").symlink_to(name)


def git(directory: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", os.fspath(directory), *arguments], capture_output=True, check=True)
    return done.stdout


def untracked(directory: Path) -> set[bytes]:
    return set(git(directory, "ls-files", "-o", "--exclude-standard", "-z").split(b"\0")) - {b""}

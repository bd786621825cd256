from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ignore_trees import git, grow, ignore_file, untracked

from ccw_magics.context.files import find_files
from ccw_magics.context.gitignore import compile_rules
from ccw_magics.context.names import read_name

CASES = 150 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))

TABLE = {
    "name at any depth": ("foo", "a/foo", True),
    "anchored": ("/foo", "a/foo", False),
    "anchored by a slash inside": ("a/foo", "b/a/foo", False),
    "star stays in a component": ("a/*.py", "a/b/c.py", False),
    "deep in front": ("**/foo", "a/b/foo", True),
    "deep inside": ("a/**/b", "a/b", True),
    "deep at the end": ("a/**", "a/b/c", True),
    "deep behind a word": ("foo**/bar", "foobar", True),
    "negated": ("*.py\n!a.py", "a.py", False),
    "last one wins": ("!a.py\n*.py", "a.py", True),
    "comment": ("#a", "#a", False),
    "escaped hash": ("\\#a", "#a", True),
    "escaped bang": ("\\!a", "!a", True),
    "trailing spaces": ("a  ", "a", True),
    "escaped trailing space": ("a\\ ", "a ", True),
    "carriage return": ("a\r\n", "a", True),
    "byte order mark": ("\ufeffa", "a", True),
    "class": ("[[:digit:]]", "5", True),
    "negated class": ("[!a]", "a", False),
    "range": ("[a-c]x", "bx", True),
    "open bracket": ("[a", "[a", False),
    "lone backslash": ("a\\", "a\\", False),
    "directories only": ("a/", "a", False),
    "hidden": ("*", ".a", True),
    "empty": ("\n  \n/\n!\n", "a", False),
}


@pytest.mark.parametrize(("rules", "path", "expected"), TABLE.values(), ids=TABLE.keys())
def test_rules(rules: str, path: str, expected: bool) -> None:
    assert bool(compile_rules(rules.encode()).decide(path.encode())) is expected


def test_directory_rules_ask_for_a_directory() -> None:
    rules = compile_rules(b"build/\n!keep/\n")
    assert rules.decide(b"a/build", is_directory=True) is True
    assert rules.decide(b"keep", is_directory=True) is False
    assert rules.decide(b"a/build") is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize("rule", ["*a" * 60 + "b", "x/" + "*a" * 60 + "b", "**/a/" * 40 + "b", "a*/" * 40 + "b"])
def test_many_stars_take_no_time(rule: str) -> None:
    rules = compile_rules(rule.encode())
    assert rules.decide(b"a" * 255) is None
    assert rules.decide(b"x/" + b"a" * 255) is None
    assert rules.decide(b"a/" * 100 + b"a") is None


@pytest.mark.parametrize("chunk", range(10))
def test_agrees_with_git(chunk: int, tmp_path: Path, home: Path) -> None:
    for seed in range(chunk * CASES // 10, (chunk + 1) * CASES // 10):
        root = tmp_path / str(seed)
        root.mkdir()
        rng = random.Random(seed)
        git(root, "init", "-q")
        grow(root, rng)
        if rng.random() < 0.3:
            (root / ".git" / "info").mkdir(exist_ok=True)
            (root / ".git" / "info" / "exclude").write_bytes(ignore_file(rng))
        (home / ".config" / "git").mkdir(parents=True, exist_ok=True)
        (home / ".config" / "git" / "ignore").write_bytes(ignore_file(rng) if rng.random() < 0.3 else b"")
        found = {read_name(file.path) for file in find_files(["@./"], root=root).files}
        assert found == untracked(root), seed


@pytest.mark.parametrize("seed", range(10))
def test_below_the_top_level_as_from_it(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    git(tmp_path, "init", "-q")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep").mkdir()
    (tmp_path / ".gitignore").write_bytes(b"sub/deep/foo*\n" + ignore_file(rng) + b"\n!sub/\n")
    grow(tmp_path / "sub" / "deep", rng)
    ignored = subprocess.run(["git", "-C", tmp_path, "check-ignore", "-q", "sub"], check=False)
    if not ignored.returncode:
        (tmp_path / ".gitignore").write_bytes(b"sub/deep/foo*\n/sub/deep/*/b\n")
    wanted = untracked(tmp_path / "sub")
    found = {read_name(file.path) for file in find_files(["@./"], root=tmp_path / "sub").files}
    assert found == wanted


def test_excludes_file_that_the_user_configured(tmp_path: Path, home: Path) -> None:
    git(tmp_path, "init", "-q")
    (home / "mine").write_text("*.log\n")
    (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/mine\n")
    (tmp_path / "a.log").touch()
    (tmp_path / "a.py").touch()
    assert [file.path for file in find_files(["@./"], root=tmp_path).files] == ["a.py"]
    (home / ".gitconfig").write_text("[core]\n\texcludesFile =\n# nothing\n")
    assert [file.path for file in find_files(["@./"], root=tmp_path).files] == ["a.log", "a.py"]


def test_outside_a_repository(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "a" / ".gitignore").write_text("!keep.log\n/b/x.py\n")
    for name in ("x.log", "a/keep.log", "a/b/x.py", "a/b/y.py"):
        (tmp_path / name).touch()
    found = [file.path for file in find_files(["@**/*.{py,log}"], root=tmp_path).files]
    assert found == ["a/b/y.py", "a/keep.log"]


def test_tracked_but_ignored_is_found(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "build").mkdir()
    for name in ("a.log", "b.log", "build/kept.py", "build/other.py", "c.py"):
        (tmp_path / name).touch()
    git(tmp_path, "add", "a.log", "build/kept.py")
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    assert [file.path for file in find_files(["@**"], root=tmp_path).files] == ["a.log", "build/kept.py", "c.py"]
    assert [file.path for file in find_files(["@**/*.py"], root=tmp_path).files] == ["build/kept.py", "c.py"]
    found = find_files(["@./"], root=tmp_path)
    assert [file.path for file in found.files] == [".gitignore", "a.log", "build/kept.py", "c.py"]
    assert ("b.log", "ignored by git's rules") in found.skipped


def test_hostile_index_reads_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "secret.txt").touch()
    root = tmp_path / "project"
    (root / "d").mkdir(parents=True)
    (root / "d" / "secret.txt").touch()
    (root / "e").touch()
    git(root, "init", "-q")
    git(root, "add", ".")
    (root / ".gitignore").write_text("d\nd/\ne\n")
    (root / "d" / "secret.txt").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to(tmp_path / "away")
    assert [file.path for file in find_files(["@**"], root=root).files] == ["e"]


def test_hostile_config_runs_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / "a.log").touch()
    git(tmp_path, "add", "a.log")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "config", "core.fsmonitor", str(hook))
    assert "a.log" in [file.path for file in find_files(["@*"], root=tmp_path).files]
    assert not (tmp_path / "ran").exists()


def test_without_git_the_rules_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "a.log").touch()
    (tmp_path / "b").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert [file.path for file in find_files(["@*"], root=tmp_path).files] == ["b"]

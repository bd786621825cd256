"""What `filePatterns` would bring in: the sums of the pack that would be made, and nothing left behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ccw_magics import Workspace
from ccw_magics.context import preview as module
from ccw_magics.context.account import SKIPPED_SHOWN, counts_by_reason
from ccw_magics.context.found import Skipped
from ccw_magics.context.preview import Preview
from ccw_magics.errors import PatternError

CONTENTS: dict[str, bytes] = {
    "README.md": b"# Readme\n",
    "src/a.py": b"a = 1\n" * 50,
    "src/b.py": b"b = 2",
    "src/deep/c.py": "ü = 'é'\n".encode(),
    "src/latin.py": b"x = '\xe9'\n",
    "docs/guide.md": b"words\n" * 200,
    "data/picture.png": b"\x89PNG\0\0" * 100,
    "data/huge.txt": b"x" * (1024 * 1024 + 1),
    "build/out.py": b"no",
    "trace.log": b"no",
    ".env": b"KEY=1",
    "server.key": b"secret",
    ".hidden/x.py": b"h\n",
    "node_modules/x/index.js": b"no",
    "empty.py": b"",
}


@pytest.fixture
def tree(project: Path) -> Path:
    for name, content in CONTENTS.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (project / ".gitignore").write_text("build/\n*.log\n")
    (project / ".git").mkdir()
    return project


PATTERNS = {
    "all": (),
    "by name": ("*.py",),
    "by path": ("src/**", "docs/*.md"),
    "braces": ("*.{md,py}",),
    "nothing": ("*.zzz",),
    "binary": ("*.png",),
    "too large": ("*.txt",),
    "ignored": ("*.log", "build/**"),
}


@pytest.mark.parametrize("patterns", PATTERNS.values(), ids=PATTERNS)
def test_the_sums_are_the_packs(tree: Path, patterns: tuple[str, ...]) -> None:
    workspace = Workspace(tree)
    config = workspace.config
    config.add_provider({"id": "p", "type": "openai"})
    config.add_endpoint({"id": "e", "providerId": "p", "model": "m", "cacheStrategy": {"filePatterns": list(patterns)}})
    shown = workspace.preview(patterns)
    pack = workspace.pack(["@./"], endpoint="e", cwd=tree)
    assert (shown.files, shown.size_bytes) == (len(pack.files), pack.size_bytes)
    assert dict(shown.left_out) == counts_by_reason(pack.skipped)
    assert not shown.is_estimate


def test_what_is_told(tree: Path) -> None:
    shown = Workspace(tree).preview(("*.py", "*.png", "*.txt", "*.log", ".env"))
    assert shown.largest[0] == ("src/a.py", 300)
    assert len(shown.largest) == module.LARGEST_SHOWN
    assert [path for path, _ in shown.largest[:3]] == ["src/a.py", "src/deep/c.py", "src/latin.py"]
    assert dict(shown.left_out) == {
        "ignored by git's rules": 2,
        "left out unless named": 3,
        "binary": 1,
        "larger than 1.0 MiB": 1,
        "may hold secrets; left out unless named exactly": 1,
    }
    assert (shown.max_size_bytes, shown.fits) == (512 * 1024, True)


@pytest.mark.parametrize(("lines", "fits"), [(1, True), (10, True), (30_000, False)])
def test_the_limit(tree: Path, lines: int, fits: bool) -> None:
    (tree / "more.py").write_text("x = 1\n" * lines)
    shown = Workspace(tree).preview(("*.py",), max_size_kb=100)
    assert (shown.max_size_bytes, shown.fits) == (102_400, fits)


def test_the_verdict_is_exact_at_the_limit(tree: Path) -> None:
    workspace = Workspace(tree)
    for path in tree.rglob("*.py"):
        path.unlink()
    path = tree / "x.py"
    path.write_text("x" * 1000)
    rest = 2048 - workspace.preview(("*.py",)).size_bytes
    for more, fits in ((rest, True), (rest + 1, False)):
        path.write_text("x" * (1000 + more))
        assert workspace.preview(("*.py",), max_size_kb=2).fits is fits


def test_more_files_than_are_looked_into(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_INTO_MAX", 3)
    for number in range(10):
        (tree / f"{number}.bin").write_bytes(b"\0" * (10 + number))
    shown = Workspace(tree).preview(("*.bin",))
    assert (shown.files, shown.is_estimate, dict(shown.left_out)["binary"]) == (7, True, 3)


def test_nothing_is_kept_or_registered(tree: Path, home: Path) -> None:
    workspace = Workspace(tree)
    workspace.preview(())
    assert not (home / ".ccw").exists()
    assert workspace.cache.rows() == []
    assert not list((tree / ".ccw" / "storage").iterdir())


def test_in_threads(tree: Path) -> None:
    workspace, shown = Workspace(tree), list[Preview]()
    threads = [threading.Thread(target=lambda: shown.append(workspace.preview(("*.py",)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown == [workspace.preview(("*.py",))] * 4


def test_too_many_alternatives(tree: Path) -> None:
    with pytest.raises(PatternError):
        Workspace(tree).preview(("{a,b}" * 30,))


def test_a_root_that_is_gone(tree: Path) -> None:
    workspace = Workspace(tree)
    workspace.root = tree / "gone"
    assert workspace.preview(()) == Preview(0, 0, 512 * 1024, (), (), is_estimate=False)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read(tree: Path) -> None:
    (tree / "src" / "a.py").chmod(0)
    assert dict(Workspace(tree).preview(("a.py",)).left_out)["cannot be read: Permission denied"] == 1


@pytest.mark.parametrize("count", [0, 1, SKIPPED_SHOWN - 1, SKIPPED_SHOWN, SKIPPED_SHOWN + 1, 5 * SKIPPED_SHOWN])
def test_counts_go_beyond_what_is_listed(tree: Path, count: int) -> None:
    for number in range(count):
        (tree / f"{number:05}.log").write_bytes(b"")
    assert dict(Workspace(tree).preview(("0*.log",)).left_out).get("ignored by git's rules", 0) == count + 1  # `build/`


def test_a_name_like_a_count_is_a_name() -> None:
    assert counts_by_reason([Skipped("... and 5 more", "binary")]) == {"binary": 1}

"""Where a project's root is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccw_magics import Workspace


def _make(directory: Path, *marks: str) -> Path:
    for mark in marks:
        (directory / mark).mkdir(parents=True)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def test_the_nearest_ancestor_with_storage_or_git_is_the_root(tmp_path: Path) -> None:
    outer = _make(tmp_path / "outer", ".git")
    inner = _make(outer / "inner", ".ccw/storage")
    deep = _make(inner / "src" / "deep")
    other = _make(outer / "other")
    assert Workspace(deep).root == inner
    assert Workspace(other).root == outer
    assert Workspace(str(outer)).root == outer


def test_a_worktree_whose_git_is_a_file_is_a_root(tmp_path: Path) -> None:
    (_make(tmp_path / "tree") / ".git").write_text("gitdir: elsewhere\n")
    assert Workspace(_make(tmp_path / "tree" / "src")).root == tmp_path / "tree"


def test_the_home_directory_is_no_root_by_its_own_marks(home: Path) -> None:
    _make(home, ".ccw/storage", ".git")
    plain = _make(home / "plain")
    assert Workspace(plain).root == plain


def test_a_directory_without_marks_is_its_own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _make(tmp_path / "plain")
    monkeypatch.chdir(plain)
    assert Workspace().root == plain


def test_a_workspace_packs_as_a_call_would(project: Path) -> None:
    (project / "a.py").write_text("x = 1\n")
    (project / "b.py").write_text("y = 2\n" * 300)
    workspace = Workspace()
    pack = workspace.pack(["@*.py"])
    assert pack.files == ("a.py", "b.py")
    assert workspace.pack(["*.py"], max_file_size=100).files == ("a.py",)
    assert workspace.pack(["@*.py"]).status == "hit"

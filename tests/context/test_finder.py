from __future__ import annotations

import builtins
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from random_edits import EVENTS, REFERENCES, Project

from ccw_magics.context.files import Finder, Found, FoundFile, find_files
from ccw_magics.errors import PatternError

EXAMPLES = 30 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
HOUR_NS = 3_600_000_000_000
THOROUGH = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def long_after() -> int:
    """A clock by which every change is long past, so that stamps are trusted at once."""
    return time.time_ns() + HOUR_NS


@contextmanager
def no_reading() -> Iterator[None]:
    """Where a file is opened, a directory listed or a process started, fail."""
    refuse = mock.Mock(side_effect=AssertionError("touched more than stat"))
    with (
        mock.patch.object(os, "open", refuse),
        mock.patch.object(os, "scandir", refuse),
        mock.patch.object(os, "listdir", refuse),
        mock.patch.object(builtins, "open", refuse),
        mock.patch.object(subprocess, "Popen", refuse),
    ):
        yield


def without_marks(found: Found) -> Found:
    """Without ctimes, in whose place a mark may stand."""
    return replace(found, files=tuple(file._replace(signature=(*file.signature[:3], 0)) for file in found.files))


def outcome(find: Callable[[], Found]) -> Found | str:
    try:
        return find()
    except PatternError as error:
        return error.message


class Keeper:
    """Keeps contents by signature, as a cache does, and tells when that would have served a stale one."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[tuple[int, ...], bytes]] = {}

    def check(self, files: Sequence[FoundFile]) -> None:
        for file in files:
            content = Path(os.fsdecode(file.location)).read_bytes()
            signature, kept = self.kept.get(file.path, ((), b""))
            assert signature != file.signature or kept == content, f"{file.path}: stale"
            self.kept[file.path] = (file.signature, content)


EVENT_LISTS = st.lists(st.integers(0, len(EVENTS) - 1), min_size=1, max_size=10)


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "within a tick"])
@THOROUGH
@given(seed=st.integers(0, 1 << 32), chosen=st.sampled_from(REFERENCES), events=EVENT_LISTS)
def test_equal_to_a_fresh_search(settled: bool, seed: int, chosen: tuple[str, ...], events: list[int]) -> None:
    with (
        tempfile.TemporaryDirectory() as base,
        tempfile.TemporaryDirectory() as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HOME", home)
        project = Project(Path(base), Path(home), seed)
        root, cwd, lib = project.root, project.root / "sub", [project.lib]
        clock = long_after if settled else time.time_ns
        finder = Finder(chosen, root=root, cwd=cwd, include_dirs=lib, now_ns=clock)
        keeper = Keeper()
        for event in (0, *events):
            project.disturb(event)
            if settled:
                project.set_clocks()
            found = outcome(finder.find)
            fresh = outcome(lambda: find_files(chosen, root=root, cwd=cwd, include_dirs=lib))
            if isinstance(found, str) or isinstance(fresh, str):
                assert found == fresh
                continue
            assert without_marks(found) == without_marks(fresh), EVENTS[event].__name__
            keeper.check(found.files)
            if settled:
                with no_reading():
                    assert finder.find() is found


def plant(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text\n")


def test_shares_what_did_not_change(tmp_path: Path) -> None:
    plant(tmp_path, "a.py", "b.py", "c/d.py")
    finder = Finder(["@**/*.py"], root=tmp_path, now_ns=long_after)
    before = finder.find()
    (tmp_path / "b.py").write_text("longer text\n")
    now = finder.find()
    assert [old is new for old, new in zip(before.files, now.files, strict=True)] == [True, False, True]
    assert now.files[1].size_bytes == 12
    assert now.matches is before.matches
    plant(tmp_path, "c/e.py")
    later = finder.find()
    assert [file.path for file in later.files] == ["a.py", "b.py", "c/d.py", "c/e.py"]
    assert all(old is new for old, new in zip(now.files, later.files, strict=False))


def test_lists_only_what_changed(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/x.py", "c/y.py", "d.py")
    finder = Finder(["@**/*.py"], root=tmp_path, now_ns=long_after)
    finder.find()
    with mock.patch.object(os, "scandir", wraps=os.scandir) as scandir:
        plant(tmp_path, "a/b/new/z.py")
        assert [file.path for file in finder.find().files] == ["a/b/new/z.py", "a/b/x.py", "c/y.py", "d.py"]
    listed = [os.path.relpath(call.args[0], os.fsencode(tmp_path)) for call in scandir.call_args_list]
    assert listed == [b"a/b", b"a/b/new"]


def test_an_edit_within_the_tick_shows_though_the_stamp_is_the_same(tmp_path: Path) -> None:
    plant(tmp_path, "a.py", "b.py")
    times = iter([1, 2, long_after(), long_after()])  # before every change, and after
    finder = Finder(["@*.py"], root=tmp_path, now_ns=lambda: next(times))
    first, second, third, fourth = (finder.find() for _ in range(4))
    assert first.files[0].signature != second.files[0].signature != third.files[0].signature
    assert first.files[0].signature[:3] == third.files[0].signature[:3]
    assert fourth is third


CONSULTED: dict[str, tuple[str, list[str]]] = {
    "a literal that was missing": ("sub/new.py", ["@new.py"]),
    "a literal found further down the list of bases": ("sub/a.py", ["@a.py"]),
    "an ignore file in a walked directory": ("sub/deep/.gitignore", ["@**/*.py"]),
    "an ignore file above the walk": (".gitignore", ["@**/*.py"]),
    "an ignore file above the root": ("../.gitignore", ["@**/*.py"]),
    "an ignore file between the root and a start": ("sub/.gitignore", ["@sub/deep/*.py"]),
    "info/exclude": ("../.git/info/exclude", ["@**/*.py"]),
    "the global excludes file": ("~/.config/git/ignore", ["@**/*.py"]),
    "git's settings": ("~/.gitconfig", ["@**/*.py"]),
}


@pytest.mark.parametrize(("name", "references"), CONSULTED.values(), ids=CONSULTED.keys())
def test_what_did_not_exist_is_watched(name: str, references: list[str], tmp_path: Path, home: Path) -> None:
    root = tmp_path / "root"
    plant(root, "a.py", "sub/deep/b.py")
    subprocess.run(["git", "init", "-q", "--template=", tmp_path], check=True)
    (home / "named").write_text("*.py\n")
    finder = Finder(references, root=root, cwd=root / "sub", now_ns=long_after)
    before = finder.find()
    assert finder.find() is before
    path = Path(name.replace("~", str(home))) if name.startswith("~") else root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[core]\n\texcludesFile = ~/named\n" if path.name == ".gitconfig" else "*.py\n")
    found = finder.find()
    assert found != before
    assert without_marks(found) == without_marks(find_files(references, root=root, cwd=root / "sub"))


def test_a_global_excludes_file_may_be_a_link(tmp_path: Path, home: Path) -> None:
    plant(tmp_path, "a.py", "a.log")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (home / "dotfiles").write_text("*.log\n")
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/ignore").symlink_to(home / "dotfiles")
    finder = Finder(["@*"], root=tmp_path, now_ns=long_after)
    assert [file.path for file in finder.find().files] == ["a.py"]
    (home / "dotfiles").write_text("*.py\n*.no\n")
    assert [file.path for file in finder.find().files] == ["a.log"]


def test_too_many_open_files_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a.py")
    finder = Finder(["@*.py"], root=tmp_path, now_ns=long_after)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", mock.Mock(side_effect=OSError(24, "Too many open files")))
        assert not finder.find().files
    assert [file.path for file in finder.find().files] == ["a.py"]


def test_a_repository_comes_and_goes(tmp_path: Path, home: Path) -> None:
    plant(tmp_path, "a.py", "a.log")
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/ignore").write_text("*.log\n")
    finder = Finder(["@*"], root=tmp_path, now_ns=long_after)
    for _ in range(2):
        assert [file.path for file in finder.find().files] == ["a.log", "a.py"]
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        assert [file.path for file in finder.find().files] == ["a.py"]
        shutil.rmtree(tmp_path / ".git")


def test_an_ignore_file_is_edited_in_place(tmp_path: Path) -> None:
    plant(tmp_path, "a/a.py", "a/b.py")
    (tmp_path / "a/.gitignore").write_text("a*\n")
    finder = Finder(["@**"], root=tmp_path, now_ns=long_after)
    assert [file.path for file in finder.find().files] == ["a/b.py"]
    (tmp_path / "a/.gitignore").write_text("b.*\n")
    assert [file.path for file in finder.find().files] == ["a/a.py"]


def test_added_to_the_index(tmp_path: Path) -> None:
    plant(tmp_path, "a.py", "a.log", "build/b.py")
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    finder = Finder(["@**"], root=tmp_path, now_ns=long_after)
    assert [file.path for file in finder.find().files] == ["a.py"]
    subprocess.run(["git", "-C", tmp_path, "add", "-f", "a.log", "build/b.py"], check=True)
    assert [file.path for file in finder.find().files] == ["a.log", "a.py", "build/b.py"]
    (tmp_path / "build/b.py").unlink()
    assert [file.path for file in finder.find().files] == ["a.log", "a.py"]


def test_the_first_ignored_file_is_tracked(tmp_path: Path) -> None:
    plant(tmp_path, "a.py", "a.log")
    (tmp_path / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "-f", "a.log"], check=True)
    (tmp_path / "a.log").unlink()
    finder = Finder(["@**"], root=tmp_path, now_ns=long_after)
    assert [file.path for file in finder.find().files] == ["a.py"]
    plant(tmp_path, "a.log")
    assert [file.path for file in finder.find().files] == ["a.log", "a.py"]


def test_a_worktree(tmp_path: Path) -> None:
    main, tree = tmp_path / "main", tmp_path / "tree"
    plant(main, "a.py", "a.log")
    for command in (
        ["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
        ["worktree", "add", "-q", tree],
    ):  # fmt: skip
        subprocess.run(["git", "-C", main, *command], check=True)
    finder = Finder(["@**"], root=tree, now_ns=long_after)
    before = finder.find()
    assert [file.path for file in before.files] == ["a.log", "a.py"]
    with no_reading():
        assert finder.find() is before
    (main / ".git/info/exclude").write_text("*.log\n")
    assert [file.path for file in finder.find().files] == ["a.log", "a.py"], "tracked all the same"
    subprocess.run(["git", "-C", tree, "rm", "-q", "--cached", "a.log"], check=True)
    assert [file.path for file in finder.find().files] == ["a.py"]


def test_recovers_from_an_error(tmp_path: Path) -> None:
    plant(tmp_path, "proj/a.py", "far/b.py")
    finder = Finder(["@a.py", "@../far/b.py"], root=tmp_path / "proj", now_ns=long_after)
    for _ in range(2):
        with pytest.raises(PatternError):
            finder.find()
    (tmp_path / "far/b.py").unlink()
    assert [file.path for file in finder.find().files] == ["a.py"]


def test_follows_the_home_and_the_current_directory(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "one/a.py", "two/b.py")
    finder = Finder(["@*.py", "@~/c.py"], root=Path(), include_dirs=[tmp_path], now_ns=long_after)
    monkeypatch.chdir(tmp_path / "one")
    assert [file.path for file in finder.find().files] == ["a.py"]
    monkeypatch.chdir(tmp_path / "two")
    assert [file.path for file in finder.find().files] == ["b.py"]
    plant(tmp_path, "house/c.py")
    monkeypatch.setenv("HOME", str(tmp_path / "house"))
    assert [file.path for file in finder.find().files] == ["../house/c.py", "b.py"]

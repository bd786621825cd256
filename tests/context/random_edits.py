"""Random things that happen to a project: edits, renames, links, ignore files, git's index."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from ignore_trees import NAMES, grow, ignore_file

REFERENCES = (
    ("@**/*.py",),
    ("@./",),
    ("@**", "@a/"),
    ("@a", "@foo", "@b/x.py", "@x.py", "@nothing.md"),
    ("@*/*", "@../lib/**/*.py", "@../lib/x.py"),
    ("@foo/**", "@{a,b}/**/*.py*", "@x.py/"),
    ("@*.link", "@a.link", "@a.link/x.py", "@a.link/**"),
    ("@a/../x.py", "@../project/b", "@node_modules/a"),
    ("@../far/x.py", "@*"),
)

NAMED = ("a", "b", "foo", "x.py", "a.link", "sub", "node_modules")  # in the references


class Project:
    """A repository, `project`, beside a directory `lib`; ready to be disturbed.

    Args:
        base: An empty directory.
        home: The home directory.
        seed: Of all that is random.
    """

    def __init__(self, base: Path, home: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.root, self.lib, self.home = base / "project", base / "lib", home
        self._clock_ns = itertools.count(1_000_000_000_000_000_000, 1_000_003)
        for directory in (self.root, self.lib):
            directory.mkdir()
            grow(directory, self.random)
        (self.root / "sub").mkdir()
        self.git("init", "-q")

    def git(self, *arguments: str) -> None:
        # Some of it fails, as commands do: adding a link's far side, say.
        subprocess.run(["git", "-C", os.fspath(self.root), *arguments], capture_output=True, check=False)

    def disturb(self, kind: int) -> None:
        """Let something happen: `EVENTS[kind]`."""
        EVENTS[kind](self)

    def set_clocks(self) -> None:
        """Give all that is there an mtime never seen, where its own is newer than the last call: no tick hides it."""
        home_files = [self.home / ".gitconfig", self.home / ".config/git/ignore"]
        for top in (self.root, self.lib):
            for directory, _, files in os.walk(top):
                if "/.git/objects" not in directory:
                    home_files += [Path(directory), *(Path(directory, name) for name in files)]
        for path in home_files:
            if os.path.lexists(path) and os.lstat(path).st_mtime_ns > 1_500_000_000_000_000_000:
                stamp_ns = next(self._clock_ns)
                os.utime(path, ns=(stamp_ns, stamp_ns), follow_symlinks=False)

    def a_directory(self) -> Path:
        return self._pick(Path.is_dir) or self.root

    def a_file(self) -> Path:
        return self._pick(Path.is_file) or self.root / "x.py"

    def a_path(self) -> Path:
        directory = self.random.choice((self.a_directory(), self.a_directory(), self.root, self.root / "sub"))
        name = self.random.choice((*NAMES, *NAMED * 4))
        return (directory if directory.is_dir() else self.root) / name

    def _pick(self, test: Callable[[Path], bool]) -> Path | None:
        top = self.root if self.random.random() < 0.85 else self.lib
        paths = [
            path for path in sorted(top.rglob("*")) if ".git" not in path.parts and not path.is_symlink() and test(path)
        ]
        return self.random.choice(paths) if paths else None


def edit_in_place(project: Project) -> None:
    path = project.a_file()
    size = path.stat().st_size if path.exists() else 3
    path.write_bytes(project.random.randbytes(size))


def edit_to_another_size(project: Project) -> None:
    project.a_file().write_bytes(project.random.randbytes(project.random.randint(0, 9)))


def replace_by_rename(project: Project) -> None:
    path = project.a_file()
    new = path.with_name("~")
    new.write_bytes(project.random.randbytes(5))
    new.replace(path)


def touch(project: Project) -> None:
    project.a_file().touch()


def make_executable(project: Project) -> None:
    path = project.a_file()
    if path.exists():
        path.chmod(0o755)


def delete(project: Project) -> None:
    project.a_file().unlink(missing_ok=True)


def delete_directory(project: Project) -> None:
    directory = project.a_directory()
    if directory != project.root:
        shutil.rmtree(directory)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def create(project: Project) -> None:
    path = project.a_path()
    _clear(path)
    path.write_bytes(b"new\n")


def create_directory(project: Project) -> None:
    path = project.a_path()
    _clear(path)
    path.mkdir()
    grow(path, project.random, depth=2)


def rename(project: Project) -> None:
    path, new = project.random.choice((project.a_file, project.a_directory))(), project.a_path()
    if path != project.root and path.exists() and path not in (new, *new.parents) and new not in path.parents:
        _clear(new)
        path.rename(new)


def link(project: Project) -> None:
    path = project.a_path().with_suffix(".link")
    target = project.random.choice((project.a_file(), project.a_directory(), project.a_path(), project.home, path))
    _clear(path)
    path.symlink_to(target if project.random.random() < 0.5 else os.path.relpath(target, path.parent))


def make_fifo(project: Project) -> None:
    path = project.a_path()
    _clear(path)
    os.mkfifo(path)


def ignore(project: Project) -> None:
    (project.a_directory() / ".gitignore").write_bytes(ignore_file(project.random))


def ignore_otherwise(project: Project) -> None:
    files = [path for top in (project.root, project.lib) for path in sorted(top.rglob(".gitignore"))]
    if files:
        project.random.choice(files).write_bytes(project.random.choice((b"*.py\n", b"/*/\n", b"!*\n", b"[a-x]\n")))


def stop_ignoring(project: Project) -> None:
    files = sorted(project.root.rglob(".gitignore"))
    if files:
        project.random.choice(files).unlink()


def exclude(project: Project) -> None:
    if (project.root / ".git/info").is_dir():
        (project.root / ".git/info/exclude").write_bytes(ignore_file(project.random))


def exclude_everywhere(project: Project) -> None:
    (project.home / ".config/git").mkdir(parents=True, exist_ok=True)
    (project.home / ".config/git/ignore").write_bytes(ignore_file(project.random))


def choose_excludes(project: Project) -> None:
    (project.home / "excludes").write_bytes(ignore_file(project.random))
    name = project.random.choice(("excludes", "none"))
    (project.home / ".gitconfig").write_text(f"[core]\n\texcludesFile = ~/{name}\n")


def add(project: Project) -> None:
    project.git("add", "-f", "--", os.path.relpath(project.a_file(), project.root))


def add_all(project: Project) -> None:
    project.git("add", "-f", ".")


def untrack(project: Project) -> None:
    project.git("rm", "-q", "--cached", "--ignore-unmatch", "--", os.path.relpath(project.a_file(), project.root))


def leave_git(project: Project) -> None:
    here, away = project.root / ".git", project.lib.parent / "git"
    if here.exists():
        here.rename(away)
    elif away.exists():
        away.rename(here)


def nothing(project: Project) -> None:
    project.random.random()


EVENTS: tuple[Callable[[Project], None], ...] = (
    nothing, edit_in_place, edit_to_another_size, replace_by_rename, touch, make_executable, delete, delete_directory,
    create, create_directory, rename, link, make_fifo, ignore, ignore_otherwise, stop_ignoring, exclude, exclude_everywhere,
    choose_excludes, add, add_all, untrack, leave_git,
)  # fmt: skip

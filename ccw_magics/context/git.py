"""What git knows of a directory, asked in ways that a hostile repository cannot turn against the user.

Nothing here runs a hook, takes a lock or waits for long, and every failure (no git, another owner's repository, a
damaged index) means only that git has nothing to say.
"""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH111, PTH112, PTH113, PTH118, PTH120, PTH123

from __future__ import annotations

import functools
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ccw_magics.context.stamps import stamp

TIMEOUT_S = 10.0
"""Longest wait for git; a list of a million files takes it about a second."""

_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")


@dataclass(frozen=True)
class Repository:
    """Where a repository keeps its things.

    Attributes:
        top: The top level of its tree.
        own: Its directory: `.git`, or where a worktree's or submodule's `.git` file leads.
        common: The directory that its worktrees share.
        links: The files that lead there, existing or not; none where `.git` is a directory.
    """

    top: bytes
    own: bytes
    common: bytes
    links: tuple[bytes, ...] = ()

    @property
    def index(self) -> bytes:
        """The file that says what git tracks."""
        return os.path.join(self.own, b"index")

    def exclude_files(self) -> Iterator[bytes]:
        """The ignore files that stand outside the tree, the stronger first."""
        yield os.path.join(self.common, b"info", b"exclude")
        settings = settings_files(self)
        now_ns = time.time_ns()
        chosen = _excludes_file(self.top, settings, tuple(stamp(path, now_ns, os.stat) for path in settings))
        if chosen != b"":
            yield chosen or _xdg(b"ignore")


def top_level(directory: bytes) -> bytes | None:
    """The nearest of the directory and its ancestors that holds `.git`; None outside of any repository.

    Args:
        directory: An absolute path.
    """
    while True:
        if os.path.lexists(os.path.join(directory, b".git")):
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def repository_at(top: bytes) -> Repository:
    """The repository of a top level.

    Args:
        top: As `top_level` gives it.
    """
    link = os.path.join(top, b".git")
    if os.path.isdir(link):
        return Repository(top, link, link)
    own = os.path.join(top, _first_line(link).removeprefix(b"gitdir:").strip())
    to_common = os.path.join(own, b"commondir")
    return Repository(top, own, os.path.normpath(os.path.join(own, _first_line(to_common))), (link, to_common))


def settings_files(repository: Repository) -> tuple[bytes, ...]:
    """The files that git reads its settings from, existing or not; not those that they include.

    Args:
        repository: A repository, whose own settings are among them.
    """
    chosen = os.environ.get("GIT_CONFIG_GLOBAL")
    own = (os.fsencode(chosen),) if chosen else (_home(b".gitconfig"), _xdg(b"config"))
    return (*own, b"/etc/gitconfig", os.path.join(repository.common, b"config"))


class TrackedFiles:
    """The ignored files that the repository tracks all the same; git looks for them while the caller goes on.

    Args:
        directory: Where to look; paths are relative to it.
    """

    def __init__(self, directory: bytes) -> None:
        command = ["git", *_OPTIONS, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]
        self._process = _start(command, directory)
        self._paths: list[bytes] | None = None

    def paths(self) -> list[bytes]:
        """Their paths; empty where git cannot say."""
        if self._paths is None:
            self._paths = [path for path in (_output(self._process) or b"").split(b"\0") if path]
        return self._paths

    def close(self) -> None:
        """End git if it still runs."""
        if self._process:
            with self._process:
                self._process.kill()


@functools.lru_cache(maxsize=64)
def _excludes_file(top: bytes, settings: tuple[bytes, ...], stamps: tuple[object, ...]) -> bytes | None:  # noqa: ARG001 - keys
    """`core.excludesFile` as git resolves it, includes and all; asked anew when a config file changes."""
    output = _output(_start(["git", "config", "-z", "--type=path", "--get", "core.excludesFile"], top))
    return None if output is None else os.path.join(top, output.rstrip(b"\0")) if output.rstrip(b"\0") else b""


def _first_line(path: bytes) -> bytes:
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.readline(4096).rstrip(b"\r\n")
    except OSError:
        return b""


def _home(name: bytes) -> bytes:
    return os.path.join(os.path.expanduser(b"~"), name)


def _xdg(name: bytes) -> bytes:
    base = os.environ.get("XDG_CONFIG_HOME")
    return os.path.join(os.fsencode(base) if base else _home(b".config"), b"git", name)


def _start(command: list[str], directory: bytes) -> subprocess.Popen[bytes] | None:
    hidden = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            command, cwd=os.fsdecode(directory), env=environment, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet
        )
    except OSError:
        return None


def _output(process: subprocess.Popen[bytes] | None) -> bytes | None:
    """What it wrote, or None where it failed."""
    if process is None:
        return None
    with process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
    return output if process.returncode == 0 else None

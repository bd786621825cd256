"""What git knows of a directory, asked in ways that a hostile repository cannot turn against the user.

Nothing here runs a hook, takes a lock or waits for long, and every failure (no git, another owner's repository, a
damaged index) means only that git has nothing to say.
"""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH111, PTH112, PTH113, PTH116, PTH118, PTH120, PTH123

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator

TIMEOUT_S = 10.0
"""Longest wait for git; a list of a million files takes it about a second."""

_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")


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


def exclude_files(top: bytes) -> Iterator[bytes]:
    """The ignore files of a repository that stand outside its tree, the stronger first.

    Args:
        top: The repository's top level.
    """
    yield os.path.join(_common_directory(top), b"info", b"exclude")
    own = os.path.join(_common_directory(top), b"config")
    configs = (_home(b".gitconfig"), _xdg(b"config"), b"/etc/gitconfig", own)
    chosen = _excludes_file(top, tuple(map(_stamp, configs)), os.environ.get("GIT_CONFIG_GLOBAL"))
    if chosen != b"":
        yield chosen or _xdg(b"ignore")


class TrackedFiles:
    """The ignored files that the repository tracks all the same; git looks for them while the caller goes on.

    Args:
        directory: Where to look; paths are relative to it.
    """

    def __init__(self, directory: bytes) -> None:
        command = ["git", *_OPTIONS, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]
        self._process = _start(command, directory)

    def paths(self) -> list[bytes]:
        """Their paths; empty where git cannot say."""
        return [path for path in (_output(self._process) or b"").split(b"\0") if path]

    def close(self) -> None:
        """End git if it still runs."""
        if self._process:
            with self._process:
                self._process.kill()


@functools.lru_cache(maxsize=64)
def _excludes_file(top: bytes, stamps: tuple[object, ...], config: str | None) -> bytes | None:  # noqa: ARG001 - keys
    """`core.excludesFile` as git resolves it, includes and all; asked anew when a config file changes."""
    output = _output(_start(["git", "config", "-z", "--type=path", "--get", "core.excludesFile"], top))
    return None if output is None else os.path.join(top, output.rstrip(b"\0")) if output.rstrip(b"\0") else b""


def _common_directory(top: bytes) -> bytes:
    """The repository's own directory: `.git`, or where a worktree's or submodule's `.git` file leads."""
    directory = os.path.join(top, b".git")
    if os.path.isdir(directory):
        return directory
    link = _first_line(directory).removeprefix(b"gitdir:").strip()
    directory = os.path.join(top, link)
    return os.path.normpath(os.path.join(directory, _first_line(os.path.join(directory, b"commondir"))))


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


def _stamp(path: bytes) -> tuple[bytes, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return path, status.st_mtime_ns, status.st_size


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

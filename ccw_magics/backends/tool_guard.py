"""Holds a command-line agent: it ends, with all that it started, when standard input's owner lets go of the lifeline.

Run as a script under `python -I -S` by `tool_process`, never imported by the package: `tool_guard.py FD ARGV...`. FD is
the reading end of a pipe whose other end the kernel holds, also closed by its death. The agent has the guard's
standard streams. The guard ends as the agent did: with its exit code, or by its signal; 127 where it did not start.

A process group is not enough: the agents run their commands in sessions of their own.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

POLITE_S = 0.15
"""Seconds between SIGTERM and SIGKILL."""

KILL_S = 0.2
"""Seconds for which SIGKILL is sent to what is still there: what forks is caught at the next look."""

NOT_STARTED = 127
"""The exit code where the agent cannot be run, as a shell has it."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LOOK_S = 0.01
_FORKED_HOLDER_S = 1.0  # a fork of the kernel's may keep the lifeline open beyond the kernel's death


def main() -> None:
    """Run the agent until it ends, or the lifeline does."""
    lifeline, argv = int(sys.argv[1]), sys.argv[2:]
    owner = os.getppid()
    _adopt_orphans()
    waker, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    agent = os.fork()
    if agent == 0:
        _become(argv)
    _let_go_of_streams()
    status: int | None = None
    while status is None:
        ready, _, _ = select.select([lifeline, waker], [], [], _FORKED_HOLDER_S)
        asked = os.read(waker, 512) if waker in ready else b""
        status = _reaped(agent)
        if lifeline in ready or os.getppid() != owner or set(asked) & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
            break
    _end()
    _end_like(-signal.SIGKILL if status is None else status)


def _become(argv: list[str]) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(argv[0], argv)  # noqa: S606 - a list, as it came from the package
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(NOT_STARTED)


def _let_go_of_streams() -> None:
    """Or the agent's standard output would not end with the agent."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _adopt_orphans() -> None:
    """Become the parent of what loses its own, so that `_descendants` sees it; where the system has that."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reaped(agent: int) -> int | None:
    """Take leave of the children that ended; the agent's status as `subprocess` has it, or None while it runs."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == agent:
                found = os.waitstatus_to_exitcode(ended[1])
    return found


def _end() -> None:
    """End all that was started, first by SIGTERM."""
    begin_s, asked, has_killed = time.monotonic(), set[int](), False
    while living := _descendants():
        passed_s = time.monotonic() - begin_s
        if has_killed and passed_s > POLITE_S + KILL_S:  # not by the clock alone: one look may take longer than both
            return
        is_polite = passed_s < POLITE_S
        for pid in living - asked if is_polite else living:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM if is_polite else signal.SIGKILL)
        asked |= living
        has_killed = not is_polite
        time.sleep(_LOOK_S)
        _reaped(0)


def _descendants() -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    found, left = set[int](), [os.getpid()]
    while left:
        below = children.get(left.pop(), [])
        found.update(below)
        left.extend(below)
    return found


def _processes() -> Iterator[tuple[int, int]]:
    """Every process with its parent; a zombie is none."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=False)
        for line in listed.stdout.splitlines():
            pid, parent = map(int, line.split())
            if parent != os.getpid() or _is_running(pid):
                yield pid, parent
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of names ten times a second
        with suppress(OSError, ValueError):
            state, above = Path("/proc", str(int(name)), "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(name), int(above)


def _is_running(pid: int) -> bool:
    """Whether a child runs still; `ps` lists itself."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def _end_like(status: int) -> None:
    if status < 0:
        number = -status
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(status & 0xFF)


if __name__ == "__main__":
    main()

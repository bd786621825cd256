"""What a soak asks a kernel about itself; imported there. Every answer is JSON."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""Not a part of a reply's own weight."""
RAISED = (FrameType, TracebackType)
"""What an error holds once it was raised: the frames that it passed, and all that these hold."""
COUNTED = ("Reply", "Pack", "PackHandle", "Prepared", "ModelCall", "Run", "Progress", "Task", "Wire", "frame")
"""Classes of which a call makes some."""


def measure() -> str:
    """What the process holds, after everything that can be given back was."""
    for _ in range(3):
        gc.collect()
    with suppress(AttributeError, OSError):  # glibc's own
        ctypes.CDLL(None).malloc_trim(0)
    objects = gc.get_objects()
    names = [type(thing).__name__ for thing in objects]
    descriptors = [_target(entry) for entry in Path("/proc/self/fd").iterdir()]
    return json.dumps(
        {
            "rss_bytes": _rss_bytes(),
            "threads": len([*Path("/proc/self/task").iterdir()]),
            "thread_names": sorted(thread.name for thread in threading.enumerate()),
            "sockets": sum(target.startswith("socket:") for target in descriptors),
            "descriptors": len([target for target in descriptors if target]),
            "objects": len(objects),
            "counts": {name: names.count(name) for name in COUNTED},
        }
    )


def replies(shell: InteractiveShell) -> str:
    """Each reply in `Out`, under its number."""
    return json.dumps({number: _told(reply) for number, reply in _out(shell).items()})


def weight(shell: InteractiveShell) -> str:
    """Bytes that all replies in `Out` hold together, what they share counted once: without raised frames, and with."""
    found = list(_out(shell).values())
    return json.dumps([_size_bytes(found, (*SHARED, *RAISED)), _size_bytes(found, SHARED)])


def kept(shell: InteractiveShell, name: str) -> str:
    """The reply bound to a name, and whether it is `_` too; null where there is none."""
    reply = shell.user_ns.get(name)
    return json.dumps(None if reply is None else {**_told(reply), "is_last": shell.user_ns.get("_") is reply})


def _out(shell: InteractiveShell) -> dict[int, Any]:
    return {number: thing for number, thing in shell.user_ns["Out"].items() if type(thing).__name__ == "Reply"}


def _told(reply: Any) -> dict[str, Any]:
    return {
        "endpoint": reply.endpoint,
        "success": reply.success,
        "output": reply.output,
        "failure": type(reply.failure).__name__ if reply.failure is not None else "",
        "files": len(reply.cached_files),
        "retries": reply.retries,
        "warnings": reply.warnings,
    }


def _size_bytes(things: list[Any], left_out: tuple[type, ...]) -> int:
    seen: set[int] = set()
    waiting, total = list(things), 0
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, left_out):
            seen.add(id(one))
            total += sys.getsizeof(one)
            waiting += gc.get_referents(one)
    return total


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _target(entry: Path) -> str:
    with suppress(OSError):  # the one that lists the folder is gone
        return str(entry.readlink())
    return ""

"""The calls that code makes of `os` below a folder: counted, made to fail, and turned into what a power cut may leave."""

from __future__ import annotations

import builtins
import errno
import io
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = (
    "open",
    "fsync",
    "replace",
    "rename",
    "unlink",
    "mkdir",
    "chmod",
    "fchmod",
    "ftruncate",
    "link",
    "utime",
    "stat",
    "lstat",
)
FAULTS: dict[str, BaseException] = {
    name: OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
    for name in ("ENOSPC", "EIO", "EROFS", "EDQUOT", "EACCES")
}  # fmt: skip
FAULTS["Ctrl-C"] = KeyboardInterrupt()


class _File(io.BufferedWriter):
    """What `os.fdopen` gives for writing, with calls that are watched."""

    calls: Calls

    def write(self, data: Any, /) -> int:
        self.calls.before("write")
        written = super().write(data)
        self.calls.after("write", self.fileno(), (bytes(data),), written)
        return written

    def flush(self) -> None:
        if not self.closed:
            self.calls.before("flush")
        super().flush()


@dataclass
class Calls:
    """The calls that concern a folder.

    Attributes:
        root: The folder.
        fails: The number of the call that fails, from 0; None for none.
        fault: What it raises.
        seen: Their names, in order.
    """

    root: Path
    fails: int | None = None
    fault: BaseException = field(default_factory=OSError)
    seen: list[str] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)

    def before(self, name: str) -> None:
        """Count a call; it may be the one that fails."""
        place = len(self.seen)
        self.seen.append(name)
        if place == self.fails:
            raise self.fault

    def after(self, name: str, target: Any, arguments: tuple[Any, ...], result: Any) -> None:
        """Take note of a call that was made."""
        if name == "open" and isinstance(result, int):
            self.paths[result] = os.fspath(target)

    def _concerns(self, target: object) -> bool:
        if isinstance(target, int):
            return target in self.paths
        return isinstance(target, str | os.PathLike) and str(os.fspath(target)).startswith(str(self.root))

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(target: Any, *arguments: Any, **options: Any) -> Any:
            if not self._concerns(target):
                return call(target, *arguments, **options)
            self.before(name)
            result = call(target, *arguments, **options)
            self.after(name, target, arguments, result)
            return result

        return instead

    def _fdopen(self, descriptor: int, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "wb" or not self._concerns(descriptor):
            return _OPEN(descriptor, mode, *arguments, **options)
        file = _File(io.FileIO(descriptor, "wb"))
        file.calls = self
        return file

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for a while."""
        with pytest.MonkeyPatch.context() as patch:
            for name in NAMES:
                patch.setattr(os, name, self._watched(name, getattr(os, name)))
            patch.setattr(os, "fdopen", self._fdopen)
            patch.setattr(io, "open", self._watched("read", io.open))
            patch.setattr(builtins, "open", self._watched("read", builtins.open))
            yield


_OPEN = io.open
State = dict[str, bytes]
"""Files that are there after a power cut, by their paths."""


@dataclass(frozen=True)
class _Entry:
    """What was done to a folder's entries and is not yet certain: `path` became that of `inode`, or nothing's."""

    folder: str
    path: str
    inode: int | None
    gone: str | None = None


@dataclass
class PowerCut(Calls):
    """What a power cut may leave at each moment, as far as POSIX promises anything.

    Data that was not synced is lost, cut, or zeroes, in part or not at all. Of the changes of a folder that was not
    synced since, each may have come to the disk or not, whatever the others did; a renaming is one change.

    Attributes:
        states: For each call that was made, the states that a cut just after it may leave.
    """

    states: list[list[State]] = field(default_factory=list)
    _inodes: dict[str, int] = field(default_factory=dict)
    _now: dict[int, bytes] = field(default_factory=dict)
    _synced: dict[int, bytes] = field(default_factory=dict)
    _certain: dict[str, int] = field(default_factory=dict)
    _pending: list[_Entry] = field(default_factory=list)
    _FOLDER = -1

    def __post_init__(self) -> None:
        for path in [self.root, *self.root.rglob("*")]:
            name = str(path)
            self._inodes[name] = self._certain[name] = self._FOLDER if path.is_dir() else self._new(path.read_bytes())
        self._synced |= self._now
        self.states.append(self._possible())

    def _new(self, content: bytes) -> int:
        inode = len(self._now)
        self._now[inode] = content
        return inode

    def after(self, name: str, target: Any, arguments: tuple[Any, ...], result: Any) -> None:
        super().after(name, target, arguments, result)
        path = self.paths.get(target, "") if isinstance(target, int) else os.fspath(target)
        match name:
            case "open" if arguments[0] & os.O_CREAT and path not in self._inodes:
                self._inodes[path] = inode = self._new(b"")
                self._synced[inode] = b""
                self._pending.append(_Entry(str(Path(path).parent), path, inode))
            case "mkdir":
                self._inodes[path] = self._FOLDER
                self._pending.append(_Entry(str(Path(path).parent), path, self._FOLDER))
            case "write":
                self._now[self._inodes[path]] += arguments[0]
            case "replace" | "rename":
                new = os.fspath(arguments[0])
                self._inodes[new] = inode = self._inodes.pop(path)
                self._pending.append(_Entry(str(Path(new).parent), new, inode, gone=path))
            case "unlink":
                del self._inodes[path]
                self._pending.append(_Entry(str(Path(path).parent), path, None))
            case "fsync":
                self._sync(path)
            case _:
                return
        self.states.append(self._possible())

    def _sync(self, path: str) -> None:
        inode = self._inodes[path]
        if inode != self._FOLDER:
            self._synced[inode] = self._now[inode]
            return
        for entry in [entry for entry in self._pending if entry.folder == path]:
            _apply(entry, self._certain)
            self._pending.remove(entry)

    def _possible(self) -> list[State]:
        found = []
        for chosen in itertools.product((False, True), repeat=len(self._pending)):
            entries = dict(self._certain)
            for entry in itertools.compress(self._pending, chosen):
                _apply(entry, entries)
            files = {
                path: inode
                for path, inode in entries.items()
                if inode != self._FOLDER and _is_reached(path, entries, self.root)
            }
            inodes = sorted(set(files.values()))
            for contents in itertools.product(*(self._contents(inode) for inode in inodes)):
                content = dict(zip(inodes, contents, strict=True))
                found.append({path: content[inode] for path, inode in files.items()})
        return found

    def _contents(self, inode: int) -> set[bytes]:
        now, synced = self._now[inode], self._synced[inode]
        if now == synced:
            return {now}
        return {synced, now, now[: len(now) // 2], now[: len(now) // 2].ljust(len(now), b"\x00"), b"\x00" * len(now)}


def _apply(entry: _Entry, entries: dict[str, int]) -> None:
    entries.pop(entry.gone or "", None)
    if entry.inode is None:
        entries.pop(entry.path, None)
    else:
        entries[entry.path] = entry.inode


def _is_reached(path: str, entries: dict[str, int], root: Path) -> bool:
    """Whether every folder above it came to the disk."""
    return all(str(folder) in entries for folder in Path(path).parents if folder.is_relative_to(root))

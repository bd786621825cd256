"""Saved slots on disk: what the embedded model has read, so that a new process of it need not read it again.

A slot is two files, `ID.slot` as llama.cpp writes it (23 kB a token for the default model) and `ID.json`, which says
what it is good for and what its bytes must be. Neither is used without the other: llama.cpp aborts on a truncated slot.
Others may delete any of these files at any moment, which costs no more than reading the prompt anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MARK_BYTES: Final = 256
"""How finely shared text is measured: about 64 tokens, a third of a second of reading."""

MAX_SLOTS: Final = 3
"""As many packs as one works with in turn."""

MAX_BYTES: Final = 96 << 20
"""All slots together: 4,300 tokens of the default model, and below the cache's own default limit of 100 MB."""

STALE_S: Final = 600.0
"""Seconds after which a half-made file was left by a killed process: writing one takes less than a second."""

_SLOT = ".slot"
_SIDECAR = ".json"
_PARTIAL = ".part"
_DIGEST_BYTES = 16

Origin = Mapping[str, int | str]
"""What a slot depends on besides the text; one of another origin is not looked at."""


def origin_of(model: Path, context_tokens: int) -> Origin:
    """The origin of slots that a model file's process saves: the file, llama.cpp's version, the context's size."""
    from importlib import metadata

    try:
        version = metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        version = ""
    try:
        status = model.stat()
        file = {"model_bytes": status.st_size, "model_mtime_ns": status.st_mtime_ns}
    except OSError:  # the child will say so, and has nothing to save
        file = {}
    return {**file, "xllamacpp": version, "context_tokens": context_tokens}


@dataclass(frozen=True)
class Prefix:
    """A prompt by its digests: enough to tell how much two prompts share, without holding either.

    Attributes:
        marks: A digest of the text up to each multiple of `MARK_BYTES`.
        kept_marks: How many of them lie within the part that is kept from call to call.
    """

    marks: tuple[str, ...]
    kept_marks: int = 0

    @classmethod
    def of(cls, kept: str, rest: str = "") -> Prefix:
        """The prefix of the text `kept`, which later calls begin with as well, and `rest`, which they may not."""
        stable = kept.encode(errors="surrogatepass")
        data = memoryview(stable + rest.encode(errors="surrogatepass"))
        running = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        marks: list[str] = []
        for end in range(MARK_BYTES, len(data) + 1, MARK_BYTES):
            running.update(data[end - MARK_BYTES : end])
            marks.append(running.copy().hexdigest())
        return cls(tuple(marks), len(stable) // MARK_BYTES)

    @property
    def kept_bytes(self) -> int:
        """The length of the kept part, rounded down to whole marks."""
        return self.kept_marks * MARK_BYTES

    @property
    def kept(self) -> Prefix:
        """The kept part alone."""
        return Prefix(self.marks[: self.kept_marks], self.kept_marks)

    def shared_bytes(self, other: Prefix) -> int:
        """How much text both begin with, rounded down to whole marks."""
        pairs = enumerate(zip(self.marks, other.marks, strict=False))
        shorter = min(len(self.marks), len(other.marks))
        return MARK_BYTES * next((number for number, (ours, theirs) in pairs if ours != theirs), shorter)

    def continues(self, other: Prefix) -> bool:
        """Whether the kept part begins with all of the other one's."""
        return self.kept.shared_bytes(other.kept) == other.kept_bytes


@dataclass(frozen=True)
class SavedSlot:
    """A slot on disk, as its sidecar describes it.

    Attributes:
        path: The slot's file.
        origin: What it depends on.
        prefix: The prompt it holds.
        size_bytes: Its file's size.
        digest: Its file's BLAKE2b digest, in hexadecimal.
    """

    path: Path
    origin: Origin
    prefix: Prefix
    size_bytes: int
    digest: str

    def is_whole(self) -> bool:
        """Whether its file is what was saved. Reads all of it: 0.1 s for 2,000 tokens."""
        try:
            return self.path.stat().st_size == self.size_bytes and _digest(self.path) == self.digest
        except OSError:
            return False

    def touch(self) -> None:
        """Note that it was of use; the least recently used go first."""
        with contextlib.suppress(OSError):
            os.utime(self.path)
            os.utime(self.path.with_suffix(_SIDECAR))

    def discard(self) -> None:
        """Delete it."""
        _discard(self.path)


class SlotFiles:
    """The saved slots in a directory that are of one origin.

    Args:
        directory: Where they are; made at the first use of `partial`.
        origin: What the slots of this process depend on.
        max_bytes: Limit of all slots together, other origins' included.
    """

    def __init__(self, directory: Path, origin: Origin, *, max_bytes: int = MAX_BYTES) -> None:
        self.directory = directory
        self._origin = origin
        self._max_bytes = max_bytes

    def best(self, prefix: Prefix) -> SavedSlot | None:
        """The slot that shares most with a prompt, or None where none shares anything. Its file is not yet checked."""
        slots = [slot for slot in self._slots() if slot.origin == self._origin and prefix.shared_bytes(slot.prefix)]
        return max(slots, key=lambda slot: prefix.shared_bytes(slot.prefix), default=None)

    def partial(self) -> Path:
        """A name for a slot in the making, which `keep` or `discard_partial` ends.

        Raises:
            OSError: The directory cannot be made, or made private.
        """
        _make_private(self.directory)
        return self.directory / f"{secrets.token_hex(8)}{_PARTIAL}"

    def keep(self, partial: Path, prefix: Prefix) -> bool:
        """Take a finished slot in, in place of those it continues; False where it is too large to be kept.

        Raises:
            OSError: It vanished, or the disk is full.
        """
        size_bytes = partial.stat().st_size
        if size_bytes > self._max_bytes:
            return False
        partial.chmod(0o600)
        slot = SavedSlot(partial.with_suffix(_SLOT), self._origin, prefix, size_bytes, _digest(partial))
        for other in self._slots():
            if other.origin == self._origin and prefix.continues(other.prefix):
                other.discard()
        sidecar = partial.with_suffix(_SIDECAR + _PARTIAL)
        try:
            _write_private(sidecar, _document(slot))
            partial.replace(slot.path)
            sidecar.replace(slot.path.with_suffix(_SIDECAR))
        except OSError:
            sidecar.unlink(missing_ok=True)
            slot.discard()
            raise
        self._prune()
        return True

    def _slots(self) -> list[SavedSlot]:
        """Every slot, the most recently used first; what is no slot is deleted on the way."""
        found: list[tuple[float, SavedSlot]] = []
        for sidecar in self._listed(_SIDECAR):
            slot_path = sidecar.with_suffix(_SLOT)
            try:
                found.append((slot_path.stat().st_mtime, _slot(slot_path, json.loads(sidecar.read_bytes()))))
            except (FileNotFoundError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
                _discard(slot_path)
            except OSError:
                continue
        return [slot for _, slot in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def _prune(self) -> None:
        """Delete what is over the limits, and what killed processes left."""
        total_bytes = 0
        for number, slot in enumerate(self._slots()):
            total_bytes += slot.size_bytes
            if number >= MAX_SLOTS or total_bytes > self._max_bytes:
                slot.discard()
        orphans = (path for path in self._listed(_SLOT) if not path.with_suffix(_SIDECAR).exists())
        for path in (*self._listed(_PARTIAL), *orphans):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_S:
                    path.unlink()

    def _listed(self, suffix: str) -> Iterator[Path]:
        try:
            paths = list(self.directory.iterdir())
        except OSError:
            return
        yield from (path for path in paths if path.name.endswith(suffix))


def _slot(path: Path, document: Mapping[str, Any]) -> SavedSlot:
    prefix = Prefix(tuple(str(mark) for mark in document["marks"]), int(document["kept_marks"]))
    return SavedSlot(path, dict(document["origin"]), prefix, int(document["size_bytes"]), str(document["digest"]))


def _document(slot: SavedSlot) -> bytes:
    prefix = {"kept_marks": slot.prefix.kept_marks, "marks": slot.prefix.marks}
    file = {"size_bytes": slot.size_bytes, "digest": slot.digest}
    return json.dumps({"origin": dict(slot.origin), **file, **prefix}).encode()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).hexdigest()


def _discard(slot_path: Path) -> None:
    for path in (slot_path.with_suffix(_SIDECAR), slot_path):
        with contextlib.suppress(OSError):
            path.unlink()


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - opened by descriptor, so that it never had another mode
        file.write(content)


def _make_private(directory: Path) -> None:
    for path in reversed(directory.parents):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_mode & 0o077 and os.name == "posix":
        directory.chmod(0o700)

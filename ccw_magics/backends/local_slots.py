"""What a child of the embedded model has read, kept on disk beyond its life and brought back into the next one's.

Reading costs a second for about 190 tokens, and bringing them back a thousandth of that.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from ccw_magics.backends.local_slotfiles import Origin, Prefix, SlotFiles

WORTH_BYTES: Final = 1536
"""Text from which on a slot is worth its disk: 400 to 700 tokens, two to four seconds of reading."""

COVERED_SHARE: Final = 0.9
"""A kept text of which a saved slot covers this much is not saved again: small edits would write it all each time."""

REMEMBERED_PROMPTS: Final = 8
"""Prompts that the child is taken to hold in memory; it holds eleven of 2,000 tokens."""

ACTION_TIMEOUT_S: Final = 30.0
"""Seconds for saving or bringing back a slot: a twentieth for 2,000 tokens, but waking and waiting may come first."""

SAVE_TIMEOUT_S: Final = 3.0
"""Seconds that ending the child waits for a save under way, which takes a tenth of one."""

Action = Literal["save", "restore"]
SlotAction = Callable[[Action, Path], int]
"""Writes the child's slot to a file, or reads it from there; the bytes written or read, 0 where that failed. Blocks."""


def ask_for_slot(action: Action, file_name: str, url: str, headers: Mapping[str, str]) -> int:
    """Have the server at `url` write its slot to a file of its slot directory, or read it; bytes, 0 where it refused.

    With the standard library's client: this one call needs no more, and no proxy leads to loopback.

    Raises:
        OSError: It cannot be reached, ended, or did not answer in time.
        HTTPException: It ended while answering.
    """
    with contextlib.closing(HTTPConnection(urlsplit(url).netloc, timeout=ACTION_TIMEOUT_S)) as connection:
        body = json.dumps({"filename": file_name})
        connection.request("POST", f"/slots/0?action={action}", body, {**headers, "Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    return int(answer.get("n_written") or answer.get("n_read") or 0)


class Slots:
    """One child's memory of prompts. Safe to use from several threads.

    Args:
        act: The child's way to a file and back.
        origin: What slots of this child depend on besides the text.
        idle_sleep_s: Seconds without a call after which the child forgets.
    """

    def __init__(self, act: SlotAction, origin: Origin, *, idle_sleep_s: float) -> None:
        self._act = act
        self._origin = origin
        self._idle_sleep_s = idle_sleep_s
        self._held: deque[Prefix] = deque(maxlen=REMEMBERED_PROMPTS)
        self._last_read_s = time.monotonic()
        self._lock = threading.Lock()
        self._calls = 0
        self._calls_under_way = 0
        self._saving: threading.Thread | None = None
        self._too_many_marks: int | None = None

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Around a call: what the child holds changes, so nothing is saved or brought back meanwhile."""
        with self._lock:
            self._calls += 1
            self._calls_under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls_under_way -= 1

    def has_read(self, prefix: Prefix) -> None:
        """Note that the child has read a prompt: it holds it in memory until it sleeps."""
        self._last_read_s = time.monotonic()
        if not self._held or self._held[-1] is not prefix:
            self._held.append(prefix)

    def bring_back(self, directory: Path, prefix: Prefix) -> None:
        """Before a call: give the child the saved slot that shares much more with the prompt than what it holds.

        A damaged slot is deleted instead, and so is one that the child does not take, or that makes it crash. Blocks,
        0.2 s for 2,000 tokens.
        """
        with self._lock:
            if self._calls_under_way:
                return
        if time.monotonic() - self._last_read_s >= self._idle_sleep_s:
            self._held.clear()
        held_bytes = max((prefix.shared_bytes(held) for held in tuple(self._held)), default=0)
        files = SlotFiles(directory, self._origin)
        while (slot := files.best(prefix)) and prefix.shared_bytes(slot.prefix) - held_bytes >= WORTH_BYTES:
            if slot.is_whole() and self._act("restore", slot.path):
                slot.touch()
                self._held.clear()  # what the child held last has given way
                self.has_read(slot.prefix)
                return
            slot.discard()
            if slot.path.exists():  # not ours to delete
                return

    def keep(self, directory: Path, prefix: Prefix) -> None:
        """After an answer: save what the child holds in the background, if that is worth it. Does not block.

        Nothing is saved while another call is under way, nor where a saved slot covers nearly all of the kept text.
        """
        with self._lock:
            too_many = self._too_many_marks is not None and len(prefix.marks) >= self._too_many_marks
            if self._calls_under_way or prefix.kept_bytes < WORTH_BYTES or too_many:
                return
            if self._saving is not None and self._saving.is_alive():
                return
            # A daemon, or a process that ends would wait for it without limit; `flush` waits within one.
            arguments = (SlotFiles(directory, self._origin), prefix, self._calls)
            self._saving = threading.Thread(target=self._save, args=arguments, name="ccw-local-slot", daemon=True)
            self._saving.start()

    def flush(self) -> None:
        """Wait for a save under way, at most a few seconds."""
        with self._lock:
            saving = self._saving
        if saving is not None:
            saving.join(SAVE_TIMEOUT_S)

    def _save(self, files: SlotFiles, prefix: Prefix, call: int) -> None:
        known = files.best(prefix)
        if known is not None and prefix.kept.shared_bytes(known.prefix) >= COVERED_SHARE * prefix.kept_bytes:
            known.touch()
            return
        with contextlib.suppress(OSError):  # no room, no permission: the next process reads the prompt anew
            partial = files.partial()
            try:
                self._write(files, partial, prefix, call)
            finally:
                partial.unlink(missing_ok=True)

    def _write(self, files: SlotFiles, partial: Path, prefix: Prefix, call: int) -> None:
        if self._calls != call:
            return
        written = self._act("save", partial)
        # A call that began meanwhile may have come first; and a full disk is noticed by the size alone.
        if self._calls != call or not written or partial.stat().st_size != written:
            return
        if not files.keep(partial, prefix):
            self._too_many_marks = len(prefix.marks)

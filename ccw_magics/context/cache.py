"""Packs kept in memory and on disk: by time, by use, and within a limit.

What a process has in memory is only taken as it is while the file on disk has the same session and revision: so
kernels and commands go on with one prefix, whoever extended it last. Where the disk cannot be used, packs live in
memory and say so once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Final, NamedTuple

from ccw_magics.context import packload, slots
from ccw_magics.context.disk import CacheSettings, Disk
from ccw_magics.context.pack import Pack, PackKey, PackRequest
from ccw_magics.context.packrows import Row
from ccw_magics.context.packstore import PackStore
from ccw_magics.context.page import Page, page_of
from ccw_magics.context.session import Session
from ccw_magics.context.watch import OnRead, in_silence

TRIES: Final = 3
"""How often a pack is made anew where another process extended it meanwhile, before it gets a name of its own."""
TOUCH_PERIOD: Final = timedelta(seconds=30)
"""A hit is noted on disk at most this often: the order of use matters, the second does not."""
BACKGROUND_BYTES: Final = 256 * 1024
"""A new pack larger than this is written in the background."""


class FileRow(NamedTuple):
    """A file in a pack.

    Attributes:
        path: Relative to the root.
        size_bytes: Of its text.
        changes: How often it changed while the pack lived.
    """

    path: str
    size_bytes: int
    changes: int


class CacheStatus(NamedTuple):
    """How full the cache is.

    Attributes:
        packs: How many packs there are, of all projects.
        size_bytes: What they take, and the embedded model's saved slots beside them.
        max_bytes: The limit of that.
        directory: Where they lie; None for memory alone.
    """

    packs: int
    size_bytes: int
    max_bytes: int
    directory: Path | None


class ContextCache:
    """One pack for each root, endpoint and set of references.

    Args:
        settings: Asked at each use, since the config may change.
        now: The clock, for tests and replays; UTC.
    """

    def __init__(
        self,
        settings: Callable[[], CacheSettings] = CacheSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._lock = RLock()
        self._pid = os.getpid()
        self._sessions: dict[PackKey, Session] = {}
        self._disk = Disk(settings)
        self._touched: dict[str, datetime] = {}

    def pack(self, request: PackRequest, on_read: OnRead = in_silence) -> Pack:
        """The pack for a request, as the files are now.

        Args:
            request: What to pack.
            on_read: Called now and then with how many files were read, and of how many.

        Raises:
            PatternError: A reference leads outside the root and the included directories.
            ContextTooLarge: The text would pass its limit; nothing is ever cut silently.
        """
        if not request.keep:
            return Session().refresh(request, self._now(), on_read)
        with self._locked():
            return self._warned(self._kept(request, on_read))

    def peek(self, request: PackRequest, on_read: OnRead = in_silence) -> Pack:
        """The pack that `pack` would give now, while nothing is kept, counted or written, here or on disk.

        A pack that is not kept yet has another session id each time. What trouble there is with the disk is left to
        `pack` to say.

        Args:
            request: What to pack.
            on_read: As for `pack`.

        Raises:
            PatternError: As for `pack`.
            ContextTooLarge: As for `pack`.
        """
        with self._locked():
            session = self._look(request.key) if request.keep and not request.renew else Session()
            return session.refresh(request, self._now(), on_read)

    def rows(self) -> list[Row]:
        """The kept packs, those of other processes included, the last used first."""
        with self._locked():
            own = [_row(key, session) for key, session in self._sessions.items() if session.packing.size_bytes]
            known = {row.session_id for row in own}
            rows = [row for row in self._rows() if row.session_id not in known]
        return sorted((*rows, *own), key=lambda row: row.used_at, reverse=True)

    def files(self, session_id: str) -> list[FileRow]:
        """What is in a pack, file by file, by path; nothing where there is no such pack."""
        session = self._find(session_id)
        if session is None:
            return []
        return [
            FileRow(path, session.seen[path].size_bytes, session.packing.changes.get(path, 0))
            for path in sorted(session.packing.paths)
        ]

    def read(self, session_id: str, offset: int = 0, limit: int = 65_536) -> Page | None:
        """A part of a pack's text, by bytes, without cutting a character; None where there is no such pack.

        Args:
            session_id: The pack.
            offset: Where to begin, in bytes.
            limit: At most so many bytes, but one whole character at least.
        """
        session = self._find(session_id)
        if session is None:
            return None
        text = session.packing.text()
        return page_of(b"".join((*(block.data for block in text.blocks), text.tail)), max(0, offset), limit)

    def release(self, session_id: str) -> bool:
        """Forget a pack; False where there is none of this name."""
        with self._locked():
            self._finish_saves()
            own = [key for key, session in self._sessions.items() if session.session_id == session_id]
            for key in own:
                del self._sessions[key]
            return self._disk.use(lambda store: store.release(session_id), False) or bool(own)

    def clear(self) -> int:
        """Forget all packs; how many there were. Nothing is deleted that the cache did not write."""
        with self._locked():
            self._finish_saves()
            count = len(self.rows())
            self._sessions.clear()
            self._disk.use(PackStore.clear, 0)
            self._disk.clear_slots()
            return count

    def cleanup(self) -> int:
        """Forget the packs whose time is over; how many there were."""
        with self._locked():
            self._finish_saves()
            now = self._now()
            over = [key for key, session in self._sessions.items() if session.pack and session.pack.expires_at <= now]
            for key in over:
                del self._sessions[key]
            return max(len(over), self._disk.use(lambda store: store.drop_expired(now), 0))

    def close(self) -> None:
        """Give the store back; a later call opens it again."""
        with self._locked():
            self._finish_saves()
            self._disk.close()

    @property
    def slots_dir(self) -> Path | None:
        """Where the embedded model may keep what it has read; None where nothing is kept on disk."""
        directory = self._disk.settings.directory
        return None if directory is None else directory / slots.FOLDER

    def status(self) -> CacheStatus:
        """How full the cache is."""
        rows, settings = self.rows(), self._disk.settings
        size_bytes = sum(row.size_bytes for row in rows) + self._disk.slots_bytes
        return CacheStatus(len(rows), size_bytes, settings.max_bytes, settings.directory)

    @property
    def settings(self) -> CacheSettings:
        """Where packs are kept, and within which limit."""
        return self._disk.settings

    def _locked(self) -> RLock:
        """The lock; a forked child begins with one of its own, and without the parent's saves and connection."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), RLock()
            self._disk.leave_to_parent()
            for session in self._sessions.values():
                if session.saving is not None:
                    session.fork()
        return self._lock

    def _kept(self, request: PackRequest, on_read: OnRead) -> Pack:
        key = request.key
        if request.renew:
            self._renew(key)
        for _ in range(TRIES):
            session = self._session(key)
            revision_before = session.revision
            pack = self._refreshed(key, session, request, on_read)
            saved = self._save(key, session, revision_before)
            if saved:
                return pack
            if saved is None:
                break
            del self._sessions[key]  # another process wrote a newer revision: go on from that one
        # What could not be written has a name of its own: somebody else may write another text under the old one.
        self._sessions[key] = session
        session.fork()
        return replace(pack, session_id=session.session_id)

    def _session(self, key: PackKey) -> Session:
        """The newest state of a pack: what is in memory, if nobody went on from it, else what is on disk."""
        session = self._sessions.get(key)
        if session is not None and session.saving is not None:
            if not session.saving.done():
                return session
            session = self._settled(key, session)
        current = self._disk.use(lambda store: store.current(key), None)
        if session is not None and current == (session.session_id, session.revision):
            return session
        if current is None:
            if session is not None and session.is_stored:
                session.fork()  # gone from the disk; others may have gone on under its name
            return session or Session()
        return self._disk.use(lambda store: store.load(key), None) or Session()

    def _look(self, key: PackKey) -> Session:
        """What `_session` would give, as a copy, while all stays as it is."""
        session = self._sessions.get(key)
        if session is not None and session.saving is not None:
            if not session.saving.done():
                return session.copy()
            session = None if session.saving.result() is False else session
        current = self._disk.look(lambda connection: packload.current(connection, key))
        if current is None or (session is not None and current == (session.session_id, session.revision)):
            return session.copy() if session is not None else Session()
        return self._disk.look(lambda connection: packload.load(connection, key)) or Session()

    def _settled(self, key: PackKey, session: Session) -> Session | None:
        """A session whose save ended in the background; None where another process' one goes before it."""
        assert session.saving is not None
        saving, session.saving = session.saving, None
        saved = saving.result()
        if saved is None:
            session.fork()
        if saved is False:
            del self._sessions[key]
            return None
        return session

    def _refreshed(self, key: PackKey, session: Session, request: PackRequest, on_read: OnRead) -> Pack:
        self._sessions.pop(key, None)  # an error leaves no half-made state behind
        pack = session.refresh(request, self._now(), on_read)
        self._sessions[key] = session
        self._evict(key)
        return pack

    def _save(self, key: PackKey, session: Session, revision_before: int) -> bool | None:
        """Write a session's state; False where another process was faster, None where it cannot be written."""
        if not self._disk.is_usable:
            return True
        if session.is_stored and session.is_hit and session.revision == revision_before:
            self._touch(session)
            return True
        if session.packing.size_bytes > self._disk.settings.max_bytes:
            self._disk.use(lambda store: store.release(session.session_id), False)
            return None if session.is_stored else True

        if not session.packing.size_bytes and not session.is_stored:
            return True  # an @name that matches no file makes no pack worth keeping
        store, settings = self._disk.current(), self._disk.settings

        def save() -> bool | None:
            if store is None:
                return None
            saved = self._disk.use_this(store, lambda store: store.save(key, session, revision_before), None)
            if saved and settings.directory is not None:
                packs = self._disk.use_this(store, PackStore.size_bytes, 0)
                slots.evict(settings.directory, settings.max_bytes - packs)
            return saved

        if session.is_stored or session.packing.size_bytes < BACKGROUND_BYTES:
            return save()
        session.saving = _saver(os.getpid()).submit(save)  # nobody else knows its name yet
        return True

    def _touch(self, session: Session) -> None:
        assert session.used_at is not None
        touched = self._touched.get(session.session_id)
        if touched is None or session.used_at - touched > TOUCH_PERIOD:
            self._touched[session.session_id] = session.used_at
            self._disk.use(lambda store: store.touch(session), None)

    def _renew(self, key: PackKey) -> None:
        """Drop the kept pack, and its disk copy."""
        current = self._disk.use(lambda store: store.current(key), None)
        if current is not None:
            self._disk.use(lambda store: store.release(current[0]), False)
        self._sessions.pop(key, None)

    def _evict(self, newest: PackKey) -> None:
        """Keep what is in memory within the limit; the last used stay."""
        by_use = sorted(self._sessions, key=lambda key: (key == newest, self._sessions[key].used_at), reverse=True)
        total = 0
        for key in by_use:
            total += self._sessions[key].packing.size_bytes
            if total > self._disk.settings.max_bytes and key != newest:
                del self._sessions[key]

    def _find(self, session_id: str) -> Session | None:
        with self._locked():
            for session in self._sessions.values():
                if session.session_id == session_id:
                    return session
            keys = [row.key for row in self._rows() if row.session_id == session_id]
            return self._disk.use(lambda store: store.load(keys[0]), None) if keys else None

    def _finish_saves(self) -> None:
        wait([session.saving for session in self._sessions.values() if session.saving is not None])

    def _rows(self) -> list[Row]:
        nothing: list[Row] = []
        return self._disk.use(PackStore.rows, nothing)

    def _warned(self, pack: Pack) -> Pack:
        """Say once that packs are kept in memory only."""
        trouble = self._disk.take_trouble()
        return replace(pack, warnings=(*pack.warnings, trouble)) if trouble else pack


@cache
def _saver(_pid: int) -> ThreadPoolExecutor:
    """The thread of this process that writes; the process waits for it at its end."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="ccw-cache")


def _row(key: PackKey, session: Session) -> Row:
    pack = session.pack
    assert pack is not None
    return Row(
        key=key,
        session_id=session.session_id,
        revision=session.revision,
        created_at=pack.created_at,
        used_at=session.used_at or pack.created_at,
        expires_at=pack.expires_at,
        hits=session.hits,
        size_bytes=pack.size_bytes,
        reused_bytes=pack.reused_bytes,
        status=pack.status,
        files=len(pack.files),
    )

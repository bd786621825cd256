"""One pack over its life: what it was made from, what it says, and its next revision."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccw_magics.context.found import Found
from ccw_magics.context.pack import Layout, Pack, PackRequest, Status
from ccw_magics.context.packing import Packing, Read
from ccw_magics.context.text import Block, Text
from ccw_magics.context.watch import OnRead, Seen, Watch

__all__ = ["OnRead", "Session"]


@dataclass
class Session:
    """A pack and what it was made from.

    Attributes:
        session_id: Stable while the pack lives.
        revision: Of the text; 0 before the first.
        packing: The text.
        watch: The files.
        created_at: When the base was built.
        used_at: The last call.
        hits: Calls that found nothing changed.
        pack: The newest pack; None before the first, and after the session was loaded.
        unsaved: Paths whose `seen` is not on disk as it is; those that `seen` has no more are to be forgotten there.
        stored_blocks: The blocks that are on disk.
        saving: The save that is under way, if any.
    """

    session_id: str = field(default_factory=lambda: secrets.token_hex(8))
    revision: int = 0
    packing: Packing = field(default_factory=Packing)
    watch: Watch = field(default_factory=Watch)
    created_at: datetime | None = None
    used_at: datetime | None = None
    hits: int = 0
    pack: Pack | None = None
    unsaved: set[str] = field(default_factory=set)
    stored_blocks: tuple[Block, ...] = ()
    saving: Future[bool | None] | None = None
    _found: Found | None = None

    @property
    def is_stored(self) -> bool:
        """Whether some revision of this session was written to disk."""
        return bool(self.stored_blocks)

    @property
    def is_hit(self) -> bool:
        """Whether the last call found nothing changed."""
        return self.pack is not None and self.pack.status == "hit"

    @property
    def seen(self) -> dict[str, Seen]:
        """For each found file, what is known of it."""
        return self.watch.seen

    def copy(self) -> Session:
        """One that goes its own way: refreshing it changes nothing here, and is neither counted nor kept."""
        return replace(
            self, packing=self.packing.copy(), watch=self.watch.copy(), unsaved=set(self.unsaved), saving=None
        )

    def fork(self) -> None:
        """Go on under a new name, as somebody else may have gone on under this one."""
        self.session_id = secrets.token_hex(8)
        self.unsaved, self.stored_blocks, self.saving = set(self.seen), (), None
        if self.pack is not None:
            self.pack = replace(self.pack, session_id=self.session_id)

    def refresh(self, request: PackRequest, now: datetime, on_read: OnRead) -> Pack:
        """The pack as the files are now.

        Args:
            request: What to pack.
            now: The time, in UTC.
            on_read: Called now and then with how many files were read, and of how many.

        Raises:
            PatternError: A reference leads outside the root and the included directories.
            ContextTooLarge: The text would pass its limit, even laid out anew.
        """
        found = self.watch.find(request)
        self.packing.calls += 1
        over = self._is_over(request, now)
        fits = self.pack is not None and self.pack.size_bytes <= request.max_size_bytes
        if found is self._found and fits and not over:
            return self._hit(request, now)
        if self.saving is not None:
            wait([self.saving])  # it reads what is changed below
        changed, gone = self._read_changes(found, request, on_read)
        before = self.packing.text()
        status = self._say(changed, gone, over, request)
        return self._publish(request, found, status, before, now)

    def _is_over(self, request: PackRequest, now: datetime) -> bool:
        """Whether the base has had its time, or the provider has surely forgotten it."""
        if self.created_at is None or self.used_at is None:
            return False
        idle = request.idle_ttl_s is not None and now - self.used_at > timedelta(seconds=request.idle_ttl_s)
        return idle or now >= self.created_at + timedelta(seconds=request.ttl_s)

    def _hit(self, request: PackRequest, now: datetime) -> Pack:
        assert self.pack is not None
        self.hits += 1
        self.used_at = now
        self.pack = replace(
            self.pack,
            status="hit",
            references=request.references,
            reused_bytes=self.pack.size_bytes,
            kept_before=len(self.pack.kept),
        )
        return self.pack

    def _read_changes(self, found: Found, request: PackRequest, on_read: OnRead) -> tuple[dict[str, bytes], list[str]]:
        """Read what may have changed, and what the text does not say yet; and which paths it has to take back."""
        changed: dict[str, bytes] = {}
        gone: list[str] = []
        for path, content in self.watch.read_changes(found, request.max_file_size_bytes, on_read):
            self.unsaved.add(path)
            if content is None:
                gone.append(path)
            elif not self.packing.tells(path, content):
                changed[path] = content
        return changed, [path for path in gone if self.packing.has(path)]

    def _say(self, changed: dict[str, bytes], gone: Collection[str], over: bool, request: PackRequest) -> Status:
        """Bring the text up to date, and within its limit."""

        def read(path: str) -> bytes | None:
            self.unsaved.add(path)
            return self.watch.read(path, request.max_file_size_bytes)

        packing = self.packing
        status: Status = "extended" if changed or gone else "hit"
        if not packing.blocks or over or (status != "hit" and request.layout == "fresh"):
            self._rebuild(changed, gone, read, request.layout)
            status = "rebuilt"
        elif status != "hit" and packing.update(changed, gone, read):
            status = "rebuilt"
        if packing.size_bytes > request.max_size_bytes:
            self._rebuild({}, (), read, request.layout)
            self.watch.require_size(packing, request)
            status = "rebuilt"
        return status

    def _rebuild(self, changed: dict[str, bytes], gone: Iterable[str], read: Read, layout: Layout) -> None:
        contents = self.packing.contents(lambda path: changed[path] if path in changed else read(path))
        for path in gone:
            contents.pop(path, None)
        contents |= changed
        self.packing.rebuild(contents, by_path=layout == "fresh")
        self.created_at = None

    def _publish(self, request: PackRequest, found: Found, status: Status, before: Text, now: datetime) -> Pack:
        """The pack to hand out, as a new revision where the text is another one."""
        text = self.packing.text()
        if not text.says_the_same(before):
            self.revision += 1
        self.created_at = self.created_at or now
        self.used_at = now
        self.hits += status == "hit"
        self._found = found
        self.pack = replace(
            self.watch.pack(request, found, self.packing, text, self.created_at),
            session_id=self.session_id,
            revision=self.revision,
            reused_bytes=text.shared_bytes(before),
            status=status,
            kept_before=text.blocks_shared(before),
        )
        return self.pack

"""Packs kept in memory, so that a call after nothing changed reads no file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

from ccw_magics.context.files import find_files
from ccw_magics.context.found import Found, FoundFile
from ccw_magics.context.pack import Pack, PackRequest
from ccw_magics.context.packer import PackedText, pack_files


@dataclass(frozen=True)
class _Entry:
    """A kept pack and the files it was made from."""

    pack: Pack
    files: tuple[FoundFile, ...]


class ContextCache:
    """One pack for each root, endpoint, set of references and limits; a pack lives until its TTL.

    Args:
        now: The clock, for tests; UTC.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._entries: dict[PackRequest, _Entry] = {}
        self._lock = Lock()

    def pack(self, request: PackRequest) -> Pack:
        """The pack for a request: the kept one where nothing changed, else a new revision.

        Raises:
            PatternError: A reference leads outside the root and the included directories.
            ContextTooLarge: The text would pass its limit.
        """
        found = find_files(
            request.references,
            root=request.root,
            cwd=request.cwd,
            include_dirs=request.include_dirs,
            file_patterns=request.file_patterns,
        )
        if not request.keep:
            return self._build(request, found, None)
        with self._lock:
            self._drop_expired()
            before = self._entries.get(request)
            if before is not None and before.files == found.files:
                pack = replace(before.pack, status="hit", reused_bytes=before.pack.size_bytes)
            else:
                pack = self._build(request, found, before.pack if before is not None else None)
            self._entries[request] = _Entry(pack, found.files)
        return pack

    def packs(self) -> Iterator[tuple[str, Pack]]:
        """Each kept pack with its endpoint's id."""
        with self._lock:
            self._drop_expired()
            entries = list(self._entries.items())
        for request, entry in entries:
            yield request.endpoint_id, entry.pack

    def _drop_expired(self) -> None:
        now = self._now()
        self._entries = {request: entry for request, entry in self._entries.items() if entry.pack.expires_at > now}

    def _build(self, request: PackRequest, found: Found, before: Pack | None) -> Pack:
        packed = pack_files(
            found.files, max_size_bytes=request.max_size_bytes, max_file_size_bytes=request.max_file_size_bytes
        )
        now = self._now()
        return Pack(
            session_id=before.session_id if before is not None else secrets.token_hex(6),
            revision=_revision(packed, before),
            references=request.references,
            files=packed.files,
            sizes_bytes=packed.sizes_bytes,
            skipped=(*found.skipped, *packed.skipped),
            unmatched=found.unmatched,
            found_in=tuple((reference, match.base) for reference, match in found.matches.items()),
            warnings=(*found.warnings, *packed.warnings),
            size_bytes=len(packed.text.encode()),
            reused_bytes=_shared_bytes(before.text, packed.text) if before is not None else 0,
            created_at=before.created_at if before is not None else now,
            expires_at=before.expires_at if before is not None else now + timedelta(seconds=request.ttl_s),
            status="rebuilt",
            blocks=(packed.text,) if packed.text else (),
        )


def _revision(packed: PackedText, before: Pack | None) -> int:
    if before is None:
        return 1
    return before.revision + (packed.text != before.text)


def _shared_bytes(before: str, now: str) -> int:
    """The size of the longest common prefix."""
    shared = next((n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now)))
    return len(now[:shared].encode())

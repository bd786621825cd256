"""What is kept of a pack on disk, and the words it is kept in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ccw_magics.context.pack import PackKey
from ccw_magics.context.packing import Packing
from ccw_magics.context.text import Block, Section
from ccw_magics.context.watch import Seen


@dataclass(frozen=True)
class Row:
    """A kept pack, without its text.

    Attributes:
        key: What it is the pack of.
        session_id: Its name.
        revision: Of its text.
        created_at: When its base was built, in UTC.
        used_at: When it was last asked for.
        expires_at: When its time is over.
        hits: Calls that found nothing changed.
        size_bytes: Of its text.
        reused_bytes: What its last revision shared with the one before.
        status: Of the last call that changed it.
        files: How many files are in it.
    """

    key: PackKey
    session_id: str
    revision: int
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    hits: int
    size_bytes: int
    reused_bytes: int
    status: str
    files: int


def key_text(key: PackKey) -> str:
    """A key as one text."""
    return json.dumps(key)


def read_key(text: str) -> PackKey:
    """The key of such a text."""
    parts: list[Any] = [tuple(part) if isinstance(part, list) else part for part in json.loads(text)]
    return PackKey(*parts)


def time_of(seconds: float) -> datetime:
    """A time kept as seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def read_seen(parts: list[Any]) -> Seen:
    """What is known of a file, from its parts."""
    signature, size_bytes, remark = parts
    return Seen(tuple(signature), size_bytes, remark)


def described(section: Section) -> list[object]:
    """A section as it is kept: path, kind, size, digest."""
    return [section.path, section.kind, section.size_bytes, section.told.hex()]


def read_block(data: bytes, described: Iterable[list[Any]]) -> Block:
    """A block with its sections.

    Raises:
        ValueError: The sections are not those of this text.
    """
    block, sections, start = Block((data,)), [], 0
    for path, kind, size_bytes, told in described:
        sections.append(Section(path, kind, block, start, size_bytes, bytes.fromhex(told)))
        start += size_bytes
    require(start == len(data))
    block.sections = tuple(sections)
    return block


def state_of(packing: Packing) -> dict[str, object]:
    """What a packing needs beyond its blocks and tail: counts, and what is dead since when."""
    dead = [
        (number, place, section.dead_since)
        for number, block in enumerate(packing.blocks)
        for place, section in enumerate(block.sections)
        if section.dead_since is not None
    ]
    return {
        "blocks": len(packing.blocks),
        "tail": [described(section) for section in packing.tail],
        "changes": packing.changes,
        "calls": packing.calls,
        "dead": [(number, place) for number, place, _ in dead],
        "dead_since": [since for *_, since in dead],
    }


def checksum_of(*parts: bytes) -> bytes:
    """A checksum of parts taken together."""
    name = hashlib.blake2b(digest_size=16)
    for part in parts:
        name.update(part)
    return name.digest()


def require(holds: bool) -> None:
    """Refuse what does not hold.

    Raises:
        ValueError: It does not.
    """
    if not holds:
        raise ValueError("a kept pack does not stand up to its checksum")

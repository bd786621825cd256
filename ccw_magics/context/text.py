"""Bytes that are sent, and what stands in them: sections in blocks, blocks and a tail in a text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ccw_magics.context import layout

Kind = Literal["whole", "changed", "gone"]
Part = bytes | layout.Whole


class Block:
    """Text that is kept, joined when it is first needed: a pack that is only asked how large it is needs no copy.

    Args:
        parts: The text in parts.

    Attributes:
        size_bytes: Of the text.
        sections: What stands in it, in order.
    """

    __slots__ = ("_data", "_parts", "sections", "size_bytes")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: Sequence[Part] | None = parts
        self._data = b""
        self.size_bytes = sum(map(len, parts))
        self.sections: tuple[Section, ...] = ()

    @property
    def data(self) -> bytes:
        """The text."""
        parts = self._parts  # looked at once: a pack may be written in the background while it is sent
        if parts is not None:
            self._data = layout.joined(parts)
            self._parts = None
        return self._data

    def copy(self) -> Block:
        """The same text with sections of its own, since what is dead is noted there."""
        copy = Block((self.data,))
        copy.sections = tuple(replace(section, block=copy) for section in self.sections)
        return copy


@dataclass(slots=True, eq=False)
class Section:
    """A section of the text.

    Attributes:
        path: The file it is about.
        kind: The file whole, what changed since its last whole copy, or that it is gone.
        block: The block it stands in; in the tail, each is one of its own.
        start: Where it begins there.
        size_bytes: Its length.
        told: The digest of the file that it makes together with its copy; where the section is the copy, empty until
            it is asked for.
        dead_since: The number of calls when it was replaced; None while it holds.
    """

    path: str
    kind: Kind
    block: Block
    start: int
    size_bytes: int
    told: bytes = b""
    dead_since: int | None = None

    def text(self) -> bytes:
        """The section itself."""
        return self.block.data[self.start : self.start + self.size_bytes]

    def content(self) -> bytes:
        """The file that a section of kind `whole` gives."""
        return layout.content_of(self.text())

    def file_digest(self) -> bytes:
        """The digest of the file that the text gives as far as this section; empty where it is gone."""
        if not self.told and self.kind == "whole":
            self.told = digest(self.content())
        return self.told


@dataclass(frozen=True)
class Text:
    """What is sent: blocks and tail.

    Attributes:
        blocks: What is kept.
        tail: What is rewritten with each change.
    """

    blocks: tuple[Block, ...] = ()
    tail: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Of the whole."""
        return sum(block.size_bytes for block in self.blocks) + len(self.tail)

    def says_the_same(self, before: Text) -> bool:
        """Whether both are the same text, in the same blocks."""
        return self.tail == before.tail and self.blocks_shared(before) == len(self.blocks) == len(before.blocks)

    def blocks_shared(self, before: Text) -> int:
        """How many blocks both begin with."""
        pairs = enumerate(zip(self.blocks, before.blocks, strict=False))
        shortest = min(len(self.blocks), len(before.blocks))
        return next((n for n, (ours, theirs) in pairs if not _is_same(ours, theirs)), shortest)

    def shared_bytes(self, before: Text) -> int:
        """The size of the longest common prefix."""
        blocks = self.blocks_shared(before)
        size = sum(block.size_bytes for block in self.blocks[:blocks])
        if not before.size_bytes:
            return 0
        rest = b"".join((*(block.data for block in self.blocks[blocks:]), self.tail))
        rest_before = b"".join((*(block.data for block in before.blocks[blocks:]), before.tail))
        return size + _common_prefix(rest, rest_before)


def _is_same(one: Block, other: Block) -> bool:
    return one is other or (one.size_bytes == other.size_bytes and one.data == other.data)


def _common_prefix(one: bytes, other: bytes) -> int:
    """The length of the longest common prefix, by halving: comparing slices is fast, characters in turn are not."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def digest(content: bytes) -> bytes:
    """A short name for a content."""
    return hashlib.blake2b(content, digest_size=16).digest()

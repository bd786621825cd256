"""A pack's text in parts, for who looks at it piece by piece."""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """A part of a pack's text.

    Attributes:
        text: Whole characters.
        offset: Where it begins, in bytes; moved on to the next character where the one asked for was inside one.
        next_offset: Where the next page begins; None at the end.
        total_bytes: Size of the whole text.
    """

    text: str
    offset: int
    next_offset: int | None
    total_bytes: int


def page_of(text: bytes, offset: int, limit: int) -> Page:
    """A part of a text, by bytes, without cutting a character.

    Args:
        text: UTF-8.
        offset: Where to begin, in bytes.
        limit: At most so many bytes, but one whole character at least.
    """
    offset = _character_at(text, min(offset, len(text)))
    end = min(len(text), offset + max(0, limit))
    while end > offset and end < len(text) and _is_inside(text[end]):
        end -= 1
    if end == offset:
        end = _character_at(text, min(offset + 1, len(text)))
    return Page(text[offset:end].decode(), offset, end if end < len(text) else None, len(text))


def _character_at(text: bytes, offset: int) -> int:
    while offset < len(text) and _is_inside(text[offset]):
        offset += 1
    return offset


def _is_inside(byte: int) -> bool:
    """Whether a byte of UTF-8 continues a character."""
    return byte & 0xC0 == 0x80  # noqa: PLR2004 - UTF-8's own figures

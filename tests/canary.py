"""Canaries: made-up keys, in every spelling under which one might be found again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from urllib.parse import quote, quote_plus

WINDOW = 12
"""A piece of a key of so many bytes counts as the key; masks show six characters of it."""


@cache
def spellings(canary: str) -> frozenset[bytes]:
    """The canary as it is and as JSON, Python, URLs and base64 write it, and every long piece of it."""
    raw = canary.encode()
    pieces = {raw[start : start + WINDOW] for start in range(len(raw) - WINDOW + 1)}
    escaped = {json.dumps(canary)[1:-1], json.dumps(json.dumps(canary))[3:-3], repr(canary)[1:-1], canary[::-1]}
    escaped |= {repr(raw)[2:-1], str(list(raw))[1:-1], json.dumps(list(raw), separators=(",", ":"))[1:-1]}
    encoded = {quote(canary, safe=""), quote(canary), quote_plus(canary)}
    encoded |= {text.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d") for text in encoded}
    texts = {text.encode() for text in escaped | encoded} | {raw.hex().encode()}
    return frozenset({raw} | pieces | texts | set(_base64(raw)))


def leaks(content: bytes, canaries: Mapping[str, str]) -> list[str]:
    """Which canaries stand in the content, each with its name and what precedes its first sight."""
    first = {
        name: min((content.find(form) for form in spellings(canary) if form in content), default=None)
        for name, canary in canaries.items()
    }
    return [f"{name}: {content[max(0, at - 200) : at + 80]!r}" for name, at in first.items() if at is not None]


def _base64(raw: bytes) -> Iterator[bytes]:
    """What base64 makes of it wherever it begins: the characters that do not depend on its neighbours."""
    for before in range(3):
        encode = (base64.b64encode, base64.urlsafe_b64encode)
        skipped, usable = (4 if before else 0), (len(raw) + before) // 3 * 4
        yield from (function(b"\0" * before + raw)[skipped:usable] for function in encode)

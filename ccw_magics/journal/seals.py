"""Seals of turns: each is over a turn and the seal of the one before it, and so over the whole line up to there."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from ccw_magics.journal.rows import as_bytes, stored
from ccw_magics.journal.turn import StoredTurn, Turn

_KIND: Final = b"ccw turn 1"
"""Begins what is sealed: no other use of the key, nor another set of fields, ever gives the same seal."""
_LENGTH_BYTES: Final = 8


def seal_of(key: bytes, parent_seal: str, turn: Turn) -> str:
    """The seal of a turn, in hexadecimal: HMAC-SHA256 of the parent's seal and every field, each behind its length.

    Args:
        key: The user's.
        parent_seal: Of the turn before it; empty for a first one.
        turn: What is sealed.
    """
    parts = [_KIND, as_bytes(parent_seal)]
    parts += [_as_sealed(stored(getattr(turn, field.name))) for field in fields(turn)]
    framed = b"".join(piece for part in parts for piece in (len(part).to_bytes(_LENGTH_BYTES, "big"), part))
    return hmac.digest(key, framed, "sha256").hex()


def is_sealed(key: bytes, parent_seal: str, turn: Turn, seal: str) -> bool:
    """Whether this is the seal of the turn; it may be any text."""
    return hmac.compare_digest(as_bytes(seal), as_bytes(seal_of(key, parent_seal, turn)))


def sealed_ids(key: bytes | None, turns: Iterable[tuple[StoredTurn, str]]) -> set[int]:
    """The turns whose own seal holds, and those of all before them.

    Args:
        key: The user's; None where there is none, and so no seal that holds.
        turns: Each with its seal, parents before those that follow them.
    """
    if key is None:
        return set()
    seals: dict[int | None, str] = {None: ""}
    for one, seal in turns:
        parent_seal = seals.get(one.parent_id)
        if parent_seal is not None and is_sealed(key, parent_seal, one.turn, seal):
            seals[one.id] = seal
    return {number for number in seals if number is not None}


def _as_sealed(value: object) -> bytes:
    return value if isinstance(value, bytes) else as_bytes(str(value))

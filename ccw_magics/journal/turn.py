"""What is kept of conversations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Turn:
    """A question and its answer.

    Attributes:
        endpoint: The id of the endpoint that answered.
        references: As typed, in order.
        context: The text of files that this turn brought.
        sections: What stands in the context, as whoever packed it described it.
        prompt: As typed.
        asked: What was sent after the context: the prompt, with instructions.
        answer: The answer.
        key: This turn's key in the cache of replies, in hexadecimal digits.
        at: When it was asked, in UTC.
    """

    endpoint: str
    references: tuple[str, ...]
    context: bytes
    sections: str
    prompt: str
    asked: str
    answer: str
    key: str
    at: datetime


@dataclass(frozen=True)
class StoredTurn:
    """A turn that is kept.

    Attributes:
        id: Its number in this journal; higher than its parent's.
        parent_id: The turn before it; None for the first one of a conversation.
        turn: What was kept.
    """

    id: int
    parent_id: int | None
    turn: Turn


@dataclass(frozen=True)
class Kept:
    """What became of a turn.

    Attributes:
        turn_id: Its number.
        set_aside: Under which name the line of turns is kept that the conversation had meanwhile gone on with; empty
            where there was none.
    """

    turn_id: int
    set_aside: str


@dataclass(frozen=True)
class ChatRow:
    """A conversation in a list.

    Attributes:
        name: What it is called.
        turns: How many it has.
        endpoint: The id of the one that answered last.
        updated_at: When its newest turn was asked, or the name given to it, in UTC.
        size_bytes: Of the texts of its turns; those that it shares with other conversations included.
        opening: The beginning of the first prompt on one line.
    """

    name: str
    turns: int
    endpoint: str
    updated_at: datetime
    size_bytes: int
    opening: str

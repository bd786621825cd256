"""Named conversations: which turns stand before a question, what is new in the files, and how the next turn is kept.

The context goes out once, in the first turn's message; what changed in the files since is said in the newest one. So
nothing that was sent ever changes, and the provider finds the whole talk in its cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from ccw_magics.backends.base import Exchange, ModelCall, joined
from ccw_magics.calls.model_call import sendable
from ccw_magics.context.told import Told
from ccw_magics.journal import Chats, StoredTurn, Turn

NOTHING: Final = Told()
"""What a turn tells that brings no files, and finds none changed."""


@dataclass(frozen=True)
class Talk:
    """Where a question stands in a conversation.

    Attributes:
        name: The conversation's.
        before: The turns before it.
        references: Its own `@` references.
        told: What its message brings of the files.
        include_dirs: The folders outside the project that its references may reach.
    """

    name: str
    before: tuple[StoredTurn, ...]
    references: tuple[str, ...]
    told: Told
    include_dirs: tuple[Path, ...] = ()

    @property
    def parent_id(self) -> int | None:
        """The turn before; None for the first."""
        return self.before[-1].id if self.before else None

    def call(self, call: ModelCall, slots_dir: Path | None, *, kept: bool) -> ModelCall:
        """The call in its place in the conversation.

        Args:
            call: Without context.
            slots_dir: Where the embedded model may keep what it has read.
            kept: Whether the provider is asked to keep what it reads.
        """
        first = (self.before[0].turn.context if self.before else self.told.data).decode()
        new = self.told.data.decode() if self.before or not kept else ""
        blocks = (first,) if first and kept else ()
        return replace(
            call,
            blocks=blocks,
            blocks_before=len(blocks) if self.before else 0,
            tail=new,
            turns=tuple(_exchanges(self.before, in_blocks=kept)),
            is_kept=kept,
            slots_dir=slots_dir if kept else None,
        )

    def content(self) -> str:
        """A name for what was said until now, the files included: a hash of every turn, and of what is new."""
        digest = hashlib.sha256()
        for stored in self.before:
            turn = stored.turn
            for part in (turn.context, _bytes(turn.asked), _bytes(turn.answer)):
                digest.update(hashlib.sha256(part).digest())
        digest.update(hashlib.sha256(self.told.data).digest())
        return digest.hexdigest()

    def turn(self, endpoint_id: str, prompt: str, asked: str, answer: str, key: str, at: datetime) -> Turn:
        """The question and its answer as the next turn."""
        return Turn(
            endpoint=endpoint_id,
            references=self.references,
            context=self.told.data,
            sections=self.told.sections,
            prompt=prompt,
            asked=asked,
            answer=answer,
            key=key,
            at=at,
        )


class Conversations:
    """The conversations of a project, and where this kernel stands in each.

    With answers replayed, asking a conversation's first question again means that its notebook is run again from the
    top: it walks through the turns that are recorded, and goes on live where they end, or where the files or a question
    differ. Otherwise the next turn follows the newest.

    Args:
        chats: What is recorded of them.
    """

    def __init__(self, chats: Chats) -> None:
        self._chats = chats
        self._at: dict[str, int | None] = {}
        self._followed: set[str] = set()
        self._include_dirs: dict[str, tuple[Path, ...]] = {}

    def lines(self, name: str, prompt: str, *, replays: bool) -> Iterator[tuple[StoredTurn, ...]]:
        """The turns that may stand before a question; the last of them is the one to go on from.

        Args:
            name: The conversation.
            prompt: The question.
            replays: Whether a recorded answer would do.

        Raises:
            CcwError: The record cannot be read.
        """
        path = tuple(self._chats.path(name))
        ids, here = [stored.id for stored in path], self._at.get(name)
        now = path[: ids.index(here) + 1] if here is not None and here in ids else path
        begins_anew = replays and path and path[0].turn.prompt == prompt and name not in self._followed
        if now or not begins_anew:
            yield now
        if begins_anew:
            yield ()

    def follow(self, name: str) -> None:
        """Go on from the newest turn: a shell is not a notebook that is run again from its top."""
        self._followed.add(name)

    def reach(self, name: str, include_dirs: tuple[Path, ...]) -> tuple[Path, ...]:
        """The folders outside the project that a conversation's references may reach: all that this kernel named.

        They are not kept in the journal: a project that came from elsewhere must not open folders by it.
        """
        return tuple(dict.fromkeys((*self._include_dirs.get(name, ()), *include_dirs)))

    def next(self, talk: Talk, key: str) -> StoredTurn | None:
        """The turn that the record has at this place, if it is the one with this key."""
        path = self._chats.path(talk.name)
        found = path[len(talk.before)] if len(talk.before) < len(path) else None
        is_next = found is not None and found.turn.key == key and found.parent_id == talk.parent_id
        return found if is_next else None

    def walked(self, talk: Talk, key: str) -> bool:
        """Go one turn further along the record, if its next turn is the one with this key."""
        found = self.next(talk, key)
        if found is not None:
            is_newest = found.id == self._chats.path(talk.name)[-1].id
            self._stands(talk, None if is_newest else found.id)
            self._chats.touch(talk.name)
        return found is not None

    def add(self, talk: Talk, turn: Turn, *, is_replayed: bool) -> str:
        """Keep a turn that has ended.

        Returns:
            What the user should know of it: that it could not be kept, or where another line is; empty for nothing.
        """
        kept = self._chats.append(talk.name, talk.parent_id, turn, is_replayed=is_replayed)
        if kept is None:
            return ""  # the journal says why
        self._stands(talk, None)
        return f"the conversation had gone on otherwise: that is kept as {kept.set_aside}" if kept.set_aside else ""

    def _stands(self, talk: Talk, turn_id: int | None) -> None:
        self._at[talk.name], self._include_dirs[talk.name] = turn_id, talk.include_dirs

    def clear(self, name: str) -> bool:
        """Forget a conversation, and where this kernel stands in it; False where there is none."""
        self._at.pop(name, None)
        self._include_dirs.pop(name, None)
        return self._chats.clear(name)


def _exchanges(before: tuple[StoredTurn, ...], *, in_blocks: bool) -> Iterator[Exchange]:
    """Earlier turns as messages; the first one without its context where that stands in the call's blocks."""
    for place, stored in enumerate(before):
        turn = stored.turn
        context = "" if place == 0 and in_blocks else turn.context.decode()
        yield Exchange(joined(context, sendable(turn.asked)), sendable(turn.answer))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")

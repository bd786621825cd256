"""What a conversation has told of its files, and what each further turn has to tell.

The first turn tells every file whole. Each later one tells what changed since, behind all that was told, so that no
turn before ever changes: a provider keeps a conversation only as long as it begins with the same text. Whatever is no
longer true stays, and is paid for at the price of cached text, until a new conversation is begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock
from typing import Final

from ccw_magics.context.found import Found
from ccw_magics.context.pack import Pack, PackKey, PackRequest, Status, readable_size
from ccw_magics.context.packing import Packing
from ccw_magics.context.packrows import checksum_of, described, read_block, require
from ccw_magics.context.text import Block, Text, digest
from ccw_magics.context.watch import OnRead, Watch, in_silence
from ccw_magics.errors import CcwError, ContextTooLarge

VIEWS_MAX: Final = 4
"""How many requests' files are watched; of a conversation whose references grow, each union is a request."""
_NOTHING: Final = checksum_of()
"""The checksum that stands before the first turn."""


@dataclass(frozen=True)
class Told:
    """What one turn told of the files; to be kept with the turn, in order, and handed back with the next one.

    Attributes:
        data: The text that the turn brought, UTF-8; empty where nothing had changed.
        sections: What stands in it, as JSON: a list that begins with a checksum of all turns so far; an empty one where
            there is no text.
    """

    data: bytes = b""
    sections: str = "[]"


@dataclass
class _View:
    """The files of one request, and what is known of them without keeping their contents.

    Attributes:
        watch: The files.
        digests: Of each file that is not left out.
    """

    watch: Watch = field(default_factory=Watch)
    digests: dict[str, bytes] = field(default_factory=dict)

    def differences(
        self, found: Found, packing: Packing, max_file_size_bytes: int, on_read: OnRead
    ) -> tuple[dict[str, bytes], list[str]]:
        """The files of which the text says something else, with their contents; and those it has to take back."""
        changed: dict[str, bytes] = {}
        for path, content in self.watch.read_changes(found, max_file_size_bytes, on_read):
            if content is not None and not packing.says(path, digest(content)):
                changed[path] = content
            self._note(path, content)
        unsaid = [path for path, known in self.digests.items() if path not in changed and not packing.says(path, known)]
        for path in unsaid:  # read for another conversation, or by a call that was not recorded
            content = self.watch.read(path, max_file_size_bytes)
            if content is not None and not packing.says(path, digest(content)):
                changed[path] = content
            self._note(path, content)
        return changed, [path for path in packing.paths if path not in self.digests]

    def _note(self, path: str, content: bytes | None) -> None:
        if content is None:
            self.digests.pop(path, None)
        else:
            self.digests[path] = digest(content)


class Teller:
    """Tells conversations of their files. One for each workspace, for several threads; all it keeps is in memory.

    Args:
        now: The clock, for tests and replays; UTC.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = RLock()
        self._pid = os.getpid()
        self._views: dict[PackKey, _View] = {}

    def tell(self, told: Sequence[Told], request: PackRequest, on_read: OnRead = in_silence) -> tuple[Pack, Told]:
        """What a conversation's next turn has to tell of the files as they are now.

        The text depends on what was told, and on the files' paths and contents, alone.

        Args:
            told: Of each turn so far, the first one first; empty for the first turn.
            request: What to pack: the references of all turns, in order, and the limits. Where and how long packs are
                kept, and their layout, have no meaning here.
            on_read: Called now and then with how many files were read, and of how many.

        Returns:
            The files as the conversation has them then, and what the new turn tells. The pack's `kept` are the texts
            of the turns before, those without any left out, and `rest` is the new one's; the first turn's is `kept`.
            `session_id` and `revision` name the whole text; the times are those of this look.

        Raises:
            PatternError: A reference leads outside the root and the included directories.
            ContextTooLarge: All turns together would tell more than the request allows.
            CcwError: What was told is damaged, or not what this conversation has told.
        """
        before, checksum = _read(told)
        with self._locked():
            view = self._taken(request)
            found = view.watch.find(request)
            packing = Packing(before)
            packing.append(*view.differences(found, packing, request.max_file_size_bytes, on_read))
            self._views[_key(request)] = view
            _require_size(packing, request, view.watch, is_first=not told)
            new = packing.blocks[len(before) :]
            text = Text(tuple(new), b"") if not told else Text(tuple(before), b"".join(block.data for block in new))
            pack = view.watch.pack(request, found, packing, text, self._now())
        telling, checksum = _written(new, checksum)
        status: Status = "extended" if new else "hit"
        told_pack = replace(
            pack,
            session_id=checksum.hex(),
            revision=len(told) + 1,
            reused_bytes=sum(block.size_bytes for block in before),
            status=status if told else "rebuilt",
            kept_before=len(before),
        )
        return told_pack, telling

    def _locked(self) -> RLock:
        """The lock; a forked child begins with one of its own, and sees for itself."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._views = os.getpid(), RLock(), {}
        return self._lock

    def _taken(self, request: PackRequest) -> _View:
        """What was seen for a request, out of the store: an error leaves no half-made state behind.

        A request that differs from another one in its references alone begins with what was read for that.
        """
        key = _key(request)
        view = self._views.pop(key, None)
        if view is None:
            kin = [other for other in self._views if other._replace(references=()) == key._replace(references=())]
            known = self._views[kin[-1]] if kin else _View()
            view = _View(Watch(known.watch.seen), dict(known.digests))
        while len(self._views) >= VIEWS_MAX:
            del self._views[next(iter(self._views))]
        return view


def _key(request: PackRequest) -> PackKey:
    """What the files depend on."""
    return request.key._replace(references=request.references, endpoint_id="", layout="")


def _require_size(packing: Packing, request: PackRequest, watch: Watch, *, is_first: bool) -> None:
    if is_first:
        watch.require_size(packing, request)
    elif packing.size_bytes > request.max_size_bytes:
        size, limit = readable_size(packing.size_bytes), readable_size(request.max_size_bytes)
        raise ContextTooLarge(
            f"this conversation would have told {size} of files; the endpoint's maxSizeKB allows {limit}",
            hint=f"Begin a new conversation, which starts with the files as they are, or raise maxSizeKB. "
            f"Largest: {watch.largest(packing)}",
        )


def _written(new: Sequence[Block], checksum: bytes) -> tuple[Told, bytes]:
    """A turn's text as it is kept, and the checksum of everything told."""
    if not new:
        return Told(), checksum
    (block,) = new
    for section in block.sections:
        section.file_digest()  # so that later turns need not compute it again
    sections = [described(section) for section in block.sections]
    checksum = _checksum(checksum, block.data, sections)
    return Told(block.data, json.dumps([checksum.hex(), *sections])), checksum


def _read(told: Sequence[Told]) -> tuple[list[Block], bytes]:
    """The texts that were told, and the checksum of them all.

    Raises:
        CcwError: They do not stand up to it.
    """
    blocks, checksum = [], _NOTHING
    try:
        for turn in told:
            if turn == Told():
                continue
            name, *sections = json.loads(turn.sections)
            checksum = _checksum(checksum, turn.data, sections)
            require(name == checksum.hex())
            blocks.append(read_block(turn.data, sections))
    except (ValueError, TypeError) as error:
        raise CcwError(
            "what is kept of this conversation's files is damaged",
            hint="Begin a new conversation, which starts with the files as they are.",
        ) from error
    return blocks, checksum


def _checksum(before: bytes, data: bytes, sections: object) -> bytes:
    return checksum_of(before, data, json.dumps(sections).encode())

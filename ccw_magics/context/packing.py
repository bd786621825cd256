"""One pack's text through all edits: what was sent stays in place, and what holds now is said behind it.

The text is blocks, which are kept, and a tail, which is rewritten with each change. The first block is every file
whole. The tail has one section for each file that changed since, the last edited last; a tail that has grown is kept as
a block of its own, and a new one begun. Text that a later section replaced is dead: it is sent, and paid for at the
price of cached text, to no use.

When to pay for taking dead text out is the ski rental problem: nobody knows how many calls are still to come. So rent
is paid until it comes to the price: once sending the dead text has cost what rewriting all behind it costs, the text is
cut there and laid out anew, the files that change most last. That is at most twice what it would cost to know the
future (Karlin, Manasse, Rudolph, Sleator: Competitive snoopy caching, 1988).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from ccw_magics.context import layout
from ccw_magics.context.text import Block, Kind, Part, Section, Text, digest

READ_PRICE: Final = 0.10
WRITE_PRICE: Final = 1.25
"""Of cached and of newly written text, in input tokens: Anthropic's prices; OpenAI's and Gemini's are near them."""
TAIL_SHARE: Final = 0.02
TAIL_MIN_BYTES: Final = 2048
"""A tail larger than this share of the blocks, and than this, becomes a block. Measured on recorded histories."""
DEAD_SHARE_MAX: Final = 0.25
"""More dead text than this share of the living is cut out whatever it costs: a model has to read past it."""
SMALL_BYTES: Final = 16 * 1024
DEAD_SMALL_BYTES: Final = 512
"""In a pack under the first (4,096 tokens, the longest prefix that a provider ignores) caching saves next to nothing,
so there is no more dead text than the second: former values are what a small model answers with by mistake."""
BLOCKS_MAX: Final = 16
"""Anthropic looks back at most 20 content blocks from a breakpoint for what it has cached."""

Laid = tuple[str, Kind, Part, bytes]
"""A section to be: its path, kind, text, and digest."""
Read = Callable[[str], bytes | None]
"""The present content of a path; None where it cannot be had any more."""


class Packing:
    """The text of one pack and what it says of each file.

    Args:
        blocks: What is kept, for a packing that is taken up again.
        tail: What is not, likewise.
        changes: For each path, how often it changed.
        calls: How often the text was sent.

    Attributes:
        blocks: The kept text; a block never changes, it is only taken away by a rebuild.
        tail: The sections behind it, at most one for each file.
        changes: For each path, how often it changed while this pack lived.
        calls: How often the text was sent.
    """

    def __init__(
        self,
        blocks: Iterable[Block] = (),
        tail: Iterable[Section] = (),
        changes: Mapping[str, int] | None = None,
        calls: int = 0,
    ) -> None:
        self.blocks = list(blocks)
        self.tail = list(tail)
        self.changes = dict(changes or {})
        self.calls = calls
        self._copies: dict[str, Section] = {}
        self._last: dict[str, Section] = {}
        self._gone: dict[str, Section] = {}
        self._index()

    @property
    def paths(self) -> Iterable[str]:
        """The files that the text says are there."""
        return self._last.keys()

    @property
    def size_bytes(self) -> int:
        """Size of the whole text."""
        return self.kept_bytes + sum(section.size_bytes for section in self.tail)

    @property
    def kept_bytes(self) -> int:
        """Size of the blocks."""
        return sum(block.size_bytes for block in self.blocks)

    @property
    def dead_bytes(self) -> int:
        """Size of the text that no longer holds."""
        return sum(s.size_bytes for block in self.blocks for s in block.sections if s.dead_since is not None)

    def text(self) -> Text:
        """The text as it stands."""
        return Text(tuple(self.blocks), b"".join(section.text() for section in self.tail))

    def tells(self, path: str, content: bytes) -> bool:
        """Whether the text already gives this content for this file."""
        last = self._last.get(path)
        if last is None:
            return False
        return last.told == digest(content) if last.told else last.content() == content

    def has(self, path: str) -> bool:
        """Whether the text says that this file is there."""
        return path in self._last

    def says(self, path: str, digest: bytes) -> bool:
        """Whether the text already gives the content of this digest for this file."""
        last = self._last.get(path)
        return last is not None and last.file_digest() == digest

    def holding(self, path: str) -> Section:
        """The last section about a file that is there."""
        return self._last[path]

    def copy(self) -> Packing:
        """One of the same text, which then goes its own way."""
        return Packing([block.copy() for block in self.blocks], self.tail, self.changes, self.calls)

    def rebuild(self, contents: Mapping[str, bytes], *, by_path: bool = False) -> None:
        """Lay out all files anew, those that change most last; or all by path."""
        self.blocks, self.tail = [], []
        ordered = sorted(contents, key=lambda path: (0 if by_path else self.changes.get(path, 0), path))
        self._append_block([(path, "whole", layout.Whole(path, contents[path]), b"") for path in ordered])
        self._index()

    def contents(self, read: Read) -> dict[str, bytes]:
        """Every file that the text gives, with its content; those of which it gives changes are read."""
        found = {path: last.content() if last.kind == "whole" else read(path) for path, last in self._last.items()}
        return {path: content for path, content in found.items() if content is not None}

    def update(self, changed: Mapping[str, bytes], gone: Collection[str], read: Read) -> bool:
        """Say what changed.

        Args:
            changed: New and edited files, with their present content.
            gone: Files that are no longer there, or no longer referred to.
            read: For files that must be said anew because the text was cut.

        Returns:
            Whether kept text was cut away: a rebuild, of the whole or of its end.
        """
        for path in gone:
            self._count_change(path)
            self._tell_gone(path)
        for path, content in changed.items():
            if path in self._last:
                self._count_change(path)
            self._tell(path, content)
        self._note_dead({*changed, *gone})
        cut = self._cut_at()
        if cut is not None:
            self._cut(cut, changed, read)
        elif self.size_bytes - self.kept_bytes > max(TAIL_MIN_BYTES, TAIL_SHARE * self.kept_bytes):
            self._freeze()
        return cut is not None

    def append(self, changed: Mapping[str, bytes], gone: Collection[str]) -> None:
        """Say what changed in a block of its own, by path; nothing is cut away, whatever is dead.

        Args:
            changed: New and edited files, with their present content, none of which the text tells already.
            gone: Files that are no longer there, or no longer referred to.
        """
        self._append_block([self._laid(path, changed.get(path)) for path in sorted({*changed, *gone})])
        self._index()

    def _count_change(self, path: str) -> None:
        self.changes[path] = self.changes.get(path, 0) + 1

    def _tell(self, path: str, content: bytes) -> None:
        """Put the file's present state at the end of the tail; an edit that was undone needs no word."""
        self._drop_from_tail(path)
        copy = self._copies.get(path)
        if copy is not None and self._last[path] is copy and copy.content() == content:
            return
        self._append_to_tail(*self._laid(path, content))

    def _tell_gone(self, path: str) -> None:
        self._drop_from_tail(path)
        if path in self._last:
            self._append_to_tail(*self._laid(path, None))

    def _laid(self, path: str, content: bytes | None) -> Laid:
        """What is to be said of a file: what changed, or all of it where it was never said or that is better."""
        if content is None:
            return path, "gone", layout.gone(path), b""
        copy = self._copies.get(path)
        section = layout.changed(path, copy.content(), content) if copy is not None else None
        if section is not None:
            return path, "changed", section, digest(content)
        return path, "whole", layout.Whole(path, content), b""

    def _drop_from_tail(self, path: str) -> None:
        if any(section.path == path for section in self.tail):
            self.tail = [section for section in self.tail if section.path != path]
            for known in (self._copies, self._last, self._gone):
                known.pop(path, None)
            for section in self._sections():
                if section.path == path:
                    self._take_in(section)

    def _append_to_tail(self, path: str, kind: Kind, part: Part, told: bytes = b"") -> None:
        block = Block((part,))
        self.tail.append(Section(path, kind, block, 0, block.size_bytes, told))
        self._take_in(self.tail[-1])

    def _take_in(self, section: Section) -> None:
        """What a section says replaces what was said before."""
        path = section.path
        if section.kind == "gone":
            self._last.pop(path, None)
            self._copies.pop(path, None)
            self._gone[path] = section
            return
        self._last[path] = section
        self._gone.pop(path, None)
        if section.kind == "whole":
            self._copies[path] = section

    def _index(self) -> None:
        """Read from top to bottom which section holds for each file."""
        self._copies, self._last, self._gone = {}, {}, {}
        for section in (*self._sections(), *self.tail):
            self._take_in(section)

    def _note_dead(self, paths: Collection[str]) -> None:
        """Date what was replaced of these files; what holds again, or still, has no date."""
        for section in self._sections():
            if section.path in paths:
                holding = (known.get(section.path) for known in (self._copies, self._last, self._gone))
                if any(section is holds for holds in holding):
                    section.dead_since = None
                elif section.dead_since is None:
                    section.dead_since = self.calls

    def _sections(self) -> list[Section]:
        return [section for block in self.blocks for section in block.sections]

    def _append_block(self, laid: Sequence[Laid]) -> None:
        """Make a block of sections."""
        if not laid:
            return
        block = Block([part for _, _, part, _ in laid])
        sections, start = [], 0
        for path, kind, part, told in laid:
            sections.append(Section(path, kind, block, start, len(part), told))
            start += len(part)
        block.sections = tuple(sections)
        self.blocks.append(block)

    def _freeze(self) -> None:
        """Keep the tail as a block."""
        laid = [(section.path, section.kind, section.text(), section.told) for section in self.tail]
        self.tail = []
        self._append_block(laid)
        self._index()

    def _cut_at(self) -> int | None:
        """The section from which on the text is to be laid out anew; None for nowhere."""
        if not self.dead_bytes and len(self.blocks) <= BLOCKS_MAX:
            return None
        sections = self._sections()
        living = sum(section.size_bytes for section in self.tail)
        dead = rent = gain = 0.0
        best, dense, density = None, None, 0.0
        all_dead = self.dead_bytes
        for place in range(len(sections) - 1, -1, -1):
            section = sections[place]
            if section.dead_since is None:
                living += section.size_bytes
            else:
                dead += section.size_bytes
                rent += READ_PRICE * section.size_bytes * (self.calls - section.dead_since)
                price = (WRITE_PRICE - READ_PRICE) * living
                if rent - price > gain:
                    gain, best = rent - price, place
                if dead > all_dead / 2 and dead > density * living:
                    dense, density = place, dead / max(1, living)
        if best is None and all_dead > self._dead_limit_bytes():
            return dense
        return len(self.blocks[0].sections) if best is None and len(self.blocks) > BLOCKS_MAX else best

    def _dead_limit_bytes(self) -> float:
        return (
            DEAD_SMALL_BYTES if self.size_bytes < SMALL_BYTES else DEAD_SHARE_MAX * (self.size_bytes - self.dead_bytes)
        )

    def _cut(self, place: int, changed: Mapping[str, bytes], read: Read) -> None:
        """Keep the sections before `place`, and say anew what they do not."""
        now = {path: self._last[path] for path in self._last}
        kept: list[Block] = []
        for block in self.blocks:
            sections = block.sections[:place]
            place -= len(sections)
            if sections:
                kept.append(block if len(sections) == len(block.sections) else _beginning(block, sections))
        self.blocks, self.tail = kept, []
        self._index()
        for path in sorted(set(self._last) - set(now)):
            self._tell_gone(path)
        for path in sorted(now, key=lambda path: (self.changes.get(path, 0), path)):
            if self._last.get(path) is not now[path] or now[path].kind == "changed":
                self._say_again(path, now[path], changed, read)
        self._freeze()

    def _say_again(self, path: str, section: Section, changed: Mapping[str, bytes], read: Read) -> None:
        if section.kind == "whole":
            content: bytes | None = section.content()
        else:
            content = changed[path] if path in changed else read(path)
        if content is None:
            self._tell_gone(path)
        elif not self.tells(path, content):
            self._tell(path, content)


def _beginning(block: Block, sections: tuple[Section, ...]) -> Block:
    """A block of the first sections of another, which move there."""
    beginning = Block((block.data[: sections[-1].start + sections[-1].size_bytes],))
    for section in sections:
        section.block = beginning
    beginning.sections = sections
    return beginning

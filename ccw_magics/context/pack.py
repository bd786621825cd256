"""A pack: the files a prompt refers to as one text, with what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ccw_magics.context.found import Skipped
from ccw_magics.context.text import Block, Section, digest

Status = Literal["hit", "extended", "rebuilt"]
Layout = Literal["stable", "fresh"]

LARGEST_SHOWN: Final = 10


class PackKey(NamedTuple):
    """What makes a pack one and the same: there is one for each root, endpoint and set of references.

    Attributes:
        root: The project root.
        endpoint_id: Whose pack it is; endpoints do not share packs.
        references: The set of references, sorted.
        cwd: Where relative references start.
        include_dirs: Directories outside the root that references may reach.
        file_patterns: Which files a reference to a directory brings in; empty for every text file.
        max_file_size_bytes: Limit of one file.
        layout: `stable` keeps sent text in place; `fresh` is path order, always.
    """

    root: str
    endpoint_id: str
    references: tuple[str, ...]
    cwd: str
    include_dirs: tuple[str, ...]
    file_patterns: tuple[str, ...]
    max_file_size_bytes: int
    layout: str


@dataclass(frozen=True)
class PackRequest:
    """What to pack, and within which limits.

    Attributes:
        references: The `@` references, in order, each with or without its `@`.
        root: The project root; paths in the pack are relative to it.
        cwd: Where relative references start; None for the root.
        include_dirs: Directories outside the root that references may reach.
        endpoint_id: Whose pack it is.
        file_patterns: Which files a reference to a directory brings in; empty for every text file.
        layout: `stable` or `fresh`.
        ttl_s: Seconds that the base of a pack lives.
        idle_ttl_s: Seconds without a call after which the provider's cache has surely forgotten the text, so that
            keeping it in place buys nothing; None where that is not known.
        max_size_bytes: Limit of the whole text.
        max_file_size_bytes: Limit of one file.
        keep: Whether to look for the pack in the cache and keep it there; otherwise it is made for one call alone.
        renew: Whether to drop the kept pack first.
    """

    references: tuple[str, ...]
    root: Path
    cwd: Path | None = None
    include_dirs: tuple[Path, ...] = ()
    endpoint_id: str = ""
    file_patterns: tuple[str, ...] = ()
    layout: Layout = "stable"
    ttl_s: float = 3600.0
    idle_ttl_s: float | None = None
    max_size_bytes: int = 512 * 1024
    max_file_size_bytes: int = 1024 * 1024
    keep: bool = True
    renew: bool = False

    @property
    def key(self) -> PackKey:
        """The pack that this asks for; limits of time and size do not make another one."""
        return PackKey(
            root=str(self.root),
            endpoint_id=self.endpoint_id,
            references=tuple(sorted({reference.removeprefix("@") for reference in self.references})),
            cwd=str(self.cwd or self.root),
            include_dirs=tuple(map(str, self.include_dirs)),
            file_patterns=self.file_patterns,
            max_file_size_bytes=self.max_file_size_bytes,
            layout=self.layout,
        )


@dataclass(frozen=True)
class PackHandle:
    """A pack without its text: light enough for every reply to hold one.

    Attributes:
        session_id: Stable as long as the pack lives.
        revision: One more for each change of content, from 1.
        references: The references as given.
        files: Paths relative to the root, sorted.
        sizes_bytes: The size of each file, in the same order.
        skipped: What was left out, and why.
        unmatched: References that matched nothing, and so stay prose.
        found_in: For each reference that matched, where it was found: `cwd`, `root` or an included directory.
        warnings: What the user should know: a secret that was named, text read with replacement characters.
        size_bytes: The text's size in UTF-8.
        reused_bytes: The prefix shared with the revision before; all of it for a hit.
        created_at: When the pack's base was built, in UTC.
        expires_at: When it will be built anew, in UTC.
        status: `hit` (nothing changed), `extended` (the blocks before are still the prefix) or `rebuilt`.
    """

    session_id: str
    revision: int
    references: tuple[str, ...]
    files: tuple[str, ...]
    sizes_bytes: tuple[int, ...]
    skipped: tuple[Skipped, ...]
    unmatched: tuple[str, ...]
    found_in: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    size_bytes: int
    reused_bytes: int
    created_at: datetime
    expires_at: datetime
    status: Status


@dataclass(frozen=True, repr=False)
class Pack(PackHandle):
    """The handle and the text, which is held as UTF-8: one emoji would make a str four bytes a character.

    Attributes:
        kept: What is kept; a block never changes until the pack is rebuilt.
        rest: What is rewritten with each change, behind the blocks; may be empty.
        kept_before: How many of the blocks the call before had sent.
        matched: For each reference that matched, the paths of those of its files that are in the pack, sorted.
        sections: For each file, in the order of `files`, the last section about it.
    """

    kept: tuple[Block, ...] = ()
    rest: bytes = b""
    kept_before: int = 0
    matched: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sections: tuple[Section, ...] = field(default=(), repr=False, compare=False)

    @property
    def blocks(self) -> tuple[str, ...]:
        """What is kept: the base, then one for each kept extension."""
        return tuple(block.data.decode() for block in self.kept)

    @property
    def tail(self) -> str:
        """What is rewritten each time."""
        return self.rest.decode()

    @cached_property
    def text(self) -> str:
        """Blocks and tail, joined: what is sent."""
        return b"".join((*(block.data for block in self.kept), self.rest)).decode()

    @cached_property
    def content_hash(self) -> str:
        """A name for the files' paths and present contents alone, in hexadecimal, however they are laid out.

        Contents are those that are sent: what was not UTF-8 has been replaced. Nothing is computed until this is asked
        for, and of each section once.
        """
        names = (digest(section.path.encode()) + section.file_digest() for section in self.sections)
        return digest(b"".join(names)).hex()

    def handle(self) -> PackHandle:
        """This pack without its text."""
        return PackHandle(**{field.name: getattr(self, field.name) for field in fields(PackHandle)})

    def __repr__(self) -> str:
        return (
            f"<Pack {self.session_id} revision {self.revision}: {len(self.files)} files, "
            f"{self.size_bytes:,} bytes, {self.status}>"
        )


def largest(sizes_bytes: Iterable[tuple[str, int]]) -> str:
    """The largest files with their sizes, for an error's hint."""
    ordered = sorted(sizes_bytes, key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{path} ({readable_size(size)})" for path, size in ordered[:LARGEST_SHOWN])


def readable_size(size_bytes: int) -> str:
    """A size as a person reads it."""
    if size_bytes < 1024:  # noqa: PLR2004 - a KiB
        return f"{size_bytes:,} B"
    mebibytes = size_bytes / (1024 * 1024)
    return f"{mebibytes:,.1f} MiB" if mebibytes >= 1 else f"{size_bytes / 1024:,.1f} KiB"

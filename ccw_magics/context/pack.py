"""A pack: the files a prompt refers to as one text, with what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from ccw_magics.context.found import Skipped
from ccw_magics.context.packer import largest

Status = Literal["hit", "extended", "rebuilt"]


@dataclass(frozen=True)
class PackRequest:
    """What to pack, and within which limits.

    Attributes:
        references: The `@` references, in order, each with or without its `@`.
        root: The project root; paths in the pack are relative to it.
        cwd: Where relative references start; None for the root.
        include_dirs: Directories outside the root that references may reach.
        endpoint_id: Whose pack it is; endpoints do not share packs.
        file_patterns: Which files a reference to a directory brings in; empty for every text file.
        ttl_s: Seconds that a pack lives, counted from its creation.
        max_size_bytes: Limit of the whole text.
        max_file_size_bytes: Limit of one file.
        keep: Whether to look for the pack in the cache and keep it there; otherwise it is made for one call alone.
    """

    references: tuple[str, ...]
    root: Path
    cwd: Path | None = None
    include_dirs: tuple[Path, ...] = ()
    endpoint_id: str = ""
    file_patterns: tuple[str, ...] = ()
    ttl_s: float = 3600.0
    max_size_bytes: int = 512 * 1024
    max_file_size_bytes: int = 1024 * 1024
    keep: bool = True


@dataclass(frozen=True)
class PackHandle:
    """A pack without its text: light enough for every reply to hold one.

    Attributes:
        session_id: Stable as long as the pack lives.
        revision: One more for each change of content, from 1.
        references: The references as given, each with its `@`.
        files: Paths relative to the root, sorted.
        sizes_bytes: The size of each file, in the same order.
        skipped: What was left out, and why.
        unmatched: References that matched nothing, and so stay prose.
        found_in: For each reference that matched, where it was found: `cwd`, `root` or an included directory.
        warnings: What the user should know: a secret that was named, text read with replacement characters.
        size_bytes: The text's size in UTF-8.
        reused_bytes: The prefix shared with the revision before.
        created_at: When the pack was first built, in UTC.
        expires_at: When it will be built anew, in UTC.
        status: `hit` (nothing changed), `extended` (the text before is still the prefix) or `rebuilt`.
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

    def largest_files(self) -> str:
        """The ten largest files with their sizes, for an error's hint."""
        return largest(zip(self.files, self.sizes_bytes, strict=True))


@dataclass(frozen=True, repr=False)
class Pack(PackHandle):
    """The handle and the text.

    Attributes:
        blocks: What is kept: once sent, a block never changes until the pack is rebuilt.
        tail: What is rewritten each time, behind the blocks; may be empty.
    """

    blocks: tuple[str, ...] = ()
    tail: str = ""

    @property
    def text(self) -> str:
        """Blocks and tail, joined: what is sent."""
        return "".join((*self.blocks, self.tail))

    def handle(self) -> PackHandle:
        """This pack without its text."""
        return PackHandle(**{name: getattr(self, name) for name in PackHandle.__dataclass_fields__})

    def __repr__(self) -> str:
        return (
            f"<Pack {self.session_id} revision {self.revision}: {len(self.files)} files, "
            f"{self.size_bytes:,} bytes, {self.status}>"
        )

"""What an endpoint's `filePatterns` would bring in here, and how large that is; nothing is packed or kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Final

from ccw_magics.context.account import counts_by_reason
from ccw_magics.context.files import find_files
from ccw_magics.context.found import FoundFile, Skipped
from ccw_magics.context.layout import WHOLE_FIXED_BYTES, Whole
from ccw_magics.context.pack import readable_size
from ccw_magics.context.reading import read_text, why_not_text

LARGEST_SHOWN: Final = 5
LOOKED_INTO_MAX: Final = 1000
"""Files that are opened, the largest first: as many as take a fifth of a second."""
MAX_FILE_SIZE_BYTES: Final = 1024 * 1024
"""Of one file, as `pack.PackRequest` has it."""


@dataclass(frozen=True)
class Preview:
    """What a reference to the whole project would bring in.

    Attributes:
        files: How many files.
        size_bytes: Of the pack's text, headings included.
        max_size_bytes: The limit of that.
        largest: The largest files' paths and sizes in bytes, the largest first; at most `LARGEST_SHOWN`.
        left_out: Why something was left out, and how often, the most frequent first; a directory counts once. What
            the patterns do not name is not among it.
        is_estimate: Whether binary files may be among the `files`, and counted in `size_bytes`: there are more of them
            than could be looked into. A pack then has at most this.
    """

    files: int
    size_bytes: int
    max_size_bytes: int
    largest: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, int], ...]
    is_estimate: bool

    @property
    def fits(self) -> bool:
        """Whether the pack is within its limit."""
        return self.size_bytes <= self.max_size_bytes


def preview(root: Path, file_patterns: Sequence[str], max_size_bytes: int) -> Preview:
    """What a reference to the project root would bring in; opens at most `LOOKED_INTO_MAX` files.

    Args:
        root: The project root.
        file_patterns: Which files a reference to a directory brings in; empty for every text file.
        max_size_bytes: Limit of the pack's text.

    Raises:
        PatternError: The braces of a pattern stand for too many alternatives.
    """
    found = find_files(("@./",), root=root, file_patterns=file_patterns)
    files = sorted(found.files, key=attrgetter("size_bytes", "path"), reverse=True)
    too_large = sum(file.size_bytes > MAX_FILE_SIZE_BYTES for file in files)
    seen, unseen = files[too_large : too_large + LOOKED_INTO_MAX], files[too_large + LOOKED_INTO_MAX :]
    count = _Count(max_size_bytes, counts_by_reason(found.skipped))
    count.reasons[f"larger than {readable_size(MAX_FILE_SIZE_BYTES)}"] += too_large
    for file in seen:
        count.add(file)
    return Preview(
        files=count.files + len(unseen),
        size_bytes=count.size_bytes + sum(map(_about_bytes, unseen)),
        max_size_bytes=max_size_bytes,
        largest=tuple(count.largest),
        left_out=tuple(sorted((+count.reasons).items(), key=lambda item: (-item[1], item[0]))),
        is_estimate=bool(unseen),
    )


@dataclass
class _Count:
    """The sums of a preview, file by file.

    Attributes:
        max_size_bytes: Up to here a file is read, so that the verdict is exact; beyond, it is only looked into.
        reasons: Why something was left out, and how often.
        files: Those that would be in the pack.
        size_bytes: Of the text that they make.
        largest: The first of them.
    """

    max_size_bytes: int
    reasons: Counter[str]
    files: int = 0
    size_bytes: int = 0
    largest: list[tuple[str, int]] = field(default_factory=list)

    def add(self, file: FoundFile) -> None:
        """Count a file; no smaller one may have gone before."""
        told = self._told_bytes(file)
        if isinstance(told, str):
            self.reasons[told] += 1
            return
        self.files += 1
        self.size_bytes += told
        if len(self.largest) < LARGEST_SHOWN:
            self.largest.append((file.path, file.size_bytes))

    def _told_bytes(self, file: FoundFile) -> int | str:
        """How many bytes a pack takes to give the file, or why it does not."""
        about = _about_bytes(file)
        reason = why_not_text(file)
        if reason or self.size_bytes + about > self.max_size_bytes:
            return reason or about
        result = read_text(file)
        return result.reason if isinstance(result, Skipped) else len(Whole(file.path, result.data))


def _about_bytes(file: FoundFile) -> int:
    """What a pack takes to give a file that is UTF-8 and ends in a line break."""
    return WHOLE_FIXED_BYTES + len(file.path.encode()) + file.size_bytes + len(str(file.size_bytes))

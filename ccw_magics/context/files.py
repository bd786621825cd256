"""References to files: what other parts need to find and read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccw_magics.context.account import SKIPPED_SHOWN
from ccw_magics.context.finder import Finder
from ccw_magics.context.found import Found, FoundFile, Match, Skipped
from ccw_magics.context.reading import ReadResult, read_text

__all__ = ["SKIPPED_SHOWN", "Finder", "Found", "FoundFile", "Match", "ReadResult", "Skipped", "find_files", "read_text"]


def find_files(
    references: Sequence[str],
    *,
    root: Path,
    cwd: Path | None = None,
    include_dirs: Sequence[Path] = (),
    file_patterns: Sequence[str] = (),
) -> Found:
    """Find what references mean, once; as `Finder`, with its arguments and errors.

    Args:
        references: Each with or without its `@`.
        root: The project root.
        cwd: Where relative references start; None for the root.
        include_dirs: Further directories that references may reach.
        file_patterns: Which files a reference to a directory brings in; empty for all.

    Raises:
        PatternError: As `Finder.find`.
    """
    return Finder(references, root=root, cwd=cwd, include_dirs=include_dirs, file_patterns=file_patterns).find()

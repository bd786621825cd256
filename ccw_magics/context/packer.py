"""Found files as one text that a model reads from top to bottom.

The text, for two files, is::

    Project files: 2. Each heading gives a file's path and its number of lines; exactly these lines follow it.

    === FILE: README.md (3 lines) ===
    ...
    === FILE: src/a.py (12 lines, no newline at the end) ===
    ...

The number of lines makes the text unambiguous whatever a file contains, a line that looks like a heading included. A
path is written so that it has no line break (`FoundFile.path`). Nothing in the text depends on time or machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ccw_magics.context.found import FoundFile, Skipped
from ccw_magics.context.reading import read_text
from ccw_magics.errors import ContextTooLarge

LARGEST_SHOWN: Final = 10


@dataclass(frozen=True)
class PackedText:
    """A text and the account of it.

    Attributes:
        text: What is sent.
        files: The paths in it, sorted.
        sizes_bytes: The size of each of them, in the same order.
        skipped: Files that could not be read or are too large, and why.
        warnings: Files that were read with replacement characters.
    """

    text: str
    files: tuple[str, ...]
    sizes_bytes: tuple[int, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]


def pack_files(found: Sequence[FoundFile], *, max_size_bytes: int, max_file_size_bytes: int) -> PackedText:
    """Read the files and lay them out.

    Raises:
        ContextTooLarge: The text would pass `max_size_bytes`; nothing is ever cut silently.
    """
    parts: list[str] = []
    packed: list[FoundFile] = []
    skipped: list[Skipped] = []
    warnings: list[str] = []
    for file in found:
        if file.size_bytes > max_file_size_bytes:
            skipped.append(Skipped(file.path, f"larger than {_kib(max_file_size_bytes)}"))
            continue
        content = read_text(file)
        if isinstance(content, Skipped):
            skipped.append(content)
            continue
        if content.replaced:
            warnings.append(f"{file.path} is not UTF-8; unreadable bytes are shown as \ufffd")
        packed.append(file)
        parts.append(_section(file.path, content.data.decode()))
    text = "\n".join((_opening(len(parts)), *parts)) if parts else ""
    _require_size(len(text.encode()), max_size_bytes, packed)
    return PackedText(
        text=text,
        files=tuple(file.path for file in packed),
        sizes_bytes=tuple(file.size_bytes for file in packed),
        skipped=tuple(skipped),
        warnings=tuple(warnings),
    )


def largest(sizes_bytes: Iterable[tuple[str, int]]) -> str:
    """The largest files with their sizes, for an error's hint."""
    ordered = sorted(sizes_bytes, key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{path} ({_kib(size)})" for path, size in ordered[:LARGEST_SHOWN])


def _opening(count: int) -> str:
    return (
        f"Project files: {count}. Each heading gives a file's path and its number of lines; "
        "exactly these lines follow it.\n"
    )


def _section(path: str, text: str) -> str:
    complete = not text or text.endswith("\n")
    lines = text.count("\n") + (not complete)
    ending = "" if complete else ", no newline at the end"
    return (
        f"=== FILE: {path} ({lines} line{'' if lines == 1 else 's'}{ending}) ===\n{text}{'' if complete else chr(10)}"
    )


def _require_size(size_bytes: int, max_size_bytes: int, packed: Sequence[FoundFile]) -> None:
    if size_bytes <= max_size_bytes:
        return
    raise ContextTooLarge(
        f"the files have {_kib(size_bytes)} together; the endpoint's maxSizeKB allows {_kib(max_size_bytes)}",
        hint=f"Refer to fewer files or raise maxSizeKB. Largest: {largest((f.path, f.size_bytes) for f in packed)}",
    )


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.1f} KiB"

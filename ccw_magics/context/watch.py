"""The files of a request as they are now: found again, and read again where they may have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ccw_magics.context.finder import Finder
from ccw_magics.context.found import Found, FoundFile, Skipped
from ccw_magics.context.pack import Pack, PackRequest, largest, readable_size
from ccw_magics.context.packing import Packing
from ccw_magics.context.reading import read_text
from ccw_magics.context.text import Text
from ccw_magics.errors import ContextTooLarge

REPLACED: Final = "\ufffd"
TOLD_EVERY: Final = 100
"""Files between two words on how far the reading has come."""

OnRead = Callable[[int, int], None]
"""Called with how many files were read, and of how many."""


def in_silence(_done: int, _total: int) -> None:
    """An `OnRead` that says nothing."""


class Seen(NamedTuple):
    """What is known of a file since it was last read.

    Attributes:
        signature: As in `FoundFile`.
        size_bytes: Of its text.
        remark: Empty; why it was left out; or `REPLACED` where bytes were replaced in it.
    """

    signature: tuple[int, int, int, int]
    size_bytes: int
    remark: str = ""


class Watch:
    """What one request found and read so far. Not for several threads at once.

    Args:
        seen: What is known already.

    Attributes:
        seen: For each found file, what is known of it; no contents.
    """

    def __init__(self, seen: Mapping[str, Seen] | None = None) -> None:
        self.seen = dict(seen or {})
        self._finder: Finder | None = None
        self._files: dict[str, FoundFile] = {}

    def copy(self) -> Watch:
        """One that goes its own way, but finds files from the same memory, which no look spoils for the next."""
        copy = Watch(self.seen)
        copy._finder, copy._files = self._finder, self._files
        return copy

    def find(self, request: PackRequest) -> Found:
        """The files; the same object as before where nothing changed. Always for the same request.

        Raises:
            PatternError: A reference leads outside the root and the included directories.
        """
        if self._finder is None:
            self._finder = Finder(
                request.references,
                root=request.root,
                cwd=request.cwd,
                include_dirs=request.include_dirs,
                file_patterns=request.file_patterns,
            )
        return self._finder.find()

    def read_changes(
        self, found: Found, max_file_size_bytes: int, on_read: OnRead
    ) -> Iterator[tuple[str, bytes | None]]:
        """Each file that may have changed, with its content; None where it is left out, or no longer found.

        Args:
            found: The files.
            max_file_size_bytes: Limit of one file.
            on_read: Called now and then with how many files were read, and of how many.
        """
        files = {file.path: file for file in found.files}
        before, self._files = self._files, files
        for number, (path, file) in enumerate(files.items(), 1):
            if number % TOLD_EVERY == 0:
                on_read(number, len(files))
            if before.get(path) is file:
                continue
            known = self.seen.get(path)
            if known is None or known.signature != file.signature:
                yield path, self.read(path, max_file_size_bytes)
        if self.seen.keys() != files.keys():
            for path in self.seen.keys() - files.keys():
                del self.seen[path]
                yield path, None

    def read(self, path: str, max_file_size_bytes: int) -> bytes | None:
        """The content of a file, noting what is seen; None where it is left out, or not among those found."""
        if path not in self._files:
            return None
        self.seen[path], content = _read(self._files[path], max_file_size_bytes)
        return content

    def require_size(self, packing: Packing, request: PackRequest) -> None:
        """Refuse a text over its limit.

        Raises:
            ContextTooLarge: It is.
        """
        if packing.size_bytes > request.max_size_bytes:
            size, limit = readable_size(packing.size_bytes), readable_size(request.max_size_bytes)
            raise ContextTooLarge(
                f"the files have {size} together; the endpoint's maxSizeKB allows {limit}",
                hint=f"Refer to fewer files or raise maxSizeKB. Largest: {self.largest(packing)}",
            )

    def largest(self, packing: Packing) -> str:
        """The largest files with their sizes, for an error's hint."""
        return largest((path, self.seen[path].size_bytes) for path in packing.paths)

    def pack(self, request: PackRequest, found: Found, packing: Packing, text: Text, now: datetime) -> Pack:
        """The pack of these files, as if none had gone before it.

        Args:
            request: What was asked for.
            found: What was found.
            packing: What is said of the files.
            text: The text of it.
            now: The time, in UTC.
        """
        paths = tuple(sorted(packing.paths))
        remarks = [(path, seen.remark) for path, seen in self.seen.items() if seen.remark]
        left_out = [Skipped(path, remark) for path, remark in remarks if remark != REPLACED]
        replaced = [path for path, remark in remarks if remark == REPLACED]
        return Pack(
            session_id="",
            revision=1,
            references=request.references,
            files=paths,
            sizes_bytes=tuple(self.seen[path].size_bytes for path in paths),
            skipped=tuple(sorted((*found.skipped, *left_out))),
            unmatched=found.unmatched,
            found_in=tuple((reference, match.base) for reference, match in found.matches.items()),
            warnings=(
                *found.warnings,
                *(f"{path} is not UTF-8; unreadable bytes are shown as {REPLACED}" for path in replaced),
            ),
            size_bytes=text.size_bytes,
            reused_bytes=0,
            created_at=now,
            expires_at=now + timedelta(seconds=request.ttl_s),
            status="rebuilt",
            kept=text.blocks,
            rest=text.tail,
            matched=_matched(found, paths),
            sections=tuple(packing.holding(path) for path in paths),
        )


def _matched(found: Found, paths: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """For each reference that matched, those of its files that are in the pack."""
    if len(paths) == len(found.files):
        return tuple((reference, match.paths) for reference, match in found.matches.items())
    packed = set(paths)
    return tuple(
        (reference, tuple(path for path in match.paths if path in packed)) for reference, match in found.matches.items()
    )


def _read(file: FoundFile, max_file_size_bytes: int) -> tuple[Seen, bytes | None]:
    """What is now known of a file, and its content, or None where it is left out."""
    if file.size_bytes > max_file_size_bytes:
        return Seen(file.signature, file.size_bytes, f"larger than {readable_size(max_file_size_bytes)}"), None
    result = read_text(file)
    if isinstance(result, Skipped):
        return Seen(file.signature, file.size_bytes, result.reason), None
    return Seen(file.signature, len(result.data), REPLACED if result.replaced else ""), result.data

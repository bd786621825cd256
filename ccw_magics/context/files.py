"""References to files: which ones they mean, and what is left out and why.

A relative reference is looked up in the directory it was typed in, then, where nothing answers there, in the project
root, then in each included directory. One that spells the path of something that exists means exactly that, whatever
its characters (`app/[id]/page.tsx`); any other is a glob.

What a reference spells it gets: a file named exactly comes in though git ignores it, or though it holds secrets (with
a warning), and a directory whose name stands in the reference is entered though it is ignored or one of
`sensitive.LEFT_OUT_DIRECTORIES`; the rules for what lies below it hold on. Only what cannot be read safely as text
stays out even then.

A symbolic link to a file stands under its own path, as in git; a link to a directory is followed only where a
reference names it, and the files then stand under their real paths, so that no loop and no second copy arises. No link
leads out of the root and the included directories.
"""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH112, PTH114, PTH119, PTH120

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ccw_magics.context.account import SKIPPED_SHOWN, Account
from ccw_magics.context.found import Found, FoundFile, Match, Skipped
from ccw_magics.context.globs import EVERYTHING, Component, Glob, Literal, has_wildcards, parse_glob, unescape
from ccw_magics.context.paths import containing, encode, join, normal, real
from ccw_magics.context.places import LINK_OUTSIDE, Place
from ccw_magics.context.reading import ReadResult, read_text
from ccw_magics.context.walk import FileFilter, Hit, tracked, walk
from ccw_magics.errors import PatternError

__all__ = ["SKIPPED_SHOWN", "Found", "FoundFile", "Match", "ReadResult", "Skipped", "find_files", "read_text"]

_LONGEST_PATTERN = 4096  # characters; Linux's PATH_MAX


def find_files(
    patterns: Sequence[str],
    *,
    root: Path,
    cwd: Path | None = None,
    include_dirs: Sequence[Path] = (),
    file_patterns: Sequence[str] = (),
) -> Found:
    """Find what references mean. Opens no file but ignore files; so binary files are `read_text`'s to tell.

    Args:
        patterns: References, each with or without its `@`.
        root: The project root.
        cwd: Where relative references start; None for the root.
        include_dirs: Further directories that references may reach.
        file_patterns: Globs that say which files a reference to a directory brings in: by base name, or by the path
            below the root where they hold a slash. Empty for all.

    Raises:
        PatternError: A reference leads to something outside the root and the included directories, or its braces
            stand for too many alternatives.
    """
    with ExitStack() as places:
        return _Search(root, cwd or root, include_dirs, file_patterns, places).run(patterns)


class _Base(NamedTuple):
    """Where a relative reference may start: a name for the manifest, and a real path."""

    name: str
    directory: bytes


@dataclass
class _Answer:
    """What one reference led to in one base.

    Attributes:
        files: What it found, by path.
        exists: Whether anything answers to it, left out or not.
        outside: Whether it leads out of reach.
    """

    files: dict[str, FoundFile] = field(default_factory=dict)
    exists: bool = False
    outside: bool = False


class _Search:
    """One call of `find_files`."""

    def __init__(
        self, root: Path, cwd: Path, include_dirs: Sequence[Path], file_patterns: Sequence[str], places: ExitStack
    ) -> None:
        self._bases = [_Base("cwd", _real(cwd)), _Base("root", _real(root))]
        self._bases += [_Base(str(directory), _real(directory)) for directory in include_dirs]
        self._allowed = [base.directory for base in self._bases[1:]]
        self._account = Account(self._allowed[0], self._allowed)
        self._filter = FileFilter(file_patterns)
        self._opened = places
        self._places: dict[bytes, Place] = {}

    def run(self, references: Iterable[str]) -> Found:
        files: dict[str, FoundFile] = {}
        matches: dict[str, Match] = {}
        unmatched: list[str] = []
        for reference in dict.fromkeys(references):
            base, answer = self._resolve(reference)
            files |= answer.files
            if answer.files:
                matches[reference] = Match(base, tuple(sorted(answer.files)))
            elif not answer.exists:
                unmatched.append(reference)
        ordered = tuple(files[path] for path in sorted(files))
        return Found(ordered, self._account.skipped(), tuple(unmatched), self._account.warnings(), matches)

    def _resolve(self, reference: str) -> tuple[str, _Answer]:
        """What a reference leads to in the first base where it finds a file."""
        exists = outside = False
        for base, pattern in self._starts(reference.removeprefix("@")):
            answer = self._answer(base.directory, pattern)
            if answer.files:
                return base.name, answer
            exists |= answer.exists
            outside |= answer.outside
        if outside and not exists:
            raise PatternError(
                f"{reference} leads outside the project root", hint="Allow its directory with --include-dirs DIR."
            )
        return "", _Answer(exists=exists)

    def _starts(self, pattern: str) -> Iterator[tuple[_Base, str]]:
        """The bases to try, each with what is left of the pattern there."""
        if not pattern or "\0" in pattern or len(pattern) > _LONGEST_PATTERN:
            return
        drive, rest = os.path.splitdrive(pattern)
        if rest.startswith("/"):
            yield _Base("absolute", encode(drive) + b"/"), rest.lstrip("/") or "."
        elif pattern == "~" or pattern.startswith("~/"):
            yield _Base("absolute", _real(Path.home())), pattern[2:] or "."
        else:
            yield from ((base, pattern) for base in self._bases)

    def _answer(self, base: bytes, pattern: str) -> _Answer:
        answer = self._exact(base, unescape(pattern))
        if answer is None:
            answer = _Answer()
            if has_wildcards(pattern):
                for prefix, alternatives in _by_prefix(parse_glob(pattern)).items():
                    self._walk(normal(base, *prefix), Glob(alternatives), answer)
        return answer

    def _exact(self, base: bytes, path: str) -> _Answer | None:
        """What has this very path; None where there is nothing."""
        lexical = normal(base, encode(path))
        try:
            is_link = stat.S_ISLNK(os.lstat(lexical).st_mode)
        except (OSError, ValueError):
            return None
        answer = _Answer()
        if os.path.isdir(lexical):
            self._walk(lexical, Glob([EVERYTHING]), answer)
            return answer
        located = join(real(os.path.dirname(lexical)), os.path.basename(lexical))
        if path.endswith("/"):
            return None
        if self._reaches(lexical, located, answer):
            answer.exists = True
            self._take(Hit(located, is_link), answer, exactly=True)
        return answer

    def _reaches(self, lexical: bytes, located: bytes, answer: _Answer) -> bool:
        """Whether a path is allowed; tells one typed to lead outside from one that a link leads there."""
        if containing(located, self._allowed) is not None:
            return True
        if containing(lexical, self._allowed) is None:
            answer.outside = True
        else:
            answer.exists = True
            self._account.leave(lexical, LINK_OUTSIDE)
        return False

    def _walk(self, lexical: bytes, glob: Glob, answer: _Answer) -> None:
        start = real(lexical)
        if not os.path.isdir(start) or not self._reaches(lexical, start, answer):
            return
        place = self._place(start)
        for hit in walk(place, glob, start, self._filter, self._leave_directory):
            answer.exists = True
            self._take(hit, answer)
        for hit in tracked(place, glob, start, self._filter):
            # An index may name paths behind a link; what is behind it has another real path.
            if real(os.path.dirname(hit.path)) == os.path.dirname(hit.path) and os.path.lexists(hit.path):
                self._take(hit._replace(is_link=os.path.islink(hit.path)), answer)

    def _take(self, hit: Hit, answer: _Answer, *, exactly: bool = False) -> None:
        if hit.reason:
            self._account.leave(hit.path, hit.reason)
            return
        file = self._account.take(hit.path, is_link=hit.is_link, exactly=exactly)
        if file:
            answer.files[file.path] = file

    def _leave_directory(self, path: bytes, reason: str) -> None:
        self._account.leave(join(path, b""), reason)

    def _place(self, start: bytes) -> Place:
        directory = containing(start, self._allowed) or start
        if directory not in self._places:
            self._places[directory] = self._opened.enter_context(closing(Place(directory, self._allowed)))
        return self._places[directory]


def _by_prefix(
    alternatives: Iterable[tuple[Component, ...]],
) -> dict[tuple[bytes, ...], list[tuple[Component, ...]]]:
    """Alternatives by the directories that they all start with, which need no search."""
    grouped: dict[tuple[bytes, ...], list[tuple[Component, ...]]] = defaultdict(list)
    for alternative in alternatives:
        length = 0
        while length < len(alternative) - 1 and isinstance(alternative[length], Literal):
            length += 1
        prefix = tuple(part.name for part in alternative[:length] if isinstance(part, Literal))
        grouped[prefix].append(alternative[length:])
    return grouped


def _real(path: Path) -> bytes:
    return real(os.fsencode(path))

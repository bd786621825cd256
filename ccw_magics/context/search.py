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
# ruff: noqa: PTH119, PTH120

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ccw_magics.context.account import Account
from ccw_magics.context.facts import Facts
from ccw_magics.context.found import Found, FoundFile, Match
from ccw_magics.context.globs import EVERYTHING, Component, Glob, Literal, has_wildcards, parse_glob, unescape
from ccw_magics.context.listing import LINK_OUTSIDE, look_at
from ccw_magics.context.paths import containing, encode, join, normal, real
from ccw_magics.context.places import Place
from ccw_magics.context.walk import FileFilter, tracked, walk
from ccw_magics.errors import PatternError

_LONGEST_PATTERN = 4096  # characters; Linux's PATH_MAX


class Base(NamedTuple):
    """Where a relative reference may start.

    Attributes:
        name: For the manifest.
        directory: Its real path.
    """

    name: str
    directory: bytes


@dataclass(frozen=True)
class Scope:
    """Where to look, as the caller gave it.

    Attributes:
        bases: Where relative references start, in this order.
        allowed: Real paths of the root and the included directories.
        file_filter: Which files a reference to a directory brings in.
    """

    bases: tuple[Base, ...]
    allowed: tuple[bytes, ...]
    file_filter: FileFilter


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

    def add(self, file: FoundFile | None) -> None:
        """Add a file, where there is one."""
        if file:
            self.files[file.path] = file


class Search:
    """One search for references, through places that may have been searched before.

    Args:
        scope: Where to look.
        facts: Takes what is asked of the file system beside the places and the stamps.
        account: Takes what is found.
        place_at: Gives the place of a directory.
    """

    def __init__(self, scope: Scope, facts: Facts, account: Account, place_at: Callable[[bytes], Place]) -> None:
        self._bases = scope.bases
        self._allowed = scope.allowed
        self._filter = scope.file_filter
        self._facts = facts
        self._account = account
        self._place_at = place_at

    def run(self, references: Iterable[str]) -> Found:
        """Find what the references mean.

        Raises:
            PatternError: A reference leads to something outside the root and the included directories, or its braces
                stand for too many alternatives.
        """
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

    def _starts(self, pattern: str) -> Iterator[tuple[Base, str]]:
        """The bases to try, each with what is left of the pattern there."""
        if not pattern or "\0" in pattern or len(pattern) > _LONGEST_PATTERN:
            return
        drive, rest = os.path.splitdrive(pattern)
        if rest.startswith("/"):
            yield Base("absolute", encode(drive) + b"/"), rest.lstrip("/") or "."
        elif pattern == "~" or pattern.startswith("~/"):
            yield Base("absolute", self._facts.ask(_home)), pattern[2:] or "."
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
        look = self._facts.ask(look_at, lexical)
        if not look.exists:
            return None
        answer = _Answer()
        if look.is_directory:
            self._walk(lexical, Glob([EVERYTHING]), answer)
            return answer
        located = join(self._facts.ask(real, os.path.dirname(lexical)), os.path.basename(lexical))
        if path.endswith("/"):
            return None
        if self._reaches(lexical, located, answer):
            answer.exists = True
            answer.add(self._account.take(located, self._allowed, exactly=True))
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
        start = self._facts.ask(real, lexical)
        if not self._facts.ask(os.path.isdir, start) or not self._reaches(lexical, start, answer):
            return
        place = self._place_at(containing(start, self._allowed) or start)
        hits = walk(place, glob, start, self._filter)
        answer.exists = answer.exists or bool(hits.files or hits.links or hits.left_out)
        answer.files |= {file.path: file for file in self._account.take_listed(hits.files)}
        for path in hits.links:
            answer.add(self._account.take(path, self._allowed))
        for path, reason in hits.left_out.items():
            self._account.leave(path, reason)
        for directory, reason in hits.not_entered.items():
            self._account.leave(join(directory, b""), reason)
        for path in tracked(place, glob, start, self._filter):
            # An index may name paths behind a link; what is behind it has another real path.
            directory = os.path.dirname(path)
            if self._facts.ask(real, directory) == directory and self._facts.ask(look_at, path).exists:
                answer.add(self._account.take(path, self._allowed))


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


def _home() -> bytes:
    return real(os.fsencode(Path.home()))

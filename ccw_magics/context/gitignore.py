"""Ignore rules as git reads them: one file of them compiled to one regular expression.

git takes the last rule that matches, so the rules stand in reverse in one alternation, each run of rules of the same
sign as one group, and the group that matched says whether the path is ignored. Git itself is the reference for every
detail here (`dir.c` and `wildmatch.c`), its oddities included, and the tests hold this module to it.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from ccw_magics.context.wildmatch import NeverMatchesError, translate_name, translate_path

# git sets core.ignoreCase where it creates a repository on a file system that ignores case: these two systems'.
_FLAGS = re.DOTALL | (re.IGNORECASE if sys.platform in {"darwin", "win32"} else 0)


@dataclass(frozen=True)
class Rule:
    """One line of an ignore file.

    Attributes:
        negated: Whether it re-includes what it matches.
        directory_only: Whether it ends in a slash.
        by_name: Whether it is matched against the base name at any depth (it holds no other slash).
        expression: The regular expression's source, for the base name or the path below the file's directory.
    """

    negated: bool
    directory_only: bool
    by_name: bool
    expression: bytes


class Decision(NamedTuple):
    """A compiled set of rules: `ignored[match.lastindex]` for what `search` matched.

    Attributes:
        match: Takes a path and the position in it where the part below the rules' directory starts.
        ignored: For each group, whether its rules ignore; the item 0 is never used.
    """

    match: re.Pattern[bytes]
    ignored: tuple[bool, ...]


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of one ignore file.

    Attributes:
        files: What they say of files, or None where they say nothing.
        directories: What they say of directories, or None where they say nothing.
    """

    files: Decision | None
    directories: Decision | None

    def decide(self, path: bytes, position: int = 0, *, is_directory: bool = False) -> bool | None:
        """Whether the path is ignored (True), re-included (False), or not mentioned (None).

        Args:
            path: A path with forward slashes and without a trailing one.
            position: Where in it the part below the rules' directory starts.
            is_directory: Whether it is a directory; a symbolic link is not.
        """
        decision = self.directories if is_directory else self.files
        match = decision.match.match(path, position) if decision else None
        return decision.ignored[match.lastindex or 0] if decision and match else None


@functools.lru_cache(maxsize=1024)
def compile_rules(content: bytes) -> IgnoreRules:
    """Compile an ignore file.

    Args:
        content: The file's bytes.
    """
    rules = list(parse_rules(content))
    return IgnoreRules(_decision([rule for rule in rules if not rule.directory_only]), _decision(rules))


def parse_rules(content: bytes) -> Iterator[Rule]:
    """Read an ignore file's lines, in order; a line that can match nothing gives no rule.

    Args:
        content: The file's bytes.
    """
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        rule = _parse_line(_without_trailing_spaces(line.removesuffix(b"\r").split(b"\0")[0]))
        if rule:
            yield rule


def _without_trailing_spaces(line: bytes) -> bytes:
    """Cut trailing spaces, up to one that a backslash keeps."""
    bare = line.rstrip(b" ")
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if backslashes % 2 and bare != line else bare


def _parse_line(pattern: bytes) -> Rule | None:
    negated = pattern.startswith(b"!")
    pattern = pattern[negated:]
    directory_only = pattern.endswith(b"/")
    pattern = pattern[: len(pattern) - directory_only]
    by_name = b"/" not in pattern
    try:
        expression = translate_name(pattern) if by_name else translate_path(pattern.removeprefix(b"/"))
    except NeverMatchesError:
        return None
    return Rule(negated, directory_only, by_name, expression) if pattern else None


def _decision(rules: Sequence[Rule]) -> Decision | None:
    if not rules:
        return None
    groups, ignored = [], [False]
    for negated, run in groupby(reversed(rules), key=lambda rule: rule.negated):
        groups.append(b"(%b)" % b"|".join(_run_expressions(list(run))))
        ignored.append(not negated)
    return Decision(re.compile(b"|".join(groups), _FLAGS), tuple(ignored))


def _run_expressions(run: list[Rule]) -> Iterator[bytes]:
    """Alternatives for rules of one sign, where the order is free: names first, behind the last slash."""
    names = [rule.expression for rule in run if rule.by_name]
    if names:
        yield rb"(?:.*/)?+(?:%b)\Z" % b"|".join(names)
    yield from (rule.expression + rb"\Z" for rule in run if not rule.by_name)

"""Paths that may stand at the cursor. Only the directory at hand is listed, with git's rules that hold there.

What is offered is what a reference to the directory would bring in, as far as names tell: nothing ignored, nothing that
holds secrets, no link that leads outside. Files that git ignores and tracks all the same are left to be typed: to find
them git reads its whole index.
"""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH109, PTH111, PTH112, PTH119

from __future__ import annotations

import functools
import heapq
import itertools
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ccw_magics.cli.completion.suggestion import MOST, Suggestion, Suggestions
from ccw_magics.cli.completion.words import Word
from ccw_magics.context.globs import unescape
from ccw_magics.context.listing import LINK_TO_DIRECTORY, Listing, resolve_link
from ccw_magics.context.paths import containing, encode, join, normal, real
from ccw_magics.context.patterns import extract_patterns, find_references
from ccw_magics.context.places import Place
from ccw_magics.context.sensitive import holds_secrets
from ccw_magics.workspace import find_root, here

_INCLUDING: Final = ("--include-dirs", "--includeDirs")
_PROBE: Final = 'x"'
"""Stands for what is to come: a name's next letter, and the quote that would close a quoted reference."""
_kept: dict[bytes, Place] = {}
"""The place where a completion was last looked for: a directory of 60,000 files takes a tenth of a second to list."""
_QUOTED: Final = re.compile(r'(["\\])')


def reach(words: Sequence[str]) -> tuple[list[bytes], list[bytes]]:
    """Where references of a call start, the first place first, and the real paths of all that they may reach.

    Args:
        words: The call's line, whose options say so.
    """
    cwd = here()
    start = [cwd / Path(text).expanduser() for text in _given(words, ("--cd",))][-1:]
    parts = ",".join(_given(words, _INCLUDING)).split(",")
    included = [cwd / Path(part).expanduser() for part in parts if part]
    bases = [real(os.fsencode(directory)) for directory in (*(start or [cwd]), find_root(cwd), *included)]
    return bases, bases[1:]


def _given(words: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """The values of an option, however it is written."""
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        name, has_value, value = word.partition("=")
        if name in names:
            yield value if has_value else following


def references(line: str, bases: Sequence[bytes], allowed: Sequence[bytes]) -> Suggestions:
    """How an `@` reference at the end of a line may go on; nothing where there is none.

    Args:
        line: A line of the prompt, up to the cursor.
        bases: Where relative references start; the first that has anything to offer is taken.
        allowed: Real paths of the root and the included directories.
    """
    last = next(reversed(find_references(line + _PROBE)), None)
    beyond = last.end - len(line) if last else 0
    if last is None or beyond < 1:
        return Suggestions()
    is_quoted = beyond == len(_PROBE)
    typed = line[last.start + 1 :]
    fragment = typed.rpartition("/")[2] if "/" in typed else typed[is_quoted:]
    above, slash, name = last.pattern[:-1].rpartition("/")
    for directory in _starts(unescape(above + slash), bases):
        place = containing(directory, allowed)
        if place is not None and (found := _entries(directory, place, allowed, unescape(name))):
            return Suggestions(fragment, tuple(_written(entry, is_quoted=is_quoted) for entry in found))
    return Suggestions()


def directories(word: Word) -> Suggestions:
    """How a word that names a directory, anywhere on disk, may go on.

    Args:
        word: The word, or the part of it behind a comma.
    """
    above, slash, name = word.value.rpartition("/")
    start = normal(encode(os.getcwd()), os.path.expanduser(encode(above + slash)))
    found = _entries(real(start), real(start), (b"/",), name)
    texts = ((word.part(text), note) for text, note in found if text.endswith("/"))
    return Suggestions(word.behind("/").raw, tuple(Suggestion(text, note) for text, note in texts if text))


def files(word: Word) -> Suggestions:
    """How a word that names a file, anywhere on disk, may go on; what git ignores may well be read.

    Args:
        word: The word.
    """
    above, _, name = word.value.rpartition("/")
    directory = os.path.expanduser(above + "/") if "/" in word.value else "."
    with os.scandir(directory) as entries:
        names = [encode(entry.name) + (b"/" if entry.is_dir() else b"") for entry in entries]
    found = ((word.part(text), "directory" if text.endswith("/") else "file") for text in _shown(names, encode(name)))
    return Suggestions(word.behind("/").raw, tuple(Suggestion(text, note) for text, note in found if text))


def _starts(above: str, bases: Sequence[bytes]) -> Iterator[bytes]:
    """The directories that the typed part of a path may mean, as a search looks for them."""
    if "\0" in above:
        return
    path = encode(above)
    if above.startswith("~/"):
        path = os.path.expanduser(path)
    for base in dict.fromkeys(bases):
        yield real(normal(base, path))


def _entries(directory: bytes, at: bytes, allowed: Sequence[bytes], prefix: str) -> list[Suggestion]:
    """What a directory holds whose name begins so, directories first; these end in a slash."""
    if not os.path.isdir(directory):
        return []
    start = encode(prefix)
    inside, files = _sorted_out(_listing(directory, at), directory, allowed, start)
    found = [Suggestion(name + "/", "directory") for name in _shown(inside, start)]
    return [*found, *(Suggestion(name, "file") for name in _shown(files, start) if not holds_secrets(encode(name)))]


def _listing(directory: bytes, at: bytes) -> Listing:
    """What a directory holds; from memory where it was asked for before and nothing changed.

    Args:
        directory: Its real path.
        at: The place that it is in.
    """
    now_ns = time.time_ns()
    place = _kept.pop(at, None)
    if place and (place.is_outdated(now_ns) or place.refresh(now_ns) is not False):
        place.close()
        place = None
    place = place or Place(at, now_ns)
    listing = place.listing(directory)
    if listing.ignores:
        place.close()  # git looks for files that are tracked all the same, and the next request would wait for that
    else:
        _kept.clear()
        _kept[at] = place
    return listing


def _sorted_out(
    listing: Listing, directory: bytes, allowed: Sequence[bytes], start: bytes
) -> tuple[list[bytes], list[bytes]]:
    """The directories and the files, with those that symbolic links lead to."""
    inside, files = list(listing.directories), list(listing.files)
    for name in listing.links:
        if name.startswith(start):
            target, reason = resolve_link(join(directory, name), allowed)
            if reason == LINK_TO_DIRECTORY:
                inside.append(name)
            elif not reason and not holds_secrets(os.path.basename(target)):
                files.append(name)
    return inside, files


def _shown(names: Sequence[bytes], start: bytes) -> list[str]:
    """The first names that begin so: hidden ones only behind a dot, none that cannot be typed on one line."""
    fitting = (name for name in names if name.startswith(start) and (start or not name.startswith(b".")))
    texts = (name.decode("utf-8", "surrogateescape") for name in heapq.nsmallest(MOST, fitting))
    return [text for text in texts if text.isprintable()]


def _written(entry: Suggestion, *, is_quoted: bool) -> Suggestion:
    """A name as the grammar of references reads it: in quotes, which a file closes, or with backslashes."""
    text, note = entry
    if is_quoted:
        inner = _QUOTED.sub(r"\\\1", text)
        return Suggestion(inner if text.endswith("/") else f'{inner}"', note)
    if [unescape(pattern) for pattern in extract_patterns(f"@{text}")] == [f"@{text}"]:
        return entry
    return Suggestion("".join([*map(_escaped, text[:-1]), _escaped(text[-1], behind="")]), note)


@functools.cache
def _escaped(character: str, behind: str = "a") -> str:
    """A character of a reference, with a backslash where the grammar would take it for something else."""
    asked = f"@a{character}{behind}"
    is_plain = character != '"' and extract_patterns(asked) == [asked]
    return character if is_plain else f"\\{character}"

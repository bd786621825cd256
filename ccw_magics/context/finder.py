"""Files found again: what a search was made from is kept, and only what changed is looked at anew.

What a search depends on, and how a change of it is seen, without opening a file or listing a directory:

- a listed directory, a found file: by its stamp (`stamps.Stamps`), taken before the directory is listed;
- an ignore file, git's settings and its index, existing or not: likewise; where an ignore file changed, the whole place
  is walked again;
- where names, links and the references' own paths lead: by asking again (`facts.Facts`), as there are few.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ccw_magics.context.account import Account
from ccw_magics.context.facts import Facts
from ccw_magics.context.found import Found, FoundFile
from ccw_magics.context.paths import real
from ccw_magics.context.places import Place
from ccw_magics.context.search import Base, Scope, Search
from ccw_magics.context.stamps import Stamps
from ccw_magics.context.walk import FileFilter


class Finder:
    """What references mean, now and again later. Not for several threads at once.

    Args:
        references: Each with or without its `@`.
        root: The project root.
        cwd: Where relative references start; None for the root.
        include_dirs: Further directories that references may reach.
        file_patterns: Globs that say which files a reference to a directory brings in: by base name, or by the path
            below the root where they hold a slash. Empty for all.
        now_ns: The clock, for tests: nanoseconds since the epoch.
    """

    def __init__(
        self,
        references: Sequence[str],
        *,
        root: Path,
        cwd: Path | None = None,
        include_dirs: Sequence[Path] = (),
        file_patterns: Sequence[str] = (),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._references = tuple(references)
        self._root = root
        self._cwd = cwd or root
        self._include_dirs = tuple(include_dirs)
        self._filter = FileFilter(file_patterns)
        self._clock = now_ns
        self._forget()

    def find(self) -> Found:
        """The files as they are now, exactly as a first search would find them.

        Opens no file but ignore files; so binary files are `read_text`'s to tell. Where nothing changed, the result is
        the same object as the one before; where little did, it shares the unchanged `FoundFile` objects.

        Raises:
            PatternError: A reference leads to something outside the root and the included directories, or its braces
                stand for too many alternatives.
        """
        try:
            return self._find(self._clock())
        except BaseException:
            for place in self._places.values():
                place.close()
            self._forget()
            raise

    def _forget(self) -> None:
        self._found: Found | None = None
        self._facts = Facts()
        self._places: dict[bytes, Place] = {}
        self._files = Stamps(0)

    def _find(self, now_ns: int) -> Found:
        is_same_tree = self._refresh_places(now_ns)
        changed = self._files.refresh(now_ns)
        if self._found is None or not is_same_tree or not self._facts.hold() or not self._are_there(changed):
            self._found = self._search(now_ns, self._found or Found())
        elif changed:
            files = tuple(self._renewed(file) if file.location in changed else file for file in self._found.files)
            self._found = replace(self._found, files=files)
        return self._found

    def _refresh_places(self, now_ns: int) -> bool:
        """Bring the places up to date; whether they hold what they held."""
        is_same = True
        for directory, place in list(self._places.items()):
            changed = None if place.is_outdated(now_ns) else place.refresh(now_ns)
            if changed is None:
                place.close()
                del self._places[directory]
            is_same = is_same and changed is False
        return is_same

    def _are_there(self, changed: set[bytes]) -> bool:
        """Whether all files that changed were there and still are."""
        assert self._found is not None
        return not changed or (
            changed <= {file.location for file in self._found.files} and None not in map(self._files.get, changed)
        )

    def _renewed(self, file: FoundFile) -> FoundFile:
        signature = self._files.get(file.location)
        assert signature is not None
        return file._replace(size_bytes=signature[1], signature=signature)

    def _search(self, now_ns: int, before: Found) -> Found:
        self._facts = Facts()
        scope = self._scope()
        account = Account(scope.allowed[0], self._facts, self._files, before.files)

        def place_at(directory: bytes) -> Place:
            if directory not in self._places:
                self._places[directory] = Place(directory, now_ns)
            return self._places[directory]

        found = Search(scope, self._facts, account, place_at).run(self._references)
        self._files.keep_only(account.watched())
        return before if before == found and self._found is before else found

    def _scope(self) -> Scope:
        def resolve(path: Path) -> bytes:
            return self._facts.ask(real, os.fsencode(path))

        bases = [Base("cwd", resolve(self._cwd)), Base("root", resolve(self._root))]
        bases += [Base(str(directory), resolve(directory)) for directory in self._include_dirs]
        return Scope(tuple(bases), tuple(base.directory for base in bases[1:]), self._filter)

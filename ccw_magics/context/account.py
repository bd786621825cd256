"""The account of one search: what was taken, what was left out and why, and what the user should know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ccw_magics.context.facts import Facts
from ccw_magics.context.found import FoundFile, Skipped
from ccw_magics.context.listing import CHANGED, LEFT_OUT, look_at, resolve_link
from ccw_magics.context.names import show_name
from ccw_magics.context.paths import join, relative
from ccw_magics.context.sensitive import holds_secrets
from ccw_magics.context.stamps import Stamps

SKIPPED_SHOWN = 200
"""Rows for one reason; a manifest is read by a person."""

_MORE = ("... and ", " more")
"""Around the number of those that are not shown."""

SECRET = "may hold secrets; left out unless named exactly"  # noqa: S105 - a reason, not a password


class Account:
    """What a search took and left.

    Args:
        root: The project root's real path.
        facts: What was asked of the file system.
        stamps: Those of the files.
        before: The files of the search before, whose objects serve again where they are equal.
    """

    def __init__(self, root: bytes, facts: Facts, stamps: Stamps, before: Iterable[FoundFile]) -> None:
        self._root = root
        self._prefix = join(root, b"")
        self._facts = facts
        self._stamps = stamps
        self._before = {file.path: file for file in before}
        self._taken: dict[bytes, FoundFile] = {}
        self._missing: list[bytes] = []
        self._skipped: dict[bytes, str] = {}
        self._warnings: dict[str, None] = {}

    def take_listed(self, paths: Sequence[bytes]) -> Iterator[FoundFile]:
        """Take regular files, or note why not.

        Args:
            paths: Absolute real paths.
        """
        self._stamps.look(paths)
        for path in paths:
            file = self._taken.get(path) or self._take(path, path)
            if file:
                yield file

    def take(self, path: bytes, places: tuple[bytes, ...], *, exactly: bool = False) -> FoundFile | None:
        """Take whatever stands there, or note why not.

        Args:
            path: Its absolute path, real but for the last component.
            places: Real paths that a symbolic link may lead into.
            exactly: Whether a reference names it.
        """
        if path in self._taken:
            return self._taken[path]
        look = self._facts.ask(look_at, path)
        target, reason = self._facts.ask(resolve_link, path, places) if look.is_link else (path, look.kind)
        if reason and not (reason == LEFT_OUT and exactly):
            self.leave(path, reason)
            return None
        self._stamps.look((target,))
        return self._take(path, target, exactly=exactly)

    def watched(self) -> list[bytes]:
        """Where the files are that the account depends on, those among them that could not be seen included."""
        return [file.location for file in self._taken.values()] + self._missing

    def leave(self, path: bytes, reason: str) -> None:
        """Note that something was left out; of a directory, pass the path with a slash at its end."""
        self._skipped.setdefault(path, reason)

    def shown(self, path: bytes) -> str:
        """A path as the pack and the manifest show it."""
        if path.startswith(self._prefix):
            return show_name(path[len(self._prefix) :])
        slash = b"/" if path.endswith(b"/") else b""
        return show_name(relative(path, self._root) + slash)

    def skipped(self) -> tuple[Skipped, ...]:
        """What was left out, sorted, at most `SKIPPED_SHOWN` rows for a reason."""
        by_reason: dict[str, list[bytes]] = defaultdict(list)
        for path, reason in self._skipped.items():
            if path not in self._taken:
                by_reason[reason].append(path)
        rows: list[Skipped] = []
        for reason, paths in by_reason.items():
            shown = sorted(map(self.shown, paths))
            keep = SKIPPED_SHOWN if len(shown) <= SKIPPED_SHOWN else SKIPPED_SHOWN - 1
            rows += [Skipped(path, reason) for path in shown[:keep]]
            if shown[keep:]:
                rows.append(Skipped(f"{_MORE[0]}{len(shown) - keep:,}{_MORE[1]}", reason))
        return tuple(sorted(rows))

    def warnings(self) -> tuple[str, ...]:
        """What the user should know, one line each."""
        return tuple(self._warnings)

    def _take(self, path: bytes, target: bytes, *, exactly: bool = False) -> FoundFile | None:
        signature = self._stamps.get(target)
        if signature is None:
            self._missing.append(target)
            self.leave(path, look_at(target).kind or CHANGED)
            return None
        if reason := self._secrecy(path, target, exactly=exactly):
            self.leave(path, reason)
            return None
        file = FoundFile(self.shown(path), target, signature[1], signature)
        same = self._before.get(file.path)
        self._taken[path] = same if same is not None and same == file else file
        return self._taken[path]

    def _secrecy(self, path: bytes, target: bytes, *, exactly: bool) -> str:
        """The reason to leave out a file that holds secrets; where it was named, only warn."""
        is_secret = holds_secrets(path.rpartition(b"/")[2])
        if not is_secret and (target is path or not holds_secrets(target.rpartition(b"/")[2])):
            return ""
        if exactly:
            self._warnings[f"{self.shown(path)} may hold secrets; it is sent because the prompt names it"] = None
        return "" if exactly else SECRET


def counts_by_reason(skipped: Iterable[Skipped]) -> Counter[str]:
    """How often each reason left something out, those counted in that `Account.skipped` does not show.

    Args:
        skipped: Its rows.
    """
    rows = list(skipped)
    counts = Counter(row.reason for row in rows)
    for path, reason in rows:
        more = path.removeprefix(_MORE[0]).removesuffix(_MORE[1]).replace(",", "")
        if counts[reason] == SKIPPED_SHOWN and more.isdecimal() and path == f"{_MORE[0]}{int(more):,}{_MORE[1]}":
            counts[reason] += int(more) - 1
    return counts

"""The account of one search: what was taken, what was left out and why, and what the user should know."""

from __future__ import annotations

import os
from collections import defaultdict

from ccw_magics.context.found import FoundFile, Skipped
from ccw_magics.context.names import show_name
from ccw_magics.context.paths import join, real, relative
from ccw_magics.context.places import LEFT_OUT, kind_of, link_reason
from ccw_magics.context.sensitive import holds_secrets

SKIPPED_SHOWN = 200
"""Rows for one reason; a manifest is read by a person."""

SECRET = "may hold secrets; left out unless named exactly"  # noqa: S105 - a reason, not a password


class Account:
    """What a search took and left.

    Args:
        root: The project root's real path.
        allowed: Real paths of the root and the included directories.
    """

    def __init__(self, root: bytes, allowed: list[bytes]) -> None:
        self._root = root
        self._prefix = join(root, b"")
        self._allowed = allowed
        self._taken: dict[bytes, FoundFile] = {}
        self._skipped: dict[bytes, str] = {}
        self._warnings: dict[str, None] = {}

    def take(self, path: bytes, *, is_link: bool, exactly: bool = False) -> FoundFile | None:
        """Take a file, or note why not.

        Args:
            path: Its absolute path, real but for the last component.
            is_link: Whether it is a symbolic link.
            exactly: Whether a reference names it.
        """
        if path in self._taken:
            return self._taken[path]
        target, reason = (real(path), link_reason(path, self._allowed)) if is_link else (path, "")
        if reason == LEFT_OUT and exactly:
            reason = ""
        try:
            status = os.lstat(target)
        except OSError as error:
            self.leave(path, reason or f"cannot be read: {error.strerror}")
            return None
        reason = reason or kind_of(status.st_mode) or self._secrecy(path, target, exactly=exactly)
        if reason:
            self.leave(path, reason)
            return None
        signature = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
        file = FoundFile(self.shown(path), target, status.st_size, signature)
        self._taken[path] = file
        return file

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
                rows.append(Skipped(f"... and {len(shown) - keep:,} more", reason))
        return tuple(sorted(rows))

    def warnings(self) -> tuple[str, ...]:
        """What the user should know, one line each."""
        return tuple(self._warnings)

    def _secrecy(self, path: bytes, target: bytes, *, exactly: bool) -> str:
        """The reason to leave out a file that holds secrets; where it was named, only warn."""
        is_secret = holds_secrets(path.rpartition(b"/")[2])
        if not is_secret and (target is path or not holds_secrets(target.rpartition(b"/")[2])):
            return ""
        if exactly:
            self._warnings[f"{self.shown(path)} may hold secrets; it is sent because the prompt names it"] = None
        return "" if exactly else SECRET

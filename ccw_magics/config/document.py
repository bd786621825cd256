"""One config file in one process: read when it changed, changed under the lock, trusted as far as it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ccw_magics.config import configfile, durable, entries, migration, trust
from ccw_magics.config.models import Config, GlobalCacheSettings
from ccw_magics.config.sealed import seal
from ccw_magics.errors import ConfigError

_GITIGNORE = b"storage/\n"
_READABLE = 0o666  # less the umask: others may work with the same checkout
# Two writes within one tick of the file system's clock (2 s on FAT and some network shares) may look the same.
_CLOCK_TICK_NS = 2_000_000_000

ResultT = TypeVar("ResultT")


@dataclass
class Snapshot:
    """The file as it was last read. The content itself is not kept, since it holds keys."""

    signature: configfile.Signature | None
    read_at_ns: int
    digest: str
    config: Config

    def is_current(self, signature: configfile.Signature | None) -> bool:
        """Tell whether the file is still this one; a file that had just changed when it was read is read again."""
        if signature is None or signature != self.signature:
            return signature == self.signature
        return self.read_at_ns - signature.modified_ns > _CLOCK_TICK_NS


class ConfigDocument:
    """The file that a `ConfigStore` works on.

    Args:
        path: The file; nothing needs to exist there yet.
        ignored_in: The folder whose `.gitignore` leaves the file out of git; None where no repository is near.
        judge: What a config would do that needs the user's consent.
        start: Makes what the first change of a file that is not there begins with.
    """

    def __init__(
        self,
        path: Path,
        ignored_in: Path | None,
        judge: Callable[[Config], list[trust.Risk]],
        start: Callable[[], entries.Entry],
    ) -> None:
        self.path = path
        self._ignored_in = ignored_in
        self._judge = judge
        self._start = start
        self._snapshot: Snapshot | None = None

    def current(self) -> Snapshot:
        """Return the file as it is now: empty where there is none, from memory where nothing changed.

        Raises:
            ConfigError: The file cannot be read or understood.
        """
        last, signature = self._snapshot, configfile.signature(self.path)
        if last is not None and last.is_current(signature):
            return last
        read_at_ns = time.time_ns()
        content, read_signature = configfile.read(self.path) or (b"", None)
        digest = trust.content_hash(content)
        if last is not None and (last.digest, last.signature is None) == (digest, read_signature is None):
            new = Snapshot(read_signature, read_at_ns, digest, last.config)
        else:
            data = {} if read_signature is None else seal(migration.migrated(configfile.parse(content, self.path)))
            new = Snapshot(read_signature, read_at_ns, digest, configfile.shape(data, self.path))
        self._snapshot = new
        return new

    def change(self, edit: Callable[[entries.Entry, Config], ResultT]) -> ResultT:
        """Apply an edit to the file's JSON object and write it, all under the lock; an edit that raises writes nothing.

        A config that was trusted, or that had no risks, stays trusted; one that was not does not become so. A file of
        an earlier shape gets a backup beside it first.

        Raises:
            ConfigError: The file cannot be understood or written, is of a later version, or would not be understood
                after the edit.
        """
        # A link is written through: replacing it would part it from the file it shares.
        target = self.path if configfile.signature(self.path) is None else self.path.resolve()
        with configfile.locked(target):
            content, _ = configfile.read(target) or (None, None)
            found = self._start() if content is None else configfile.parse(content, self.path)
            present = seal(migration.migrated(found))
            is_present = present == found  # asked before the edit, which changes lists in place
            before = configfile.shape(present, self.path)
            configfile.require_writable(found, self.path)
            data = entries.canonical(Config, present)
            data.setdefault("providers", [])
            data.setdefault("endpoints", [])
            result = edit(data, before)
            new_content = configfile.encode(data, self.path)
            after = configfile.shape(data, self.path)
            if self._judge(after) and (not self._judge(before) or trust.is_trusted(trust.content_hash(content or b""))):
                trust.record(trust.content_hash(new_content))
            if content is not None and not is_present:
                version = migration.version_of(found) or 0
                back_up(target, content, version, only_first=version == migration.VERSION)
            self._write(target, new_content)
        return result

    def create(self, content: bytes, beside: dict[str, str]) -> None:
        """Write the file where there is none.

        Args:
            content: The file's content.
            beside: Names of further files in its folder, and their texts; those that exist are left.

        Raises:
            ConfigError: There is a file already.
        """
        with configfile.locked(self.path):
            if configfile.signature(self.path) is not None:
                raise ConfigError(f"{self.path} exists already", hint="Edit it, or move it away first.")
            for name, text in beside.items():
                durable.write_if_absent(self.path.with_name(name), text.encode(), self.path)
            self._write(self.path, content)

    def _write(self, target: Path, content: bytes) -> None:
        if self._ignored_in is not None:
            durable.write_if_absent(self._ignored_in / ".gitignore", _GITIGNORE, target, mode=_READABLE)
        durable.replace(target, content)


def empty() -> entries.Entry:
    """Return the JSON object of a config with nothing in it."""
    settings = GlobalCacheSettings().model_dump(by_alias=True)
    return {"version": migration.VERSION, "providers": [], "endpoints": [], "globalCacheSettings": settings}


def back_up(path: Path, content: bytes, version: int, *, only_first: bool = False) -> Path:
    """Keep a file's content beside it, under a name of its version; an earlier backup of other content stays.

    Args:
        path: The file.
        content: What it holds.
        version: The version that it is of.
        only_first: Whether one backup of that version is enough: a program that goes on writing the earlier shape would
            else leave a copy of its keys with each edit here.

    Returns:
        The backup, such as `litellm-api-config.v0.json`, which may have been there.

    Raises:
        ConfigError: The folder cannot be written.
    """
    number = 1
    while True:
        backup = path.with_name(f"{path.stem}.v{version}{f'-{number}' if number > 1 else ''}{path.suffix}")
        kept = configfile.read(backup)
        if kept is None:
            durable.replace(backup, content, lock_of=path)
        if kept is None or only_first or kept[0] == content:
            return backup
        number += 1

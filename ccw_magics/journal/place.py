"""The folder that a journal lies in: part of somebody's project, which may have come from anywhere."""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE_NAME: Final = "calls.sqlite3"
_FOLDER: Final = (".ccw", "journal")
_IGNORED: Final = ".gitignore"
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
"""sqlite's files, by what it adds to the name of the first."""


class Place:
    """`<root>/.ccw/journal/` and the files in it.

    Args:
        root: The project's root.

    Attributes:
        path: The database file.
        files: It, and those that sqlite puts beside it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root.joinpath(*_FOLDER)
        self.path = self._folder / FILE_NAME
        self.files = tuple(Path(f"{self.path}{suffix}") for suffix in _SUFFIXES)

    def require_ordinary(self) -> None:
        """A link in somebody's project must not lead the user's prompts elsewhere, nor sqlite to another file.

        Raises:
            OSError: The folder, or a file in it, is a link or something else that it should not be.
        """
        expected = Path(os.path.realpath(self._root)).joinpath(*_FOLDER)
        if Path(os.path.realpath(self._folder)) != expected:
            raise OSError(f"{self._folder} is behind a link")
        for folder in (self._folder.parent, self._folder):  # a link to itself has a real path too
            if stat.S_ISLNK(_mode(folder)):
                raise OSError(f"{folder} is a link")
        for file in (*self.files, self._folder / _IGNORED):
            if not stat.S_ISREG(_mode(file) or stat.S_IFREG):
                raise OSError(f"{file} is a link, or no ordinary file")

    def make(self) -> None:
        """Make the folder, out of git, where it is not.

        Raises:
            OSError: It cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # O_EXCL: whatever lies there already, a link too, is not written to.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(self._folder / _IGNORED, flags, 0o600), "w", encoding="utf-8") as file:
                file.write("*\n")

    def make_private(self) -> str:
        """Take away what others may do with folder and files, such as after a checkout.

        Not by descriptor: closing one would take this process's locks on the file away.

        Returns:
            What others may still read, and why; empty for nothing.
        """
        if sys.platform == "win32":
            return ""
        for path, mode in ((self._folder, 0o700), *((file, 0o600) for file in self.files)):
            try:
                if _mode(path) & 0o077:
                    if path.lstat().st_uid != os.geteuid():
                        return f"others may read {path}: it belongs to another user"
                    path.chmod(mode)
            except OSError as error:
                return f"others may read {path}: {error.strerror}"
        return ""

    def set_aside(self, suffix: str) -> list[Path]:
        """The database files that were put out of the way, the newest last: by name, which are counted up.

        Args:
            suffix: What is added to the first one's name; to the next ones', with `-2` and so on.
        """
        name = re.compile(rf"{re.escape(FILE_NAME + suffix)}(?:-(\d{{1,9}}))?", re.ASCII)
        found = [(int(match[1] or 1), path) for path in self._folder.iterdir() if (match := name.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def size_bytes(self) -> int:
        """What the files take on disk; sqlite's shared memory is none."""
        return sum(_size_bytes(file) for file in self.files if not file.name.endswith("-shm"))


def _mode(path: Path) -> int:
    """Type and permissions of what lies there, itself and not what it leads to; 0 for nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""Which project a request is about: that of the server's root, or of a folder below it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ccw_magics.server.refusal import Refusal
from ccw_magics.workspace import Workspace, find_root

MOST_KEPT: Final = 32
"""Workspaces that are held at once; the least used one is let go, and made again when it is asked for."""


class Places:
    """The folders below a server's root, and the workspaces that they belong to. For several threads.

    A folder's workspace is the one that a kernel started there has: its project may begin above the server's root.

    Args:
        root: The server's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Workspace] = OrderedDict()

    def folder(self, path: str) -> Path:
        """A folder at or below the root, links followed.

        Args:
            path: Relative to the root; as in Jupyter's own paths, a slash before it means the same.

        Raises:
            Refusal: It is not there, or it is elsewhere.
        """
        try:
            folder = (self._root / path.lstrip("/")).resolve()
            is_there = folder.is_dir()
        except (OSError, RuntimeError, ValueError):  # too long a name, a loop of links, a NUL character
            raise Refusal("path: this is no path", status=HTTPStatus.BAD_REQUEST) from None
        if not folder.is_relative_to(self._root):
            raise Refusal("path: it leads outside the server's root", status=HTTPStatus.BAD_REQUEST)
        if not is_there:
            raise Refusal("path: there is no such folder below the server's root", status=HTTPStatus.NOT_FOUND)
        return folder

    def workspace(self, folder: Path) -> Workspace:
        """The workspace of the project that a folder belongs to: the same object for each request."""
        root = find_root(folder)
        with self._lock:
            workspace = self._kept.pop(root, None) or _made(root)
            self._kept[root] = workspace
            if len(self._kept) > MOST_KEPT:
                _, dropped = self._kept.popitem(last=False)
                dropped.cache.close()
        return workspace


def _made(root: Path) -> Workspace:
    """A workspace with its parts there: two threads that made one of them at once would each have its own."""
    workspace = Workspace(root)
    assert workspace.executor is not None
    return workspace

"""References that mean the same wherever the next call starts: written from the project root."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Final

from ccw_magics.context.finder import Finder
from ccw_magics.context.pack import PackRequest

_READ_AS_GLOB: Final = re.compile(r"([\\*?\[\]{}])")


def rooted(request: PackRequest) -> tuple[str, ...]:
    """A request's references, those that were found from its folder written from the project root.

    A conversation goes on from other folders, and its earlier references must not come to mean other files there.

    Args:
        request: What is asked for, with the folder where its references start.

    Raises:
        PatternError: A reference leads outside the root and the included directories.
    """
    start = request.cwd or request.root
    if start == request.root:
        return request.references
    way = Path(os.path.relpath(start, request.root)).as_posix()
    matches = Finder(request.references, root=request.root, cwd=start, include_dirs=request.include_dirs).find().matches
    return tuple(
        _from(way, reference) if reference in matches and matches[reference].base == "cwd" else reference
        for reference in request.references
    )


def _from(way: str, reference: str) -> str:
    path = reference.removeprefix("@")
    whole = posixpath.normpath(posixpath.join(_READ_AS_GLOB.sub(r"\\\1", way), path))
    return f"@{whole}/" if path.endswith("/") else f"@{whole}"

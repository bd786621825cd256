"""Absolute paths as bytes with forward slashes, on every system."""

# A path is bytes here, which pathlib does not take.
# ruff: noqa: PTH118

from __future__ import annotations

import os
from collections.abc import Sequence

_SEPARATOR = os.fsencode(os.sep)


def encode(text: str) -> bytes:
    """A path that a user typed, as bytes; halves of characters that no name can hold do not raise.

    Args:
        text: The path.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def real(path: bytes) -> bytes:
    """The absolute path without symbolic links."""
    return _forward(os.path.realpath(path))


def normal(*parts: bytes) -> bytes:
    """The parts joined, `.` and `..` resolved by their letters alone."""
    return _forward(os.path.normpath(os.path.join(*parts)))


def relative(path: bytes, start: bytes) -> bytes:
    """The way from one directory to a path; the path itself where there is none (another Windows drive)."""
    try:
        return _forward(os.path.relpath(path, start))
    except ValueError:
        return path


def join(directory: bytes, name: bytes) -> bytes:
    """A name in a directory; an empty name gives the directory with a slash at its end."""
    return (directory if directory.endswith(b"/") else directory + b"/") + name


def containing(path: bytes, places: Sequence[bytes]) -> bytes | None:
    """The first place that is the path or lies above it, by whole components; None where none does.

    Args:
        path: A path that `real` or `normal` gave.
        places: Directories that `real` gave.
    """
    return next((place for place in places if path == place or path.startswith(join(place, b""))), None)


def _forward(path: bytes) -> bytes:
    return path if _SEPARATOR == b"/" else path.replace(_SEPARATOR, b"/")

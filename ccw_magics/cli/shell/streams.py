"""The streams of a command line: what is written must not end in a trace where they fail, nor be lost in silence."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import BinaryIO, Final, TextIO

_UNREAD: Final = {errno.EPIPE, errno.EINVAL}
"""What writing to a pipe without a reader says; the second one on Windows."""

_ASCII: Final = {"ascii", "us-ascii", "646", "ansi-x3.4-1968"}


class OutputLost(Exception):
    """Standard output takes nothing more. No OSError: click would end the process at a broken pipe, with its own code.

    Attributes:
        is_unread: Whether it is a pipe that nobody reads any more.
    """

    def __init__(self, error: OSError) -> None:
        self.is_unread = error.errno in _UNREAD
        reason = "nobody reads it any more" if self.is_unread else error.strerror or str(error)
        super().__init__(f"cannot write to standard output: {reason}")


class _Output(io.TextIOWrapper):
    """Standard output, whose failures are told by `OutputLost`."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _lost(error, self.fileno()) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _lost(error, self.fileno()) from None


class _Notes(io.TextIOWrapper):
    """Standard error: a note that cannot be written is not worth an answer."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            _discard(self.fileno())
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _discard(self.fileno())


def take_over() -> None:
    """Replace the standard streams of this process; to be called before anything is opened.

    Text that the stream's encoding does not know is replaced. ASCII counts as not set up, since that is what a
    process without a locale gets, and is written as UTF-8.
    """
    _open_missing()
    _have_them_wait()
    if sys.stdout is sys.__stdout__:  # else it is somebody's who calls this as a function
        sys.stdout = _Output(_bytes(sys.stdout, 1), encoding=_encoding(sys.stdout), errors="replace")
    if sys.stderr is sys.__stderr__:
        encoding = _encoding(sys.stderr)
        sys.stderr = _Notes(_bytes(sys.stderr, 2), encoding=encoding, errors="backslashreplace", line_buffering=True)


def _open_missing() -> None:
    """Open what the process was started without: the next file would take its place, and be written into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest free number; to write to it fails, as it should


def _have_them_wait() -> None:
    """Undo what a program that shares a stream may have done to it: Python takes `not now` for the end of it."""
    if sys.platform != "win32":
        for descriptor in range(3):
            os.set_blocking(descriptor, True)


def _bytes(stream: TextIO | None, descriptor: int) -> BinaryIO | io.FileIO:
    return stream.buffer if stream is not None else io.FileIO(descriptor, "wb", closefd=False)


def _encoding(stream: TextIO | None) -> str:
    name = stream.encoding if stream is not None else "utf-8"
    return "utf-8" if name.lower().replace("_", "-") in _ASCII else name


def _lost(error: OSError, descriptor: int) -> OutputLost:
    _discard(descriptor)
    return OutputLost(error)


def _discard(descriptor: int) -> None:
    """Let nothing fail from now on: Python flushes once more at exit, and would say what went wrong then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)

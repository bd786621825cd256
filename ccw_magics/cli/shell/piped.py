"""Standard input beside a question: what somebody pipes in is read; what is merely open is not waited for."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import click

from ccw_magics.errors import ContextTooLarge

LIMIT_BYTES: Final = 10_000_000
"""Of a question, and of what is piped in: ten times what the largest context window holds of prose."""
SAID_S: Final = 1.0
"""Seconds until somebody is told what is waited for."""
HELD_S: Final = 3.0
"""Seconds in which whoever started the process must begin to write, where nobody else can."""
_SKIP: Final = "`< /dev/null` says that nothing comes"
_CHUNK_BYTES: Final = 1 << 16
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")

Note = Callable[[str], None]
"""Told what the user should know."""


def piped_text(note: Note) -> str:
    """What is piped in, or redirected from a file; empty where standard input is anything else.

    A pipe that another command writes to is read to its end, however long that takes to begin. One that only whoever
    started this process holds open, as programs, schedulers and ssh do without meaning anything by it, is given
    up after 3 s.

    Raises:
        ContextTooLarge: It has more than 10 MB.
        click.UsageError: It is no text.
    """
    descriptor = _descriptor()
    if descriptor is None or not _may_bring_text(descriptor):
        return ""
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if not is_file and not _begins(descriptor, note):
        note(f"nothing came on standard input within {HELD_S:g} s: asked without it")
        return ""
    text = _decoded(_read(sys.stdin.buffer, "standard input"), "standard input", note)
    if not text and not is_file:
        note("standard input is empty; going on without it")
    return text


def whole_text(note: Note) -> str:
    """All of standard input, waited for: it is the question.

    Raises:
        ContextTooLarge: It has more than 10 MB.
        click.UsageError: It is no text.
    """
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        note("type the question; Ctrl-D ends it")
    return _decoded(_read(sys.stdin.buffer, "standard input"), "standard input", note)


def file_text(path: Path, note: Note) -> str:
    """The text of a file, or of a pipe that goes by a name.

    Raises:
        ContextTooLarge: It has more than 10 MB.
        click.UsageError: It cannot be read, or is no text.
    """
    try:
        with path.open("rb") as file:
            return _decoded(_read(file, str(path)), str(path), note)
    except OSError as error:
        raise click.UsageError(f"--file: {path}: {error.strerror or error}") from None


def is_open_for_text() -> bool:
    """Whether a question may come from standard input where none is given: it is no terminal."""
    return sys.stdin is not None and not sys.stdin.isatty()


def _descriptor() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # none, an object in its place, a closed one
        return None


def _may_bring_text(descriptor: int) -> bool:
    """Whether it is a file, a pipe or a socket: a terminal is for Ctrl-C here, and a device such as /dev/null empty."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _begins(descriptor: int, note: Note) -> bool:
    """Wait for the first byte, or the end; False where it is given up."""
    if not hasattr(select, "poll"):  # Windows, where pipes cannot be waited for
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if poll.poll(SAID_S * 1000):
        return True
    note(f"waiting for standard input, which is open: {_SKIP}")
    if _is_held_by_starter(descriptor):
        return bool(poll.poll((HELD_S - SAID_S) * 1000))
    poll.poll()
    return True


def _is_held_by_starter(descriptor: int) -> bool:
    """Whether nobody can write but those who started this process: shells make pipes between commands, not sockets.

    Of a pipe only Linux tells whose it is, and only to its user; where that is not known, somebody may well write.
    """
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return True
    try:
        writers = {*_writers(str(Path(f"/proc/self/fd/{descriptor}").readlink()))}
        return bool(writers) and writers <= {*_starters()}
    except (OSError, ValueError):
        return False


def _writers(pipe: str) -> Iterator[int]:
    """The processes of this user that have a pipe open to write."""
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(entry.readlink()) == pipe and entry.lstat().st_mode & stat.S_IWUSR:
                yield int(entry.parts[2])
        except OSError:  # ended meanwhile
            continue


def _starters() -> Iterator[int]:
    """This process, what started it, and so on."""
    number = os.getpid()
    while number:
        yield number
        # After the name, which may hold anything: the state, and then the parent.
        number = int(Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def _read(stream: IO[bytes], name: str) -> bytes:
    chunks, size_bytes = [], 0
    while chunk := stream.read(_CHUNK_BYTES):
        chunks.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > LIMIT_BYTES:
            raise ContextTooLarge(
                f"{name} has more than {LIMIT_BYTES // 1_000_000} MB",
                hint="No model reads so much at once: send a part, or refer to files with @.",
            )
        if len(chunk) < _CHUNK_BYTES:  # the end: to ask once more would have a terminal wait for a second Ctrl-D
            break
    return b"".join(chunks)


def _decoded(content: bytes, name: str, note: Note) -> str:
    """Bytes as text: UTF-8 or, as PowerShell writes it, UTF-16; what is neither is replaced, and that told."""
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    text = content.decode(encoding, errors="replace")
    if "\0" in text:
        raise click.UsageError(f"{name} is no text: it holds NUL bytes")
    if content and text.count("�") > content.count("�".encode(encoding.removesuffix("-sig"))):
        note(f"{name} is not all {encoding.removesuffix('-sig').upper()}: what is not is sent as �")
    return text

"""Kept packs read from their file, by whoever has a connection to it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ccw_magics.context.pack import PackKey
from ccw_magics.context.packing import Packing
from ccw_magics.context.packrows import checksum_of, key_text, read_block, read_seen, require, time_of
from ccw_magics.context.session import Session
from ccw_magics.context.text import Block
from ccw_magics.context.watch import Watch
from ccw_magics.database import BUSY_S
from ccw_magics.database.fork import close_before_fork

FILE_NAME: Final = "packs.sqlite3"


class _Looking:
    """Looks at any file, one at a time; a fork waits for the end of one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def close(self) -> None:
        """Nothing is open between two looks."""


_LOOKING: Final = _Looking()
close_before_fork(_LOOKING)


@contextmanager
def opened_to_look(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the file, and makes, mends and leaves nothing, not even beside it.

    Raises:
        OSError: The directory cannot be entered.
        sqlite3.Error: There is no file, or it cannot be used.
    """
    path = directory.absolute() / FILE_NAME
    # A reader makes a WAL where there is none, unless told that nobody writes. Should somebody begin at this very
    # moment, checksums tell. No descriptor is opened beside sqlite: closing it would take this process's locks away.
    is_in_use = any(path.with_name(f"{FILE_NAME}{suffix}").exists() for suffix in ("-wal", "-journal"))
    uri = f"{path.as_uri()}?mode=ro{'' if is_in_use else '&immutable=1'}"
    with _LOOKING.lock, closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("BEGIN")
        yield connection


def current(connection: sqlite3.Connection, key: PackKey) -> tuple[str, int] | None:
    """The session id and revision that hold for a key; None where there is no pack."""
    row = connection.execute("SELECT session_id, revision FROM pack WHERE key = ?", (key_text(key),)).fetchone()
    return (row[0], row[1]) if row else None


def load(connection: sqlite3.Connection, key: PackKey) -> Session | None:
    """The kept pack of a key; None where there is none.

    Raises:
        ValueError, KeyError, TypeError: It does not stand up to its checksums.
    """
    columns = "session_id, revision, created_at, used_at, hits, tail, state, checksum"
    row = connection.execute(f"SELECT {columns} FROM pack WHERE key = ?", (key_text(key),)).fetchone()  # noqa: S608 - constant
    if row is None:
        return None
    session_id, revision, created_at, used_at, hits, tail, state, checksum = row
    require(checksum == checksum_of(tail, state.encode()))
    kept = json.loads(state)
    blocks = list(_blocks(connection, session_id, kept["blocks"]))
    packing = Packing(blocks, read_block(tail, kept["tail"]).sections, kept["changes"], kept["calls"])
    for (block, section), since in zip(kept["dead"], kept["dead_since"], strict=True):
        blocks[block].sections[section].dead_since = since
    known = connection.execute("SELECT path, known FROM seen WHERE session_id = ?", (session_id,))
    return Session(
        session_id=session_id,
        revision=revision,
        packing=packing,
        watch=Watch({path: read_seen(json.loads(text)) for path, text in known}),
        created_at=time_of(created_at),
        used_at=time_of(used_at),
        hits=hits,
        stored_blocks=tuple(blocks),
    )


def _blocks(connection: sqlite3.Connection, session_id: str, count: int) -> Iterator[Block]:
    rows = connection.execute(
        "SELECT data, sections, checksum FROM block WHERE session_id = ? ORDER BY position", (session_id,)
    ).fetchall()
    require(len(rows) == count)
    for data, sections, checksum in rows:
        require(checksum == checksum_of(data, sections.encode()))
        yield read_block(data, json.loads(sections))

"""A journal of an earlier version goes on in the new one, in its place."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccw_magics.database import Database
from ccw_magics.journal import Call, Journal, Turn
from ccw_magics.journal.tables import VERSIONS

FIRST = Path(__file__).parent / "version-1.sqlite3"
"""Written by the last release that knew calls alone: three of them, one without texts, one with half a surrogate."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / ".ccw" / "journal" / "calls.sqlite3"
    path.parent.mkdir(parents=True)
    shutil.copyfile(FIRST, path)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("how", ["listing", "recording", "talking", "reserving"])
def test_a_file_of_the_first_version_is_upgraded_in_place(
    journal: Journal, path: Path, call: Callable[..., Call], turn: Callable[..., Turn], how: str
) -> None:
    assert version(path) == 1
    inode = path.stat().st_ino
    since = datetime(2026, 1, 1, tzinfo=UTC)
    match how:
        case "listing":
            assert journal.chats.names() == []
        case "recording":
            assert journal.append(call()) == 4
        case "talking":
            assert journal.chats.append("review", None, turn()) is not None
        case "reserving":
            assert journal.ledger.reserve(0.25, since=since, cap_usd=1.0) == 1
    answers = {entry.id: entry.call.answer for entry in journal.calls(with_text=True) if entry.id <= 3}
    assert answers == {1: "Because.", 2: None, 3: "Because \ud800"}
    assert journal.ledger.spent(since).calls_usd == (1.0 if how == "recording" else 0.75)
    assert journal.take_trouble() == ""
    journal.close()
    assert (version(path), path.stat().st_ino) == (2, inode)
    assert [file.name for file in path.parent.glob("*damaged*")] == []


def test_the_old_version_goes_on_with_the_new_ones_file(
    journal: Journal, path: Path, call: Callable[..., Call]
) -> None:
    old = Database(path, VERSIONS[:1])
    with old.transaction() as connection:
        connection.execute("DELETE FROM call WHERE id = 3")
    assert journal.append(call()) == 4
    with old.transaction() as connection:
        connection.execute("DELETE FROM call WHERE id = 2")
    old.close()
    with old.lock:
        assert old.connection.execute("SELECT id FROM call").fetchall() == [(1,), (4,)]
    assert version(path) == 2
    assert [entry.id for entry in journal.calls()] == [4, 1]
    old.close()


def test_what_is_told_of_one_matter_does_not_hide_another(
    tmp_path: Path, turn: Callable[..., Turn], call: Callable[..., Call]
) -> None:
    (tmp_path / ".ccw").write_text("in the way")
    journal = Journal(tmp_path)
    assert journal.append(call()) is None
    assert journal.chats.append("review", None, turn()) is None
    said = journal.take_trouble()
    assert "this call is not recorded" in said
    assert "this turn is not kept" in said
    assert journal.append(call()) is None
    assert journal.chats.append("review", None, turn()) is None
    assert journal.take_trouble() == ""

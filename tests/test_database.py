"""One file, several processes: where it may lie, what may befall it, and what must never be lost."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ccw_magics.database import Database, is_busy, is_damage, is_on_network, is_out_of_order

VERSIONS = [("CREATE TABLE note (text TEXT)",)]
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and forks are POSIX's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "notes.sqlite3"


@pytest.fixture
def no_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """sqlite's own VFS that has no shared memory, as on a file system where WAL cannot work."""
    real = sqlite3.connect

    def connect(path: Path, **options: Any) -> sqlite3.Connection:
        return real(f"file:{path}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr("ccw_magics.database.file.sqlite3.connect", connect)


def add(notes: Database, text: str) -> None:
    with notes.transaction() as connection:
        connection.execute("INSERT INTO note VALUES (?)", (text,))


def add_or_recover(notes: Database, text: str) -> None:
    try:
        add(notes, text)
    except sqlite3.Error as error:
        if not notes.recover(error):
            raise
        add(notes, text)


def read(notes: Database) -> list[str]:
    with notes.lock:
        return [text for (text,) in notes.connection.execute("SELECT text FROM note ORDER BY rowid")]


def test_nothing_is_made_before_the_first_use(path: Path) -> None:
    notes = Database(path, VERSIONS)
    assert not path.parent.exists()
    add(notes, "a")
    assert read(notes) == ["a"]
    assert notes.has_wal


@POSIX
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_it(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        add(Database(path, VERSIONS), "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_a_transaction_is_whole_or_nothing(path: Path) -> None:
    notes = Database(path, VERSIONS)

    with suppress(LookupError), notes.transaction() as connection:
        connection.execute("INSERT INTO note VALUES ('a')")
        raise LookupError
    add(notes, "b")
    assert read(notes) == ["b"]


def test_a_later_version_adds_to_what_an_earlier_one_wrote(path: Path) -> None:
    old = Database(path, VERSIONS)
    add(old, "a")
    old.close()
    new = Database(path, [*VERSIONS, ("ALTER TABLE note ADD COLUMN weight REAL", "CREATE TABLE other (id INTEGER)")])
    assert new.connection.execute("SELECT text, weight FROM note").fetchall() == [("a", None)]
    new.close()
    assert read(old) == ["a"]  # the old program goes on with the new file
    assert old.connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_without_shared_memory_a_rollback_journal_serves(path: Path, no_shared_memory: None) -> None:
    notes = Database(path, VERSIONS)
    add(notes, "a")
    assert not notes.has_wal
    assert notes.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert read(notes) == ["a"]


def test_a_file_in_wal_mode_is_taken_to_where_that_cannot_work(path: Path, request: pytest.FixtureRequest) -> None:
    before = Database(path, VERSIONS)
    add(before, "a")
    before.close()
    request.getfixturevalue("no_shared_memory")
    notes = Database(path, VERSIONS)
    add(notes, "b")
    assert read(notes) == ["a", "b"]
    assert not notes.has_wal


def test_wal_that_fails_in_use_is_given_up(path: Path) -> None:
    notes = Database(path, VERSIONS)
    add(notes, "a")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMMAP
    assert notes.recover(error)
    assert not notes.recover(error)
    add(notes, "b")
    assert read(notes) == ["a", "b"]
    assert not notes.has_wal


def test_on_a_network_wal_is_not_even_tried(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local = Database(path, VERSIONS)
    add(local, "a")
    local.close()
    monkeypatch.setattr("ccw_magics.database.file.is_on_network", lambda _: True)
    notes = Database(path, VERSIONS)
    add(notes, "b")
    assert read(notes) == ["a", "b"]
    assert {file.name for file in path.parent.iterdir()} == {path.name}
    new = Database(tmp_path / "new.sqlite3", VERSIONS)
    add(new, "c")
    assert not new.has_wal


MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /home rw,relatime shared:9 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/ann/scratch rw - xfs /dev/sdb1 rw
32 21 0:41 / /data rw - cifs //server/data rw
33 21 0:42 / /with\\040space rw master:2 propagate_from:1 - fuse.sshfs host:/ rw
34 21 0:43 / /over rw - ext4 /dev/sdc1 rw
35 34 0:44 / /over rw - lustre mgs:/fs rw
garbage
"""


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/srv/project", False),
        ("/home/ann/project/.ccw", True),
        ("/home/ann/scratch/project", False),
        ("/homework", False),
        ("/data", True),
        ("/with space/x", True),
        ("/over/x", True),
    ],
)
@POSIX
def test_network_file_systems_are_told_by_the_longest_mount_point(tmp_path: Path, place: str, expected: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert is_on_network(Path(place), table) is expected


def test_where_mounts_are_not_told_wal_is_tried(tmp_path: Path) -> None:
    assert not is_on_network(tmp_path, tmp_path / "nothing")


def _text_instead(path: Path) -> None:
    path.write_text("this is not a database, " * 100)


def _pages_lost(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _table_gone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE note (' || CAST(x'f4f4' AS TEXT)")
    connection.close()


@pytest.mark.parametrize("damage", [_text_instead, _table_gone, _pages_lost])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_damaged_file_is_set_aside(path: Path, damage: Callable[[Path], None], keeps: bool) -> None:
    notes = Database(path, VERSIONS, keeps_damaged=keeps)
    for number in (1, 2):
        add(notes, "a" * 9000)
        notes.close()
        damage(path)
        spoiled = path.read_bytes()
        add_or_recover(notes, "b")
        assert read(notes) == ["b"]
        assert notes.damaged is not None
        assert notes.damaged.name == f"{path.name}.damaged" + ("-2" if keeps and number == 2 else "")
        assert notes.damaged.read_bytes() == spoiled
        notes.close()
        path.unlink()
    notes.forget_damaged()
    assert not list(path.parent.glob("*damaged*"))


def test_only_the_first_of_two_processes_sets_a_damaged_file_aside(path: Path) -> None:
    first, second = Database(path, VERSIONS), Database(path, VERSIONS)
    add(first, "a")
    assert read(second) == ["a"]
    first.set_aside()
    add(first, "b")
    second.set_aside()
    assert read(second) == ["b"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, is_busy),
        (sqlite3.SQLITE_IOERR_READ, is_out_of_order),
        (sqlite3.SQLITE_READONLY_DBMOVED, is_out_of_order),
        (sqlite3.SQLITE_FULL, is_out_of_order),
        (sqlite3.SQLITE_NOTADB, is_damage),
        (sqlite3.SQLITE_CORRUPT_INDEX, is_damage),
        (sqlite3.SQLITE_CONSTRAINT_TRIGGER, None),
    ],
)
def test_errors_are_told_apart(code: int, kind: Callable[[Exception], bool] | None) -> None:
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = code
    assert [check for check in (is_busy, is_out_of_order, is_damage) if check(error)] == ([kind] if kind else [])


@POSIX
def test_a_forked_child_opens_its_own_and_loses_nothing_when_the_parent_closes(path: Path) -> None:
    # sqlite, left alone, loses the child's second note: the parent, closing, deletes the WAL that it goes into.
    notes = Database(path, VERSIONS)
    add(notes, "parent")
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        add(notes, "child 1")
        os.write(to_parent, b"x")
        os.read(from_parent, 1)
        add(notes, "child 2")
        os._exit(0)
    os.read(from_child, 1)
    assert read(notes) == ["parent", "child 1"]
    notes.close()
    os.write(to_child, b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert read(notes) == ["parent", "child 1", "child 2"]
    for end in (from_child, to_parent, from_parent, to_child):
        os.close(end)


@POSIX
def test_a_fork_waits_until_other_threads_are_through(path: Path) -> None:
    notes, inside, leave = Database(path, VERSIONS), threading.Event(), threading.Event()

    def hold() -> None:
        with notes.transaction() as connection:
            inside.set()
            leave.wait(10)
            connection.execute("INSERT INTO note VALUES ('thread')")

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    threading.Timer(0.05, leave.set).start()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        add(notes, "child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    assert read(notes) == ["thread", "child"]


def test_two_databases_of_one_process_keep_each_others_locks(path: Path) -> None:
    first, second = Database(path, VERSIONS), Database(path, VERSIONS)
    add(first, "a")
    assert read(second) == ["a"]
    second.close()
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM note').fetchall(); c.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert Path(f"{path}-wal").exists(), "another process took itself for the last one"
    add(first, "b")
    assert read(second) == ["a", "b"]


def test_many_that_begin_at_once_all_get_in(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ccw_magics.database import Database\n"
        "sys.stdin.readline()\n"
        f"with Database(Path(sys.argv[1]), {VERSIONS!r}).transaction() as c: c.execute('INSERT INTO note VALUES (1)')"
    )
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()
    assert [process.wait(30) for process in processes] == [0] * 4
    assert len(read(Database(path, VERSIONS))) == 4


@pytest.mark.parametrize("busy_s", [0, 5.0])
def test_how_long_sqlite_waits_is_chosen_and_shrinking_always_waits(path: Path, busy_s: float) -> None:
    notes = Database(path, VERSIONS, busy_s=busy_s)
    add(notes, "a")
    asked: list[str] = []
    notes.connection.set_trace_callback(asked.append)
    notes.shrink()
    assert [words for words in asked if "busy" in words] == [
        "PRAGMA busy_timeout = 5000",
        f"PRAGMA busy_timeout = {int(busy_s * 1000)}",
    ]
    assert notes.connection.execute("PRAGMA busy_timeout").fetchone() == (busy_s * 1000,)


def test_without_waiting_a_held_file_is_busy_at_once(path: Path) -> None:
    first, second = Database(path, VERSIONS), Database(path, VERSIONS, busy_s=0)
    add(first, "a")
    add(second, "b")
    with first.transaction(), pytest.raises(sqlite3.OperationalError) as caught:
        add(second, "c")
    assert is_busy(caught.value)
    add(second, "d")
    assert read(first) == ["a", "b", "d"]


def test_what_was_deleted_is_gone_from_the_disk(path: Path) -> None:
    notes = Database(path, VERSIONS)
    add(notes, "canary" * 10_000)
    with notes.transaction() as connection:
        connection.execute("DELETE FROM note")
    notes.shrink()
    assert not [file for file in path.parent.iterdir() if b"canarycanary" in file.read_bytes()]

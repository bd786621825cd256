"""What was recorded stays recorded, whatever happens to the process, the file and its place."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.errors import CcwError
from ccw_magics.journal import OPENING_CHARS, Call, Entry, Journal

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes, links and forks are POSIX's")
PLAIN = Call(
    at=NOON,
    endpoint="my-gpt4o",
    provider="openai",
    model="gpt-4o",
    mode="analysis",
    prompt_hash="aa",
    pack_hash="bb",
    files=("a.py", "b c.py"),
    input_tokens=1200,
    cached_tokens=1000,
    written_tokens=0,
    output_tokens=30,
    cost_usd=0.002,
    uncached_cost_usd=0.004,
    duration_s=1.5,
    first_token_s=0.4,
    retries=1,
    fallback_from="",
    key="sk-…456",
    outcome="ok",
    error="",
    prompt="@a.py Why?\n\nAnd how?",
    answer="Because.",
)
APPENDING = """
import dataclasses, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_journal import PLAIN
from ccw_magics.journal import Journal
if sys.argv[5] == "rollback journal":
    import ccw_magics.database.file
    ccw_magics.database.file.is_on_network = lambda _: True
journal, name, count = Journal(Path(sys.argv[2])), sys.argv[3], int(sys.argv[4])
sys.stdin.readline()
for number in range(count):
    print(journal.append(dataclasses.replace(PLAIN, endpoint=name, retries=number)), number, flush=True)
print(journal.take_trouble())
"""


def appending(root: Path, name: str, count: int, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDING, str(Path(__file__).parent), str(root), name, str(count), mode]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


def folder(root: Path) -> Path:
    return root / ".ccw" / "journal"


def test_what_is_read_is_what_was_recorded(journal: Journal) -> None:
    number = journal.append(PLAIN)
    assert number is not None
    assert journal.get(number) == Entry(number, PLAIN, "@a.py Why? And how?")
    listed = dataclasses.replace(PLAIN, prompt=None, answer=None)
    assert journal.calls() == [Entry(number, listed, "@a.py Why? And how?")]
    assert journal.calls(with_text=True) == [journal.get(number)]
    assert journal.get(number + 1) is None
    assert journal.take_trouble() == ""


TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
TOKENS = st.none() | st.integers(0, 2**63 - 1)
AMOUNT = st.floats(0, allow_nan=False)
CALLS = st.builds(
    Call,
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them bare
    *[TEXT] * 6,
    st.lists(TEXT, max_size=4).map(tuple),
    *[TOKENS] * 4,
    *[st.none() | AMOUNT] * 2,
    AMOUNT,
    st.none() | AMOUNT,
    st.integers(0, 100),
    *[TEXT] * 4,
    *[st.none() | TEXT] * 2,
)


@settings(max_examples=60 * FUZZ, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=4))
def test_any_call_comes_back_as_it_went(calls: list[Call]) -> None:
    root = Path(tempfile.mkdtemp(prefix="journal-"))
    journal = Journal(root)
    try:
        numbers = [journal.append(call) for call in calls]
        journal.close()
        again = Journal(root)
        assert {entry.id: entry.call for entry in again.calls(with_text=True)} == dict(zip(numbers, calls, strict=True))
        assert all(len(entry.opening) <= OPENING_CHARS and "\n" not in entry.opening for entry in again.calls())
        again.close()
    finally:
        shutil.rmtree(root)


def test_calls_are_listed_newest_first_and_chosen(journal: Journal) -> None:
    for hour, name in ((2, "b"), (1, "a"), (3, "a")):
        journal.append(dataclasses.replace(PLAIN, at=NOON + timedelta(hours=hour), endpoint=name, retries=hour))
    assert [entry.call.retries for entry in journal.calls()] == [3, 2, 1]
    assert [entry.call.retries for entry in journal.calls(limit=2)] == [3, 2]
    assert [entry.call.retries for entry in journal.calls(endpoint="a")] == [3, 1]
    assert [entry.call.retries for entry in journal.calls(since=NOON + timedelta(hours=2))] == [3, 2]
    here = (NOON + timedelta(hours=2)).astimezone().replace(tzinfo=None)
    assert [entry.call.retries for entry in journal.calls(since=here)] == [3, 2]
    assert journal.calls(endpoint="a'; DROP TABLE call; --\ud800") == []


def test_without_texts_none_are_kept(journal: Journal, tmp_path: Path) -> None:
    journal.append(dataclasses.replace(PLAIN, prompt=None, answer=None))
    entry = journal.calls(with_text=True)[0]
    assert (entry.call.prompt, entry.call.answer, entry.opening) == (None, None, "")
    journal.close()
    assert b"Because" not in (folder(tmp_path) / "calls.sqlite3").read_bytes()


def test_reading_makes_no_file(journal: Journal, tmp_path: Path) -> None:
    assert journal.calls() == []
    assert journal.get(1) is None
    assert journal.prune(older_than=timedelta(0)) == 0
    assert (journal.status().calls, journal.status().size_bytes) == (0, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", ["call", "call_text"])
def test_a_recorded_call_is_never_changed(journal: Journal, tmp_path: Path, table: str) -> None:
    journal.append(PLAIN)
    column = "outcome" if table == "call" else "answer"
    with (
        sqlite3.connect(folder(tmp_path) / "calls.sqlite3") as other,
        pytest.raises(sqlite3.IntegrityError, match="never changed"),
    ):
        other.execute(f"UPDATE {table} SET {column} = 'x'")
    other.close()


@POSIX
def test_its_files_are_for_their_owner_alone_and_out_of_git(journal: Journal, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    journal.append(PLAIN)
    assert stat.S_IMODE(folder(tmp_path).stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder(tmp_path).glob("calls*")} == {0o600}
    status = ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"]
    assert subprocess.run(status, check=True, capture_output=True, text=True).stdout == ""
    (tmp_path / "seen.py").touch()
    assert "seen.py" in subprocess.run(status, check=True, capture_output=True, text=True).stdout


def test_a_journal_makes_no_project_root(journal: Journal, tmp_path: Path) -> None:
    journal.append(PLAIN)
    assert not (tmp_path / ".ccw" / "storage").exists()


@POSIX
@pytest.mark.parametrize("link", [".ccw", ".ccw/journal", ".ccw/journal/calls.sqlite3"])
def test_a_link_that_leads_outside_is_not_followed(tmp_path: Path, link: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / link).parent.mkdir(parents=True)
    if link.endswith("sqlite3"):
        with sqlite3.connect(outside) as other:
            other.execute("CREATE TABLE private (text)")
        other.close()
    else:
        outside.mkdir()
    (root / link).symlink_to(outside)
    before = outside.read_bytes() if outside.is_file() else list(outside.iterdir())
    journal = Journal(root)
    assert journal.append(PLAIN) is None
    assert "leads outside the project" in journal.take_trouble()
    with pytest.raises(CcwError, match="leads outside"):
        journal.calls()
    assert (outside.read_bytes() if outside.is_file() else list(outside.iterdir())) == before


@POSIX
def test_a_link_inside_the_project_serves(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / ".ccw").symlink_to("state")
    journal = Journal(tmp_path)
    assert journal.append(PLAIN) is not None
    assert (tmp_path / "state" / "journal" / "calls.sqlite3").exists()
    journal.close()


def test_where_nothing_can_be_kept_that_is_said_once(tmp_path: Path) -> None:
    (tmp_path / ".ccw").write_text("in the way")
    journal = Journal(tmp_path)
    assert [journal.append(PLAIN), journal.append(PLAIN)] == [None, None]
    assert "not recorded" in journal.take_trouble()
    assert journal.append(PLAIN) is None
    assert journal.take_trouble() == ""
    (tmp_path / ".ccw").unlink()
    assert journal.append(PLAIN) == 1
    assert journal.take_trouble() == ""
    journal.close()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place where not even root may write")
def test_a_read_only_place_is_no_error(tmp_path: Path) -> None:
    journal = Journal(Path("/proc"))
    assert journal.append(PLAIN) is None
    assert "cannot be written" in journal.take_trouble()
    assert journal.calls() == []


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_no_error(journal: Journal, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert journal.append(PLAIN) is None
    assert "ermission" in journal.take_trouble()
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("when", ["before it is opened", "while it is open"])
@pytest.mark.parametrize("how", ["appending", "listing"])
def test_a_damaged_file_is_set_aside_and_that_is_said(tmp_path: Path, when: str, how: str) -> None:
    journal, path = Journal(tmp_path), folder(tmp_path) / "calls.sqlite3"
    for number in range(200):
        journal.append(dataclasses.replace(PLAIN, answer="x" * 500 * (number % 3)))
    other = Journal(tmp_path)
    if when == "while it is open":
        assert len(other.calls()) == 200
    journal.close()
    other._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    other._database.connection.execute("PRAGMA shrink_memory")
    if when != "while it is open":
        other.close()
    with path.open("r+b") as file:  # every page but the first is nonsense
        file.seek(4096)
        file.write(random.Random(7).randbytes(path.stat().st_size - 4096))
    if how == "appending":
        assert other.append(PLAIN) == 1
    assert len(other.calls()) == (1 if how == "appending" else 0)
    assert ".damaged" in other.take_trouble()
    assert (folder(tmp_path) / "calls.sqlite3.damaged").exists()
    assert other.append(PLAIN) is not None
    other.close()


def test_a_journal_that_is_removed_is_begun_anew(journal: Journal, tmp_path: Path) -> None:
    journal.append(PLAIN)
    shutil.rmtree(folder(tmp_path))
    assert journal.calls() == []
    assert journal.append(PLAIN) == 1
    assert len(Journal(tmp_path).calls()) == 1
    assert (folder(tmp_path) / ".gitignore").read_text() == "*\n"


def test_threads_append_at_once(journal: Journal) -> None:
    threads = [threading.Thread(target=lambda: [journal.append(PLAIN) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.id for entry in journal.calls()) == list(range(1, 401))


@pytest.mark.parametrize(("mode", "count"), [("WAL", 500), ("rollback journal", 100)])
def test_two_processes_append_at_once_and_lose_nothing(tmp_path: Path, mode: str, count: int) -> None:
    processes = [appending(tmp_path, name, count, mode) for name in ("a", "b")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=100)[0].split("\n") for process in processes]
    journal = Journal(tmp_path)
    for name, lines in zip(("a", "b"), told, strict=True):
        kept = {f"{entry.id} {entry.call.retries}" for entry in journal.calls(endpoint=name)}
        assert kept == set(lines[:count])
        assert lines[count:] == ["", ""]
    assert journal.status().calls == 2 * count
    journal.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
@pytest.mark.parametrize("mode", ["WAL", "rollback journal"])
def test_whenever_it_is_killed_every_call_that_was_told_is_there(tmp_path: Path, mode: str) -> None:
    rng, told = random.Random(4), set[str]()
    for round_number in range(3 * FUZZ):
        process = appending(tmp_path, str(round_number), 100_000, mode)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(rng.randrange(1, 400))]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        told |= {f"{round_number} {line.strip()}" for line in lines if line.endswith("\n")}
        journal = Journal(tmp_path)
        kept = {f"{entry.call.endpoint} {entry.id} {entry.call.retries}" for entry in journal.calls()}
        assert told <= kept
        assert len(kept - told) <= round_number + 1  # one each may have been written and not yet told
        assert journal.take_trouble() == ""
        journal.close()


@POSIX
def test_a_forked_child_and_its_parent_record_each_their_own(journal: Journal) -> None:
    journal.append(PLAIN)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        kept = [journal.append(PLAIN) for _ in range(100)]
        os._exit(0 if None not in kept else 1)
    for _ in range(100):
        assert journal.append(PLAIN) is not None
    assert os.waitpid(child, 0)[1] == 0
    assert journal.status().calls == 201


def test_old_calls_are_forgotten(journal: Journal) -> None:
    now = datetime.now(UTC)
    for days in (1, 40, 10, 50):
        journal.append(dataclasses.replace(PLAIN, at=now - timedelta(days=days), retries=days))
    assert journal.prune(older_than=timedelta(days=30)) == 2
    assert [entry.call.retries for entry in journal.calls()] == [1, 10]
    assert journal.prune(older_than=timedelta.max) == 0
    assert journal.append(PLAIN) == 5


def test_the_oldest_calls_go_until_the_file_has_its_size(journal: Journal, tmp_path: Path) -> None:
    for number in range(300):
        journal.append(
            dataclasses.replace(PLAIN, at=NOON + timedelta(seconds=number), answer=f"canary-{number} " * 200)
        )
    before = journal.status().size_bytes
    gone = journal.prune(max_bytes=200_000)
    kept = [entry.id for entry in journal.calls()]
    assert kept == list(range(300, gone, -1))
    assert 150_000 < journal.status().size_bytes <= 200_000 < before
    assert not [file for file in folder(tmp_path).iterdir() if b"canary-5 canary-5" in file.read_bytes()]
    assert journal.prune(max_bytes=200_000) == 0
    assert journal.prune(max_bytes=0) == len(kept)
    assert journal.status().calls == 0


def test_without_wal_nothing_is_lost_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccw_magics.database.file.is_on_network", lambda _: True)
    journal, other = Journal(tmp_path), Journal(tmp_path)
    for _ in range(5):
        assert journal.append(PLAIN) is not None
        assert other.append(PLAIN) is not None
    assert journal.status().calls == 10
    assert {file.name for file in folder(tmp_path).iterdir()} == {".gitignore", "calls.sqlite3"}


def test_one_damaged_text_hides_no_other_call(journal: Journal, tmp_path: Path) -> None:
    journal.append(PLAIN)
    with sqlite3.connect(folder(tmp_path) / "calls.sqlite3") as other:
        other.execute(
            "INSERT INTO call SELECT 9, at, CAST(x'ff41' AS TEXT), provider, model, mode, prompt_hash, pack_hash, '[', "
            "1, 1, 1, 1, 1, 1, 1, 1, 1, '', '', 'ok', '', '' FROM call"
        )
    other.close()
    assert [(entry.call.endpoint, entry.call.files) for entry in journal.calls()] == [
        ("\ufffdA", ()),
        ("my-gpt4o", ("a.py", "b c.py")),
    ]

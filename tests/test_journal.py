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
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.errors import CcwError
from ccw_magics.journal import OPENING_CHARS, Call, Entry, Journal, readable_usd
from ccw_magics.journal.file import WAIT_S

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
    chat="",
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
TOKENS = st.none() | st.integers(0, 2**40)
AMOUNT = st.floats(0, allow_nan=False)
CALLS = st.builds(
    Call,
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them bare
    *[TEXT] * 6,
    st.lists(TEXT, max_size=4).map(tuple),
    *[TOKENS] * 4,
    *[st.none() | AMOUNT] * 2,
    AMOUNT,
    st.none() | AMOUNT,
    st.integers(0, 100),
    *[TEXT] * 5,
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
    assert journal.sums() == []
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


DATABASE = ".ccw/journal/calls.sqlite3"


@POSIX
@pytest.mark.parametrize(
    "link", [".ccw", ".ccw/journal", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal"]
)
def test_a_link_is_not_followed(tmp_path: Path, link: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / link).parent.mkdir(parents=True)
    if link.startswith(DATABASE):
        with sqlite3.connect(outside) as other:
            other.execute("CREATE TABLE private (text)")
        other.close()
    else:
        outside.mkdir()
    (root / link).symlink_to(outside)
    before = outside.read_bytes() if outside.is_file() else list(outside.iterdir())
    journal = Journal(root)
    assert journal.append(PLAIN) is None
    assert "link" in journal.take_trouble()
    with pytest.raises(CcwError, match="link"):
        journal.calls()
    assert (outside.read_bytes() if outside.is_file() else list(outside.iterdir())) == before


@POSIX
@pytest.mark.parametrize(
    ("link", "target"),
    [
        pytest.param(".ccw", "state", id="into the project"),
        pytest.param(".ccw/journal", "..", id="to the root"),
        pytest.param(".ccw/journal", "journal", id="to itself"),
        pytest.param(".ccw/journal", "nothing", id="to nothing"),
        pytest.param(".ccw/journal/.gitignore", "../../written", id="a dangling .gitignore"),
        pytest.param(DATABASE, "../../written", id="a dangling database"),
        pytest.param(f"{DATABASE}-wal", "../../written", id="a dangling WAL"),
    ],
)
def test_nothing_is_made_behind_a_link(tmp_path: Path, link: str, target: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(target)
    before = sorted(tmp_path.rglob("*"))
    journal = Journal(tmp_path)
    assert journal.append(PLAIN) is None
    assert "link" in journal.take_trouble()
    assert sorted(tmp_path.rglob("*")) == before


@POSIX
def test_a_link_to_the_project_serves(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "named").symlink_to("project")
    journal = Journal(tmp_path / "named")
    assert journal.append(PLAIN) == 1
    journal.close()
    assert len(Journal(tmp_path / "project").calls()) == 1


@POSIX
@pytest.mark.parametrize("how", ["appending", "listing"])
def test_a_journal_that_others_may_read_is_closed_to_them(tmp_path: Path, how: str) -> None:
    before, after = Journal(tmp_path), Journal(tmp_path)
    before.append(PLAIN)  # and keeps its WAL open
    folder(tmp_path).chmod(0o755)
    files = list(folder(tmp_path).glob("calls*"))
    for file in files:
        file.chmod(0o644)
    if how == "appending":
        assert after.append(PLAIN) == 2
    else:
        assert len(after.calls()) == 1
    assert stat.S_IMODE(folder(tmp_path).stat().st_mode) == 0o700
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert after.take_trouble() == ""
    before.close()
    after.close()


@POSIX
@pytest.mark.parametrize("why", ["another owner", "refused"])
def test_what_others_may_go_on_reading_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    journal = Journal(tmp_path)
    folder(tmp_path).mkdir(parents=True)
    folder(tmp_path).chmod(0o755)
    if why == "another owner":
        monkeypatch.setattr("ccw_magics.journal.place.os.geteuid", lambda: -1)
    else:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("ccw_magics.journal.place.Path.chmod", refuse)
    assert journal.append(PLAIN) == 1
    assert "others may read" in journal.take_trouble()
    assert journal.append(PLAIN) == 2
    assert journal.take_trouble() == ""
    journal.close()


HOLDING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
connection.close()
"""


@pytest.fixture
def holder(journal: Journal) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the journal for writing until it is told something."""
    assert journal.append(PLAIN) == 1
    command = [sys.executable, "-c", HOLDING, str(journal.status().path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    release(process)


def release(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.communicate("\n", timeout=30)


def test_another_process_that_holds_the_file_is_waited_for_a_short_time(
    journal: Journal, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    clock = SimpleNamespace(sleep=waited.append, monotonic=lambda: sum(waited))
    monkeypatch.setattr("ccw_magics.journal.file.time", clock)
    assert journal.append(PLAIN) is None
    assert "another process keeps it locked" in journal.take_trouble()
    assert sum(waited) == pytest.approx(WAIT_S, abs=0.02)
    assert max(waited) < 0.02
    assert [entry.id for entry in journal.calls()] == [1]  # reading goes on meanwhile
    with pytest.raises(CcwError, match="another process keeps it locked"):
        journal.prune(max_bytes=0)
    release(holder)
    assert journal.append(PLAIN) == 2
    assert journal.take_trouble() == ""


def test_while_one_thread_waits_others_have_the_lock(
    journal: Journal, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def meanwhile(_: float) -> None:
        if not read:
            thread = threading.Thread(target=lambda: read.append(len(journal.calls())))
            thread.start()
            thread.join(30)
            release(holder)

    monkeypatch.setattr("ccw_magics.journal.file.time", SimpleNamespace(sleep=meanwhile, monotonic=time.monotonic))
    assert journal.append(PLAIN) == 2
    assert read == [1]


def test_reading_while_another_process_writes(journal: Journal, tmp_path: Path) -> None:
    process = appending(tmp_path, "other", 300, "WAL")
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    seen = 0
    while process.poll() is None and seen < 300:
        numbers = [entry.id for entry in journal.calls()]
        assert numbers == list(range(len(numbers), 0, -1))
        summed = journal.sums(by=())
        assert sum(sums.calls for sums in summed) >= len(numbers) >= seen
        seen = len(numbers)
    process.communicate(timeout=60)
    assert journal.sums(by=())[0].calls == 300
    assert journal.take_trouble() == ""


SPOILED = {
    "text for a time": ("at", "'x'"),
    "a time that no calendar has": ("at", "9223372036854775807"),
    "a time beyond integers": ("at", "1e30"),
    "a blob for a name": ("endpoint", "x'00ff'"),
    "text for a cost": ("cost_usd", "'dear'"),
    "text for seconds": ("duration_s", "'long'"),
    "text for tokens": ("input_tokens", "'many'"),
    "more tokens than can be summed": ("output_tokens", "9223372036854775807"),
    "less tokens than none": ("cached_tokens", "-1"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_row_that_cannot_be_read_is_left_out(journal: Journal, tmp_path: Path, case: str) -> None:
    assert journal.append(PLAIN) == 1
    spoil(tmp_path, 2, *SPOILED[case])
    spoil(tmp_path, 3, *SPOILED[case])
    assert [entry.id for entry in journal.calls(with_text=True)] == [1]
    assert "2 recorded calls" in journal.take_trouble()
    assert [sums.calls for sums in journal.sums()] == [1]
    assert journal.get(2) is None
    assert journal.take_trouble() == ""
    again = Journal(tmp_path)
    assert [sums.calls for sums in again.sums()] == [1]
    assert "2 recorded calls" in again.take_trouble()
    again.close()
    assert journal.append(PLAIN) == 4
    assert not list(folder(tmp_path).glob("*damaged*"))


def spoil(root: Path, number: int, column: str, value: str) -> None:
    """A copy of the first call with something else in one column."""
    with sqlite3.connect(folder(root) / "calls.sqlite3") as other:
        names = [name for _, name, *_ in other.execute("PRAGMA table_info(call)")]
        values = [{"id": str(number), column: value}.get(name, name) for name in names]
        other.execute(f"INSERT INTO call SELECT {', '.join(values)} FROM call WHERE id = 1")
    other.close()


@pytest.mark.parametrize("files", ["5", '{"a": 1}', "[1]", "[" * 100_000, '[["a"]]'])
def test_files_that_are_no_list_of_names_are_none(journal: Journal, tmp_path: Path, files: str) -> None:
    journal.append(PLAIN)
    spoil(tmp_path, 2, "files", f"'{files}'")
    entry = journal.get(2)
    assert entry is not None
    assert entry.call.files == ()


def test_texts_that_are_none_are_not_there(journal: Journal, tmp_path: Path) -> None:
    journal.append(PLAIN)
    spoil(tmp_path, 2, "opening", "''")
    with sqlite3.connect(folder(tmp_path) / "calls.sqlite3") as other:
        other.execute("INSERT INTO call_text VALUES (2, x'00ff', 'So.')")
    other.close()
    entry = journal.get(2)
    assert entry is not None
    assert (entry.call.prompt, entry.call.answer) == (None, "So.")


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**23, -(10**23)])
def test_there_is_no_call_of_an_id_out_of_range(journal: Journal, number: int) -> None:
    journal.append(PLAIN)
    assert journal.get(number) is None
    assert len(journal.calls(limit=10**23)) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"outcome": "ok"}, 1, id="an answer"),
        pytest.param({"outcome": "cut"}, 1, id="a cut answer"),
        pytest.param({"input_tokens": 5}, 1, id="a failure that used tokens"),
        pytest.param({"output_tokens": 5}, 1, id="a failure after tokens"),
        pytest.param({"outcome": "interrupted", "first_token_s": 0.1}, 1, id="interrupted in its answer"),
        pytest.param({"outcome": "interrupted"}, 0, id="interrupted before"),
        pytest.param({}, 0, id="refused"),
        pytest.param({"input_tokens": 0, "output_tokens": 0}, 0, id="refused, and no token used"),
        pytest.param({"outcome": "ok", "cost_usd": 0.5}, 0, id="priced"),
    ],
)
def test_unpriced_is_what_there_was_something_to_pay_for(
    journal: Journal, changes: dict[str, object], expected: int
) -> None:
    refused = dataclasses.replace(
        PLAIN, input_tokens=None, output_tokens=None, cost_usd=None, first_token_s=None, outcome="ProviderError"
    )
    journal.append(dataclasses.replace(refused, **changes))  # type: ignore[arg-type]  # a table of cases
    assert [sums.unpriced for sums in journal.sums()] == [expected]


@settings(max_examples=30 * FUZZ, deadline=None)
@given(times=st.lists(st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)), max_size=6))  # noqa: DTZ001 - hypothesis wants them bare
def test_days_are_local_ones(times: list[datetime]) -> None:
    root = Path(tempfile.mkdtemp(prefix="journal-"))
    journal = Journal(root)
    try:
        for at in times:
            journal.append(dataclasses.replace(PLAIN, at=at))
        expected = Counter(at.astimezone().date() for at in times)
        assert {sums.key[0]: sums.calls for sums in journal.sums(by=("day",))} == expected
    finally:
        journal.close()
        shutil.rmtree(root)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, "$0.00"),
        (1234.5, "$1,234.50"),
        (1, "$1.00"),
        (0.99996, "$1.00"),
        (0.5, "$0.5000"),
        (0.0123, "$0.0123"),
        (0.01, "$0.0100"),
        (0.00999, "$0.0100"),
        (0.002, "$0.0020"),
        (0.000999, "$0.0010"),
        (0.000996, "$0.0010"),
        (0.00012345, "$0.00012"),
        (0.0000123, "$0.000012"),
        (1e-9, "$0.0000000010"),
        (5e-324, "<$0.000000001"),
        (-0.125, "-$0.1250"),
        (-0.0000123, "-$0.000012"),
        (float("inf"), "$inf"),
    ],
)
def test_money_is_shown_with_digits_that_say_something(amount: float, expected: str) -> None:
    assert readable_usd(amount) == expected


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
    other._file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    other._file.connection.execute("PRAGMA shrink_memory")
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
            "1, 1, 1, 1, 1, 1, 1, 1, 1, '', '', 'ok', '', '', '' FROM call"
        )
    other.close()
    assert [(entry.call.endpoint, entry.call.files) for entry in journal.calls()] == [
        ("\ufffdA", ()),
        ("my-gpt4o", ("a.py", "b c.py")),
    ]

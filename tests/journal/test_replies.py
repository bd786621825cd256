"""A recorded reply comes back as it went, or not at all; no disk ever stops a call."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.journal import Recorded, Replies, RepliesStatus
from ccw_magics.journal import replies as module

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
PLAIN = Recorded(
    at=datetime(2026, 5, 1, 12, tzinfo=UTC),
    output="Because.",
    model="gpt-4o",
    provider="openai",
    endpoint="my-gpt4o",
    input_tokens=1200,
    cached_tokens=1000,
    written_tokens=None,
    output_tokens=30,
    cost_usd=0.002,
    uncached_cost_usd=None,
    duration_s=1.5,
    is_cut=False,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def replies(directory: Path) -> Iterator[Replies]:
    replies = Replies(lambda: (directory, 10**6))
    yield replies
    replies.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is moved, in seconds."""
    clock = SimpleNamespace(now_s=1_000_000)
    clock.time_ns = lambda: clock.now_s * 10**9
    monkeypatch.setattr(module, "time", clock)
    return clock


def answering(output: str) -> Recorded:
    return dataclasses.replace(PLAIN, output=output)


def execute(directory: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(directory / "replies.sqlite3")) as connection, connection:
        return connection.execute(statement).fetchall()


def test_what_is_given_is_what_was_recorded(replies: Replies, directory: Path) -> None:
    assert replies.get("aa") is None
    assert replies.status() == RepliesStatus(0, 0)
    assert replies.clear() == 0
    assert not directory.exists()
    replies.put("aa", PLAIN)
    replies.put("bb", answering("Else."))
    assert replies.get("aa") == PLAIN
    assert replies.get("cc") is None
    replies.put("aa", answering("Anew."))
    assert replies.get("aa") == answering("Anew.")
    again = Replies(lambda: (directory, 10**6))
    assert again.get("bb") == answering("Else.")
    assert again.status().replies == 2
    assert again.take_trouble() == replies.take_trouble() == ""
    again.close()


TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
TOKENS = st.none() | st.integers(0, 2**40)
AMOUNT = st.floats(0, allow_nan=False)
RECORDS = st.builds(
    Recorded,
    st.datetimes(timezones=st.just(UTC)),
    *[TEXT] * 4,
    *[TOKENS] * 4,
    *[st.none() | AMOUNT] * 2,
    AMOUNT,
    st.booleans(),
)


@settings(max_examples=40 * FUZZ, deadline=None)
@given(records=st.dictionaries(st.text("0123456789abcdef", min_size=1), RECORDS, min_size=1, max_size=4))
def test_any_reply_comes_back_as_it_went(records: dict[str, Recorded]) -> None:
    root = Path(tempfile.mkdtemp(prefix="replies-"))
    replies = Replies(lambda: (root, 10**6))
    try:
        for key, recorded in records.items():
            replies.put(key, recorded)
        assert {key: replies.get(key) for key in records} == records
    finally:
        replies.close()
        shutil.rmtree(root)


@POSIX
def test_its_files_are_for_their_owner_alone(replies: Replies, directory: Path) -> None:
    replies.put("aa", PLAIN)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


def test_without_a_folder_nothing_is_kept() -> None:
    replies = Replies(lambda: (None, 10**6))
    replies.put("aa", PLAIN)
    assert replies.get("aa") is None
    assert (replies.clear(), replies.status()) == (0, RepliesStatus(0, 0))
    assert "the cache is off" in replies.take_trouble()
    replies.close()


def test_the_settings_hold_from_the_next_use_on(tmp_path: Path) -> None:
    chosen: list[tuple[Path | None, int]] = [(tmp_path / "a", 10**6)]
    replies = Replies(lambda: chosen[0])
    replies.put("aa", PLAIN)
    chosen[0] = (tmp_path / "b", 10**6)
    assert replies.get("aa") is None
    replies.put("aa", answering("b"))
    chosen[0] = (None, 10**6)
    assert replies.get("aa") is None
    chosen[0] = (tmp_path / "a", 10**6)
    assert replies.get("aa") == PLAIN
    chosen[0] = (tmp_path / "a", 0)
    replies.put("bb", PLAIN)
    assert replies.status().replies == 0
    replies.close()


def test_those_used_longest_ago_go_first(directory: Path, clock: SimpleNamespace) -> None:
    replies = Replies(lambda: (directory, 35_000))
    for key in "abc":
        replies.put(key, answering(key * 10_000))
        clock.now_s += 60
    assert replies.get("a") is not None
    clock.now_s += 60
    replies.put("d", answering("d" * 10_000))
    assert [replies.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert replies.status().size_bytes <= 35_000
    replies.put("e", answering("e" * 50_000))
    assert replies.status().replies == 0, "one that is over the limit alone goes as well"
    assert not [file for file in directory.iterdir() if b"bbbbbbbb" in file.read_bytes()]
    replies.close()


def test_a_use_is_noted_now_and_then(replies: Replies, directory: Path, clock: SimpleNamespace) -> None:
    replies.put("aa", PLAIN)
    noted = []
    for seconds in (10, 10, 15, 10, -(10**5)):
        clock.now_s += seconds
        replies.get("aa")
        noted.append(execute(directory, "SELECT used_at / 1000000 - 1000000 FROM reply")[0][0])
    assert noted == [0, 0, 35, 35, 45 - 10**5]


DAMAGES = [
    "UPDATE reply SET data = CAST(replace(CAST(data AS TEXT), 'Because', 'Perhaps') AS BLOB) WHERE key = 'aa'",
    "UPDATE reply SET data = (SELECT data FROM reply WHERE key = 'bb') WHERE key = 'aa'",
    "UPDATE reply SET (data, checksum) = (SELECT data, checksum FROM reply WHERE key = 'bb') WHERE key = 'aa'",
    "UPDATE reply SET data = CAST(data AS TEXT) WHERE key = 'aa'",
    "UPDATE reply SET checksum = 5 WHERE key = 'aa'",
    "UPDATE reply SET used_at = 'x', data = 7 WHERE key = 'aa'",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_reply_is_none_and_goes(replies: Replies, directory: Path, damage: str) -> None:
    replies.put("aa", PLAIN)
    replies.put("bb", answering("Else."))
    execute(directory, damage)
    assert replies.get("aa") is None
    assert replies.status().replies == 1
    assert replies.get("bb") == answering("Else.")
    replies.put("aa", PLAIN)
    assert replies.get("aa") == PLAIN
    assert replies.take_trouble() == ""


@pytest.mark.parametrize("text", ['{"at": 1}', "[]", '{"at": 1e400}', '{"at": 99999999999999999999}', "nothing"])
def test_another_versions_reply_is_none(replies: Replies, directory: Path, text: str) -> None:
    replies.put("aa", PLAIN)
    data = text.encode()
    checksum = module._checksum("aa", data).hex()
    execute(directory, f"UPDATE reply SET data = x'{data.hex()}', checksum = x'{checksum}'")
    assert replies.get("aa") is None
    assert replies.status().replies == 0


@pytest.mark.parametrize("when", ["before it is opened", "while it is open"])
def test_a_damaged_file_is_set_aside(directory: Path, replies: Replies, when: str) -> None:
    for number in range(50):
        replies.put(str(number), answering("canary " * 500))
    replies.close()
    other = Replies(lambda: (directory, 10**6))
    if when == "while it is open":
        assert other.get("1") is not None
    path = directory / "replies.sqlite3"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\x5a" * (len(data) - 4096))
    other.close() if when != "while it is open" else None
    Path(f"{path}-wal").unlink(missing_ok=True)
    other.put("new", PLAIN)
    other.close()
    assert replies.get("new") == PLAIN
    assert replies.clear() == 1
    assert not list(directory.glob("*damaged*"))
    assert replies.take_trouble() == ""


def test_a_folder_that_is_removed_is_made_again(replies: Replies, directory: Path) -> None:
    replies.put("aa", PLAIN)
    shutil.rmtree(directory)
    assert replies.get("aa") is None
    replies.put("bb", PLAIN)
    assert replies.get("bb") == PLAIN


def test_a_place_that_cannot_be_used_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    replies = Replies(lambda: (tmp_path / "cache", 10**6))
    replies.put("aa", PLAIN)
    assert "cannot be recorded" in replies.take_trouble()
    replies.put("aa", PLAIN)
    assert replies.get("aa") is None
    assert (replies.clear(), replies.status()) == (0, RepliesStatus(0, 0))
    assert replies.take_trouble() == ""
    (tmp_path / "cache").unlink()
    replies.put("aa", PLAIN)
    assert replies.get("aa") == PLAIN
    replies.close()


def test_a_file_that_another_process_holds_still_replays(
    replies: Replies, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    replies.put("aa", PLAIN)
    execute(directory, "UPDATE reply SET used_at = 0")
    replies.close()
    quick = Replies(lambda: (directory, 10**6))
    holder = sqlite3.connect(directory / "replies.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert quick.get("aa") == PLAIN  # and its use is not noted
    quick.put("bb", PLAIN)
    assert "keeps the file locked" in quick.take_trouble()
    holder.execute("ROLLBACK")
    holder.close()
    quick.put("bb", PLAIN)
    assert quick.status().replies == 2
    quick.close()


@POSIX
@pytest.mark.parametrize("mode", ["WAL", "rollback journal"])
def test_a_folder_where_nobody_may_write_still_replays(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    if mode != "WAL":
        monkeypatch.setattr("ccw_magics.database.file.is_on_network", lambda _: True)
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are for their owner alone
        directory = Path(name)
        replies = Replies(lambda: (directory, 10**6))
        replies.put("aa", PLAIN)
        execute(directory, "UPDATE reply SET used_at = 0")
        replies.close()
        for path in (*directory.iterdir(), directory):
            path.chmod(0o555)
        try:
            told = read_as_somebody_else(directory)
        finally:
            directory.chmod(0o755)
    assert told[:3] == ["may write: False", f"{PLAIN} None", "told: "]
    assert told[3].startswith("told: replies in ")
    assert told[4:] == [f"{PLAIN}"]


def read_as_somebody_else(directory: Path) -> list[str]:
    """What a child process finds there that is not root, who may write everywhere."""
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            with os.fdopen(to_parent, "w") as out:
                if os.geteuid() == 0:
                    os.setuid(65534)
                replies = Replies(lambda: (directory, 10**6))
                print(f"may write: {os.access(directory, os.W_OK)}", file=out)
                print(replies.get("aa"), replies.get("bb"), file=out)
                print(f"told: {replies.take_trouble()}", file=out)
                replies.put("bb", PLAIN)
                print(f"told: {replies.take_trouble()}", file=out)
                print(replies.get("aa"), file=out)
        finally:
            os._exit(0)
    os.close(to_parent)
    with os.fdopen(from_child) as lines:
        told = lines.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    return told


def test_two_that_record_at_once_lose_nothing(directory: Path) -> None:
    both = [Replies(lambda: (directory, 10**7)) for _ in range(2)]
    for number in range(50):
        both[number % 2].put(str(number), answering(str(number)))
    for replies in both:
        assert [replies.get(str(number)) for number in range(50)] == [answering(str(number)) for number in range(50)]
        replies.close()


Use = Callable[[Replies], object]


@pytest.mark.parametrize(
    "use", [lambda r: r.get("aa"), lambda r: r.put("aa", PLAIN), lambda r: r.clear(), lambda r: r.status()]
)
def test_settings_that_are_refused_are_the_callers_matter(use: Use) -> None:
    def refuse() -> tuple[Path | None, int]:
        raise LookupError

    with pytest.raises(LookupError):
        use(Replies(refuse))

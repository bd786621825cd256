"""Whoever reserves, and in whatever order: what is spent never passes the cap, and what was spent is never forgotten."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.errors import CcwError
from ccw_magics.journal import Call, Journal, Overspent, Spent
from ccw_magics.journal.ledger import KEPT, TOLERANCE_USD

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
MakeCall = Callable[..., Call]


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC) - timedelta(hours=12)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def file(root: Path) -> Path:
    return root / ".ccw" / "journal" / "calls.sqlite3"


def change(root: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(file(root))) as connection, connection:
        connection.execute(statement, values)


def fits(journal: Journal, usd: float, since: datetime, cap_usd: float) -> bool:
    try:
        journal.ledger.reserve(usd, since=since, cap_usd=cap_usd)
    except Overspent:
        return False
    return True


def test_reservations_recorded_calls_and_what_is_in_neither_all_count(
    journal: Journal, other: Journal, since: datetime, now: datetime, call: MakeCall
) -> None:
    assert journal.ledger.spent(since) == Spent(0.0, 0.0, 0)
    journal.append(call(at=now, cost_usd=0.25))
    journal.append(call(at=now, cost_usd=None))
    journal.append(call(at=since - timedelta(hours=1), cost_usd=8.0))
    first = journal.ledger.reserve(0.5, since=since, cap_usd=2.0)
    second = other.ledger.reserve(0.5, since=since, cap_usd=2.0)
    assert other.ledger.spent(since) == Spent(0.25, 1.0, 1)
    with pytest.raises(Overspent) as caught:
        other.ledger.reserve(0.8, since=since, cap_usd=2.0)
    assert (caught.value.spent_usd, caught.value.reserved_usd) == (0.25, 1.0)
    journal.ledger.settle(first, 0.125)
    other.ledger.settle(second, None)
    assert journal.ledger.spent(since) == Spent(0.375, 0.0, 1)
    assert fits(journal, 1.625, since, 2.0)
    assert journal.take_trouble() == other.take_trouble() == ""


def test_a_reservation_is_settled_once(journal: Journal, since: datetime) -> None:
    number = journal.ledger.reserve(1.0, since=since, cap_usd=9.0)
    for usd in (0.5, None, 7.0):
        journal.ledger.settle(number, usd)
        assert journal.ledger.spent(since) == Spent(0.5, 0.0, 0)
    later = journal.ledger.reserve(1.0, since=since, cap_usd=9.0)
    journal.ledger.settle(later, None)
    assert journal.ledger.reserve(1.0, since=since, cap_usd=9.0) > later > number
    assert journal.take_trouble() == ""


@pytest.mark.parametrize(
    ("each", "count", "cap_usd"), [(0.1, 10, 1.0), (0.7, 3, 2.1), (1e-7, 1000, 1e-4), (0.0, 3, 0.0), (33.3, 3, 99.9)]
)
def test_what_binary_fractions_make_of_it_is_forgiven(
    journal: Journal, since: datetime, each: float, count: int, cap_usd: float
) -> None:
    assert all(fits(journal, each, since, cap_usd) for _ in range(count))
    assert not fits(journal, max(each, 2 * TOLERANCE_USD), since, cap_usd)


@pytest.mark.parametrize("usd", [float("nan"), float("inf")])
def test_what_is_no_amount_never_fits(journal: Journal, since: datetime, usd: float) -> None:
    assert not fits(journal, usd, since, 1e9)
    assert not fits(journal, 1.0, since, float("nan"))
    assert journal.ledger.spent(since).reserved_usd == 0


def test_less_than_nothing_cannot_be_reserved(journal: Journal, since: datetime) -> None:
    with pytest.raises(CcwError):
        journal.ledger.reserve(-1.0, since=since, cap_usd=1.0)
    assert journal.ledger.spent(since).reserved_usd == 0


@pytest.mark.parametrize("usd", [-5.0, float("nan")])
def test_a_reservation_that_cannot_be_settled_goes_on_to_count(journal: Journal, since: datetime, usd: float) -> None:
    number = journal.ledger.reserve(0.5, since=since, cap_usd=1.0)
    journal.ledger.settle(number, usd)
    assert "not settled" in journal.take_trouble()
    assert journal.ledger.spent(since) == Spent(0.0, 0.5, 0)


def test_where_the_file_cannot_be_used_nothing_can_be_reserved(
    tmp_path: Path, since: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccw_magics.journal.file.WAIT_S", 0.05)
    (tmp_path / ".ccw").write_text("in the way")
    journal = Journal(tmp_path)
    with pytest.raises(CcwError, match="cannot be used"):
        journal.ledger.reserve(0.0, since=since, cap_usd=1.0)
    (tmp_path / ".ccw").unlink()
    number = journal.ledger.reserve(0.5, since=since, cap_usd=1.0)  # and the file is made
    assert file(tmp_path).exists()
    holder = sqlite3.connect(file(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(CcwError, match="keeps it locked"):
        journal.ledger.reserve(0.0, since=since, cap_usd=1.0)
    journal.ledger.settle(number, None)
    assert "not settled" in journal.take_trouble()
    holder.execute("ROLLBACK")
    holder.close()
    assert journal.ledger.spent(since) == Spent(0.0, 0.5, 0)
    journal.close()


def test_settling_makes_no_file(journal: Journal, tmp_path: Path, since: datetime) -> None:
    number = journal.ledger.reserve(0.5, since=since, cap_usd=1.0)
    journal.close()
    shutil.rmtree(tmp_path / ".ccw")
    journal.ledger.settle(number, 0.5)
    assert list(tmp_path.iterdir()) == []
    assert journal.take_trouble() == ""


def test_the_ledger_is_kept_longer_than_a_month_and_no_longer(journal: Journal, tmp_path: Path, now: datetime) -> None:
    since = now - timedelta(days=60)
    for _ in range(2):
        journal.ledger.reserve(1.0, since=since, cap_usd=9.0)
    for number, days in ((1, KEPT.days - 1), (2, KEPT.days + 1)):
        at = int((now - timedelta(days=days)).timestamp() * 1_000_000)
        change(tmp_path, "UPDATE ledger SET at = ? WHERE id = ?", at, number)
    assert journal.ledger.spent(since).reserved_usd == 2.0
    journal.ledger.reserve(0.5, since=since, cap_usd=9.0)
    assert journal.ledger.spent(since).reserved_usd == 1.5


@pytest.mark.parametrize("how", ["by age", "by size"])
def test_what_a_forgotten_call_cost_stays_spent(
    journal: Journal, tmp_path: Path, now: datetime, call: MakeCall, how: str
) -> None:
    for number in range(200):
        journal.append(call(at=now - timedelta(minutes=3 * number), cost_usd=0.25 if number % 2 else None))
    journal.append(call(at=now - timedelta(days=50), cost_usd=4.0))
    since = now - timedelta(days=1)
    before = journal.ledger.spent(since)
    assert before.calls_usd == 25.0
    gone = journal.prune(older_than=timedelta(hours=2)) if how == "by age" else journal.prune(max_bytes=0)
    assert gone == (161 if how == "by age" else 201)
    assert journal.ledger.spent(since).calls_usd == 25.0
    assert journal.ledger.spent(now - timedelta(days=60)).calls_usd == 25.0
    with closing(sqlite3.connect(file(tmp_path))) as connection:
        assert connection.execute("SELECT COUNT(*) FROM ledger").fetchone()[0] <= 11
    journal.ledger.reserve(0.0, since=since, cap_usd=99.0)
    assert journal.ledger.spent(since).calls_usd == 25.0


@pytest.mark.parametrize("value", ["'dear'", "-7.0", "x'00'", "NULL"])
def test_a_damaged_cost_makes_nothing_of_what_others_cost(
    journal: Journal, tmp_path: Path, since: datetime, now: datetime, call: MakeCall, value: str
) -> None:
    journal.append(call(at=now, cost_usd=0.5))
    journal.append(call(at=now, cost_usd=0.25))
    change(tmp_path, "DROP TRIGGER call_is_final")
    change(tmp_path, f"UPDATE call SET cost_usd = {value} WHERE id = 2")
    assert journal.ledger.spent(since).calls_usd == 0.5
    assert not fits(journal, 0.6, since, 1.0)


def test_what_says_that_it_would_be_too_much_can_be_passed_on() -> None:
    error = pickle.loads(pickle.dumps(Overspent(1.0, 0.5)))
    assert (error.spent_usd, error.reserved_usd) == (1.0, 0.5)


def spoil(root: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{file(root)}{suffix}").unlink(missing_ok=True)
    file(root).write_bytes(b"nonsense " * 1000)


@pytest.mark.parametrize("who", ["reserving", "recording", "listing", "an earlier process"])
def test_after_damage_it_is_asked_once_before_counting_anew(
    tmp_path: Path, since: datetime, now: datetime, call: MakeCall, who: str
) -> None:
    for number in range(3):
        first = Journal(tmp_path)
        assert fits(first, 0.5, since, 0.9)
        first.close()
        spoil(tmp_path)
        second, third = Journal(tmp_path), Journal(tmp_path)
        match who:
            case "recording":
                assert second.append(call(at=now, cost_usd=0.0)) is not None
            case "listing":
                assert second.ledger.spent(since) == Spent(0.0, 0.0, 0)
            case "an earlier process":
                other = Journal(tmp_path)
                assert other.calls() == []
                other.close()
        aside = f"{file(tmp_path)}.damaged" + (f"-{number + 1}" if number else "")
        with pytest.raises(CcwError) as caught:
            second.ledger.reserve(0.0, since=since, cap_usd=0.9)
        assert caught.value.message == (
            f"what was spent today is not known: the journal was damaged, and set aside as {aside}"
        )
        assert caught.value.hint == "Ask again to begin counting anew."
        assert third.ledger.spent(since) == Spent(0.0, 0.0, 0)
        assert fits(third, 0.25, since, 0.9)
        assert fits(second, 0.25, since, 0.9)
        assert not fits(third, 0.5, since, 0.9)
        for journal in (second, third):
            journal.close()
        again = Journal(tmp_path)
        assert fits(again, 0.0, since, 0.9)
        again.close()
        with closing(sqlite3.connect(file(tmp_path))) as connection, connection:
            connection.execute("DELETE FROM ledger")


@pytest.mark.parametrize(
    "name", ["calls.sqlite3.damaged-wal", "calls.sqlite3.damaged-x", "replies.sqlite3.damaged", "calls.sqlite3-damaged"]
)
def test_what_is_no_damaged_journal_stops_nobody(tmp_path: Path, journal: Journal, since: datetime, name: str) -> None:
    assert fits(journal, 0.5, since, 1.0)
    (file(tmp_path).parent / name).touch()
    assert fits(journal, 0.5, since, 1.0)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(0, 6), st.sampled_from(["reserve", "record", "settle", "refused", "reopen"])
    ),
    max_size=40,
)


@settings(max_examples=60 * FUZZ, deadline=None)
@given(steps=STEPS, cents=st.lists(st.integers(0, 40), min_size=7, max_size=7), cap=st.integers(0, 100))
def test_in_any_order_what_is_spent_never_passes_the_cap(
    steps: list[tuple[int, int, str]], cents: list[int], cap: int
) -> None:
    root = Path(tempfile.mkdtemp(prefix="ledger-"))
    kernels = [Journal(root), Journal(root)]
    since = datetime.now(UTC) - timedelta(hours=1)
    under_way: dict[int, tuple[int, int]] = {}  # a slot's reservation, and its cents
    spent = 0
    try:
        for kernel, slot, step in steps:
            journal = kernels[kernel]
            if step == "reopen":
                journal.close()
            elif step == "reserve" and slot not in under_way:
                reserved = sum(usd for _, usd in under_way.values())
                try:
                    number = journal.ledger.reserve(cents[slot] / 100, since=since, cap_usd=cap / 100)
                    under_way[slot] = (number, cents[slot])
                    assert spent + reserved + cents[slot] <= cap
                except Overspent as error:
                    seen = (error.spent_usd, error.reserved_usd)
                    assert spent + reserved + cents[slot] > cap
                    assert seen == pytest.approx((spent / 100, reserved / 100))
            elif step != "reserve" and slot in under_way:
                number, cost = under_way.pop(slot)
                if step == "record":
                    assert journal.append(_costing(cost / 100)) is not None
                journal.ledger.settle(number, cost / 100 if step == "settle" else None)
                spent += 0 if step == "refused" else cost
            assert spent <= cap
        now = kernels[0].ledger.spent(since)
        assert now.calls_usd == pytest.approx(spent / 100)
        assert now.reserved_usd == pytest.approx(sum(usd for _, usd in under_way.values()) / 100)
    finally:
        for kernel_ in kernels:
            kernel_.close()
        shutil.rmtree(root)


def _costing(usd: float) -> Call:
    texts = ("e", "p", "m", "analysis", "", "")
    tokens = (1, 0, 0, 1)
    return Call(datetime.now(UTC), *texts, (), *tokens, usd, usd, 0.1, 0.1, 0, "", "", "", "ok", "", None, None)

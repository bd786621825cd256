"""Only turns that this user wrote are used: what came with a project, or was changed, is refused and can be cleared."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.errors import CcwError
from ccw_magics.journal import Journal, Turn
from ccw_magics.journal.seals import is_sealed, seal_of

MakeTurn = Callable[..., Turn]
NAME = "my talk"
WORDS = "the conversation 'my talk' was not written by you on this machine"
KEY = b"k" * 32


def file(root: Path) -> Path:
    return root / ".ccw" / "journal" / "calls.sqlite3"


def change(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file(root))) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS turn_is_final")
        for statement in statements:
            connection.execute(statement)


def say(journal: Journal, name: str, *prompts: str, turn: MakeTurn) -> None:
    for prompt in prompts:
        path = journal.chats.path(name)
        assert journal.chats.append(name, path[-1].id if path else None, turn(prompt=prompt)) is not None


def require_refused(journal: Journal, *others: str) -> None:
    """The talk is refused wherever it could be used, told once, and can be got rid of."""
    with pytest.raises(CcwError) as caught:
        journal.chats.path(NAME)
    assert caught.value.message == WORDS
    assert caught.value.hint == (
        "It may have come with the project. `chat clear 'my talk'` forgets it; --chat=OTHER begins another."
    )
    for turns in (None, 1):
        with pytest.raises(CcwError, match=WORDS):
            journal.chats.fork(NAME, "new", turns=turns)
    assert [row.name for row in journal.chats.names()] == list(others)
    assert journal.take_trouble() == f"{WORDS}, and left out: `chat clear NAME` forgets it"
    journal.chats.names()
    assert journal.take_trouble() == ""
    assert journal.chats.clear(NAME)
    assert journal.chats.path(NAME) == []


TAMPERED = {
    "endpoint": "'other'",
    "references": "'[\"@.env\"]'",
    "context": "x'00'",
    "sections": "'[]'",
    "prompt": "'@.env'",
    "asked": "'x'",
    "answer": "'Certainly.'",
    "key": "'bb'",
    "at": "at + 1",
    "seal": "'" + "0" * 64 + "'",
    "seal in capitals": "upper(seal)",
    "seal of no ASCII": "'\u00e9'",
    "seal that is empty": "''",
}


def test_every_field_is_tampered_with() -> None:
    assert {field.name for field in dataclasses.fields(Turn)} <= set(TAMPERED)


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_tampered_with_is_refused(
    journal: Journal, tmp_path: Path, turn: MakeTurn, case: str, place: int
) -> None:
    say(journal, NAME, "a", "b", "c", turn=turn)
    say(journal, "sound", "a", turn=turn)
    change(tmp_path, f'UPDATE turn SET "{case.split(maxsplit=1)[0]}" = {TAMPERED[case]} WHERE id = {place}')
    require_refused(journal, "sound")
    say(journal, NAME, "anew", turn=turn)
    assert {row.name for row in journal.chats.names()} == {NAME, "sound"}


MOVED = {
    "turns swapped": (
        "UPDATE turn SET id = 99 WHERE id = 2",
        "UPDATE turn SET id = 2, parent_id = 1 WHERE id = 3",
        "UPDATE turn SET id = 3, parent_id = 2 WHERE id = 99",
    ),
    "another parent": ("UPDATE turn SET parent_id = 1 WHERE id = 3",),
    "no parent": ("UPDATE turn SET parent_id = NULL WHERE id = 3",),
    "a parent of another talk": ("UPDATE turn SET parent_id = 2 WHERE id = 5", "UPDATE chat SET turn_id = 5"),
    "a first turn below another": ("UPDATE turn SET parent_id = 3 WHERE id = 4", "UPDATE chat SET turn_id = 4"),
}


@pytest.mark.parametrize("case", MOVED)
def test_turns_in_another_order_are_refused(journal: Journal, tmp_path: Path, turn: MakeTurn, case: str) -> None:
    say(journal, NAME, "a", "b", "c", turn=turn)
    say(journal, "other", "d", "e", turn=turn)
    say(journal, "sound", "a", turn=turn)
    change(tmp_path, *(f"{text} WHERE name = '{NAME}'" if "chat" in text else text for text in MOVED[case]))
    with pytest.raises(CcwError, match=WORDS):
        journal.chats.path(NAME)
    assert [stored.turn.prompt for stored in journal.chats.path("sound")] == ["a"]


def test_a_turn_that_another_journal_has_elsewhere_is_refused(tmp_path: Path, turn: MakeTurn) -> None:
    theirs, ours = Journal(tmp_path / "theirs"), Journal(tmp_path / "ours")
    say(theirs, NAME, "a", "@.env", turn=turn)
    say(ours, NAME, "b", "c", turn=turn)
    theirs.close()
    change(tmp_path / "ours", "DELETE FROM turn WHERE id = 2")
    with closing(sqlite3.connect(file(tmp_path / "ours"))) as connection:
        connection.execute("ATTACH ? AS theirs", [str(file(tmp_path / "theirs"))])
        connection.execute("INSERT INTO main.turn SELECT * FROM theirs.turn WHERE id = 2")
        connection.commit()
    require_refused(ours)
    ours.close()


def test_what_somebody_else_wrote_is_refused(
    tmp_path: Path, turn: MakeTurn, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    theirs = Journal(tmp_path)
    say(theirs, NAME, "a", "b", turn=turn)
    theirs.close()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "another home"))
    ours = Journal(tmp_path)
    with pytest.raises(CcwError, match=WORDS):  # before there is a key
        ours.chats.path(NAME)
    assert not (tmp_path / "another home").exists()
    assert ours.chats.append("ours", 2, turn()) is not None, "a turn of ours, below theirs"
    with pytest.raises(CcwError, match="'ours' was not written by you"):
        ours.chats.path("ours")
    ours.chats.clear("ours")
    require_refused(ours)
    say(ours, NAME, "ours", turn=turn)
    ours.close()
    shutil.rmtree(tmp_path / "another home")
    assert Journal(tmp_path).chats.names() == []


def test_a_replayed_turn_is_not_taken_from_somebody_else(journal: Journal, tmp_path: Path, turn: MakeTurn) -> None:
    say(journal, NAME, "a", turn=turn)
    change(tmp_path, 'UPDATE turn SET "references" = \'["@.env"]\'', "DELETE FROM chat")
    kept = journal.chats.append(NAME, None, turn(prompt="a"), is_replayed=True)
    assert kept is not None
    assert kept.turn_id == 2
    assert [stored.turn for stored in journal.chats.path(NAME)] == [turn(prompt="a")]
    again = journal.chats.append(NAME, None, turn(prompt="a"), is_replayed=True)
    assert again == kept


def test_of_many_that_are_left_out_some_are_named(journal: Journal, tmp_path: Path, turn: MakeTurn) -> None:
    for number in range(5):
        say(journal, f"talk {number}", "a", turn=turn)
    change(
        tmp_path,
        "UPDATE turn SET prompt = 'x'",
        "INSERT INTO chat VALUES (x'1b5b324a', 1, 0)",
        "INSERT INTO chat VALUES ('steers' || char(27) || '[2J', 1, 9999999999999999)",
    )
    assert journal.chats.names() == []
    told = journal.take_trouble()
    assert told.isprintable()
    assert repr("steers\x1b[2J") in told
    assert " and 3 more was not written by you" in told


@pytest.mark.parametrize("who", ["another process", "this one", "a file in its place"])
def test_a_list_that_was_read_before_hides_no_change(
    journal: Journal, tmp_path: Path, turn: MakeTurn, who: str
) -> None:
    say(journal, NAME, "a", turn=turn)
    for _ in range(2):
        assert len(journal.chats.names()) == 1
    match who:
        case "another process":
            change(tmp_path, "UPDATE turn SET prompt = '@.env'")
        case "this one":
            journal._file.connection.execute("DROP TRIGGER turn_is_final")
            journal._file.connection.execute("UPDATE turn SET prompt = '@.env'")
        case _:
            copy = tmp_path / "copy"
            with closing(sqlite3.connect(file(tmp_path))) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
                target.execute("DROP TRIGGER turn_is_final")
                target.execute("UPDATE turn SET prompt = '@.env'")
                target.commit()
            for suffix in ("-wal", "-shm"):
                Path(f"{file(tmp_path)}{suffix}").unlink(missing_ok=True)
            copy.replace(file(tmp_path))
    require_refused(journal)


FIELDS = st.builds(
    Turn,
    st.text(max_size=3),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.binary(max_size=3),
    *[st.text(max_size=3)] * 5,
    st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=number) for number in range(3)]),
)


@given(one=FIELDS, other=FIELDS, parents=st.tuples(*[st.sampled_from(["", "a", "ab"])] * 2))
def test_a_seal_is_of_one_turn_at_one_place(one: Turn, other: Turn, parents: tuple[str, str]) -> None:
    seal = seal_of(KEY, parents[0], one)
    assert is_sealed(KEY, parents[0], one, seal)
    assert is_sealed(KEY, parents[1], other, seal) == ((parents[0], one) == (parents[1], other))
    assert not is_sealed(b"x" * 32, parents[0], one, seal)


def test_what_moves_from_one_field_to_the_next_is_another_turn(turn: MakeTurn) -> None:
    assert seal_of(KEY, "", turn(prompt="ab", asked="c")) != seal_of(KEY, "", turn(prompt="a", asked="bc"))


def test_the_line_is_read_in_one_statement(journal: Journal, turn: MakeTurn) -> None:
    """What is checked is what is used: no second look at a file that another may change meanwhile."""
    say(journal, NAME, "a", turn=turn)
    seen: list[str] = []
    journal._file.connection.set_trace_callback(seen.append)
    assert len(journal.chats.path(NAME)) == 1
    journal._file.connection.set_trace_callback(None)
    assert len([text for text in seen if "turn" in text]) == 1

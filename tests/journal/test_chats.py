"""A conversation keeps every turn, whoever goes on with it, and forgets those that nothing leads to."""

from __future__ import annotations

import dataclasses
import os
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
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ccw_magics.errors import CcwError
from ccw_magics.journal import OPENING_CHARS, Call, ChatRow, Journal, Kept, StoredTurn, Turn
from ccw_magics.journal.chats import NAME_CHARS

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MakeTurn = Callable[..., Turn]


def file(root: Path) -> Path:
    return root / ".ccw" / "journal" / "calls.sqlite3"


def damage(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(file(root))) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS turn_is_final")
        connection.execute(statement)


def count_turns(root: Path) -> int:
    with closing(sqlite3.connect(file(root))) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM turn").fetchone()[0])


def say(journal: Journal, name: str, *prompts: str, turn: MakeTurn) -> list[int]:
    """Go on with a conversation; the turns' ids."""
    ids: list[int] = []
    for prompt in prompts:
        path = journal.chats.path(name)
        kept = journal.chats.append(name, path[-1].id if path else None, turn(prompt=prompt))
        assert kept is not None
        assert kept.set_aside == ""
        ids.append(kept.turn_id)
    return ids


def prompts(journal: Journal, name: str) -> list[str]:
    return [stored.turn.prompt for stored in journal.chats.path(name)]


def test_what_is_read_is_what_was_kept(journal: Journal, turn: MakeTurn) -> None:
    first = journal.chats.append("review", None, turn())
    assert first is not None
    second = journal.chats.append("review", first.turn_id, turn(prompt="More?", references=()))
    assert second is not None
    assert journal.chats.path("review") == [
        StoredTurn(first.turn_id, None, turn()),
        StoredTurn(second.turn_id, first.turn_id, turn(prompt="More?", references=())),
    ]
    assert journal.take_trouble() == ""


TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
TURNS = st.builds(
    Turn,
    TEXT,
    st.lists(TEXT, max_size=3).map(tuple),
    st.binary(max_size=50),
    *[TEXT] * 5,
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them bare
)


@settings(max_examples=40 * FUZZ, deadline=None)
@given(turns=st.lists(TURNS, min_size=1, max_size=4), name=st.text(min_size=1, max_size=NAME_CHARS))
def test_any_turn_comes_back_as_it_went(turns: list[Turn], name: str) -> None:
    root = Path(tempfile.mkdtemp(prefix="chats-"))
    journal, again = Journal(root), Journal(root)
    try:
        try:
            journal.chats.path(name)
        except CcwError:
            name = "a name"
        parent_id = None
        for turn in turns:
            kept = journal.chats.append(name, parent_id, turn)
            assert kept is not None
            parent_id = kept.turn_id
        journal.close()
        assert [stored.turn for stored in again.chats.path(name)] == turns
        (row,) = again.chats.names()
        assert (row.name, row.turns, row.endpoint) == (name, len(turns), turns[-1].endpoint)
        assert len(row.opening) <= OPENING_CHARS
        again.close()
    finally:
        shutil.rmtree(root)


def test_nothing_is_made_by_looking(journal: Journal, tmp_path: Path) -> None:
    assert journal.chats.path("review") == []
    assert journal.chats.names() == []
    assert not journal.chats.fork("review", "other")
    assert not journal.chats.clear("review")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("review", True),
        ("notebooks/quick start.ipynb", True),
        ("名前 👩\u200d🔬", True),
        ("half \ud83d", True),
        ("x" * NAME_CHARS, True),
        ("x" * (NAME_CHARS + 1), False),
        ("", False),
        ("  ", False),
        ("a\nb", False),
        ("a\x1b[0m", False),
        ("a\x00", False),
        ("a\u2028b", False),
        ("a\x85b", False),
    ],
)
def test_what_can_be_a_name(journal: Journal, turn: MakeTurn, name: str, is_one: bool) -> None:
    if is_one:
        say(journal, name, "a", turn=turn)
        assert prompts(journal, name) == ["a"]
        assert journal.chats.fork(name, "other")
        assert journal.chats.clear(name)
        assert prompts(journal, name) == []
        return
    say(journal, "other", "a", turn=turn)
    for use in (
        lambda: journal.chats.path(name),
        lambda: journal.chats.append(name, None, turn()),
        lambda: journal.chats.fork("other", name),
    ):
        with pytest.raises(CcwError) as caught:
            use()
        assert caught.value.hint
        assert "\n" not in caught.value.message
    assert not journal.chats.clear(name)


def test_two_kernels_that_go_on_at_once_lose_nothing(journal: Journal, other: Journal, turn: MakeTurn) -> None:
    (first,) = say(journal, "review", "a", turn=turn)
    say(other, "review", "b", "c", turn=turn)
    kept = journal.chats.append("review", first, turn(prompt="d"))
    assert kept is not None
    assert kept.set_aside == "review~1"
    assert prompts(other, "review") == ["a", "d"]
    assert prompts(other, "review~1") == ["a", "b", "c"]


def test_a_cell_that_is_run_again_further_up_sets_the_old_line_aside(journal: Journal, turn: MakeTurn) -> None:
    ids = say(journal, "review", "a", "b", "c", turn=turn)
    asides = []
    for parent_id, prompt in ((ids[0], "B"), (ids[1], "C"), (None, "A")):
        kept = journal.chats.append("review", parent_id, turn(prompt=prompt))
        assert kept is not None
        asides.append((kept.set_aside, prompts(journal, kept.set_aside)))
    assert asides == [("review~1", ["a", "b", "c"]), ("review~2", ["a", "B"]), ("review~3", ["a", "b", "C"])]
    assert prompts(journal, "review") == ["A"]


def test_a_name_that_stayed_behind_goes_along(journal: Journal, turn: MakeTurn) -> None:
    ids = say(journal, "review", "a", "b", "c", turn=turn)
    assert journal.chats.fork("review", "early", turns=1)
    kept = journal.chats.append("early", ids[2], turn(prompt="d"))
    assert kept == Kept(ids[2] + 1, "")
    assert prompts(journal, "early") == ["a", "b", "c", "d"]


def test_a_name_set_aside_takes_the_first_free_number_and_is_no_longer_than_others(
    journal: Journal, turn: MakeTurn
) -> None:
    name = "x" * NAME_CHARS
    for prompt in "abc":
        journal.chats.append(name, None, turn(prompt=prompt))
    assert prompts(journal, f"{name[:-2]}~2") == ["b"]
    assert journal.chats.clear(f"{name[:-2]}~1")
    kept = journal.chats.append(name, None, turn(prompt="d"))
    assert kept is not None
    assert kept.set_aside == f"{name[:-2]}~1"
    assert prompts(journal, kept.set_aside) == ["c"]


def test_a_turn_whose_conversation_was_cleared_meanwhile_is_not_kept(
    journal: Journal, other: Journal, turn: MakeTurn
) -> None:
    ids = say(journal, "review", "a", "b", turn=turn)
    assert other.chats.clear("review")
    for _ in range(2):
        assert journal.chats.append("review", ids[-1], turn()) is None
        assert "'review' was cleared" in journal.take_trouble()
    assert journal.chats.path("review") == []
    assert journal.chats.append("review", None, turn()) == Kept(ids[-1] + 1, "")


def test_a_cleared_name_comes_back_where_another_one_kept_its_turns(journal: Journal, turn: MakeTurn) -> None:
    ids = say(journal, "review", "a", "b", turn=turn)
    assert journal.chats.fork("review", "other")
    assert journal.chats.clear("review")
    assert journal.chats.append("review", ids[-1], turn(prompt="c")) is not None
    assert prompts(journal, "review") == ["a", "b", "c"]


def test_the_list_says_what_each_holds(journal: Journal, turn: MakeTurn) -> None:
    text = turn(prompt="é", asked="as", answer="ans", sections="[]", context=b"12345")
    first = journal.chats.append("review", None, text)
    assert first is not None
    later = dataclasses.replace(text, at=NOON + timedelta(hours=1), endpoint="other", prompt="Next.")
    journal.chats.append("review", first.turn_id, later)
    journal.chats.append("another", None, dataclasses.replace(text, prompt=f"so\n\n{'long ' * 50}"))
    each = 2 + 2 + 3 + 2 + 5
    assert journal.chats.names() == [
        ChatRow("review", 2, "other", NOON + timedelta(hours=1), 2 * each + 3, "é"),
        ChatRow("another", 1, "my-gpt4o", NOON, each - 2 + 254, f"so {'long ' * 12}"[:OPENING_CHARS]),
    ]


def test_a_fork_shares_what_was_and_goes_its_own_way(journal: Journal, tmp_path: Path, turn: MakeTurn) -> None:
    say(journal, "review", "a", "b", "c", turn=turn)
    assert journal.chats.fork("review", "all")
    assert journal.chats.fork("review", "two", turns=2)
    assert count_turns(tmp_path) == 3
    say(journal, "two", "C", turn=turn)
    say(journal, "review", "d", turn=turn)
    assert (prompts(journal, "review"), prompts(journal, "all")) == (["a", "b", "c", "d"], ["a", "b", "c"])
    assert prompts(journal, "two") == ["a", "b", "C"]
    assert journal.chats.clear("review")
    assert count_turns(tmp_path) == 4
    assert journal.chats.clear("all")
    assert count_turns(tmp_path) == 3
    assert prompts(journal, "two") == ["a", "b", "C"]
    assert journal.chats.clear("two")
    assert count_turns(tmp_path) == 0


@pytest.mark.parametrize(
    ("new_name", "turns", "words"),
    [("other", None, "already"), ("review", None, "already"), ("new", 0, "no 0"), ("new", 3, "no 3"), ("", 1, "empty")],
)
def test_a_fork_that_cannot_be(journal: Journal, turn: MakeTurn, new_name: str, turns: int | None, words: str) -> None:
    say(journal, "review", "a", "b", turn=turn)
    say(journal, "other", "x", turn=turn)
    with pytest.raises(CcwError, match=words) as caught:
        journal.chats.fork("review", new_name, turns=turns)
    assert caught.value.hint
    assert not journal.chats.fork("nobody", "new", turns=turns)
    assert sorted(row.name for row in journal.chats.names()) == ["other", "review"]


def test_what_was_cleared_is_gone_from_the_disk(journal: Journal, tmp_path: Path, turn: MakeTurn) -> None:
    say(journal, "secret", "canary " * 2000, turn=turn)
    say(journal, "other", "a", turn=turn)
    assert journal.chats.clear("secret")
    assert not [path for path in file(tmp_path).parent.iterdir() if b"canary canary" in path.read_bytes()]
    assert prompts(journal, "other") == ["a"]


def test_a_turn_is_never_changed(journal: Journal, tmp_path: Path, turn: MakeTurn) -> None:
    say(journal, "review", "a", turn=turn)
    with (
        closing(sqlite3.connect(file(tmp_path))) as connection,
        pytest.raises(sqlite3.IntegrityError, match="never changed"),
    ):
        connection.execute("UPDATE turn SET answer = 'x'")


DAMAGES = {
    "a parent that is not there": "UPDATE turn SET parent_id = 0 WHERE id = 2",
    "a parent that comes later": "UPDATE turn SET parent_id = 3 WHERE id = 2",
    "its own parent": "UPDATE turn SET parent_id = 2 WHERE id = 2",
    "a parent that is no number": "UPDATE turn SET parent_id = 'x' WHERE id = 2",
    "a parent that is half a number": "UPDATE turn SET parent_id = 1.5 WHERE id = 2",
    "a turn gone": "DELETE FROM turn WHERE id = 2",
    "the newest turn gone": "DELETE FROM turn WHERE id = 3",
    "the first turn gone": "DELETE FROM turn WHERE id = 1",
    "a newest turn that is no number": "UPDATE chat SET turn_id = 'x'",
    "a blob for a text": "UPDATE turn SET prompt = x'00ff' WHERE id = 2",
    "a text for a blob": "UPDATE turn SET context = 'text' WHERE id = 1",
    "a number for a key": "UPDATE turn SET key = x'01' WHERE id = 3",
    "a time that no calendar has": "UPDATE turn SET at = 9223372036854775807 WHERE id = 2",
    "text for a time": "UPDATE turn SET at = 'x' WHERE id = 2",
    "a size beyond sums": "UPDATE turn SET size_bytes = 9223372036854775807",
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_conversation_is_an_error_that_says_how_to_get_rid_of_it(
    journal: Journal, tmp_path: Path, turn: MakeTurn, case: str
) -> None:
    say(journal, "my review", "a", "b", "c", turn=turn)
    say(journal, "sound", "a", turn=turn)
    damage(
        tmp_path,
        DAMAGES[case].replace("UPDATE chat SET turn_id = 'x'", "UPDATE chat SET turn_id = 'x' WHERE rowid = 1"),
    )
    if "beyond sums" in case:
        damage(tmp_path, "UPDATE turn SET size_bytes = 1 WHERE id = 4")
    with pytest.raises(CcwError, match="'my review' cannot be read") as caught:
        journal.chats.path("my review")
    assert caught.value.hint == "`chat clear 'my review'` forgets it."
    with pytest.raises(CcwError):
        journal.chats.fork("my review", "new")
    assert [row.name for row in journal.chats.names()] == ["sound"]
    assert "'my review' cannot be read" in journal.take_trouble()
    journal.chats.names()
    assert journal.take_trouble() == ""
    assert journal.chats.append("my review", None, turn(prompt="anew")) is not None
    assert prompts(journal, "my review") == ["anew"]
    assert journal.chats.clear("my review~1")
    assert prompts(journal, "sound") == ["a"]
    assert count_turns(tmp_path) == 2
    assert not list(file(tmp_path).parent.glob("*damaged*"))


@pytest.mark.parametrize("references", ["5", "[1]", "[" * 100_000, "{", '"a"'])
def test_references_that_are_no_list_are_damage(
    journal: Journal, tmp_path: Path, turn: MakeTurn, references: str
) -> None:
    say(journal, "review", "a", turn=turn)
    damage(tmp_path, f"UPDATE turn SET \"references\" = '{references}'")
    with pytest.raises(CcwError, match="'review' cannot be read"):
        journal.chats.path("review")


def test_where_nothing_can_be_kept_that_is_said_once(tmp_path: Path, turn: MakeTurn) -> None:
    (tmp_path / ".ccw").write_text("in the way")
    journal = Journal(tmp_path)
    assert journal.chats.append("review", None, turn()) is None
    assert "this turn is not kept" in journal.take_trouble()
    assert journal.chats.append("review", None, turn()) is None
    assert journal.take_trouble() == ""
    (tmp_path / ".ccw").unlink()
    assert journal.chats.append("review", None, turn()) == Kept(1, "")
    journal.close()


def test_conversations_that_were_not_used_are_forgotten_with_old_calls(
    journal: Journal, tmp_path: Path, turn: MakeTurn
) -> None:
    now = datetime.now(UTC)
    old, new = turn(at=now - timedelta(days=40)), turn(at=now - timedelta(days=10))
    first = journal.chats.append("gone on with", None, old)
    assert first is not None
    assert journal.chats.fork("gone on with", "forked today")
    journal.chats.append("gone on with", first.turn_id, new)
    journal.chats.append("left", None, old)
    journal.chats.append("set aside", None, old)
    journal.chats.append("set aside", None, new)
    assert journal.prune(older_than=timedelta(days=30)) == 0
    assert {row.name for row in journal.chats.names()} == {"gone on with", "forked today", "set aside"}
    assert count_turns(tmp_path) == 3
    assert journal.prune(older_than=timedelta(days=5)) == 0
    assert [row.name for row in journal.chats.names()] == ["forked today"]


def test_for_a_size_calls_go_first_and_then_conversations_that_were_not_used_for_longest(
    journal: Journal, call: Callable[..., Call], turn: MakeTurn
) -> None:
    for number in range(20):
        journal.append(call(at=NOON + timedelta(days=number), answer="x" * 5_000))
        journal.chats.append(f"chat {number}", None, turn(at=NOON - timedelta(days=number), context=b"y" * 5_000))
    assert 0 < journal.prune(max_bytes=200_000) < 20
    assert len(journal.chats.names()) == 20
    journal.prune(max_bytes=120_000)
    kept = [row.name for row in journal.chats.names()]
    assert journal.status().calls == 0
    assert 5 < len(kept) < 20
    assert kept == [f"chat {number}" for number in range(len(kept))]
    assert journal.status().size_bytes <= 120_000
    journal.prune(max_bytes=0)
    assert journal.chats.names() == []


class Talks(RuleBasedStateMachine):
    """Two kernels with one file, against lists of prompts."""

    NAMES = ("a", "b", "a~1")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="talks-"))
        self.kernels = [Journal(self.root), Journal(self.root)]
        self.lines: dict[str, tuple[int, ...]] = {}
        self.seen: list[tuple[int, ...]] = [()]

    def teardown(self) -> None:
        for kernel in self.kernels:
            kernel.close()
        shutil.rmtree(self.root)

    @rule(kernel=st.integers(0, 1), name=st.sampled_from(NAMES))
    def go_on(self, kernel: int, name: str) -> None:
        self._append(kernel, name, self.lines.get(name, ()))

    @rule(kernel=st.integers(0, 1), name=st.sampled_from(NAMES), data=st.data())
    def branch(self, kernel: int, name: str, data: st.DataObject) -> None:
        """From any line that ever was, one that was cleared too."""
        line = data.draw(st.sampled_from(self.seen))
        self._append(kernel, name, line[: data.draw(st.integers(0, len(line)))])

    def _append(self, kernel: int, name: str, parent: tuple[int, ...]) -> None:
        before = self.lines.get(name)
        turn = Turn("e", (), b"c", "[]", f"after {parent}", "", "", "", NOON)
        kept = self.kernels[kernel].chats.append(name, parent[-1] if parent else None, turn)
        if parent and not any(parent[-1] in line for line in self.lines.values()):
            assert kept is None
            assert "cleared" in self.kernels[kernel].take_trouble()
            return
        assert kept is not None
        has_name = any(line[: len(before or ())] == before for other, line in self.lines.items() if other != name)
        assert bool(kept.set_aside) == (before is not None and parent[: len(before)] != before and not has_name)
        if kept.set_aside:
            assert before is not None
            assert kept.set_aside not in self.lines
            self.lines[kept.set_aside] = before
        self.lines[name] = (*parent, kept.turn_id)
        self.seen.append(self.lines[name])

    @rule(kernel=st.integers(0, 1), name=st.sampled_from(NAMES), new=st.sampled_from(NAMES), data=st.data())
    def fork(self, kernel: int, name: str, new: str, data: st.DataObject) -> None:
        turns = data.draw(st.none() | st.integers(0, 4))
        line, chats = self.lines.get(name), self.kernels[kernel].chats
        if line is None:
            assert not chats.fork(name, new, turns=turns)
        elif new in self.lines or (turns is not None and not 1 <= turns <= len(line)):
            with pytest.raises(CcwError):
                chats.fork(name, new, turns=turns)
        else:
            assert chats.fork(name, new, turns=turns)
            self.lines[new] = line[:turns]

    @rule(kernel=st.integers(0, 1), name=st.sampled_from(NAMES))
    def clear(self, kernel: int, name: str) -> None:
        assert self.kernels[kernel].chats.clear(name) == (self.lines.pop(name, None) is not None)

    @rule(kernel=st.integers(0, 1))
    def reopen(self, kernel: int) -> None:
        self.kernels[kernel].close()

    @precondition(lambda self: (file(self.root)).exists())
    @invariant()
    def all_is_there_and_nothing_else(self) -> None:
        for kernel in self.kernels:
            for name in {*self.NAMES, *self.lines}:
                path = kernel.chats.path(name)
                assert tuple(stored.id for stored in path) == self.lines.get(name, ())
                for number, stored in enumerate(path):
                    assert stored.turn.prompt == f"after {self.lines[name][:number]}"
            assert {row.name: row.turns for row in kernel.chats.names()} == {
                name: len(line) for name, line in self.lines.items()
            }
            assert kernel.take_trouble() == ""
        assert count_turns(self.root) == len({number for line in self.lines.values() for number in line})


TestTalks = Talks.TestCase
TestTalks.settings = settings(max_examples=25 * FUZZ, stateful_step_count=25, deadline=None)

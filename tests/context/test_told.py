"""A conversation's files: what its turns tell, read from top to bottom, is what is on disk; nothing told changes."""

from __future__ import annotations

import builtins
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pack_parser import unpack
from tree_events import EVENTS, TREES, Tree

from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import PackRequest
from ccw_magics.context.told import Teller, Told
from ccw_magics.errors import CcwError, ContextTooLarge, PatternError

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
MEANT = {
    "@a.py": {"a.py"},
    "@*.py": {"a.py", "b.py"},
    "@dir": {"dir/c.py", "dir/d e.py"},
    "@dir/c.py": {"dir/c.py"},
    "@*.md": {"漢.md"},
    "@**/*.py": {"a.py", "b.py", "dir/c.py", "dir/d e.py"},
    "@nobody": set(),
}
NEW = st.lists(st.sampled_from(list(MEANT)), max_size=2)


@contextmanager
def opened() -> Iterator[list[str]]:
    """Notes what is opened or listed meanwhile."""
    paths: list[str] = []

    def noting(call: Callable[..., object]) -> mock.Mock:
        return mock.Mock(
            side_effect=lambda path, *rest, **options: paths.append(os.fsdecode(path)) or call(path, *rest, **options)
        )

    with (
        mock.patch.object(os, "open", noting(os.open)),
        mock.patch.object(os, "scandir", noting(os.scandir)),
        mock.patch.object(os, "listdir", noting(os.listdir)),
        mock.patch.object(builtins, "open", noting(builtins.open)),
    ):
        yield paths


def joined(told: list[Told]) -> str:
    return b"".join(turn.data for turn in told).decode()


class Talk:
    """One conversation, in a kernel that restarts now and then; another kernel follows it cold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Tree(root)
        self.told: list[Told] = []
        self.references: tuple[str, ...] = ()
        self.teller = Teller()

    def restart(self) -> None:
        self.teller = Teller()
        self.told = [Told(turn.data, turn.sections) for turn in self.told]

    def ask(self, events: list[tuple[object, ...]], new: list[str], is_recorded: bool) -> None:
        self.tree.let(events)
        references = tuple(dict.fromkeys((*self.references, *new)))
        request = PackRequest(references, self.root)
        pack, told = self.teller.tell(self.told, request)
        meant = set().union(*(MEANT[reference] for reference in references)) if references else set()
        on_disk = {name: content for name, content in self.tree.files.items() if name in meant}
        turns = [*self.told, told]

        assert unpack(joined(turns)) == on_disk if joined(turns) else not on_disk
        assert pack.text == joined(turns)
        assert pack.files == tuple(sorted(on_disk))
        assert pack.sizes_bytes == tuple(len(on_disk[path].encode()) for path in pack.files)
        assert pack.size_bytes == len(pack.text.encode())
        assert pack.reused_bytes == len(joined(self.told).encode())
        assert pack.status == ("rebuilt" if not self.told else "extended" if told.data else "hit")
        if self.told:
            assert [block.data for block in pack.kept] == [turn.data for turn in self.told if turn.data]
            assert pack.rest == told.data
        else:
            assert [block.data for block in pack.kept] == ([told.data] if told.data else [])
            assert pack.rest == b""
        cold, told_cold = Teller().tell(self.told, request)
        assert told_cold == told
        assert (cold.session_id, cold.revision) == (pack.session_id, pack.revision)
        assert cold.content_hash == pack.content_hash == ContextCache().peek(request).content_hash
        assert cold.matched == pack.matched
        again, nothing = Teller().tell(turns, request)
        assert (nothing.data, again.status, again.text) == (b"", "hit", pack.text)
        if is_recorded:
            self.told, self.references = turns, references


TURN = st.tuples(EVENTS, NEW, st.sampled_from([True, True, False]), st.sampled_from([False, False, True]))


@given(files=TREES, turns=st.lists(TURN, min_size=4, max_size=12))
@settings(max_examples=50 * FUZZ, deadline=None)
def test_all_that_was_told_is_what_is_on_disk(files: dict[str, str], turns: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory(prefix="talk-") as root:
        talk = Talk(Path(root))
        for name, content in files.items():
            talk.tree.write(name, content)
        for events, new, is_recorded, restarts in turns:
            talk.ask(events, new, is_recorded)
            if restarts:
                talk.restart()


@pytest.fixture
def wanted(project: Path) -> PackRequest:
    (project / "a.py").write_text("".join(f"a{n}\n" for n in range(60)))
    (project / "b.py").write_text("".join(f"b{n}\n" for n in range(60)))
    return PackRequest(("@*.py",), project)


def test_an_edit_is_told_in_the_newest_turn_alone(wanted: PackRequest) -> None:
    teller = Teller()
    first, told = teller.tell([], wanted)
    (wanted.root / "a.py").write_text((wanted.root / "a.py").read_text().replace("a30\n", "NEW\n"))
    second, edit = teller.tell([told], wanted)
    assert second.blocks == first.blocks
    assert second.kept_before == 1
    assert (
        edit.data == b"=== CHANGED: a.py (now 60 lines) ===\nLines 30-32 of it now read (3 lines):\na29\nNEW\na31\n\n"
    )
    third, nothing = teller.tell([told, edit], wanted)
    assert (nothing, third.status, third.tail) == (Told(), "hit", "")
    assert third.session_id == second.session_id != first.session_id


def test_an_edit_that_was_undone_is_said_again(wanted: PackRequest) -> None:
    teller, path = Teller(), wanted.root / "a.py"
    before = path.read_text()
    told = [teller.tell([], wanted)[1]]
    for text in (before + "more\n", before):
        path.write_text(text)
        told.append(teller.tell(told, wanted)[1])
    assert told[2].data == (
        b"=== CHANGED: a.py (now 60 lines) ===\nIts lines are those of its last whole copy again.\n\n"
    )


def test_nothing_is_ever_cut_whatever_is_dead(wanted: PackRequest) -> None:
    teller, told = Teller(), []
    for number in range(40):
        (wanted.root / "a.py").write_text(f"{number}\n" * 90)
        pack, turn = teller.tell(told, wanted)
        told.append(turn)
    assert len(pack.kept) == 39
    assert pack.content_hash == ContextCache().pack(wanted).content_hash


def test_what_is_told_does_not_depend_on_the_order_of_edits(wanted: PackRequest) -> None:
    tellers, texts = (Teller(), Teller()), []
    told = tellers[0].tell([], wanted)[1]
    for teller, names in zip(tellers, (("a.py", "b.py"), ("b.py", "a.py")), strict=True):
        (wanted.root / "a.py").write_text("a\n")
        (wanted.root / "b.py").write_text("b\n")
        teller.tell([told], wanted)
        for name in names:
            (wanted.root / name).write_text(f"{name}\n" * 70)
            teller.tell([told], wanted)
        texts.append(teller.tell([told], wanted)[1])
    assert texts[0] == texts[1]


def _settle(teller: Teller, told: list[Told], request: PackRequest) -> None:
    """Ask until a look opens nothing, as it must some hundredths of a second after the last change."""
    for _ in range(100_000):
        with opened() as paths:
            teller.tell(told, request)
        if not paths:
            return


def test_a_turn_that_changes_nothing_opens_nothing(wanted: PackRequest) -> None:
    teller = Teller()
    told = [teller.tell([], wanted)[1]]
    _settle(teller, told, wanted)
    (wanted.root / "a.py").write_text("new\n")
    told.append(teller.tell(told, wanted)[1])
    _settle(teller, told, wanted)
    with opened() as paths:
        assert teller.tell(told, wanted)[0].status == "hit"
    assert paths == []


def test_a_new_reference_reads_its_own_files_alone(wanted: PackRequest) -> None:
    (wanted.root / "c.md").write_text("c\n")
    teller = Teller()
    told = [teller.tell([], wanted)[1]]
    _settle(teller, told, wanted)
    with opened() as paths:
        _, turn = teller.tell(told, replace(wanted, references=("@*.py", "@c.md")))
    assert turn.data == b"=== FILE: c.md (1 lines) ===\nc\n\n"
    assert [Path(path).name for path in paths if path.endswith((".py", ".md"))] == ["c.md"]


def test_contents_are_not_kept(wanted: PackRequest) -> None:
    teller = Teller()
    teller.tell([], wanted)
    (view,) = teller._views.values()
    assert not view.watch.seen.keys() ^ {"a.py", "b.py"}
    assert all(len(digest) == 16 for digest in view.digests.values())


DAMAGES = {
    "a byte of the text": lambda told: Told(told.data.replace(b"a5", b"A5", 1), told.sections),
    "an end cut off": lambda told: Told(told.data[:-1], told.sections),
    "no text": lambda told: Told(b"", told.sections),
    "no sections": lambda told: Told(told.data, "[]"),
    "empty sections": lambda told: Told(told.data, ""),
    "another path": lambda told: Told(told.data, told.sections.replace("a.py", "c.py")),
    "no JSON": lambda told: Told(told.data, told.sections[:-1]),
    "other JSON": lambda told: Told(told.data, '{"a": 1}'),
    "null": lambda told: Told(told.data, "null"),
    "a checksum alone": lambda told: Told(told.data, '["00"]'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_an_error_with_a_way_out(wanted: PackRequest, damage: object) -> None:
    teller = Teller()
    told = teller.tell([], wanted)[1]
    with pytest.raises(CcwError, match="damaged") as raised:
        teller.tell([damage(told)], wanted)  # type: ignore[operator]  # one of the functions above
    assert "new conversation" in (raised.value.hint or "")


def test_turns_of_which_one_is_missing_are_damaged(wanted: PackRequest) -> None:
    teller, told = Teller(), []
    for number in range(3):
        (wanted.root / "a.py").write_text(f"{number}\n" * 90)
        told.append(teller.tell(told, wanted)[1])
    teller.tell(told[:2], wanted)  # a fork
    for wrong in ([told[0], told[2]], [told[1], told[0], told[2]], told[1:]):
        with pytest.raises(CcwError, match="damaged"):
            teller.tell(wrong, wanted)


def test_turns_without_files_are_no_damage(wanted: PackRequest) -> None:
    teller = Teller()
    pack, told = teller.tell([Told(), Told(b"", "[]")], wanted)
    assert (pack.status, pack.blocks, pack.revision) == ("extended", (), 3)
    assert pack.rest == told.data
    assert unpack(joined([Told(), told])).keys() == {"a.py", "b.py"}


def test_the_limit_holds_for_all_turns_together(wanted: PackRequest) -> None:
    teller = Teller()
    pack, told = teller.tell([], wanted)
    tight = replace(wanted, max_size_bytes=pack.size_bytes + 10)
    assert teller.tell([told], tight)[0].status == "hit"
    (wanted.root / "a.py").write_text("new\n")
    with pytest.raises(ContextTooLarge) as raised:
        teller.tell([told], tight)
    assert "new conversation" in (raised.value.hint or "")
    assert teller.tell([], tight)[0].status == "rebuilt"
    with pytest.raises(ContextTooLarge) as raised:
        teller.tell([], replace(wanted, max_size_bytes=30))
    assert "fewer files" in (raised.value.hint or "")


def test_an_error_or_an_interrupt_leaves_nothing_half_made(wanted: PackRequest) -> None:
    for number in range(300):
        (wanted.root / f"n{number}.py").write_text(f"{number}\n")
    teller = Teller()

    def interrupt(done: int, _total: int) -> None:
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teller.tell([], wanted, interrupt)
    with pytest.raises(PatternError):
        teller.tell([], replace(wanted, references=("@../../*",)))
    assert teller.tell([], wanted)[1] == Teller().tell([], wanted)[1]


def test_several_threads_may_ask_at_once(wanted: PackRequest) -> None:
    teller, told = Teller(), []

    def ask(references: tuple[str, ...]) -> None:
        request = replace(wanted, references=references)
        told.extend((references, teller.tell([], request)[1]) for _ in range(20))

    asked = [("@*.py",), ("@a.py",), ("@b.py",), ("@a.py", "@b.py"), ("@.",), ("@**",)]
    threads = [threading.Thread(target=ask, args=(references,)) for references in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(told)) == len(asked)
    assert len(told) == 20 * len(asked)
    assert len(teller._views) <= 4


def test_a_request_that_is_not_kept_works_as_well(wanted: PackRequest) -> None:
    assert Teller().tell([], replace(wanted, keep=False))[1] == Teller().tell([], wanted)[1]

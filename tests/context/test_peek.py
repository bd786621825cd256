"""A look changes nothing, and tells what the next pack will be; content has a name that no layout changes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_events import EVENTS, TREES, Tree

from ccw_magics.context import text
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.disk import CacheSettings
from ccw_magics.context.pack import Pack, PackHandle, PackRequest
from ccw_magics.errors import ContextTooLarge

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))


def said(pack: Pack) -> dict[str, object]:
    """All of a pack but its random name and what the disk's trouble adds."""
    facts = {field.name: getattr(pack, field.name) for field in fields(PackHandle)}
    del facts["session_id"]
    blocks = [block.data for block in pack.kept]
    more = {"rest": pack.rest, "before": pack.kept_before, "matched": pack.matched, "hash": pack.content_hash}
    return {**facts, **more, "blocks": blocks}


def files_below(directory: Path) -> dict[str, bytes]:
    """Names and bytes; of sqlite's shared memory, the name alone, as a reader notes there where it is."""
    found = {path.name: path for path in directory.iterdir()} if directory.exists() else {}
    return {name: b"" if name.endswith("-shm") else path.read_bytes() for name, path in found.items()}


class Looks:
    """Two machines live through the same, each with two kernels; on one of them, somebody looks all the time."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = self.base / "project"
        self.root.mkdir()
        self.tree = Tree(self.root)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.names: dict[str, str] = {}
        self.looked = [self._kernel("looked"), self._kernel("looked")]
        self.alone = [self._kernel("alone"), self._kernel("alone")]

    def _kernel(self, name: str) -> ContextCache:
        return ContextCache(lambda: CacheSettings(self.base / name, 1 << 20), lambda: self.now)

    def close(self) -> None:
        for kernel in (*self.looked, *self.alone):
            kernel.close()

    def restart(self, number: int) -> None:
        for name, kernels in (("looked", self.looked), ("alone", self.alone)):
            kernels[number].close()
            kernels[number] = self._kernel(name)

    def ask(self, number: int, reference: str, how: dict[str, Any], looks: int, *, only_looks: bool) -> None:
        request = PackRequest((reference,), self.root, **how)
        seen = [self.look(number, request) for _ in range(looks)]
        if only_looks:
            return
        looked = outcome(self.looked[number].pack, request)
        alone = outcome(self.alone[number].pack, request)
        assert looked == alone
        assert seen == [looked] * looks
        hidden = {"session_id": ""}
        rows = [[replace(row, **hidden) for row in kernels[number].rows()] for kernels in (self.looked, self.alone)]
        assert rows[0] == rows[1]
        if isinstance(looked, dict):
            contents = {name: content for name, content in self.tree.files.items() if name in looked["files"]}
            assert self.names.setdefault(looked["hash"], repr(contents)) == repr(contents)
            assert len(set(self.names.values())) == len(self.names)

    def look(self, number: int, request: PackRequest) -> object:
        kernel, directory = self.looked[number], self.base / "looked"
        on_disk, in_memory = files_below(directory), state_of(kernel)
        seen = outcome(kernel.peek, request)
        assert files_below(directory) == on_disk
        assert state_of(kernel) == in_memory
        return seen


def outcome(ask: Callable[[PackRequest], Pack], request: PackRequest) -> object:
    try:
        return said(ask(request))
    except ContextTooLarge as error:
        return error.message


def state_of(kernel: ContextCache) -> object:
    """All that a cache holds in memory of its packs."""
    return [
        (
            key,
            session.session_id,
            session.revision,
            session.hits,
            session.used_at,
            session.created_at,
            session.packing.calls,
            dict(session.packing.changes),
            [(s.path, s.kind, s.dead_since, s.block is b) for b in session.packing.blocks for s in b.sections],
            session.packing.text(),
            dict(session.seen),
            set(session.unsaved),
            session.stored_blocks,
            id(session.pack),
        )
        for key, session in kernel._sessions.items()
    ]


HOW: tuple[dict[str, Any], ...] = ({}, {}, {}, {}, {"idle_ttl_s": 300.0}, {"max_size_bytes": 1500}, {"renew": True})
CALL = st.fixed_dictionaries(
    {
        "number": st.integers(0, 1),
        "reference": st.sampled_from(["@.", "@.", "@.", "@*.py", "@none"]),
        "how": st.sampled_from(HOW),
        "looks": st.integers(0, 2),
        "only_looks": st.sampled_from([False, False, True]),
    }
)
STEP = st.tuples(EVENTS, CALL, st.sampled_from([0, 1, 1, 1, 6, 70]), st.sampled_from([None, None, 0, 1]))


@given(files=TREES, steps=st.lists(STEP, min_size=4, max_size=12))
@settings(max_examples=50 * FUZZ, deadline=None)
def test_looks_change_nothing_and_tell_what_comes(files: dict[str, str], steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory(prefix="looks-") as base:
        looks = Looks(Path(base))
        for name, content in files.items():
            looks.tree.write(name, content)
        for events, call, minutes, restarting in steps:
            looks.tree.let(events)
            looks.now += timedelta(minutes=minutes)
            looks.ask(**call)
            if restarting is not None:
                looks.restart(restarting)
        looks.close()


def kernel(directory: Path) -> ContextCache:
    return ContextCache(lambda: CacheSettings(directory), lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def directory(home: Path) -> Path:
    return home / ".ccw" / "cache" / "context"


@pytest.fixture
def cache(directory: Path) -> ContextCache:
    return kernel(directory)


@pytest.fixture
def wanted(project: Path) -> PackRequest:
    (project / "a.py").write_text("".join(f"a{n}\n" for n in range(60)))
    (project / "b.py").write_text("".join(f"b{n}\n" for n in range(60)))
    return PackRequest(("@*.py",), project)


def test_a_first_look_makes_no_file(cache: ContextCache, wanted: PackRequest, directory: Path) -> None:
    assert cache.peek(wanted).status == "rebuilt"
    assert not directory.exists()
    assert cache.rows() == []


def test_a_look_in_a_new_kernel_sees_what_another_one_keeps(
    cache: ContextCache, wanted: PackRequest, directory: Path
) -> None:
    first = cache.pack(wanted)
    (wanted.root / "a.py").write_text((wanted.root / "a.py").read_text() + "more\n")
    for is_closed in (False, True):
        if is_closed:
            cache.close()
        before = files_below(directory)
        other = kernel(directory)
        seen = other.peek(wanted)
        assert (seen.session_id, seen.status, seen.kept_before) == (first.session_id, "extended", 1)
        assert files_below(directory) == before
    assert said(other.pack(wanted)) == said(seen)


def test_a_look_goes_on_from_what_another_kernel_wrote(
    cache: ContextCache, wanted: PackRequest, directory: Path
) -> None:
    cache.pack(wanted)
    other, path = kernel(directory), wanted.root / "a.py"
    for number in range(1, 4):
        path.write_text(path.read_text().replace(f"a{number}5\n", f"other {number}\n"))
        other.pack(wanted)
    seen = cache.peek(wanted)
    assert (seen.status, seen.revision) == ("hit", 4)
    assert said(cache.pack(wanted)) == said(seen)


def test_a_process_may_fork_while_looks_go_on(cache: ContextCache, wanted: PackRequest, directory: Path) -> None:
    cache.pack(wanted)
    end = threading.Event()

    def look() -> None:
        while not end.is_set():
            kernel(directory).peek(wanted)

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(5):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                (wanted.root / "a.py").write_text(f"{number}\n")
                code = 0 if cache.peek(wanted).text == cache.pack(wanted).text else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    end.set()
    looking.join()
    assert said(cache.peek(wanted)) == said(cache.pack(wanted))


def test_a_large_pack_that_is_being_written_can_be_looked_at(cache: ContextCache, wanted: PackRequest) -> None:
    (wanted.root / "large.py").write_text("".join(f"line {n}\n" for n in range(60_000)))
    request = replace(wanted, max_size_bytes=1 << 24)
    pack = cache.pack(request)
    for _ in range(20):
        assert (cache.peek(request).status, cache.peek(request).text) == ("hit", pack.text)
    cache._finish_saves()
    seen = cache.peek(request)
    assert said(cache.pack(request)) == said(seen)
    cache.close()


def _text_instead(path: Path) -> None:
    path.write_text("this is no database\n" * 50)


def _other_blob(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE block SET data = CAST(replace(data, 'a5', 'zz') AS BLOB)")
    connection.close()


def _table_gone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE pack")
    connection.close()


@pytest.mark.parametrize("damage", [_text_instead, _other_blob, _table_gone, Path.unlink])
def test_damage_is_looked_at_and_left(
    cache: ContextCache, wanted: PackRequest, directory: Path, damage: Callable[[Path], None]
) -> None:
    cache.pack(wanted)
    cache.close()
    damage(directory / "packs.sqlite3")
    before = files_below(directory)
    other = kernel(directory)
    seen = other.peek(wanted)
    assert files_below(directory) == before
    packed = other.pack(wanted)
    assert said(packed) == said(seen)
    assert packed.status == "rebuilt"
    other.close()


def test_a_place_that_cannot_be_used_is_left_to_the_pack_to_tell(wanted: PackRequest, home: Path) -> None:
    (home / "file").write_text("in the way")
    cache = ContextCache(lambda: CacheSettings(home / "file" / "cache"))
    assert cache.peek(wanted).warnings == ()
    assert "kept in memory only" in cache.pack(wanted).warnings[0]
    assert cache.peek(wanted).status == "hit"


def test_a_look_without_keeping(cache: ContextCache, wanted: PackRequest) -> None:
    cache.pack(wanted)
    request = replace(wanted, keep=False)
    seen, packed = cache.peek(request), cache.pack(request)
    assert (seen.status, seen.text, seen.session_id != packed.session_id) == ("rebuilt", packed.text, True)


def test_content_has_one_name_however_it_came_about(cache: ContextCache, wanted: PackRequest, directory: Path) -> None:
    path = wanted.root / "a.py"
    before = path.read_text()
    first = cache.pack(wanted)
    path.write_text(before + "more\n")
    edited = cache.pack(wanted)
    path.write_text(before)
    names = [
        cache.pack(wanted),
        kernel(directory).pack(wanted),
        ContextCache().pack(replace(wanted, layout="fresh", endpoint_id="other")),
        cache.pack(replace(wanted, references=("@b.py", "@a.py"))),
        cache.pack(replace(wanted, renew=True)),
    ]
    assert {pack.content_hash for pack in names} == {first.content_hash}
    assert edited.content_hash != first.content_hash
    assert len(first.content_hash) == 32
    assert int(first.content_hash, 16)


def _a_byte(root: Path) -> None:
    (root / "a.py").write_text((root / "a.py").read_text().replace("a30", "a31"))


def _newline_gone(root: Path) -> None:
    (root / "a.py").write_text((root / "a.py").read_text().removesuffix("\n"))


def _renamed(root: Path) -> None:
    (root / "a.py").rename(root / "c.py")


def _added(root: Path) -> None:
    (root / "empty.py").write_text("")


def _removed(root: Path) -> None:
    (root / "a.py").unlink()


def _swapped(root: Path) -> None:
    a, b = (root / "a.py").read_text(), (root / "b.py").read_text()
    (root / "a.py").write_text(b)
    (root / "b.py").write_text(a)


CHANGES = [_a_byte, _newline_gone, _renamed, _added, _removed, _swapped]


@pytest.mark.parametrize("change", CHANGES)
def test_other_content_has_another_name(
    cache: ContextCache, wanted: PackRequest, change: Callable[[Path], None]
) -> None:
    before = cache.pack(wanted).content_hash
    change(wanted.root)
    after = cache.pack(wanted).content_hash
    assert after != before
    assert after == ContextCache().pack(wanted).content_hash


def test_no_digest_is_made_that_nobody_asks_for(
    cache: ContextCache, wanted: PackRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    monkeypatch.setattr(text, "digest", lambda content, digest=text.digest: made.append(content) or digest(content))
    pack = cache.pack(wanted)
    assert made == []
    assert pack.content_hash
    assert len(made) == 2
    assert cache.pack(wanted).content_hash == pack.content_hash == pack.content_hash
    assert len(made) == 2
    cache.close()


def test_what_each_reference_brought(cache: ContextCache, project: Path) -> None:
    (project / "dir").mkdir()
    for name in ("a.py", "dir/b.py", "dir/c.py"):
        (project / name).write_text("x\n")
    (project / "dir" / "binary.py").write_bytes(b"\0")
    pack = cache.pack(PackRequest(("@dir", "@*.py", "@somebody", "@dir/b.py"), project))
    assert pack.matched == (
        ("@dir", ("dir/b.py", "dir/c.py")),
        ("@*.py", ("a.py",)),
        ("@dir/b.py", ("dir/b.py",)),
    )
    assert not hasattr(pack.handle(), "matched")

"""Packs over their life: kept, shared by processes, renewed, and rebuilt after any damage."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pack_parser import unpack

from ccw_magics.context.cache import ContextCache
from ccw_magics.context.disk import CacheSettings
from ccw_magics.context.pack import PackRequest
from ccw_magics.errors import ContextTooLarge


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(home: Path) -> Path:
    return home / ".ccw" / "cache" / "context"


@pytest.fixture
def cache(clock: Clock, directory: Path) -> ContextCache:
    return ContextCache(lambda: CacheSettings(directory), clock)


@pytest.fixture
def wanted(project: Path) -> PackRequest:
    (project / "a.py").write_text("".join(f"a{n}\n" for n in range(60)))
    (project / "b.py").write_text("".join(f"b{n}\n" for n in range(60)))
    return PackRequest(("@*.py",), project)


def _tree(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.glob("*.py")}


def test_an_unchanged_pack_is_a_hit(cache: ContextCache, wanted: PackRequest) -> None:
    first, second = cache.pack(wanted), cache.pack(wanted)
    assert (first.status, second.status) == ("rebuilt", "hit")
    assert (second.text, second.revision) == (first.text, 1)
    assert second.reused_bytes == second.size_bytes == len(first.text.encode())


def test_a_touched_file_changes_nothing(cache: ContextCache, wanted: PackRequest) -> None:
    first = cache.pack(wanted)
    os.utime(wanted.root / "a.py", (1, 1))
    second = cache.pack(wanted)
    assert (second.session_id, second.revision, second.text) == (first.session_id, 1, first.text)
    assert second.status == "hit"


def test_an_edit_extends_the_pack(cache: ContextCache, wanted: PackRequest) -> None:
    first = cache.pack(wanted)
    (wanted.root / "a.py").write_text((wanted.root / "a.py").read_text().replace("a30\n", "new\n"))
    second = cache.pack(wanted)
    assert (second.session_id, second.revision, second.status) == (first.session_id, 2, "extended")
    assert second.text.startswith("".join(first.blocks))
    assert second.reused_bytes == first.size_bytes
    assert unpack(second.text) == _tree(wanted.root)


def test_an_edit_of_the_same_size_in_the_same_tick_is_seen(cache: ContextCache, wanted: PackRequest) -> None:
    for number in range(20):
        (wanted.root / "a.py").write_text(f"{number:04}\n" * 30)
        assert unpack(cache.pack(wanted).text) == _tree(wanted.root)


def test_the_fresh_layout_is_path_order_always(cache: ContextCache, wanted: PackRequest) -> None:
    fresh = PackRequest(wanted.references, wanted.root, layout="fresh")
    cache.pack(fresh)
    (wanted.root / "a.py").write_text("new\n")
    pack = cache.pack(fresh)
    assert pack.text.index("a.py") < pack.text.index("b.py")
    assert (pack.tail, len(pack.blocks), pack.status) == ("", 1, "rebuilt")


def test_a_file_no_longer_referenced_is_not_sent(cache: ContextCache, wanted: PackRequest) -> None:
    cache.pack(wanted)
    assert "b5" not in cache.pack(PackRequest(("@a.py",), wanted.root)).text
    assert len(cache.rows()) == 2


def test_the_order_of_references_makes_no_other_pack(cache: ContextCache, wanted: PackRequest) -> None:
    one = cache.pack(PackRequest(("@a.py", "@b.py"), wanted.root))
    assert cache.pack(PackRequest(("@b.py", "@a.py", "@a.py"), wanted.root)).session_id == one.session_id


def test_the_ttl_counts_from_the_bases_creation(cache: ContextCache, wanted: PackRequest, clock: Clock) -> None:
    first = cache.pack(wanted)
    (wanted.root / "a.py").write_text("a\n" * 70)
    clock.now += timedelta(minutes=59)
    second = cache.pack(wanted)
    assert second.expires_at == first.expires_at
    clock.now += timedelta(minutes=2)
    third = cache.pack(wanted)
    assert (third.status, third.tail, len(third.blocks)) == ("rebuilt", "", 1)
    assert third.created_at == clock.now
    assert third.text.index("b.py") < third.text.index("a.py")
    assert unpack(third.text) == _tree(wanted.root)


def test_a_provider_that_has_forgotten_gets_a_new_base(cache: ContextCache, wanted: PackRequest, clock: Clock) -> None:
    asked = PackRequest(wanted.references, wanted.root, idle_ttl_s=300)
    cache.pack(asked)
    (wanted.root / "a.py").write_text("a\n" * 70)
    clock.now += timedelta(minutes=4)
    assert cache.pack(asked).status == "extended"
    clock.now += timedelta(minutes=6)
    (wanted.root / "a.py").write_text("a\n" * 80)
    assert cache.pack(asked).status == "rebuilt"


def test_a_pack_that_would_pass_its_limit_is_rebuilt_before_that_is_an_error(
    cache: ContextCache, wanted: PackRequest
) -> None:
    size = cache.pack(wanted).size_bytes
    tight = PackRequest(wanted.references, wanted.root, max_size_bytes=size + 60)
    (wanted.root / "a.py").write_text((wanted.root / "a.py").read_text().replace("a3", "A3"))
    assert cache.pack(tight).status == "rebuilt"
    with pytest.raises(ContextTooLarge) as raised:
        cache.pack(PackRequest(wanted.references, wanted.root, max_size_bytes=300))
    assert "a.py" in (raised.value.hint or "")


def test_repack_drops_the_kept_pack(cache: ContextCache, wanted: PackRequest) -> None:
    first = cache.pack(wanted)
    renewed = cache.pack(PackRequest(wanted.references, wanted.root, renew=True))
    assert renewed.session_id != first.session_id
    assert renewed.status == "rebuilt"
    assert len(cache.rows()) == 1


def test_without_keeping_nothing_is_kept(cache: ContextCache, wanted: PackRequest, directory: Path) -> None:
    pack = cache.pack(PackRequest(wanted.references, wanted.root, keep=False))
    assert unpack(pack.text) == _tree(wanted.root)
    assert cache.rows() == []


def test_a_disabled_cache_writes_nothing(wanted: PackRequest, directory: Path) -> None:
    cache = ContextCache(CacheSettings)
    assert cache.pack(wanted).status == "rebuilt"
    assert cache.pack(wanted).status == "hit"
    assert not directory.exists()


def test_another_kernel_goes_on_with_the_same_prefix(
    cache: ContextCache, wanted: PackRequest, directory: Path, clock: Clock
) -> None:
    first = cache.pack(wanted)
    other = ContextCache(lambda: CacheSettings(directory), clock)
    same = other.pack(wanted)
    assert (same.session_id, same.revision, same.status) == (first.session_id, 1, "hit")
    (wanted.root / "a.py").write_text((wanted.root / "a.py").read_text() + "more\n")
    extended = other.pack(wanted)
    assert extended.blocks == first.blocks
    here = cache.pack(wanted)
    assert (here.session_id, here.revision, here.text) == (first.session_id, 2, extended.text)


def test_the_file_is_for_the_users_eyes_alone(cache: ContextCache, wanted: PackRequest, directory: Path) -> None:
    cache.pack(wanted)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_the_least_used_packs_go_when_the_limit_is_reached(wanted: PackRequest, directory: Path, clock: Clock) -> None:
    cache = ContextCache(lambda: CacheSettings(directory, 900), clock)
    for name in ("a.py", "b.py", "*.py"):
        clock.now += timedelta(seconds=1)
        cache.pack(PackRequest((f"@{name}",), wanted.root))
    assert [row.key.references for row in cache.rows()] == [("*.py",), ("b.py",)]


def test_release_clear_and_cleanup(cache: ContextCache, wanted: PackRequest, clock: Clock, directory: Path) -> None:
    (directory.parent / "precious").mkdir(parents=True)
    first = cache.pack(wanted)
    assert cache.release(first.session_id)
    assert not cache.release(first.session_id)
    cache.pack(wanted)
    clock.now += timedelta(hours=2)
    assert cache.cleanup() == 1
    cache.pack(wanted)
    assert cache.clear() == 1
    assert cache.rows() == []
    assert (directory.parent / "precious").is_dir()


def test_reading_in_pages_cuts_no_character(cache: ContextCache, project: Path) -> None:
    (project / "u.py").write_text("é漢🙂" * 50 + "\n")
    pack = cache.pack(PackRequest(("@u.py",), project))
    for limit in (1, 2, 3, 5, 7, 64, 10_000):
        pages, offset = [], 0
        while True:
            page = cache.read(pack.session_id, offset, limit)
            assert page is not None
            pages.append(page.text)
            if page.next_offset is None:
                break
            offset = page.next_offset
        assert "".join(pages) == pack.text
    assert cache.read("nothing") is None


def test_what_is_in_a_pack_and_how_often_it_changed(cache: ContextCache, wanted: PackRequest) -> None:
    cache.pack(wanted)
    (wanted.root / "a.py").write_text("a\n" * 99)
    session_id = cache.pack(wanted).session_id
    assert [(row.path, row.changes) for row in cache.files(session_id)] == [("a.py", 1), ("b.py", 0)]


def _cut_short(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def _scribble(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(bytes(data))


def _delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def _replace_by_text(path: Path, rng: random.Random) -> None:
    path.write_text("this is no database\n" * 50)


def _change_a_blob(path: Path, rng: random.Random) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE block SET data = CAST(replace(data, 'a5', 'zz') AS BLOB)")
    connection.close()


@pytest.mark.parametrize("damage", [_cut_short, _scribble, _delete, _replace_by_text, _change_a_blob])
@pytest.mark.parametrize("seed", range(4))
def test_any_damage_is_survived_and_no_wrong_text_is_sent(
    wanted: PackRequest, directory: Path, damage: object, seed: int
) -> None:
    cache = ContextCache(lambda: CacheSettings(directory))
    cache.pack(wanted)
    cache.close()
    damage(directory / "packs.sqlite3", random.Random(seed))  # type: ignore[operator]  # one of the functions above
    later = ContextCache(lambda: CacheSettings(directory))
    assert unpack(later.pack(wanted).text) == _tree(wanted.root)
    (wanted.root / "a.py").write_text("new\n" * 30)
    assert unpack(later.pack(wanted).text) == _tree(wanted.root)
    later.close()


def test_a_place_that_cannot_be_written_is_said_once(wanted: PackRequest, home: Path) -> None:
    (home / "file").write_text("in the way")
    cache = ContextCache(lambda: CacheSettings(home / "file" / "cache"))
    first, second = cache.pack(wanted), cache.pack(wanted)
    assert "kept in memory only" in first.warnings[0]
    assert (second.warnings, second.status) == ((), "hit")


CHILD = """
import random, sys
from pathlib import Path
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.disk import CacheSettings
from ccw_magics.context.pack import PackRequest
sys.path[:0] = [sys.argv[3]]
from pack_parser import unpack
root, rng = Path(sys.argv[1]), random.Random(int(sys.argv[4]))
cache = ContextCache(lambda: CacheSettings(Path(sys.argv[2])))
for number in range(25):
    mine = root / f"p{sys.argv[4]}.py"
    mine.write_text("".join(f"{rng.random()}\\n" for _ in range(rng.randrange(1, 80))))
    pack = cache.pack(PackRequest(("@*.py",), root))
    assert unpack(pack.text)[mine.name] == mine.read_text()
    print(pack.session_id, pack.revision, hash(pack.text), flush=True)
"""


def test_two_processes_never_give_two_texts_one_name(wanted: PackRequest, directory: Path) -> None:
    parser = str(Path(__file__).parent)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(wanted.root), str(directory), parser, str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        for number in range(2)
    ]
    lines = [line for child in children for line in child.communicate(timeout=100)[0].splitlines()]
    assert [child.returncode for child in children] == [0, 0]
    assert len(lines) == 50
    named: dict[tuple[str, str], str] = {}
    for session_id, revision, text in map(str.split, lines):
        assert named.setdefault((session_id, revision), text) == text


def _slot(directory: Path, name: str, size_bytes: int, used_at: float) -> None:
    folder = directory / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.slot").write_bytes(b"x" * size_bytes)
    (folder / f"{name}.json").write_text("{}")
    os.utime(folder / f"{name}.slot", (used_at, used_at))


def test_saved_slots_are_counted_evicted_and_cleared_with_the_packs(wanted: PackRequest, directory: Path) -> None:
    cache = ContextCache(lambda: CacheSettings(directory, 2000))
    _slot(directory, "old", 900, 1000)
    _slot(directory, "new", 900, 2000)
    (directory / "slots" / "precious.txt").write_text("not ours")
    (directory / "slots" / "half.part").write_bytes(b"")
    size = cache.pack(wanted).size_bytes
    assert sorted(path.name for path in (directory / "slots").iterdir()) == [
        "half.part",
        "new.json",
        "new.slot",
        "precious.txt",
    ]
    assert cache.status() == (1, size + 900, 2000, directory)
    cache.clear()
    assert [path.name for path in (directory / "slots").iterdir()] == ["precious.txt"]


def test_a_forked_child_goes_on_without_the_parents_threads(wanted: PackRequest, directory: Path) -> None:
    (wanted.root / "large.py").write_text("".join(f"line {n}\n" for n in range(60_000)))
    request = PackRequest(wanted.references, wanted.root, max_size_bytes=1 << 24)
    cache = ContextCache(lambda: CacheSettings(directory))
    cache.pack(request)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            (wanted.root / "a.py").write_text("child\n")
            cache.pack(request)
            cache.clear()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert unpack(cache.pack(request).text) == _tree(wanted.root)
    cache.close()


def test_settings_that_fail_while_a_pack_is_written_do_no_harm(wanted: PackRequest, directory: Path) -> None:
    (wanted.root / "large.py").write_text("".join(f"line {n}\n" for n in range(60_000)))
    request = PackRequest(wanted.references, wanted.root, max_size_bytes=1 << 24)
    broken = False

    def settings() -> CacheSettings:
        if broken:
            raise ContextTooLarge("the config cannot be read")
        return CacheSettings(directory)

    cache = ContextCache(settings)
    cache.pack(request)
    broken = True
    with pytest.raises(ContextTooLarge):
        cache.pack(request)
    broken = False
    assert cache.pack(request).status == "hit"
    cache.close()


def test_what_is_forgotten_leaves_no_text_on_disk(wanted: PackRequest, directory: Path) -> None:
    (wanted.root / "a.py").write_text("".join(f"precious {n}\n" for n in range(20_000)))
    cache = ContextCache(lambda: CacheSettings(directory))
    cache.pack(wanted)
    cache.clear()
    assert all(b"precious" not in path.read_bytes() for path in directory.iterdir())


def test_packs_over_their_time_go_with_the_next_one(cache: ContextCache, wanted: PackRequest, clock: Clock) -> None:
    cache.pack(PackRequest(("@a.py",), wanted.root))
    clock.now += timedelta(hours=2)
    cache.pack(PackRequest(("@b.py",), wanted.root))
    later = ContextCache(lambda: cache.settings, clock)
    assert [row.key.references for row in later.rows()] == [("b.py",)]


def test_a_cache_folder_that_was_removed_is_made_anew(
    cache: ContextCache, wanted: PackRequest, directory: Path
) -> None:
    cache.pack(wanted)
    for path in directory.iterdir():
        path.unlink()
    (wanted.root / "a.py").write_text("new\n" * 40)
    assert unpack(cache.pack(wanted).text) == _tree(wanted.root)
    assert len(ContextCache(lambda: cache.settings).rows()) == 1


def test_hits_are_counted_across_processes(cache: ContextCache, wanted: PackRequest, clock: Clock) -> None:
    cache.pack(wanted)
    cache.pack(wanted)
    other = ContextCache(lambda: cache.settings, clock)
    other.pack(wanted)
    assert [(row.hits, row.status) for row in cache.rows()] == [(1, "hit")]
    assert other.rows()[0].hits == 2


def test_a_name_that_matches_no_file_makes_no_pack(cache: ContextCache, wanted: PackRequest) -> None:
    assert cache.pack(PackRequest(("@john",), wanted.root)).unmatched == ("@john",)
    assert cache.rows() == []

"""The key that turns are sealed with is made once, is this user's alone, and is refused where it may not be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ccw_magics.errors import CcwError
from ccw_magics.journal import Journal, Turn
from ccw_magics.journal.userkey import KEY_BYTES, UserKey

MakeTurn = Callable[..., Turn]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes and owners are POSIX's")
MAKE = """
import sys
from ccw_magics.journal.userkey import UserKey
sys.stdin.readline()
print(UserKey().made().hex())
"""


@pytest.fixture
def path(home: Path) -> Path:
    return home / ".ccw" / "turns.key"


def put(path: Path, content: bytes = b"k" * KEY_BYTES, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


@POSIX
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_it_is_made_once_and_nobody_else_may_read_it(path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    assert UserKey().found() is None
    assert not path.parent.exists(), "looking makes nothing"
    key = UserKey().made()
    assert len(set(key)) > 8
    assert key == UserKey().made() == UserKey().found() == path.read_bytes()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_another_home_has_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = UserKey().made()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert UserKey().made() != key


def test_of_several_processes_that_make_it_at_once_all_get_the_same(path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = {process.communicate(timeout=100)[0].strip() for process in processes}
    assert told == {path.read_bytes().hex()}
    assert list(path.parent.iterdir()) == [path]


def test_who_comes_second_takes_the_first_ones(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def overtaken(source: Path, target: Path) -> None:
        put(path)
        link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    assert UserKey().made() == b"k" * KEY_BYTES
    assert list(path.parent.iterdir()) == [path]


def link_to_a_key(path: Path) -> None:
    put(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def lay_a_pipe(path: Path) -> None:
    os.mkfifo(path)


TRAPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a key": (link_to_a_key, "it is a link"),
    "a link to nothing": (lambda path: path.symlink_to(path.with_name("nothing")), "it is a link"),
    "a link to itself": (lambda path: path.symlink_to(path), "it is a link"),
    "a folder": (lambda path: path.mkdir(), "no ordinary file"),
    "a pipe": (lay_a_pipe, "no ordinary file"),
    "the group may read": (lambda path: put(path, mode=0o640), "others may"),
    "all may write": (lambda path: put(path, mode=0o602), "others may"),
    "an empty file": (lambda path: put(path, b""), "32 bytes"),
    "a short key": (lambda path: put(path, b"k" * 31), "32 bytes"),
    "a long key": (lambda path: put(path, b"k" * 33), "32 bytes"),
}


@POSIX
@pytest.mark.parametrize("case", TRAPS)
def test_a_trap_is_refused_and_nothing_is_sealed_or_read_with_it(
    journal: Journal, path: Path, turn: MakeTurn, case: str
) -> None:
    assert journal.chats.append("review", None, turn()) is not None
    path.unlink()
    lay, words = TRAPS[case]
    lay(path)
    for use in (UserKey().found, UserKey().made, journal.chats.names, lambda: journal.chats.path("review")):
        with pytest.raises(CcwError, match=words) as caught:
            use()
        assert str(path) in (caught.value.hint or "")
    with pytest.raises(CcwError, match=words):
        journal.chats.fork("review", "new")
    assert journal.chats.append("review", None, turn()) is None
    assert words in (told := journal.take_trouble())
    assert told.startswith("this turn is not kept: ")
    assert journal.chats.append("review", None, turn()) is None
    assert journal.take_trouble() == ""
    assert journal.chats.path("nobody") == []
    assert journal.chats.clear("review")
    assert journal.chats.names() == []


@POSIX
def test_another_users_key_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(CcwError, match="another user"):
        UserKey().made()


def test_where_it_cannot_be_made_the_turn_is_not_kept_and_that_is_said_once(
    journal: Journal, home: Path, tmp_path: Path, turn: MakeTurn
) -> None:
    (home / ".ccw").write_text("in the way, as in a home that is read-only")
    assert journal.chats.append("review", None, turn()) is None
    assert "turns.key" in journal.take_trouble()
    assert journal.chats.append("review", None, turn()) is None
    assert journal.take_trouble() == ""
    (home / ".ccw").unlink()
    assert journal.chats.append("review", None, turn()) is not None
    assert journal.take_trouble() == ""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccw_magics.context import reading
from ccw_magics.context.found import FoundFile, Skipped
from ccw_magics.context.reading import ReadResult, read_text


def file_at(path: Path) -> FoundFile:
    return FoundFile(path.name, os.fsencode(path), 0, (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ReadResult(b"", replaced=False)),
        (b"a\r\nb", ReadResult(b"a\r\nb", replaced=False)),
        ("é".encode(), ReadResult("é".encode(), replaced=False)),
        (b"caf\xe9", ReadResult("caf\ufffd".encode(), replaced=True)),
        (b"a\0b", Skipped("f", "binary")),
        ("a".encode("utf-16"), Skipped("f", "binary")),
        (b"a" * 8191 + b"\0", Skipped("f", "binary")),
        (b"a" * 8192 + b"\0", ReadResult(b"a" * 8192 + b"\0", replaced=False)),
    ],
    ids=["empty", "line ends", "UTF-8", "Latin-1", "NUL", "UTF-16", "late NUL", "NUL behind the probe"],
)
def test_content(data: bytes, expected: object, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(data)
    assert read_text(file_at(tmp_path / "f")) == expected


def test_gone(tmp_path: Path) -> None:
    skipped = read_text(file_at(tmp_path / "f"))
    assert isinstance(skipped, Skipped)
    assert "No such file" in skipped.reason


@pytest.mark.timeout(10)
def test_became_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    assert read_text(file_at(tmp_path / "f")) == Skipped("f", "not a regular file")


def test_became_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    (tmp_path / "f").symlink_to("secret")
    assert isinstance(read_text(file_at(tmp_path / "f")), Skipped)


def test_saved_while_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old old")
    read_all = reading._read_all
    saves = [b"new", b"newest text"]

    def read_and_save(descriptor: int, size_bytes: int) -> bytes:
        data = read_all(descriptor, size_bytes)
        if saves:
            path.write_bytes(saves.pop(0))
        return data

    monkeypatch.setattr(reading, "_read_all", read_and_save)
    assert read_text(file_at(path)) == ReadResult(b"newest text", replaced=False)


def test_never_at_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"")
    read_all = reading._read_all

    def read_and_grow(descriptor: int, size_bytes: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"x")
        return read_all(descriptor, size_bytes)

    monkeypatch.setattr(reading, "_read_all", read_and_grow)
    assert read_text(file_at(path)) == Skipped("f", "changes while it is read")

"""A pack's text gives every file exactly, whatever the files contain."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.context.files import find_files
from ccw_magics.context.packer import PackedText, pack_files
from ccw_magics.errors import ContextTooLarge

HEADING = re.compile(r"=== FILE: (?P<path>.*) \((?P<lines>\d+) lines?(?P<open>, no newline at the end)?\) ===\n")


def unpack(text: str) -> dict[str, str]:
    """The files in a pack's text, read from top to bottom."""
    files: dict[str, str] = {}
    lines = text.split("\n")
    place = 2  # behind the opening line and the empty one
    while place < len(lines) - 1:
        heading = HEADING.fullmatch(lines[place] + "\n")
        assert heading is not None, lines[place]
        count = int(heading["lines"])
        body = lines[place + 1 : place + 1 + count]
        files[heading["path"]] = "\n".join(body) + ("" if heading["open"] or not count else "\n")
        place += 2 + count  # an empty line stands between two files
    return files


def pack(root: Path, **limits: int) -> PackedText:
    found = find_files(["."], root=root)
    return pack_files(
        found.files,
        max_size_bytes=limits.get("max_size_bytes", 1 << 20),
        max_file_size_bytes=limits.get("max_file_size_bytes", 1 << 20),
    )


CONTENT = st.lists(
    st.sampled_from(
        [
            "",
            "=== FILE: a.py (1 line) ===",
            "Project files: 2.",
            "---",
            "\r",
            "\u2028",
            "x = 1",
            "é 漢字 🙂",
            "=== FILE: b.py (3 lines, no newline at the end) ===",
        ]
    ),
    max_size=6,
).map("\n".join)
NAMES = st.sampled_from(["a.py", "b (3 lines) ===.py", "dir/c d.md", "漢字.txt", "=== FILE: x", "z"])


@given(tree=st.dictionaries(NAMES, CONTENT, max_size=5))
def test_the_text_gives_back_the_tree(tree: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for path, content in tree.items():
            file = Path(directory) / path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content.encode())
        packed = pack(Path(directory))
        assert pack(Path(directory)).text == packed.text
    assert packed.files == tuple(sorted(tree))
    assert (unpack(packed.text) if packed.text else {}) == tree


def test_text_that_is_not_utf8_is_read_with_replacement_and_reported(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    packed = pack(tmp_path)
    assert "caf\ufffd\n" in packed.text
    assert packed.warnings == ("latin.txt is not UTF-8; unreadable bytes are shown as \ufffd",)


def test_a_file_over_its_limit_is_left_out_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("x" * 5000)
    (tmp_path / "small.txt").write_text("x")
    packed = pack(tmp_path, max_file_size_bytes=4096)
    assert packed.files == ("small.txt",)
    assert [(item.path, item.reason) for item in packed.skipped] == [("big.txt", "larger than 4.0 KiB")]


def test_a_pack_over_its_limit_is_an_error_with_the_ten_largest_files(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"f{number:02}.txt").write_text("x" * (1000 + number))
    with pytest.raises(ContextTooLarge) as raised:
        pack(tmp_path, max_size_bytes=4096)
    assert "maxSizeKB allows 4.0 KiB" in raised.value.message
    hint = raised.value.hint or ""
    assert hint.index("f11.txt") < hint.index("f02.txt")
    assert "f01.txt" not in hint

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.context.names import read_name, show_name


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"src/a b.py", "src/a b.py"),
        ("é/日本.md".encode(), "é/日本.md"),
        (b"a\nb", r"a\x0ab"),
        (b"a\\x0ab", r"a\\x0ab"),
        (b"\xff.py", r"\xff.py"),
        ("a\u202eb".encode(), r"a\xe2\x80\xaeb"),
        (b"\x1b[31m", r"\x1b[31m"),
    ],
    ids=["space", "unicode", "new line", "backslash", "not UTF-8", "direction", "escape"],
)
def test_show(raw: bytes, shown: str) -> None:
    assert show_name(raw) == shown
    assert read_name(shown) == raw


@given(st.binary() | st.text().map(str.encode))
def test_round_trip(raw: bytes) -> None:
    shown = show_name(raw)
    assert read_name(shown) == raw
    assert shown.encode("utf-8").decode() == shown
    assert len(shown.splitlines()) <= 1

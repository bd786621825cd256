"""What happens to a few files between two calls, for hypothesis."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

NAMES = ("a.py", "b.py", "dir/c.py", "dir/d e.py", "漢.md")
LINES = (
    "", "x = 1", "y = 2", "a line that is somewhat longer than the others are", "é 漢字 🙂", "=== FILE: a.py (1 line) ===",
    "=== REMOVED: b.py ===", "Lines 1-2 of it now read (1 line):", "Its lines are those of its last whole copy again.",
)  # fmt: skip

_NAME, _LINE = st.sampled_from(NAMES), st.sampled_from(LINES)
_END = st.sampled_from(["", "\n"])
_TEXT = st.builds(
    lambda lines, times, end: "\n".join(lines * times) + end,
    st.lists(_LINE, max_size=6),
    st.sampled_from([1, 2, 10, 20]),
    _END,
)
_LONG_TEXT = st.builds(
    lambda lines, end: "\n".join(lines * 20) + end, st.lists(_LINE, min_size=3, max_size=6, unique=True), _END
)
_PLACE = st.integers(0, 150)
EVENT = st.one_of(
    st.tuples(st.just("edit"), _NAME, _PLACE, _LINE),
    st.tuples(st.just("edit"), _NAME, _PLACE, _LINE),
    st.tuples(st.just("insert"), _NAME, _PLACE, _LINE),
    st.tuples(st.just("revert"), st.integers(0, 30)),
    st.tuples(st.just("delete"), _NAME),
    st.tuples(st.just("rename"), _NAME, _NAME),
    st.tuples(st.just("write"), _NAME, _TEXT),
)
EVENTS = st.lists(EVENT, max_size=3)
TREES = st.fixed_dictionaries(dict.fromkeys(NAMES[:3], _LONG_TEXT), optional=dict.fromkeys(NAMES[3:], _LONG_TEXT))


class Tree:
    """A project's files.

    Args:
        root: An empty directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._past: list[dict[str, str]] = []

    @property
    def files(self) -> dict[str, str]:
        return {name: (self.root / name).read_text() for name in NAMES if (self.root / name).exists()}

    def let(self, events: list[tuple[object, ...]]) -> None:
        """Let these happen, in turn."""
        self._past.append(self.files)
        for kind, *how in events:
            getattr(self, str(kind))(*how)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_text(text)

    def edit(self, name: str, place: int, line: str, taken: int = 1) -> None:
        text = self.files.get(name, "")
        if text:
            lines = text.split("\n")
            place %= len(lines)
            lines[place : place + taken] = [line]
            self.write(name, "\n".join(lines))

    def insert(self, name: str, place: int, line: str) -> None:
        self.edit(name, place, line, taken=0)

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def rename(self, name: str, other: str) -> None:
        if (self.root / name).exists() and (self.root / other).parent.is_dir():
            (self.root / name).replace(self.root / other)

    def revert(self, ago: int) -> None:
        """All files are as they were some calls ago."""
        past = self._past[-1 - ago % len(self._past)]
        for name in NAMES:
            if name in past:
                self.write(name, past[name])
            else:
                self.delete(name)

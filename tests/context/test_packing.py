"""A pack's text gives every file exactly, through all edits, and what was sent stays where it was."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pack_parser import unpack

from ccw_magics.context import layout
from ccw_magics.context.packing import BLOCKS_MAX, Packing
from ccw_magics.context.text import Text

LINES = st.sampled_from(
    [
        "",
        "=== FILE: a.py (1 line) ===",
        "=== CHANGED: a.py (now 2 lines) ===",
        "=== REMOVED: a.py ===",
        "Lines 1-3 of it now read (2 lines):",
        "Its lines are those of its last whole copy again.",
        "---",
        "\r",
        "\u2028",
        "x = 1",
        "y = 2",
        "é 漢字 🙂",
    ]
)
CONTENTS = st.builds(
    lambda lines, end: "\n".join(lines) + end, st.lists(LINES, max_size=12), st.sampled_from(["", "\n"])
)
PATHS = st.sampled_from(
    ["a.py", "b (3 lines) ===.py", "dir/c d.md", "漢字.txt", "=== FILE: x", "z, no newline at the end"]
)
TREES = st.dictionaries(PATHS, CONTENTS, max_size=5)


def _text(text: Text) -> str:
    return b"".join((*(block.data for block in text.blocks), text.tail)).decode()


def _step(packing: Packing, tree: dict[str, str]) -> bool:
    """One call: the files are now `tree`."""
    contents = {path: content.encode() for path, content in tree.items()}
    packing.calls += 1
    if not packing.blocks:
        packing.rebuild(contents)
        return True
    changed = {path: content for path, content in contents.items() if not packing.tells(path, content)}
    return packing.update(changed, [path for path in packing.paths if path not in contents], contents.get)


@given(trees=st.lists(TREES, min_size=1, max_size=8))
def test_the_text_gives_back_each_tree(trees: list[dict[str, str]]) -> None:
    packing = Packing()
    for tree in trees:
        before = packing.text()
        was_rebuilt = _step(packing, tree)
        text = packing.text()
        assert unpack(_text(text)) == tree
        assert packing.size_bytes == len(_text(text).encode())
        assert text.shared_bytes(before) == len(_shared(_text(before).encode(), _text(text).encode()))
        if not was_rebuilt:
            assert text.blocks[: len(before.blocks)] == before.blocks


def _shared(one: bytes, other: bytes) -> bytes:
    length = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


@given(seed=st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_long_histories_stay_exact_with_few_blocks_and_little_dead_text(seed: object) -> None:
    rng = seed
    tree = {f"f{number}.py": "".join(f"line {n} of {number}\n" for n in range(40)) for number in range(12)}
    packing = Packing()
    for _ in range(60):
        path = rng.choice(sorted(tree))  # type: ignore[attr-defined]  # hypothesis hands out a Random
        lines = tree[path].split("\n")
        lines[rng.randrange(len(lines))] = f"edit {rng.random()}"  # type: ignore[attr-defined]  # likewise
        tree[path] = "\n".join(lines)
        _step(packing, tree)
        assert unpack(_text(packing.text())) == tree
        assert len(packing.blocks) <= BLOCKS_MAX + 1
        assert packing.dead_bytes <= packing.size_bytes


def test_an_edit_is_said_behind_what_was_sent() -> None:
    packing = Packing()
    tree = {"a.py": "".join(f"a{n}\n" for n in range(50)), "b.py": "b\n"}
    _step(packing, tree)
    before = packing.text()
    tree["a.py"] = tree["a.py"].replace("a30\n", "NEW\n")
    assert not _step(packing, tree)
    assert packing.text().blocks == before.blocks
    assert packing.text().tail == (
        b"=== CHANGED: a.py (now 50 lines) ===\nLines 30-32 of it now read (3 lines):\na29\nNEW\na31\n\n"
    )


def test_an_undone_edit_leaves_no_trace() -> None:
    packing = Packing()
    tree = {"a.py": "".join(f"a{n}\n" for n in range(50))}
    _step(packing, tree)
    before = packing.text()
    _step(packing, {"a.py": tree["a.py"] + "more\n"})
    _step(packing, tree)
    assert packing.text().says_the_same(before)
    assert packing.dead_bytes == 0


def test_a_new_and_a_deleted_file_are_said_plainly() -> None:
    packing = Packing()
    _step(packing, {"a.py": "a\n" * 50, "b.py": "b\n" * 5})
    assert not _step(packing, {"a.py": "a\n" * 50, "c.py": "c\n"})
    assert packing.text().tail == b"=== REMOVED: b.py ===\n\n=== FILE: c.py (1 lines) ===\nc\n\n"


def test_a_file_that_mostly_changed_is_said_whole() -> None:
    assert layout.changed("a.py", b"x\n" * 10, b"y\n" * 10) is None


def test_a_rebuild_puts_the_files_that_change_most_last() -> None:
    packing = Packing()
    tree = {"a.py": "a\n" * 9, "b.py": "b\n" * 9}
    _step(packing, tree)
    for number in range(200):
        was_rebuilt = _step(packing, tree | {"a.py": f"{number}\n" + "a\n" * 9})
        if was_rebuilt:
            break
    text = _text(packing.text())
    assert was_rebuilt
    assert text.index("b.py") < text.index("a.py")
    assert text.count("a.py") == 1


def test_an_edit_of_very_many_lines_does_not_take_quadratic_time() -> None:
    before = b"".join(b"}\n{\nline %d\n" % n for n in range(6_000))
    after = b"".join(b"{\n}\nline %d\n" % (n * 7) for n in range(6_000))
    layout.changed("a.ts", before, after)

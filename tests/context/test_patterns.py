# ruff: noqa: RUF001

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.context.patterns import extract_patterns, find_references

TABLE = {
    "several": ("@src/auth/**/*.py @README.md Review it", ["@src/auth/**/*.py", "@README.md"]),
    "repeated, in order": ("@b @a @b", ["@b", "@a", "@b"]),
    "none": ("no reference here", []),
    "alone": ("@", []),
    "before a space": ("a @ b", []),
    "e-mail": ("write to user@host.org or <me@x.y>", []),
    "e-mail in brackets": ("(user@host)", []),
    "decorator": ("@property", ["@property"]),
    "escaped": (r"\@a.py and \@b.py", []),
    "escaped in a bracket": (r"(\@a.py)", []),
    "escaped inside a reference": (r"@a\@b.py", ["@a@b.py"]),
    "quoted": ('@"my notes.md" now', ["@my notes.md"]),
    "quoted, glob goes on": ('@"my notes"/*.md.', ["@my notes/*.md"]),
    "quoted quote": (r'@"a \"b\".md"', ['@a "b".md']),
    "quoted punctuation": ('@"what?.md"!', ["@what?.md"]),
    "quoted, empty": ('@"" x', []),
    "quoted, open": ('@"a b', []),
    "quoted, open over lines": ('@"a\nb"', []),
    "escaped space": (r"@my\ notes.md now", ["@my notes.md"]),
    "escaped glob stays": (r"@a\[1\].py", [r"@a\[1\].py"]),
    "escaped end": (r"@what\?", [r"@what\?"]),
    "lone backslash": ("@a\\", ["@a\\"]),
    "trailing stop": ("See @a.py.", ["@a.py"]),
    "trailing marks": ("@a.py, @b.py; @c.py: @d.py! @e.py? @f.py?!.", [f"@{c}.py" for c in "abcdef"]),
    "in brackets": ("(@a.py) [@b.py] {@c.py} <@d.py>", ["@a.py", "@b.py", "@c.py", "@d.py"]),
    "in quotes": ("\"@a.py\" '@b.py' `@c.py`.", ["@a.py", "@b.py", "@c.py"]),
    "sentence in brackets": ("(see @a.py.)", ["@a.py"]),
    "own brackets": ("@app/[id]/(group)/a[0-9] (@b[c])", ["@app/[id]/(group)/a[0-9]", "@b[c]"]),
    "own braces": ("{@src/*.{py,md}}, @x.{a,b}.", ["@src/*.{py,md}", "@x.{a,b}"]),
    "comma in braces": ("@{a,b}/c", ["@{a,b}/c"]),
    "directory": ("@src/, @./ and @../lib/.", ["@src/", "@./", "@../lib/."]),
    "dots are a path": ("@. @.. @../..", ["@.", "@..", "@../.."]),
    "ellipsis": ("@...", []),
    "scoped package": ("@@types/node", ["@@types/node"]),
    "new lines": ("@a.py\n@b.py\r\n\t@c.py", ["@a.py", "@b.py", "@c.py"]),
    "unicode": ("@código/naïve.py @日本語/ファイル.md", ["@código/naïve.py", "@日本語/ファイル.md"]),
    "Chinese punctuation": ("请看：@src/a.py，然后（@b.py）。@c.py！", ["@src/a.py", "@b.py", "@c.py"]),
    "Chinese brackets": ("「@a.py」『@b.py』【@c.py】《@d.py》“@e.py”", ["@a.py", "@b.py", "@c.py", "@d.py", "@e.py"]),
    "Chinese, no space before": ("张三@example.com", []),
    "wide, quoted": ('@"说明，一.md"，', ["@说明，一.md"]),
    "wide, escaped": ("@说明\\，一.md。", ["@说明，一.md"]),
    "ideographic space": ("看\u3000@a.py\u3000吧", ["@a.py"]),
    "code fence": ('```\n@app.route("/x")\n```', ['@app.route("/x")']),
    "inside a word": ("a,@b", []),
}


@pytest.mark.parametrize(("prompt", "expected"), TABLE.values(), ids=TABLE.keys())
def test_extract(prompt: str, expected: list[str]) -> None:
    assert extract_patterns(prompt) == expected


def test_reference_says_where_it_stands() -> None:
    (reference,) = find_references('See (@"my notes"/*.md), please')
    assert (reference.text, reference.pattern) == ('@"my notes"/*.md', "my notes/*.md")
    assert (reference.start, reference.end) == (5, 21)


PROMPTS = st.text(st.sampled_from('@@@\\" \n.,()[]{}ab/*？，（“\ud800') | st.characters(), max_size=60)


@given(PROMPTS)
def test_text_outside_references_is_unchanged(prompt: str) -> None:
    end = 0
    rebuilt = ""
    for reference in find_references(prompt):
        assert end <= reference.start < reference.end
        assert reference.text.startswith("@")
        assert reference.pattern
        rebuilt += prompt[end : reference.start] + reference.text
        end = reference.end
    assert rebuilt + prompt[end:] == prompt
    assert len(extract_patterns(prompt)) == len(find_references(prompt))


@given(PROMPTS)
def test_escaped_never_yields(prompt: str) -> None:
    assert extract_patterns(prompt.replace("@", "\\@")) == []


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=1),
    st.sampled_from(" \n\t(“「，"),
    st.sampled_from(" ）。，\n"),
)
def test_plain_name_is_found(name: str, before: str, after: str) -> None:
    assert extract_patterns(f"x{before}@{name}{after}y") == ["@" + name]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ['@"', "{", ")", "@", " @{", "@\\", '@"\\" ', "@a)(", ".", '"@', "@[", "，@", "@ "])
def test_long_prompts_take_linear_time(piece: str) -> None:
    length = 100_000 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
    text = "@" + piece * (length // len(piece))
    find_references(text)
    find_references(text + '"')

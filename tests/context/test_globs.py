from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.context.braces import expand_braces
from ccw_magics.context.globs import Glob, parse_glob
from ccw_magics.errors import PatternError


def matches(pattern: str, path: str) -> bool:
    glob = Glob(parse_glob(pattern))
    states = glob.start
    *parents, name = path.encode("utf-8", "surrogateescape").split(b"/")
    for parent in parents:
        states = glob.enter(states, parent)
    plan = glob.plan(states)
    return plan.everything or bool(plan.names and plan.names(name))


TABLE = {
    "star": ("*.py", "a.py", True),
    "star, not deeper": ("*.py", "a/b.py", False),
    "star, no dot file": ("*.py", ".a.py", False),
    "dot spelled": (".*.py", ".a.py", True),
    "deep": ("**/*.py", "a/b/c.py", True),
    "deep is also nothing": ("**/*.py", "c.py", True),
    "deep, not hidden": ("**/*.py", ".a/c.py", False),
    "deep inside": ("a/**/b/*.md", "a/x/y/b/c.md", True),
    "deep at the end": ("a/**", "a/b/c", True),
    "deep twice": ("**/a/**/b", "x/a/y/z/b", True),
    "directory": ("src/", "src/a/.b/c", True),
    "name is a directory too": ("a/*/src", "a/b/src/x/y", True),
    "star is no directory": ("a/*", "a/b/c", False),
    "star with a slash is": ("a/*/", "a/b/c", True),
    "question mark": ("a?.py", "ab.py", True),
    "question mark takes a character": ("?", "é", True),
    "question mark, not two": ("?", "ab", False),
    "set": ("[abc].py", "b.py", True),
    "range": ("[ж-л]", "й", True),
    "negated": ("[!a]", "a", False),
    "negated with a caret": ("[^a]", "b", True),
    "empty set": ("[]", "[]", True),
    "empty negated set": ("[!]", "[!]", True),
    "bracket in a set": ("[]]", "]", True),
    "escape in a set": (r"[\]a]", "]", True),
    "open bracket": ("a[b", "a[b", True),
    "braces": ("*.{py,md}", "a.md", True),
    "braces over slashes": ("{a,b/c}/d", "b/c/d", True),
    "nested braces": ("{a,b{c,d}}", "bd", True),
    "empty alternative": ("a{,.bak}", "a", True),
    "open brace": ("{a", "{a", True),
    "brace without comma": ("{a}", "{a}", True),
    "escaped star": (r"\*", "*", True),
    "escaped star, no other": (r"\*x", "ax", False),
    "escaped brace": (r"\{a,b}", "{a,b}", True),
    "not UTF-8": ("*x", "\udcffx", True),
    "new line": ("a*b", "a\nb", True),
    "several stars": ("a*b*c", "a_b_bc", True),
    "backtrack": ("*ab*c", "aababxc", True),
}


@pytest.mark.parametrize(("pattern", "path", "expected"), TABLE.values(), ids=TABLE.keys())
def test_match(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@given(st.text("ab*?", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
def test_agrees_with_fnmatch(pattern: str, name: str) -> None:
    assert matches(pattern, name) is fnmatch.fnmatchcase(name, pattern)


@given(st.text("ab*?[]{},!-\\/.é^\n"), st.text("ab.é\n", min_size=1))
def test_never_raises(pattern: str, name: str) -> None:
    try:
        matches(pattern, name)
    except PatternError:
        assert "{" in pattern


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["{a,b}" * 40, "{" * 2000 + "a,b" + "}" * 2000, "{a," * 900 + "b" + "}" * 900])
def test_braces_do_not_blow_up(pattern: str) -> None:
    try:
        assert len(expand_braces(pattern)) <= 1000
    except PatternError:
        assert pattern.startswith("{a,b}")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "**/a/" * 100 + "b", "[" * 4000, "{a,a}{a,a}" + "*a" * 50 + "b"])
def test_stars_do_not_blow_up(pattern: str) -> None:
    assert not matches(pattern, "a" * 255)
    assert not matches(pattern, "a/" * 300 + "a")

"""A key never passes the redactor, however the stream cuts it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.config.credentials import Secret
from ccw_magics.config.redactor import Redactor

KEY = "sk-canary-0123456789abcdefghij"


def _through(pieces: list[str]) -> str:
    redactor = Redactor([Secret(KEY)])
    return "".join([*(redactor.feed(piece) for piece in pieces), redactor.flush()])


def _cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


@given(before=st.text(max_size=20), after=st.text(max_size=20), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_a_key_in_a_stream_is_masked(before: str, after: str, cuts: list[int]) -> None:
    assert KEY not in _through(_cut(before + KEY + after, cuts))


@given(text=st.text(alphabet="sk-canary xyz", max_size=60), cuts=st.lists(st.integers(0, 60), max_size=8))
def test_other_text_passes_unchanged_but_for_the_beginning_of_a_key_at_the_end(text: str, cuts: list[int]) -> None:
    shown = _through(_cut(text, cuts))
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))


def test_a_stream_cut_inside_a_key_does_not_show_what_came_of_it() -> None:
    assert _through(["the key is ", KEY[:20]]) == "the key is …"

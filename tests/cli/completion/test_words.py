"""The words of a line that is still being typed, and how a text is written into the one at the cursor."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ccw_magics.cli.completion.words import BashWord, PlainWord, Word, words_of


@pytest.mark.parametrize(
    ("line", "before", "word"),
    [
        ("", [], Word()),
        (" a ", ["a"], Word()),
        (" a b", ["a"], Word("b", "b")),
        (" a 'b c", ["a"], Word("'b c", "b c", "'")),
        (' "a b" "c', ["a b"], Word('"c', "c", '"')),
        (" a\\ b", [], Word("a\\ b", "a b")),
        (" a\\", [], Word("a\\", "a")),
        (" don't", [], Word("don't", "dont", "'")),
        (" 'a' b\"c' d", ["a"], Word("b\"c' d", "bc' d", '"')),
    ],
)
def test_words(line: str, before: Sequence[str], word: Word) -> None:
    assert words_of(line) == (before, word)


@pytest.mark.parametrize(
    ("word", "text", "whole", "part"),
    [
        pytest.param(Word(), "a b", "'a b'", "a\\ b", id="the notebook's"),
        pytest.param(Word(), "a$b", "'a$b'", "a$b", id="the notebook's, where $ is nothing special"),
        pytest.param(BashWord(), "my-gpt4o", "my-gpt4o", "my-gpt4o", id="nothing special"),
        pytest.param(BashWord(), "$(x);y", "'$(x);y'", "\\$\\(x\\)\\;y", id="bash"),
        pytest.param(BashWord(quote='"'), '$`"\\', '"\\$\\`\\"\\\\"', '\\$\\`\\"\\\\', id="bash, double quotes"),
        pytest.param(BashWord(quote='"'), "a!b", None, None, id="bash, history"),
        pytest.param(BashWord(quote="'"), "$x!", "'$x!'", "$x!", id="bash, single quotes"),
        pytest.param(BashWord(quote="'"), "it's", None, None, id="bash, what single quotes cannot hold"),
        pytest.param(PlainWord(), "a 'b' $c", "a 'b' $c", "a 'b' $c", id="a shell that quotes by itself"),
    ],
)
def test_a_text_as_a_word(word: Word, text: str, whole: str | None, part: str | None) -> None:
    assert (word.whole(text), word.part(text)) == (whole, part)

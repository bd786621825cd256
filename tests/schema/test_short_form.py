"""The short form: what it means, and what is said where it means nothing."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from pydantic import BaseModel

from ccw_magics.errors import SchemaError
from ccw_magics.schema import Schema
from ccw_magics.schema.short_form import parse


def properties(text: str) -> dict[str, Any]:
    found: dict[str, Any] = Schema.of(text).json_schema["properties"]
    return found


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param("title, line: int", "{title: str, line: integer}", id="braces"),
        pytest.param("title, line: int", "\n title\n\nline : int ,\n", id="lines"),
        pytest.param("a: text[]", "a: list[string]", id="list"),
        pytest.param("a: [text]", "a: array[str]", id="brackets"),
        pytest.param("a?: int", "a: int?", id="question-marks"),
        pytest.param("a?: int", "a: int | null", id="null"),
        pytest.param("a?: x|y", "a: x|y?", id="one-of-them-optional"),
        pytest.param("a?: x|y", "a: (x|null|y)", id="null-beside-words"),
        pytest.param("a: x|y", "a: 'x'|\"y\"", id="quotes"),
        pytest.param("a: number, b: boolean", "a: float, b: bool", id="names"),
        pytest.param("[a, b: int]", "{a, b: int}[]", id="whole-list"),
        pytest.param("[a, b: int]", "[\n{a\nb: int}\n]", id="whole-list-of-an-object"),
        pytest.param("a: 1|2", "a: (1|+2)", id="numbers"),
        pytest.param("a: any|int", "a: any?", id="any-takes-all"),
    ],
)
def test_two_ways_to_say_it(text: str, same: str) -> None:
    assert Schema.of(text) == Schema.of(same)
    assert hash(Schema.of(text)) == hash(Schema.of(same))


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        pytest.param("a", {"type": "string"}, id="text-by-default"),
        pytest.param("a: 'int'|x", {"type": "string", "enum": ["int", "x"]}, id="quoted-type"),
        pytest.param("a: int|x", {"type": "string", "enum": ["int", "x"]}, id="type-among-words"),
        pytest.param("a: 'very high'", {"type": "string", "enum": ["very high"]}, id="one-quoted"),
        pytest.param("a: gpt-4.1|c++|+1|x/y", None, id="words-with-signs"),
        pytest.param("a: int|str", {"anyOf": [{"type": "integer"}, {"type": "string"}]}, id="union"),
        pytest.param(
            "a: int?[]",
            {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            id="list-of-optional",
        ),
        pytest.param("a: 1|'2'", {"type": "string", "enum": ["1", "2"]}, id="quoted-number"),
    ],
)
def test_what_a_type_means(text: str, schema: dict[str, Any] | None) -> None:
    if schema is None:
        with pytest.raises(SchemaError):
            Schema.of(text)
    else:
        assert properties(text)["a"] == schema


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        pytest.param("", "is empty", "For example", id="empty"),
        pytest.param(" \n", "is empty", "For example", id="blank"),
        pytest.param("{}", "there is no field", "For example", id="no-field"),
        pytest.param(",,", "there is no field", "For example", id="commas"),
        pytest.param("int", "'int' is a type, and a field needs a name", "For example", id="type-alone"),
        pytest.param("dict[str, int]", "'dict' is a type, and a field needs a name", "For example", id="dict-of-alone"),
        pytest.param("[str]", "'str' is a type, and a field needs a name", "For example", id="type-alone-in-list"),
        pytest.param("a b", "there is 'b' where ':', '?' or ',' should be", "For example", id="two-words"),
        pytest.param(
            "a: int b",
            "character 8, after 'a: int': there is 'b' where ',' should be",
            "For example",
            id="words-behind-a-type",
        ),
        pytest.param(
            "a: strin", "character 4, after 'a:': 'strin' is not a type", "words to choose from", id="unknown-type"
        ),
        pytest.param("a: dict", "no 'dict'", "Name its fields", id="dict"),
        pytest.param("a: dict[str, int]", "no 'dict'", "Name its fields", id="dict-of"),
        pytest.param("a: list", "'list' of what?", "list[str]", id="list-of-what"),
        pytest.param("a: high|low[]", "'low' is not a type", "words to choose from", id="list-behind-a-word"),
        pytest.param("a: high|int[]", "words and types are mixed", "(high|low)[]", id="mixed"),
        pytest.param("a: null", "'null' alone", "int|null", id="null-alone"),
        pytest.param("a, b, a: int", "the field 'a' is there twice", "For example", id="twice"),
        pytest.param("line-number", "cannot be called 'line-number'", "line_number", id="name-with-dash"),
        pytest.param("_a", "cannot be called '_a'", ": a", id="name-with-underscore"),
        pytest.param("1st", "cannot be called '1st'", "'_'", id="name-with-digit"),
        pytest.param("model_dump", "a method of every pydantic model", "Another name", id="name-of-a-method"),
        pytest.param("a; b", "character 2, after 'a': ';' cannot stand here", "For example", id="semicolon"),
        pytest.param("a: {b", "it ends where", "For example", id="not-closed"),
        pytest.param("[a", "it ends where", "For example", id="list-not-closed"),
        pytest.param("[{a}", "it ends where ']' should be", "For example", id="list-of-object-not-closed"),
        pytest.param("a}", "there is '}' where", "For example", id="not-opened"),
        pytest.param("{a} b", "there is 'b' where the end should be", "For example", id="behind-the-end"),
        pytest.param("a:\nb", "the line ends where a type should be", "For example", id="no-type"),
        pytest.param("'a': int", "there is 'a' where the name of a field should be", "For example", id="quoted-name"),
        pytest.param('a: "b', "cannot stand here", "For example", id="quote-not-closed"),
        pytest.param("a: " + "[" * 5000, "too many within each other", "At most 10", id="deep"),
        pytest.param("a: int" + "[]" * 5000, "too many within each other", "At most 10", id="deep-behind"),
        pytest.param("a: {" * 5000, "too many within each other", "At most 10", id="deep-objects"),
        pytest.param('a: "\ud800"', "cannot stand here", "For example", id="half-a-character"),
    ],
)
def test_a_complaint_names_the_place(text: str, message: str, hint: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.of(text)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
    assert "\n" not in caught.value.message


def test_the_models_are_named_and_hold_their_fields() -> None:
    answer = Schema.of("title, where_from?: {file, line: int}").read(
        '{"title": "a", "where_from": {"file": "b", "line": 1}}'
    )
    assert isinstance(answer, BaseModel)
    assert repr(answer) == "Answer(title='a', where_from=WhereFrom(file='b', line=1))"
    assert answer.where_from.line == 1  # type: ignore[attr-defined]  # made at run time


def test_what_may_be_null_may_be_missing() -> None:
    assert Schema.of("title, line?: int, more: any").read('{"title": "a"}').line is None


def test_names_that_python_or_pydantic_use_are_fields() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = Schema.of("class, json, copy: int, self, model_name").read(
            '{"class": "a", "json": "b", "copy": 1, "self": "c", "model_name": "d"}'
        )
    assert answer.model_dump() == {"class": "a", "json": "b", "copy": 1, "self": "c", "model_name": "d"}


def test_a_name_is_the_one_that_python_reads() -> None:
    assert list(parse("\ufb01le, größe").model_fields) == ["file", "größe"]

"""Properties: a short form and what fits it, made at random; and text that is neither."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schema.schemas import CASES

from ccw_magics.errors import SchemaError
from ccw_magics.schema import Schema

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z]{1,3})?", fullmatch=True)
CHOICES = st.lists(st.from_regex(r"[A-Z]{1,5}", fullmatch=True), min_size=2, max_size=4, unique=True)
QUOTED = st.lists(st.from_regex(r"[a-z ,:{}é]{1,8}", fullmatch=True), min_size=1, max_size=3, unique=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
DAYS = st.dates().map(str)
MOMENTS = st.datetimes().map(lambda when: f"{when.isoformat()}Z")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)

Form = tuple[str, st.SearchStrategy[Any]]


def named(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Form]:
    return st.just((name, values))


SIMPLE: st.SearchStrategy[Form] = st.one_of(
    named("str", st.text(max_size=20)),
    named("text", st.text(max_size=20)),
    named("int", st.integers(-(2**60), 2**60)),
    named("number", FINITE),
    named("bool", st.booleans()),
    named("date", DAYS),
    named("datetime", MOMENTS),
    named("time", st.times().map(str)),
    named("any", JSON),
    named("int|str", st.integers(-100, 100) | st.text(max_size=5)),
    CHOICES.map(lambda words: ("|".join(words), st.sampled_from(words))),
    QUOTED.map(lambda words: ("|".join(f'"{word}"' for word in words), st.sampled_from(words))),
)


def within(inner: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    """A list of a form, an optional one, or an object of some."""
    return st.one_of(
        inner.map(lambda form: (f"list[{form[0]}]", st.lists(form[1], max_size=3))),
        inner.map(lambda form: (f"({form[0]})[]", st.lists(form[1], max_size=3))),
        inner.map(lambda form: (f"({form[0]})?", st.none() | form[1])),
        st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(as_object),
    )


def as_object(fields: dict[str, Form]) -> Form:
    text = ", ".join(f"{name}: {form[0]}" for name, form in fields.items())
    return f"{{{text}}}", st.fixed_dictionaries({name: form[1] for name, form in fields.items()})


OBJECTS = st.dictionaries(NAMES, st.recursive(SIMPLE, within, max_leaves=6), min_size=1, max_size=5).map(as_object)


@st.composite
def forms_with_values(draw: st.DrawFn) -> tuple[str, Any]:
    """A short form, bare, in braces or as a list, and an answer that fits it."""
    text, values = draw(OBJECTS)
    shape = draw(st.sampled_from(["{}", "bare", "[]", "[{}]", "{}[]"]))
    inner = text[1:-1]
    written = {
        "{}": text,
        "bare": inner.replace(", ", draw(st.sampled_from([", ", ",", ", \n"]))),
        "[]": f"[{inner}]",
        "[{}]": f"[{text}]",
        "{}[]": f"{text}[]",
    }[shape]
    return written, draw(st.lists(values, max_size=3).map(lambda rows: {"items": rows}) if "[" in shape else values)


def written(read: Any) -> str:
    """What was read, as an answer."""
    if isinstance(read, list):
        return f'{{"items": [{",".join(one.model_dump_json() for one in read)}]}}'
    return str(read.model_dump_json())


@settings(max_examples=100 * FUZZ, deadline=None)
@given(
    made=forms_with_values(),
    before=st.sampled_from(["", "Here:\n", "<think>{}</think>", "```json\n", "[as] you {wish} "]),
)
def test_what_fits_a_short_form_is_read(made: tuple[str, Any], before: str) -> None:
    text, value = made
    schema = Schema.of(text)
    Draft202012Validator.check_schema(schema.json_schema)
    Draft202012Validator(schema.json_schema).validate(value)
    read = schema.read(before + json.dumps(value, ensure_ascii=False))
    assert schema.read(written(read)) == read


@settings(max_examples=80 * FUZZ, deadline=None)
@given(made=forms_with_values())
def test_a_beginning_is_never_read(made: tuple[str, Any]) -> None:
    text, value = made
    answer = json.dumps(value)
    schema = Schema.of(text)
    for end in range(0, len(answer), max(1, len(answer) // 7)):
        with pytest.raises(SchemaError):
            schema.read(answer[:end])


@settings(max_examples=100 * FUZZ, deadline=None)
@given(made=forms_with_values())
def test_the_digest_tells_short_forms_apart(made: tuple[str, Any]) -> None:
    text, _ = made
    assert Schema.of(text) == Schema.of(f"\n{text}\n")
    assert Schema.of(text) != Schema.of(text, is_table=True)


def attempt(call: Callable[[], Any]) -> Any:
    """What a call returns, or its SchemaError: no other may come."""
    try:
        return call()
    except SchemaError as error:
        return error


def check_words(error: SchemaError) -> None:
    assert error.hint
    assert "\n" not in error.message
    assert len(error.message) < 700


PIECES = st.sampled_from(
    [
        "a",
        "b_c",
        "int",
        "str",
        "list",
        "dict",
        "any",
        "null",
        "date",
        "model_dump",
        "é",
        "1",
        "-3",
        "'x y'",
        '"',
        "'",
        *"{}[]():,|?\n\t #;.\\",
        "list[",
        "[]",
        "high|low",
    ]
)


@settings(max_examples=1000 * FUZZ, deadline=None)
@given(text=st.lists(PIECES, max_size=15).map("".join) | st.text(max_size=30), is_table=st.booleans())
def test_no_text_breaks_the_short_form(text: str, is_table: bool) -> None:
    made = attempt(lambda: Schema.of(text, is_table=is_table))
    if isinstance(made, SchemaError):
        check_words(made)
    else:
        Draft202012Validator.check_schema(made.json_schema)


FRAGMENTS = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        ":",
        ",",
        "\\",
        "```",
        "```json\n",
        "\n",
        "<think>",
        "</think>",
        '{"title": "a"}',
        '"line": 1',
        "NaN",
        "1e999",
        "null",
        "tru",
        '{"items": [',
        '{"value": ',
        "-",
        " ",
        "\ufeff",
        "\ud800",
        "x" * 300,
    ]
)
SCHEMAS = [Schema.of(case.wanted) for case in CASES]


@settings(max_examples=600 * FUZZ, deadline=None)
@given(text=st.lists(FRAGMENTS, max_size=20).map("".join) | st.text(max_size=60), schema=st.sampled_from(SCHEMAS))
def test_no_answer_breaks_the_reading(text: str, schema: Schema) -> None:
    read = attempt(lambda: schema.read(text))
    if isinstance(read, SchemaError):
        check_words(read)


@settings(max_examples=200 * FUZZ, deadline=None)
@given(value=JSON, schema=st.sampled_from(SCHEMAS))
def test_no_json_breaks_the_reading(value: Any, schema: Schema) -> None:
    read = attempt(lambda: schema.read(json.dumps(value)))
    if isinstance(read, SchemaError):
        check_words(read)


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "[",
        '{"',
        '{"{"',
        '{"a":',
        "{}",
        "[1] ",
        "```a\n",
        "```\n",
        "<think>",
        "</think>",
        "[1,",
        "{  ",
        '"',
        "\\",
        "~",
        '{"title": "a"',
        " ",
        "`",
    ],
)
def test_a_megabyte_of_anything_is_read_to_its_end(piece: str) -> None:
    """Quadratic time would run into the suite's limit of two minutes: 10^12 steps."""
    with pytest.raises(SchemaError):
        Schema.of("title, line: int").read(piece * (1_000_000 // len(piece)))

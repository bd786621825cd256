"""Thirty schemas against scripted answers."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from schema.schemas import CASES, Case, plain

from ccw_magics.errors import SchemaError
from ccw_magics.schema import Schema

REFUSED = "I'm sorry, but I can't help with that."

each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def test_there_are_thirty() -> None:
    assert len({case.id for case in CASES}) == len(CASES) == 30


@each_case
@pytest.mark.parametrize(
    "form",
    [
        pytest.param("ANSWER", id="valid"),
        pytest.param("\ufeff\n ANSWER\n\n", id="spaced"),
        pytest.param("```json\nANSWER\n```", id="fenced"),
        pytest.param("Here it is:\n\n~~~\nANSWER\n~~~\nAnything else?", id="fenced-with-prose"),
        pytest.param("```json\nANSWER", id="fence-not-closed"),
        pytest.param("```json ANSWER```", id="fenced-in-a-line"),
        pytest.param("As [you] asked, {see} below: ANSWER - and {that} is all.", id="prose"),
        pytest.param("<think>\nPerhaps {}, or [1]?\n</think>\nANSWER", id="thought"),
        pytest.param("so [1] it is</think>ANSWER", id="thought-without-beginning"),
        pytest.param('```json\n{"draft": 1}\n```\nNo:\n```json\nANSWER\n```', id="last-fence"),
        pytest.param('```json\nANSWER\n```\nIn words: `{"say": 1}`.', id="fence-that-fits"),
    ],
)
def test_a_fitting_answer_is_read(case: Case, form: str) -> None:
    assert plain(Schema.of(case.wanted).read(form.replace("ANSWER", case.valid))) == case.expected


@each_case
def test_an_answer_without_the_wrapping_is_read(case: Case) -> None:
    value = json.loads(case.valid)
    if value.keys() <= {"items", "value"}:
        unwrapped = json.dumps(next(iter(value.values())))
        assert plain(Schema.of(case.wanted).read(unwrapped)) == case.expected


@each_case
@pytest.mark.parametrize("form", ["ANSWER", "```json\nANSWER\n```", "Well: ANSWER!"], ids=["bare", "fenced", "prose"])
def test_a_wrong_answer_says_where(case: Case, form: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.of(case.wanted).read(form.replace("ANSWER", case.wrong))
    assert case.words in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert case.wrong not in caught.value.message


@each_case
@pytest.mark.parametrize("before", ["", "```json\n", "Here: "], ids=["bare", "fenced", "prose"])
def test_a_truncated_answer_is_never_read(case: Case, before: str) -> None:
    schema = Schema.of(case.wanted)
    for end in range(2, len(case.valid)):
        with pytest.raises(SchemaError, match="ends early"):
            schema.read(before + case.valid[:end])


@each_case
@pytest.mark.parametrize(
    "answer", [REFUSED, "", "  \n", "<think>" + CASES[0].valid], ids=["words", "empty", "blank", "thinking"]
)
def test_a_refusal_says_that_there_is_no_json(case: Case, answer: str) -> None:
    with pytest.raises(SchemaError, match=r"There is no JSON|The answer is empty") as caught:
        Schema.of(case.wanted).read(answer)
    assert caught.value.hint


@each_case
def test_the_json_schema_is_one(case: Case) -> None:
    schema = Schema.of(case.wanted)
    Draft202012Validator.check_schema(schema.json_schema)
    validator = Draft202012Validator(schema.json_schema)
    validator.validate(json.loads(case.valid))
    assert schema.is_strict is case.is_strict
    assert schema.json_schema["type"] == "object"
    assert ("$defs" in schema.json_schema) is case.is_recursive


@each_case
def test_the_instructions_hold_the_schema(case: Case) -> None:
    schema = Schema.of(case.wanted)
    assert json.loads(schema.instructions().splitlines()[-1]) == schema.json_schema

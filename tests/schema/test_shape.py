"""`Schema.of`: what it takes, what it makes of it, and what it refuses."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import subprocess
import sys
import typing
import uuid
from typing import Annotated, Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, create_model
from schema.schemas import CASES, Finding, Node, Place, Report, Tags

from ccw_magics.errors import SchemaError
from ccw_magics.schema import Schema
from ccw_magics.schema.dialect import MAX_NODES, strict_schema

CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


class Broken(BaseModel):
    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        raise ZeroDivisionError("by nothing")


class Unfinished(BaseModel):
    later: Later  # type: ignore[name-defined]  # noqa: F821  # defined nowhere: what is tested


class OldTypedDict(typing.TypedDict):
    title: str


@dataclasses.dataclass
class WithDict:
    counts: dict[str, int]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    title: str


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param(3, "type `int`", id="number"),
        pytest.param(None, "None is not", id="none"),
        pytest.param(json, "`json` is not", id="module"),
        pytest.param(print, "`print` is not", id="builtin"),
        pytest.param(lambda: 1, "`<lambda>` is not", id="function"),
        pytest.param({"type": "object"}, "type `dict`", id="dict"),
        pytest.param([Place], "type `list`", id="list-of-a-class"),
        pytest.param(Place(file="a", line=1), "type `Place`", id="instance"),
        pytest.param(object(), "type `object`", id="object"),
        pytest.param(uuid.uuid4(), "type `UUID`", id="value"),
        pytest.param(type(sys.implementation), "`SimpleNamespace`", id="class-without-a-schema"),
        pytest.param(typing.Callable[[int], int], "cannot be read from JSON", id="callable"),
        pytest.param(Broken, "ZeroDivisionError: by nothing", id="broken"),
        pytest.param(Unfinished, "`Unfinished` names 'Later', which is not defined", id="unfinished"),
        pytest.param(list[Unfinished], "names 'Later', which is not defined", id="list-of-unfinished"),
        pytest.param(list["Nowhere"], "`list['Nowhere']` names a type that is not defined", id="undefined"),  # type: ignore[name-defined]  # noqa: F821  # likewise
    ],
)
def test_what_is_no_shape_is_refused(wanted: Any, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.of(wanted)
    assert message in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value.message)


def test_an_old_typed_dict_says_which_to_take() -> None:
    if sys.version_info >= (3, 12):
        assert Schema.of(OldTypedDict).read('{"title": "a"}') == {"title": "a"}
    else:
        with pytest.raises(SchemaError, match=r"typing_extensions\.TypedDict"):
            Schema.of(OldTypedDict)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        pytest.param("title", "Answer", id="short"),
        pytest.param(Finding, "Finding", id="model"),
        pytest.param(list[Finding], "Finding", id="list"),
        pytest.param(list[int], "Answer", id="list-of-builtins"),
        pytest.param(Literal["a"], "Answer", id="literal"),
        pytest.param(create_model("Größe " * 20, a=(int, 1)), ("Gr__e_" * 20)[:64], id="odd-name"),
    ],
)
def test_a_name_that_every_provider_takes(wanted: Any, name: str) -> None:
    assert Schema.of(wanted).name == name


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        pytest.param("title, line: int", '[{"title": "a", "line": 1}]', id="short"),
        pytest.param("[title, line: int]", '[{"title": "a", "line": 1}]', id="list-already"),
        pytest.param(list[Place], '[{"file": "a", "line": 1}]', id="list-of-models"),
        pytest.param(Node, '[{"name": "a"}]', id="recursive"),
        pytest.param(Place | Finding, '[{"file": "a", "line": 1}]', id="union-of-objects"),
    ],
)
def test_a_table_is_a_list_of_objects(wanted: Any, rows: str) -> None:
    table = Schema.of(wanted, is_table=True)
    assert table.is_table
    assert table.json_schema["properties"]["items"]["type"] == "array"
    assert len(table.read(f'{{"items": {rows}}}')) == len(table.read(rows)) == 1
    assert table.read('{"items": []}') == []


@pytest.mark.parametrize("wanted", [int, list[str], "[a]|b", Tags, Place | int, dict | str, Any], ids=str)
def test_a_table_of_anything_else_is_refused(wanted: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.of(wanted, is_table=True)
    assert isinstance(wanted, str) or "rows must be objects" in caught.value.message


@pytest.mark.parametrize(
    ("wanted", "schema", "is_strict"),
    [
        pytest.param(
            Annotated[int, Field(gt=0, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}, True, id="bounds"
        ),
        pytest.param(
            Annotated[float, Field(gt=0)], {"type": "number", "description": "(greater than 0)"}, True, id="open-bound"
        ),
        pytest.param(
            Annotated[str, Field(pattern="^a$", max_length=3, description="One")],
            {"type": "string", "description": "One (must match the regular expression ^a$; at most 3 characters)"},
            True,
            id="constraints-in-words",
        ),
        pytest.param(
            AnyUrl,
            {"type": "string", "description": "(format: uri; at least 1 characters)"},
            True,
            id="format-in-words",
        ),
        pytest.param(uuid.UUID, {"type": "string", "format": "uuid"}, True, id="format"),
        pytest.param(Literal["a"], {"type": "string", "enum": ["a"]}, True, id="const"),
        pytest.param(
            Literal[True, 1, "a", None],  # noqa: PYI061  # pydantic makes another JSON Schema of it than of a union
            {
                "anyOf": [
                    {"type": "boolean", "enum": [True]},
                    {"type": "integer", "enum": [1]},
                    {"type": "string", "enum": ["a"]},
                    {"type": "null"},
                ]
            },
            True,
            id="mixed-enum",
        ),
        pytest.param(enum.IntEnum("Level", {"ONE": 1}), {"type": "integer", "enum": [1]}, True, id="int-enum"),
        pytest.param(int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, True, id="nullable"),
        pytest.param(Any, {}, False, id="any"),
    ],
)
def test_the_dialect_of_a_value(wanted: Any, schema: dict[str, Any], is_strict: bool) -> None:
    written = Schema.of(wanted)
    assert written.json_schema["properties"] == {"value": schema}
    assert written.is_strict is is_strict


@pytest.mark.parametrize(
    ("wanted", "items", "is_strict"),
    [
        pytest.param(tuple[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}, True, id="tuple"),
        pytest.param(tuple[int, int], {"type": "integer"}, True, id="tuple-of-one-type"),
        pytest.param(set[int], {"type": "integer"}, True, id="set"),
        pytest.param(list, {}, False, id="list-of-anything"),
        pytest.param(list[list[Any]], {"type": "array", "items": {}}, False, id="list-of-lists"),
    ],
)
def test_the_dialect_of_a_list(wanted: Any, items: dict[str, Any], is_strict: bool) -> None:
    written = Schema.of(wanted)
    assert written.json_schema["properties"]["items"]["items"] == items
    assert written.is_strict is is_strict


@pytest.mark.parametrize("wanted", [dict, dict[str, int], WithDict, Open], ids=str)
def test_keys_not_known_beforehand_are_not_strict(wanted: Any) -> None:
    assert not Schema.of(wanted).is_strict


def nodes(schema: Any) -> list[dict[str, Any]]:
    """Every object of a JSON Schema's text, the maps of properties and definitions too."""
    if isinstance(schema, list):
        return [node for one in schema for node in nodes(one)]
    return [schema, *nodes(list(schema.values()))] if isinstance(schema, dict) else []


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_only_what_all_providers_take(case: Any) -> None:
    schema = Schema.of(case.wanted).json_schema
    allowed = {"type", "description", "enum", "format", "minimum", "maximum", "minItems", "maxItems", "properties"}
    allowed |= {"required", "additionalProperties", "items", "anyOf", "$ref", "$defs"}
    for node in nodes(schema):
        if isinstance(node.get("type"), str):
            assert node.keys() <= allowed
        if node.get("type") == "object" and case.is_strict:
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False
        if "$ref" in node:
            assert len(node) == 1
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


def test_a_shape_that_would_explode_keeps_its_references() -> None:
    model = create_model("Level0", a=(int, ...))
    for level in range(1, 8):
        model = create_model(f"Level{level}", **{f"f{i}": (model, ...) for i in range(6)})  # type: ignore[call-overload]  # made at run time
    schema = Schema.of(model)
    assert len(schema.json_schema["$defs"]) == 7
    assert len(json.dumps(schema.json_schema)) < MAX_NODES


def test_a_foreign_json_schema_is_understood() -> None:
    written, is_strict = strict_schema(
        {
            "type": "object",
            "properties": {"a": {"allOf": [{"$ref": "#/$defs/A"}], "description": "d"}, "b": {"$ref": "#/$defs/None"}},
            "required": ["a", "b"],
            "$defs": {"A": {"type": "integer"}},
        }
    )
    assert written["properties"] == {"a": {"type": "integer", "description": "d"}, "b": {}}
    assert not is_strict


def test_an_empty_model_is_an_empty_object() -> None:
    assert Schema.of(create_model("Empty")).json_schema == CLOSED


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("title, line: float", id="type"),
        pytest.param("title, lines: int", id="name"),
        pytest.param("line: int, title", id="order"),
        pytest.param("title, line?: int", id="optional"),
        pytest.param("title, line: 1|2", id="enum"),
        pytest.param("title, line: 1|3", id="other-word"),
        pytest.param("[title, line: int]", id="list"),
        pytest.param("title", id="fewer"),
    ],
)
def test_another_shape_has_another_digest(other: str) -> None:
    assert Schema.of("title, line: int").digest() != Schema.of(other).digest()


def test_a_table_has_another_digest() -> None:
    assert Schema.of("[title]") != Schema.of("[title]", is_table=True)
    assert Schema.of("[title]", is_table=True) == Schema.of("title", is_table=True)


def test_the_same_shape_has_the_same_digest_under_any_name() -> None:
    first = create_model("First", title=(str, ...), line=(int, ...))
    second = create_model("Second", title=(str, ...), line=(int, ...))
    assert Schema.of(first) == Schema.of(second) == Schema.of("title, line: int")
    assert Schema.of(first).name != Schema.of(second).name
    assert Schema.of("title") != "title"


def test_a_recursive_shape_has_the_same_digest_under_any_name() -> None:
    twin = type(
        "Twin",
        (BaseModel,),
        {"__annotations__": {"name": "str", "children": "list[Twin]"}, "children": [], "__module__": __name__},
    )
    twin.model_rebuild(_types_namespace={"Twin": twin})  # type: ignore[attr-defined]  # made at run time
    assert Schema.of(twin) == Schema.of(Node)


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_a_number_that_is_none_is_named(name: str) -> None:
    for answer in (f'{{"a": {name}}}', f'So: {{"a": {name}}}.'):
        with pytest.raises(SchemaError, match="is not a number that JSON knows") as caught:
            Schema.of("a: float").read(answer)
        assert len(caught.value.message) < 100


def test_a_text_that_says_nan_is_no_number() -> None:
    with pytest.raises(SchemaError, match="a: should be a finite number"):
        Schema.of("a: float").read('{"a": "NaN"}')
    assert math.isnan(Schema.of(float).read('"NaN"'))  # a type of the user's own: pydantic's rules


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param("{'title': 1}", "cannot be read: Expecting property name", id="single-quotes"),
        pytest.param('{"title": "a",}', "cannot be read: Expecting property name", id="comma"),
        pytest.param('```json\n{"title": a}\n```', "cannot be read: Expecting value at line 1", id="fenced"),
        pytest.param('{"title": ' * 100_000, "too many brackets", id="deep"),
        pytest.param('{"title": "\\ud800"}', "is not JSON that pydantic reads", id="half-a-character"),
        pytest.param("[1]", "it should be an object", id="list"),
        pytest.param('"title"', "it should be an object", id="text"),
        pytest.param("{}", "title: is missing", id="missing"),
        pytest.param('see {"a": 1} and {"title": 1, "b": 2}', "title: should be a valid string", id="largest"),
        pytest.param('{"title": "a", "below": {"title": "b"}, }', "cannot be read", id="no-part-of-a-broken-one"),
    ],
)
def test_what_is_said_of_a_bad_answer(answer: str, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.of("title").read(answer)
    assert message in caught.value.message
    assert len(caught.value.message) < 300


def test_line_ends_within_a_text_pass() -> None:
    assert Schema.of("title").read('{"title": "a\nb"}').title == "a\nb"


def test_at_most_three_problems_are_told() -> None:
    fields = ", ".join(f"f{i}: int" for i in range(5))
    with pytest.raises(SchemaError, match=r"f0: is missing; f1: is missing; f2: is missing; and 2 more\n"):
        Schema.of(fields).read("{}")


def test_a_long_complaint_is_cut() -> None:
    def refuse(self: Any) -> None:
        raise ValueError("x\n" * 5000)

    kind = dataclasses.make_dataclass("Refusing", [("a", int)], namespace={"__post_init__": refuse})
    with pytest.raises(SchemaError) as caught:
        Schema.of(kind).read('{"a": 1}')
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


def test_a_validator_that_fails_otherwise_is_named() -> None:
    def fail(self: Any) -> None:
        raise KeyError("gone")

    kind = dataclasses.make_dataclass("Failing", [("a", int)], namespace={"__post_init__": fail})
    with pytest.raises(SchemaError, match="a validator failed: KeyError: 'gone'"):
        Schema.of(kind).read('{"a": 1}')


def test_a_null_that_is_wrong_stays_wrong() -> None:
    with pytest.raises(SchemaError, match=r"main\.line: should be a valid integer"):
        Schema.of(Report).read('{"findings": [], "checked_on": "2026-03-01", "main": {"file": "a", "line": null}}')


def test_a_field_named_as_the_wrapping_is_read() -> None:
    kind = create_model("A", value=(int, ...)) | create_model("B", other=(int, ...))
    assert Schema.of(kind).read('{"value": 3}').value == 3
    assert Schema.of(kind).read('{"value": {"value": 3}}').value == 3
    with pytest.raises(SchemaError, match="it should be an object"):
        Schema.of(kind).read('{"value": "x"}')


def test_only_what_was_made_by_of_can_read() -> None:
    with pytest.raises(TypeError, match=r"Schema\.of"):
        Schema("a", CLOSED, is_strict=True).read("{}")


def test_the_package_is_imported_without_pydantic() -> None:
    code = "import sys, ccw_magics.schema; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

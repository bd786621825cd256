"""Thirty shapes of answers, each with an answer that fits and one that does not: a table for every test of schemas."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, Field, RootModel, field_validator
from typing_extensions import TypedDict


class Severity(enum.Enum):
    HIGH = "high"
    LOW = "low"


class Place(BaseModel):
    file: str
    line: int = Field(gt=0)


class Finding(BaseModel):
    """Something to mend."""

    title: str = Field(min_length=1, description="One line")
    severity: Severity
    where: Place | None = None


class Report(BaseModel):
    findings: list[Finding]
    checked_on: date
    main: Place


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Pet(BaseModel):
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]


class Aliased(BaseModel):
    from_: str = Field(alias="from")
    retries: int = 3


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("must be even")
        return number


class Strict(BaseModel, strict=True):
    on: date
    count: int


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Tags(RootModel[list[str]]):
    pass


@dataclass
class Step:
    text: str
    minutes: float = 1.0


@dataclass
class Recipe:
    name: str
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """A shape and two answers.

    Attributes:
        id: For pytest.
        wanted: What `Schema.of` takes.
        valid: An answer that fits the JSON Schema: always an object.
        expected: What is read from it, as `plain` shows it.
        wrong: An answer of another shape.
        words: What the error for it says.
        is_strict: Whether OpenAI's strict mode takes the JSON Schema.
        is_recursive: Whether the shape holds itself: some schema modes cannot say that.
    """

    id: str
    wanted: Any
    valid: str
    expected: Any
    wrong: str
    words: str
    is_strict: bool = True
    is_recursive: bool = False


def plain(data: Any) -> Any:
    """What was read, as dicts, lists and values."""
    if isinstance(data, BaseModel):
        return data.model_dump()
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return dataclasses.asdict(data)
    return [plain(one) for one in data] if isinstance(data, list) else data


MIXED = Literal["a", 1, None]  # noqa: PYI061  # pydantic makes another JSON Schema of it than of a union
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

CASES = (
    Case(
        "short",
        "title, severity: high|medium|low, line: int",
        '{"title": "a", "severity": "low", "line": 3}',
        {"title": "a", "severity": "low", "line": 3},
        '{"title": "a", "severity": "low", "line": "x"}',
        "line: should be a valid integer",
    ),
    Case(
        "short-one-text",
        "summary",
        '{"summary": "it is {fine}"}',
        {"summary": "it is {fine}"},
        '{"summary": 3}',
        "summary: should be a valid string",
    ),
    Case(
        "short-optional",
        "title, line?: int, note: str?",
        '{"title": "a", "line": null, "note": null}',
        {"title": "a", "line": None, "note": None},
        '{"line": 1}',
        "title: is missing",
    ),
    Case(
        "short-numbers",
        "share: float, count: integer, ok: bool",
        '{"share": 0.5, "count": 2, "ok": true}',
        {"share": 0.5, "count": 2, "ok": True},
        '{"share": "NaN", "count": 2, "ok": true}',
        "share: should be a finite number",
    ),
    Case(
        "short-dates",
        "day: date, at: time, when: datetime",
        '{"day": "2026-03-01", "at": "12:30:00", "when": "2026-03-01T12:00:00Z"}',
        {"day": date(2026, 3, 1), "at": time(12, 30), "when": NOON},
        '{"day": "tomorrow", "at": "12:30:00", "when": "2026-03-01T12:00:00Z"}',
        "day: should be a valid date",
    ),
    Case(
        "short-quoted",
        "verdict: \"very good\"|'not so'|bad",
        '{"verdict": "very good"}',
        {"verdict": "very good"},
        '{"verdict": "good"}',
        "verdict: should be 'very good', 'not so' or 'bad'",
    ),
    Case(
        "short-number-words",
        "priority: 1|2|3",
        '{"priority": 2}',
        {"priority": 2},
        '{"priority": 4}',
        "priority: should be 1, 2 or 3",
    ),
    Case(
        "short-union",
        "answer: int|bool|null",
        '{"answer": true}',
        {"answer": True},
        '{"answer": []}',
        "answer: should be a valid integer",
    ),
    Case(
        "short-lists",
        "tags: str[], levels: (high|low)[], grid: list[[int]]",
        '{"tags": ["a"], "levels": ["low", "high"], "grid": [[1], []]}',
        {"tags": ["a"], "levels": ["low", "high"], "grid": [[1], []]},
        '{"tags": "a", "levels": [], "grid": []}',
        "tags: should be a valid array",
    ),
    Case(
        "short-nested",
        "title, where: {file, line: int}",
        '{"title": "a", "where": {"file": "b", "line": 1}}',
        {"title": "a", "where": {"file": "b", "line": 1}},
        '{"title": "a", "where": {"file": "b"}}',
        "where.line: is missing",
    ),
    Case(
        "short-nested-list",
        "title\nsteps: [{text, minutes?: float}]\ndone: bool",
        '{"title": "a", "steps": [{"text": "b", "minutes": 1.5}], "done": false}',
        {"title": "a", "steps": [{"text": "b", "minutes": 1.5}], "done": False},
        '{"title": "a", "steps": [{"minutes": 1}], "done": false}',
        "steps[0].text: is missing",
    ),
    Case(
        "short-list",
        "[title, line: int]",
        '{"items": [{"title": "a", "line": 1}, {"title": "b", "line": 2}]}',
        [{"title": "a", "line": 1}, {"title": "b", "line": 2}],
        '{"items": [{"title": "a", "line": 1}, {"title": "b"}]}',
        "[1].line: is missing",
    ),
    Case(
        "short-list-behind",
        "{title}[]",
        '{"items": [{"title": "[1] ``` {"}]}',
        [{"title": "[1] ``` {"}],
        '{"items": {"title": "a"}}',
        "should be a valid array",
    ),
    Case(
        "short-any",
        "key, value: any",
        '{"key": "a", "value": {"b": [1, null]}}',
        {"key": "a", "value": {"b": [1, None]}},
        '{"value": 1}',
        "key: is missing",
        is_strict=False,
    ),
    Case(
        "model",
        Finding,
        '{"title": "a", "severity": "high", "where": {"file": "b", "line": 1}}',
        {"title": "a", "severity": Severity.HIGH, "where": {"file": "b", "line": 1}},
        '{"title": "", "severity": "high", "where": {"file": "b", "line": 0}}',
        "title: String should have at least 1 character; where.line: should be greater than 0",
    ),
    Case(
        "model-nested",
        Report,
        '{"findings": [{"title": "a", "severity": "low", "where": null}], "checked_on": "2026-03-01", "main": {"file": "b", "line": 1}}',
        {
            "findings": [{"title": "a", "severity": Severity.LOW, "where": None}],
            "checked_on": date(2026, 3, 1),
            "main": {"file": "b", "line": 1},
        },
        '{"findings": [{"title": "a", "severity": "so-so", "where": null}], "checked_on": "2026-03-01", "main": {"file": "b", "line": 1}}',
        "findings[0].severity: should be 'high' or 'low'",
    ),
    Case(
        "model-recursive",
        Node,
        '{"name": "a", "children": [{"name": "b", "children": []}]}',
        {"name": "a", "children": [{"name": "b", "children": []}]},
        '{"name": "a", "children": [{"name": 1, "children": []}]}',
        "children[0].name: should be a valid string",
        is_recursive=True,
    ),
    Case(
        "model-discriminated",
        Pet,
        '{"animal": {"kind": "dog", "tricks": ["sit"]}}',
        {"animal": {"kind": "dog", "tricks": ["sit"]}},
        '{"animal": {"kind": "cat", "lives": "nine"}}',
        "animal.lives: should be a valid integer",
    ),
    Case(
        "model-alias-default",
        Aliased,
        '{"from": "a", "retries": null}',
        {"from_": "a", "retries": 3},
        '{"from": null, "retries": null}',
        "from: should be a valid string",
    ),
    Case("model-validator", Even, '{"number": 2}', {"number": 2}, '{"number": 3}', "number: must be even"),
    Case(
        "model-strict",
        Strict,
        '{"on": "2026-03-01", "count": 1}',
        {"on": date(2026, 3, 1), "count": 1},
        '{"on": "2026-03-01", "count": "1"}',
        "count: should be a valid integer",
    ),
    Case(
        "model-dict-field",
        dict[str, Place],
        '{"a": {"file": "b", "line": 1}}',
        {"a": Place(file="b", line=1)},
        '{"a": {"file": "b", "line": "x"}}',
        "a.line: should be a valid integer",
        is_strict=False,
    ),
    Case(
        "dataclass",
        Recipe,
        '{"name": "a", "steps": [{"text": "b", "minutes": null}]}',
        {"name": "a", "steps": [{"text": "b", "minutes": 1.0}]},
        '{"name": "a", "steps": [{"text": "b", "minutes": "long"}]}',
        "steps[0].minutes: should be a valid number",
    ),
    Case(
        "typed-dict",
        Movie,
        '{"title": "a", "year": null}',
        {"title": "a"},
        '{"title": "a", "year": "then"}',
        "year: should be a valid integer",
    ),
    Case(
        "list-of-models",
        list[Place],
        '{"items": [{"file": "a", "line": 1}]}',
        [{"file": "a", "line": 1}],
        '{"items": [{"file": "a", "line": 1.5}]}',
        "[0].line: should be a valid integer",
    ),
    Case(
        "root-model", Tags, '{"items": ["a", "b"]}', ["a", "b"], '{"items": ["a", 2]}', "[1]: should be a valid string"
    ),
    Case("enum", Severity, '{"value": "high"}', Severity.HIGH, '{"value": "medium"}', "should be 'high' or 'low'"),
    Case("literal-mixed", MIXED, '{"value": 1}', 1, '{"value": 2}', "should be 'a', 1 or None"),
    Case(
        "union-of-models",
        Cat | Place,
        '{"value": {"file": "a", "line": 1}}',
        {"file": "a", "line": 1},
        '{"value": {"file": "a"}}',
        "line: is missing",
    ),
    Case(
        "tuple-and-decimal",
        tuple[str, Decimal],
        '{"items": ["a", "1.50"]}',
        ("a", Decimal("1.50")),
        '{"items": ["a", "b"]}',
        "[1]: should be a valid decimal",
    ),
)

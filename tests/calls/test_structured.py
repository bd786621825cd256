"""Answers of a given shape, through the whole path: what is asked again and what is not, and what is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from wire_calls import KEY
from wire_conversation import conversation
from wire_server import Answer, WireServer
from wired_project import said

from ccw_magics import Workspace
from ccw_magics.errors import BudgetExceeded, CallInterrupted, ProviderError, SchemaError
from ccw_magics.schema import Schema

SHAPE = "title, line: int"
GOOD, OTHER = '{"title": "a", "line": 3}', '{"title": "b", "line": 4}'
WRONG, WORSE = '{"title": "a", "line": "third"}', '{"title": 1}'
INSTRUCTIONS = Schema.of(SHAPE).instructions()
REFUSAL = "I'm sorry, but I can't help with that."
ENDPOINTS: Mapping[str, tuple[str, str, str]] = {
    "native": ("openai", "gpt-4o", "/v1"),
    "prompted": ("openai", "gpt-3.5-turbo", "/v1"),
    "house": ("custom", "house-model", "/v1"),
    "claude": ("anthropic", "claude-sonnet-4-5", ""),
    "tool": ("anthropic", "claude-opus-4-20250514", ""),
    "gemini": ("google", "gemini-2.5-flash", ""),
}
each_way = pytest.mark.parametrize("endpoint", ["native", "prompted"])
everywhere = pytest.mark.parametrize("endpoint", ENDPOINTS)


@dataclass
class Step:
    title: str
    line: int = 1


class Even(BaseModel):
    line: int

    @field_validator("line")
    @classmethod
    def is_even(cls, line: int) -> int:
        if line % 2:
            raise RuntimeError("odd, and said in the wrong way")
        return line


@pytest.fixture
def workspace(project: Path, wire: WireServer) -> Workspace:
    """A project with an endpoint for each way to be asked; `native` is the default."""
    (project / "a.py").write_text("answer = 42\n" * 50)
    workspace = Workspace(project)
    ways = [(name, *way) for name, way in ENDPOINTS.items()]
    providers = [
        {
            "id": name,
            "name": "W",
            "type": kind,
            "apiKey": KEY,
            "apiBase": f"{wire.url}{suffix}",
            "advancedSettings": {"maxRetries": 1},
        }
        for name, kind, _, suffix in ways
    ]
    endpoints = [{"id": name, "providerId": name, "model": model} for name, _, model, _ in ways]
    config = {"version": 1, "providers": providers, "endpoints": endpoints, "defaultEndpoint": "native"}
    workspace.config.path.parent.mkdir(parents=True)
    workspace.config.path.write_text(json.dumps(config))
    return workspace


def asks_natively(wire: WireServer, number: int) -> bool:
    """Whether a request to OpenAI carries the schema."""
    return "response_format" in wire.requests[number].json


# ---- what is read ------------------------------------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize(
    "form",
    [
        pytest.param("```json\nANSWER\n```", id="fenced"),
        pytest.param("Here [it] is: ANSWER - anything else?", id="prose"),
        pytest.param("<think>{}?</think>\nANSWER", id="thought"),
    ],
)
def test_an_answer_with_something_around_it_is_read(
    workspace: Workspace, wire: WireServer, endpoint: str, form: str
) -> None:
    wire.answers(Answer(form.replace("ANSWER", GOOD), pieces=3))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE).raise_for_error()
    assert (reply.data.title, reply.data.line) == ("a", 3)
    assert reply.output == GOOD
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        pytest.param(Step, GOOD, Step("a", 3), id="dataclass"),
        pytest.param(list[Step], f'{{"items": [{GOOD}]}}', [Step("a", 3)], id="list"),
        pytest.param(list[Step], f"[{GOOD}, {OTHER}]", [Step("a", 3), Step("b", 4)], id="bare list"),
        pytest.param(Schema.of(Step, is_table=True), f"[{GOOD}]", [Step("a", 3)], id="table"),
    ],
)
@each_way
def test_what_is_asked_for_comes_back(
    workspace: Workspace, wire: WireServer, endpoint: str, wanted: Any, text: str, expected: object
) -> None:
    wire.answers(Answer(text))
    assert workspace.run("Hi", endpoint=endpoint, schema=wanted).raise_for_error().data == expected


def test_a_shape_that_cannot_be_understood_is_said_before_anything_is_sent(
    workspace: Workspace, wire: WireServer
) -> None:
    with pytest.raises(SchemaError, match="'intt' is not a type"):
        workspace.run("Hi", schema="line: intt")
    assert not wire.requests


def test_what_is_kept_is_json(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer('Well: {"title": "two\nlines", "line": 3}'))
    reply = workspace.run("Hi", schema=SHAPE).raise_for_error()
    assert json.loads(reply.output) == {"title": reply.data.title, "line": 3} == {"title": "two\nlines", "line": 3}


@pytest.mark.parametrize(
    "escaped",
    [
        pytest.param("".join(f"\\u{ord(character):04x}" for character in KEY), id="every character"),
        pytest.param(KEY.replace("-", "\\u002D"), id="one character"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 1000])
def test_a_key_that_escapes_hide_does_not_come_to_light(
    workspace: Workspace, wire: WireServer, escaped: str, pieces: int
) -> None:
    wire.answers(Answer(f'{{"title": "{escaped}", "line": 3}}', pieces=pieces))
    reply = workspace.run("Hi", schema=SHAPE, replay=True).raise_for_error()
    again = workspace.run("Hi", schema=SHAPE, replay=True).raise_for_error()
    assert again.replayed_at is not None
    for one in (reply, again):
        assert "0123456789" not in one.data.title
        assert escaped not in one.output
        assert one.data.title == json.loads(one.output)["title"]


def test_a_key_that_escapes_hide_is_not_kept_of_an_answer_that_breaks_off(
    workspace: Workspace, wire: WireServer
) -> None:
    escaped = KEY.replace("-", "\\u002D")
    wire.answers(Answer(f'{{"title": "{escaped}", "line": 3}}', pieces=9, cut_after=1000))
    reply = workspace.run("Hi", schema=SHAPE)
    assert not reply.success
    assert reply.output.endswith('"line": 3}')
    assert escaped not in reply.output


def test_escapes_that_hide_no_key_stay(workspace: Workspace, wire: WireServer) -> None:
    text = '{"title": "\\u003cb\\u003e \\\\u002d", "line": 3}'
    wire.answers(Answer(text))
    reply = workspace.run("Hi", schema=SHAPE).raise_for_error()
    assert (reply.output, reply.data.title) == (text, "<b> \\u002d")


# ---- the repair --------------------------------------------------------------------------------------------------------


@everywhere
def test_a_wrong_answer_is_shown_to_the_model_with_what_is_wrong(
    workspace: Workspace, wire: WireServer, endpoint: str
) -> None:
    wire.answers(Answer(WRONG, input_tokens=100, output_tokens=10), Answer(GOOD, input_tokens=150, output_tokens=20))
    notes: list[str] = []
    reply = workspace.run(
        "@a.py Why?",
        endpoint=endpoint,
        schema=SHAPE,
        on_output=lambda kind, text: notes.append(text) if kind == "stderr" else None,
    ).raise_for_error()
    assert reply.data.line == 3
    assert json.loads(reply.output) == json.loads(GOOD)
    first, second = wire.requests
    asked, answered, complaint = conversation(second)
    assert (asked.role, asked.text) == ("user", conversation(first)[-1].text)
    assert (answered.role, json.loads(answered.text)) == ("assistant", json.loads(WRONG))
    assert "line: should be a valid integer" in complaint.text
    assert "answer = 42" not in complaint.text
    assert any("asking once more" in note for note in notes)


@each_way
def test_both_answers_are_paid_for(workspace: Workspace, wire: WireServer, endpoint: str) -> None:
    wire.answers(Answer(GOOD, input_tokens=100, output_tokens=10))
    once = workspace.run("Hi", endpoint=endpoint, schema=SHAPE)
    wire.answers(Answer(WRONG, input_tokens=100, output_tokens=10), Answer(GOOD, input_tokens=300, output_tokens=30))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE)
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (400, 40)
    assert once.cost_usd
    assert reply.cost_usd == pytest.approx(4 * once.cost_usd)
    assert workspace.journal.calls()[0].call.cost_usd == pytest.approx(4 * once.cost_usd)


@everywhere
def test_an_answer_that_is_wrong_twice_is_an_error_that_keeps_the_text(
    workspace: Workspace, wire: WireServer, endpoint: str
) -> None:
    wire.answers(Answer(WRONG), Answer(WORSE))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE)
    assert len(wire.requests) == 2
    assert isinstance(reply.failure, SchemaError)
    assert (reply.success, reply.data, json.loads(reply.output)) == (False, None, json.loads(WORSE))
    assert "line: is missing" in reply.failure.message


def test_a_validator_that_raises_is_a_misfit(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer('{"line": 3}'), Answer('{"line": 4}'))
    assert workspace.run("Hi", schema=Even).raise_for_error().data == Even(line=4)
    assert "odd, and said in the wrong way" in conversation(wire.requests[1])[-1].text
    wire.answers(Answer('{"line": 3}'))
    assert "RuntimeError" in str(workspace.run("Hi", schema=Even).error)


def test_words_without_json_are_asked_for_again(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(REFUSAL), Answer(GOOD))
    assert workspace.run("Hi", schema=SHAPE).raise_for_error().data.line == 3
    assert "There is no JSON in the answer" in conversation(wire.requests[1])[-1].text


# ---- what is not asked again -------------------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_at_its_limit_is_not_asked_for_again(
    workspace: Workspace, wire: WireServer, endpoint: str, stream: bool
) -> None:
    wire.answers(Answer(GOOD[:15], is_cut=True))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE, stream=stream)
    assert len(wire.requests) == 1
    assert not reply.success
    assert "--max-tokens" in str(reply.error)
    if not (endpoint == "tool" and not stream):  # there Claude tells nothing of half an object
        assert isinstance(reply.failure, SchemaError)
        assert (reply.output, reply.is_cut) == (GOOD[:15], True)


@pytest.mark.parametrize("endpoint", ["native", "prompted", "house", "claude", "tool"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_refusal_is_not_asked_for_again(workspace: Workspace, wire: WireServer, endpoint: str, stream: bool) -> None:
    wire.answers(Answer(refusal=REFUSAL))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE, stream=stream)
    assert len(wire.requests) == 1
    assert isinstance(reply.failure, SchemaError)
    assert "refused" in reply.failure.message
    assert reply.output == REFUSAL


# ---- a repair that fails -----------------------------------------------------------------------------------------------

FAILURES = {
    "500": (Answer(status=500), 3, "(500)"),
    "401": (Answer(status=401), 2, "refused the key"),
    "cut": (Answer(OTHER, pieces=5, cut_after=2), 2, "once more"),
    "empty": (Answer(""), 3, "without any text"),
}


@each_way
@pytest.mark.parametrize("failure", FAILURES)
def test_the_first_text_is_kept_where_the_repair_fails(
    workspace: Workspace, wire: WireServer, endpoint: str, failure: str
) -> None:
    answer, requests, words = FAILURES[failure]
    wire.answers(Answer(WRONG, input_tokens=100), answer)
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE)
    assert len(wire.requests) == requests
    assert isinstance(reply.failure, SchemaError)
    assert (reply.success, reply.output) == (False, WRONG)
    assert "line: should be a valid integer" in reply.failure.message
    assert words in reply.failure.message
    assert reply.first_token_s is not None


@pytest.mark.parametrize("pieces", [0, 2], ids=["before its answer", "in its answer"])
@each_way
def test_the_first_text_is_kept_where_the_repair_is_interrupted(
    workspace: Workspace, wire: WireServer, endpoint: str, pieces: int
) -> None:
    wire.answers(Answer(WRONG, pieces=100), Answer(GOOD, pieces=5, stall_after=pieces))
    shown: list[str] = []

    def interrupt(kind: str, text: str) -> None:
        shown.append(kind)
        if "stderr" in shown and (not pieces or kind == "stdout"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.run("Hi", endpoint=endpoint, schema=SHAPE, on_output=interrupt)
    reply = workspace.executor.last_reply
    assert reply is not None
    assert isinstance(reply.failure, CallInterrupted)
    assert (reply.output, reply.data) == (WRONG, None)


def test_a_repair_that_ends_at_its_limit_says_so(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(GOOD[:15], is_cut=True))
    reply = workspace.run("Hi", schema=SHAPE)
    assert len(wire.requests) == 2
    assert "--max-tokens" in str(reply.error)
    assert reply.output == GOOD[:15]


def test_a_repair_that_is_refused_says_so(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(refusal=REFUSAL))
    reply = workspace.run("Hi", schema=SHAPE)
    assert "the model refused" in str(reply.error)
    assert reply.output == REFUSAL


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([Answer(WRONG)], id="wrong twice"),
        pytest.param([Answer(WRONG), Answer(status=401)], id="repair refused"),
        pytest.param([Answer(WRONG), Answer(refusal=REFUSAL)], id="refusal behind it"),
        pytest.param([Answer(GOOD[:15], is_cut=True)], id="cut"),
        pytest.param([Answer(status=400)], id="schema refused"),
    ],
)
def test_an_error_keeps_no_frames_and_so_no_files(
    workspace: Workspace, wire: WireServer, answers: list[Answer]
) -> None:
    wire.answers(*answers)
    failure = workspace.run("@a.py Why?", schema=SHAPE).failure
    assert failure is not None
    assert (failure.__traceback__, failure.__context__) == (None, None)
    assert failure.__cause__ is None or failure.__cause__.__traceback__ is None


# ---- a provider that refuses the schema --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("endpoint", ["native", "claude", "tool", "gemini"])
def test_a_schema_that_is_refused_goes_into_the_prompt(
    workspace: Workspace, wire: WireServer, endpoint: str, status: int
) -> None:
    wire.answers(Answer(status=status), Answer(GOOD))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE).raise_for_error()
    assert reply.data.line == 3
    body = wire.requests[1].json
    assert said(wire.requests[1])[-1][1] == f"Hi\n\n{INSTRUCTIONS}"
    assert not {"response_format", "tools", "output_format", "output_config"} & body.keys()
    assert not any("schema" in name.lower() for name in body.get("generationConfig", {}))


def test_the_repair_behind_a_refused_schema_goes_by_prompt_too(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(status=400), Answer(WRONG), Answer(GOOD))
    assert workspace.run("Hi", schema=SHAPE).raise_for_error().data.line == 3
    assert [asks_natively(wire, number) for number in range(3)] == [True, False, False]
    assert [role for role, _ in said(wire.requests[2])] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("endpoint", "status", "requests"),
    [
        pytest.param("native", 401, 1, id="a refused key"),
        pytest.param("native", 403, 1, id="a refused model"),
        pytest.param("native", 400, 2, id="refused twice"),
        pytest.param("prompted", 400, 1, id="by prompt already"),
        pytest.param("house", 400, 1, id="a server of one's own"),
    ],
)
def test_other_refusals_are_the_error(
    workspace: Workspace, wire: WireServer, endpoint: str, status: int, requests: int
) -> None:
    wire.answers(Answer(status=status))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE)
    assert len(wire.requests) == requests
    assert isinstance(reply.failure, ProviderError)
    assert reply.failure.status == status


# ---- with everything else ----------------------------------------------------------------------------------------------


@each_way
def test_a_conversation_keeps_the_turn_without_the_repair(
    workspace: Workspace, wire: WireServer, endpoint: str
) -> None:
    options: dict[str, Any] = {"endpoint": endpoint, "chat": "c"}
    wire.answers(Answer("Hello."), Answer(WRONG), Answer(GOOD), Answer("Yes."))
    workspace.run("@a.py one", **options).raise_for_error()
    assert workspace.run("two", schema=SHAPE, **options).raise_for_error().data.line == 3
    workspace.run("three", **options).raise_for_error()
    asked = "two" if endpoint == "native" else f"two\n\n{INSTRUCTIONS}"
    opening, *talk = said(wire.requests[-1])
    assert opening[1].endswith("@a.py one")
    assert talk == [("assistant", "Hello."), ("user", asked), ("assistant", GOOD), ("user", "three")]
    assert said(wire.requests[2])[:-2] == said(wire.requests[1])
    assert [stored.turn.answer for stored in workspace.journal.chats.path("c")] == ["Hello.", GOOD, "Yes."]


def test_an_answer_that_does_not_fit_is_no_turn(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(WRONG), Answer("Yes."))
    assert not workspace.run("one", schema=SHAPE, chat="c").success
    workspace.run("two", chat="c").raise_for_error()
    assert said(wire.requests[-1]) == [("user", "two")]


@each_way
def test_a_recorded_answer_is_read_again(workspace: Workspace, wire: WireServer, endpoint: str) -> None:
    options: dict[str, Any] = {"endpoint": endpoint, "replay": True}
    wire.answers(Answer(WRONG), Answer(f"```json\n{GOOD}\n```"))
    live = workspace.run("@a.py Why?", schema=SHAPE, **options).raise_for_error()
    again = workspace.run("@a.py Why?", schema=SHAPE, **options).raise_for_error()
    assert again.replayed_at is not None
    assert again.data.model_dump() == live.data.model_dump()
    assert (again.output, again.cost_usd) == (live.output, 0.0)
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    "changed",
    ["title, line: float", "title, line?: int", "line: int, title", Schema.of(SHAPE, is_table=True), None],
    ids=["type", "optional", "order", "table", "none"],
)
def test_another_shape_is_asked_for_anew(workspace: Workspace, wire: WireServer, changed: Any) -> None:
    wire.answers(Answer(f'{{"items": [{GOOD}], "title": "a", "line": 3}}'))
    workspace.run("Hi", schema=SHAPE, replay=True).raise_for_error()
    assert workspace.run("Hi", schema=changed, replay=True).raise_for_error().replayed_at is None
    assert len(wire.requests) == 2


def test_a_record_that_the_types_own_checks_refuse_now_is_asked_for_anew(
    workspace: Workspace, wire: WireServer
) -> None:
    def row(limit: int) -> type[BaseModel]:
        class Row(BaseModel):
            line: int

            @field_validator("line")
            @classmethod
            def is_small(cls, line: int) -> int:
                if line > limit:
                    raise ValueError(f"at most {limit}")
                return line

        return Row

    wire.answers(Answer('{"line": 7}'), Answer('{"line": 2}'))
    assert workspace.run("Hi", schema=row(9), replay=True).raise_for_error().data.line == 7
    assert workspace.run("Hi", schema=row(8), replay=True).raise_for_error().replayed_at is not None
    renewed = workspace.run("Hi", schema=row(5), replay=True).raise_for_error()
    assert (renewed.replayed_at, renewed.data.line, len(wire.requests)) == (None, 2, 2)
    assert workspace.run("Hi", schema=row(5), replay=True).raise_for_error().data.line == 2
    assert len(wire.requests) == 2


def test_an_answer_that_does_not_fit_is_not_recorded(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(WRONG), Answer(GOOD))
    assert not workspace.run("Hi", schema=SHAPE, replay=True).success
    assert workspace.run("Hi", schema=SHAPE, replay=True).raise_for_error().replayed_at is None


def fall_back(workspace: Workspace, first: str, second: str) -> None:
    workspace.config.update_endpoint(first, {"fallback": [second]})


@pytest.mark.parametrize(("first", "second"), [("native", "house"), ("house", "native"), ("tool", "gemini")])
def test_a_fallback_is_asked_in_its_own_way(workspace: Workspace, wire: WireServer, first: str, second: str) -> None:
    fall_back(workspace, first, second)
    wire.answers(Answer(status=401), Answer(WRONG), Answer(GOOD))
    reply = workspace.run("Hi", endpoint=first, schema=SHAPE).raise_for_error()
    assert (reply.endpoint, reply.fallback_from, reply.data.line) == (second, first, 3)
    assert (said(wire.requests[1])[-1][1] == "Hi") is (second != "house")


def test_an_answer_that_does_not_fit_is_nobody_elses_business(workspace: Workspace, wire: WireServer) -> None:
    fall_back(workspace, "native", "house")
    wire.answers(Answer(WRONG))
    reply = workspace.run("Hi", schema=SHAPE)
    assert (reply.endpoint, len(wire.requests)) == ("native", 2)


@each_way
def test_the_repair_stays_within_the_calls_own_limit(workspace: Workspace, wire: WireServer, endpoint: str) -> None:
    wire.answers(Answer(WRONG, input_tokens=1_000_000, output_tokens=10), Answer(GOOD))
    reply = workspace.run("Hi", endpoint=endpoint, schema=SHAPE, max_cost_usd=0.05)
    assert len(wire.requests) == 1
    assert isinstance(reply.failure, SchemaError)
    assert reply.output == WRONG
    assert "--max-cost allows" in reply.failure.message


def test_a_limit_that_is_too_low_is_said_before_anything_is_sent(workspace: Workspace, wire: WireServer) -> None:
    reply = workspace.run("Hi", schema=SHAPE, max_cost_usd=0.000001)
    assert isinstance(reply.failure, BudgetExceeded)
    assert not wire.requests


@each_way
def test_a_dry_run_sends_nothing(workspace: Workspace, wire: WireServer, endpoint: str) -> None:
    assert workspace.plan("@a.py Why?", endpoint=endpoint, schema=SHAPE)
    assert not wire.requests


def test_awaited_it_is_the_same(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(WRONG), Answer(GOOD))
    assert asyncio.run(workspace.arun("Hi", schema=SHAPE)).raise_for_error().data.line == 3

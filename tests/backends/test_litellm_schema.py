"""Answers held to a schema: how each format is asked for one, what comes back whole, cut and refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from wire_calls import ask, call_to, text_of
from wire_server import Answer, WireServer

from ccw_magics.backends.base import AnswerSchema, Done, ModelCall, Usage
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.errors import ProviderError

SHAPE: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "level": {"type": "string", "enum": ["high", "low"]},
        "values": {"type": "array", "items": {"type": "number"}},
        "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    },
    "required": ["title", "level", "values", "when"],
    "additionalProperties": False,
}
SCHEMA = AnswerSchema("finding", SHAPE, is_strict=True)
FOUND = '{"title": "x 1.50 y", "level": "low", "values": [1, 2.50], "when": "2024-05-03"}'
PIECES = [
    '{"title": "x',
    " 1.50",
    " y",
    '", "level": ',
    '"low"',
    ', "values": [',
    "1",
    ", ",
    "2.50",
    '], "when": ',
    '"2024-05-03"',
    "}",
]
"""Some of them are JSON by themselves, and litellm would write those anew."""
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
OLD_CLAUDE, NEW_CLAUDE = "claude-opus-4-20250514", "claude-sonnet-4-5"
KINDS = {
    "openai": ("openai", "gpt-4o", {}),
    "azure": ("azure", "gpt-4o", {"api_version": "2024-10-21"}),
    "azure by a tool": ("azure", "gpt-4o", {"api_version": "2024-02-01"}),
    "anthropic": ("anthropic", NEW_CLAUDE, {}),
    "anthropic by a tool": ("anthropic", OLD_CLAUDE, {}),
    "google": ("google", "gemini-2.5-flash", {}),
    "mistral": ("mistral", "mistral-small-latest", {}),
    "ollama": ("ollama", "llama3", {}),
}
EVERY_KIND = pytest.mark.parametrize("name", KINDS)


def asking(name: str, url: str, **settings: Any) -> ModelCall:
    kind, model, more = KINDS[name]
    base = f"{url}/v1" if kind in {"openai", "mistral"} else url
    whole = {"api_base": base, "schema": SCHEMA, "timeout_s": 20.0, **more, **settings}
    return ModelCall(kind, model, "What is wrong?", **whole)


def has_mode(kind: str, model: str, **settings: Any) -> bool:
    return asyncio.run(LiteLLMBackend().has_schema_mode(ModelCall(kind, model, "Hi", **settings)))


MODES = [
    ("openai", "gpt-4o", True),
    ("openai", "gpt-5", True),
    ("openai", "gpt-3.5-turbo", False),
    ("openai", "house-model", False),
    ("azure", "gpt-4o", True),
    ("azure", "my-deployment", False),
    ("anthropic", NEW_CLAUDE, True),
    ("anthropic", OLD_CLAUDE, True),
    ("anthropic", "claude-unheard-of", False),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", True),
    ("google", "gemini-2.5-flash", True),
    ("google", "gemini-unheard-of", False),
    ("mistral", "mistral-small-latest", True),
    ("deepseek", "deepseek-chat", False),
    ("ollama", "llama3", True),
    ("openrouter", "somebody/something", False),
    ("custom", "gpt-4o", False),
]


@pytest.mark.parametrize(("kind", "model", "expected"), MODES)
def test_which_providers_hold_their_models_to_a_schema(kind: str, model: str, expected: bool) -> None:
    assert has_mode(kind, model) is expected


@pytest.mark.parametrize(
    "params", [{"reasoning_effort": "high"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}]
)
def test_a_model_that_thinks_cannot_be_forced_to_call_a_tool(params: dict[str, Any]) -> None:
    assert has_mode("anthropic", OLD_CLAUDE, params=params) is False


def _sent(body: Any) -> dict[str, Any]:
    """The schema as a request carries it, in whatever place."""
    if tools := body.get("tools"):
        (tool,) = tools
        return dict(tool.get("input_schema") or tool["function"]["parameters"])
    options = body.get("generationConfig", {})
    native = (body.get("output_format") or (body.get("output_config") or {}).get("format") or {}).get("schema")
    openai = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    gemini = options.get("response_json_schema") or options.get("responseJsonSchema")
    return dict(native or openai or gemini or body["format"])


@EVERY_KIND
@STREAMED
def test_the_schema_is_sent_and_the_answer_comes_back_as_it_was(wire: WireServer, name: str, stream: bool) -> None:
    wire.answers(Answer(FOUND, pieces=PIECES, input_tokens=1000, output_tokens=40))
    (events,) = ask(asking(name, wire.url, stream=stream))
    body = wire.requests[0].json
    assert _sent(body)["properties"].keys() == SHAPE["properties"].keys()
    assert _sent(body)["additionalProperties"] is False
    assert ("tools" in body) == name.endswith("by a tool")
    assert json.loads(text_of(events)) == json.loads(FOUND)
    if stream:
        assert text_of(events) == FOUND
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage == Usage(1000, 0, 0, 40)
    assert (done.is_cut, done.is_refused) == (False, False)
    assert done.cost_usd == asyncio.run(LiteLLMBackend().price_usd(asking(name, wire.url), done.usage))


def test_openai_is_told_the_name_and_whether_the_schema_is_strict(wire: WireServer) -> None:
    loose = AnswerSchema("loose", SHAPE, is_strict=False)
    ask(asking("openai", wire.url), asking("openai", wire.url, schema=loose))
    forms = [request.json["response_format"] for request in wire.requests]
    assert [form["type"] for form in forms] == ["json_schema"] * 2
    assert [(form["json_schema"]["name"], form["json_schema"]["strict"]) for form in forms] == [
        ("finding", True),
        ("loose", False),
    ]


def test_the_tool_is_the_only_one_and_forced(wire: WireServer) -> None:
    params = {"response_format": {"type": "json_object"}, "temperature": 0.5}
    wire.answers(Answer(FOUND))
    ask(asking("anthropic by a tool", wire.url, params=params))
    body = wire.requests[0].json
    assert body["tool_choice"] == {"type": "tool", "name": "finding"}
    assert body["tools"][0]["name"] == "finding"
    assert body["temperature"] == 0.5


def test_a_schema_goes_to_a_server_of_ones_own_where_the_call_has_one(wire: WireServer) -> None:
    ask(call_to("custom", wire.url, schema=SCHEMA))
    assert wire.requests[0].json["response_format"]["json_schema"]["schema"] == SHAPE


@EVERY_KIND
@STREAMED
def test_a_cut_answer_says_so(wire: WireServer, name: str, stream: bool) -> None:
    wire.answers(Answer(FOUND[:30], is_cut=True, output_tokens=7))
    (events,) = ask(asking(name, wire.url, stream=stream))
    if not (name == "anthropic by a tool" and not stream):  # which tells nothing of half an object
        assert text_of(events) == FOUND[:30]
    assert events[-1].is_cut
    assert events[-1].usage.output_tokens == 7


REFUSAL = "I'm sorry, I cannot help with that."


@pytest.mark.parametrize("name", [name for name in KINDS if name not in {"google", "ollama"}])
@STREAMED
@pytest.mark.parametrize("has_schema", [True, False], ids=["with a schema", "without"])
def test_a_refusal_is_the_answer(wire: WireServer, name: str, stream: bool, has_schema: bool) -> None:
    wire.answers(Answer(refusal=REFUSAL, input_tokens=50, output_tokens=9))
    (events,) = ask(asking(name, wire.url, stream=stream, schema=SCHEMA if has_schema else None))
    assert text_of(events) == REFUSAL
    assert events[-1].is_refused
    assert events[-1].usage == Usage(50, 0, 0, 9)


@STREAMED
@pytest.mark.parametrize("explanation", ["It is not allowed.", None])
def test_what_anthropic_explains_stands_in_for_a_text(wire: WireServer, stream: bool, explanation: str | None) -> None:
    details = {"type": "refusal", "category": "x", "explanation": explanation}
    end = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    message = {"id": "msg", "type": "message", "role": "assistant", "model": NEW_CLAUDE, "content": []}
    usage = {"input_tokens": 5, "output_tokens": 1}
    body: Any = {**message, **end, "usage": usage}
    if stream:
        opening = {"type": "message_start", "message": {**message, "usage": usage}}
        told = [opening, {"type": "message_delta", "delta": end, "usage": usage}, {"type": "message_stop"}]
        body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told)
    wire.answers(Answer(body=body, content_type="text/event-stream" if stream else None))
    (outcome,) = ask(asking("anthropic", wire.url, stream=stream))
    if explanation:
        assert text_of(outcome) == explanation
        assert outcome[-1].is_refused
    else:
        assert isinstance(outcome, ProviderError)
        assert not outcome.retryable


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_users_own_tools_need_no_further_package(wire: WireServer, kind: str) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    (events,) = ask(call_to(kind, wire.url, params={"tools": tools}))
    assert text_of(events) == "Hello from the wire."
    assert "_skip_mcp_handler" not in wire.requests[0].json

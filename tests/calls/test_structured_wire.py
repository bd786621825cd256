"""Thirty shapes of answers through the whole path, in each provider's own way to hold its model to one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from schema.schemas import CASES, Case, plain
from wire_calls import KEY
from wire_conversation import conversation
from wire_server import Answer, Received, WireServer

from ccw_magics import Workspace
from ccw_magics.schema import Schema

BY_PROMPT, BY_TOOL, NATIVELY = "by prompt", "by tool", "natively"
KINDS: Mapping[str, tuple[str, str, str]] = {
    "openai": ("openai", "gpt-4o", "/v1"),
    "anthropic": ("anthropic", "claude-sonnet-4-5", ""),
    "anthropic-tool": ("anthropic", "claude-opus-4-20250514", ""),
    "google": ("google", "gemini-2.5-flash", ""),
    "custom": ("custom", "house-model", "/v1"),
}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.fixture
def workspace(project: Path, wire: WireServer) -> Workspace:
    """A project with an endpoint of each kind, named after it."""
    workspace = Workspace(project)
    ways = [(name, *way) for name, way in KINDS.items()]
    providers = [
        {"id": name, "name": "W", "type": kind, "apiKey": KEY, "apiBase": f"{wire.url}{suffix}"}
        for name, kind, _, suffix in ways
    ]
    endpoints = [{"id": name, "providerId": name, "model": model} for name, _, model, _ in ways]
    workspace.config.path.parent.mkdir(parents=True)
    workspace.config.path.write_text(json.dumps({"version": 1, "providers": providers, "endpoints": endpoints}))
    return workspace


def mode_for(kind: str, case: Case) -> str:
    """How this shape can be asked for there: see `litellm_schema` for what Claude and Gemini do not take."""
    if kind == "openai":
        return NATIVELY
    if kind == "google":
        return BY_PROMPT if case.is_recursive else NATIVELY
    if kind == "custom" or case.is_recursive or not case.is_strict:
        return BY_PROMPT
    return BY_TOOL if kind == "anthropic-tool" else NATIVELY


def native_schema(body: Any) -> Any:
    """The schema where OpenAI, Anthropic or Gemini take it; None where a request has none."""
    options = body.get("generationConfig") or {}
    anthropic = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
    openai = (body.get("response_format") or {}).get("json_schema") or {}
    gemini = options.get("response_json_schema") or options.get("responseJsonSchema")
    return openai.get("schema") or anthropic.get("schema") or gemini


def mode_of(request: Received, schema: Schema) -> str:
    """How a request asks for the schema."""
    body, prompt = request.json, conversation(request)[-1].text
    tools = body.get("tools")
    ways = {
        BY_PROMPT: prompt.endswith(schema.instructions()),
        BY_TOOL: bool(tools) and names(tools[0]["input_schema"]) == names(schema.json_schema),
        NATIVELY: names(native_schema(body)) == names(schema.json_schema),
    }
    return " and ".join(way for way, is_so in ways.items() if is_so)


def names(node: Any) -> Any:
    """What of a schema must reach the model everywhere: types, properties, which are required, choices."""
    if not isinstance(node, dict):
        return [names(one) for one in node] if isinstance(node, list) else node
    kept = {key: node[key] for key in ("type", "$ref", "required", "enum") if key in node}
    kept |= {key: names(node[key]) for key in ("items", "anyOf") if key in node}
    for holder in ("properties", "$defs"):
        kept |= {f"{holder} {key}": names(value) for key, value in (node.get(holder) or {}).items()}
    return kept


@each_kind
@each_case
def test_an_answer_that_fits_is_read(workspace: Workspace, wire: WireServer, kind: str, case: Case) -> None:
    wire.answers(Answer(case.valid, pieces=7, input_tokens=1000, output_tokens=30))
    schema = Schema.of(case.wanted)
    for stream in (True, False):
        reply = workspace.run("What is wrong?", endpoint=kind, schema=case.wanted, stream=stream).raise_for_error()
        assert plain(reply.data) == case.expected
        assert json.loads(reply.output) == json.loads(case.valid)
        assert reply.usage is not None
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (1000, 30)
    assert [mode_of(request, schema) for request in wire.requests] == [mode_for(kind, case)] * 2


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        pytest.param(kind, case, id=f"{kind}-{case.id}")
        for kind in KINDS
        for case in (CASES if kind == "custom" else CASES[::5])
    ],
)
def test_a_wrong_answer_is_asked_for_again_in_the_same_way(
    workspace: Workspace, wire: WireServer, kind: str, case: Case
) -> None:
    wire.answers(Answer(case.wrong), Answer(case.valid))
    schema = Schema.of(case.wanted)
    reply = workspace.run("What is wrong?", endpoint=kind, schema=case.wanted).raise_for_error()
    assert plain(reply.data) == case.expected
    first, second = wire.requests
    assert mode_of(first, schema) == mode_for(kind, case)
    assert mode_for(kind, case) in mode_of(second, schema)
    asked, answered, complaint = conversation(second)
    assert asked.text == conversation(first)[-1].text
    assert (answered.role, json.loads(answered.text)) == ("assistant", json.loads(case.wrong))
    assert case.words in complaint.text
    assert complaint.text.endswith(schema.instructions())

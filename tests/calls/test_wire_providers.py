"""What each provider type is sent and how its answer is read, on a real wire; llama.cpp's own server among them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from wire_calls import ask, text_of
from wire_server import Answer, Received, WireServer

from ccw_magics import Workspace
from ccw_magics.backends.base import AnswerSchema, Exchange, ModelCall, Usage
from ccw_magics.calls.reply import Reply
from ccw_magics.config.credentials import Secret
from ccw_magics.errors import ContextTooLarge, ProviderError

KEY = "sk-7Qw9Zx4Lr2Tb8VnKd5Hm3Gy6Pc1Rf"
SYSTEM, PROMPT = "Be brief.", "Why is the sky blue?"
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@dataclass(frozen=True)
class Said:
    """What a request says, whatever the format calls it."""

    system: str
    prompt: str
    temperature: float | None
    max_tokens: int | None


def _by_openai(body: Any) -> Said:
    system, user = body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    return Said(system["content"], user["content"], body.get("temperature"), limit)


def _by_anthropic(body: Any) -> Said:
    (user,) = body["messages"]
    system, content = body["system"], user["content"]
    return Said(_joined(system), _joined(content), body.get("temperature"), body["max_tokens"])


def _by_google(body: Any) -> Said:
    system = body.get("systemInstruction") or body["system_instruction"]
    (user,) = body["contents"]
    assert user["role"] == "user"
    options = body.get("generationConfig", {})
    limit = options.get("maxOutputTokens", options.get("max_output_tokens"))
    return Said(_joined(system["parts"]), _joined(user["parts"]), options.get("temperature"), limit)


def _by_ollama(body: Any) -> Said:
    system, user = body["messages"]
    options = body.get("options", {})
    return Said(system["content"], user["content"], options.get("temperature"), options.get("num_predict"))


def _joined(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@dataclass(frozen=True)
class Kind:
    """A provider type, and what is expected of a call to it.

    Attributes:
        path: What is asked; `{stream}` stands where a streamed call differs.
        model_in: Where the model stands: `body` or `path`.
        header: Which one carries the key, and what stands before it there.
        read: The request's body, read.
        wants_usage: Whether a stream has to be asked for its usage.
        cached: Of 60 cached tokens, as many as the provider tells.
        written: Likewise of 30 written ones.
        stream_in: Where it says whether to stream: `body` or `path`.
    """

    path: str
    base: str = "/v1"
    model: str = "house-model"
    model_in: str = "body"
    header: tuple[str, str] = ("Authorization", "Bearer ")
    read: Callable[[Any], Said] = _by_openai
    wants_usage: bool = True
    cached: int = 60
    written: int = 0
    stream_in: str = "body"
    settings: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


CHAT = "/v1/chat/completions"
KINDS = {
    "openai": Kind(CHAT, model="gpt-4o"),
    "custom": Kind(CHAT),
    "mistral": Kind(CHAT, model="mistral-small-latest", wants_usage=False),
    "deepseek": Kind("/beta/chat/completions", base="/beta", model="deepseek-chat"),
    "azure": Kind(
        "/openai/deployments/gpt-4o/chat/completions",
        base="",
        model="gpt-4o",
        model_in="path",
        header=("api-key", ""),
        settings={"apiVersion": "2024-02-01"},
        query={"api-version": "2024-02-01"},
    ),
    "anthropic": Kind(
        "/v1/messages",
        base="",
        model="claude-sonnet-4-5",
        header=("x-api-key", ""),
        read=_by_anthropic,
        wants_usage=False,
        written=30,
        headers={"anthropic-version": "2023-06-01"},
    ),
    "google": Kind(
        "/models/gemini-2.5-flash:{stream}",
        base="",
        model="gemini-2.5-flash",
        model_in="path",
        header=("x-goog-api-key", ""),
        read=_by_google,
        wants_usage=False,
        stream_in="path",
    ),
    "ollama": Kind("/api/chat", base="", read=_by_ollama, wants_usage=False, cached=0),
}
EVERY_KIND = pytest.mark.parametrize("name", KINDS)


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


def _endpoint(workspace: Workspace, wire: WireServer, name: str, **settings: Any) -> str:
    kind = KINDS[name]
    provider = workspace.config.add_provider(
        {
            "name": name,
            "type": name,
            "apiKey": KEY,
            "apiBase": wire.url + kind.base,
            "advancedSettings": {"timeout": 30, "maxRetries": 0, **kind.settings},
        }
    )
    workspace.config.add_endpoint({"id": name, "providerId": provider.id, "model": kind.model, **settings})
    return name


def _asked(workspace: Workspace, wire: WireServer, name: str, stream: bool, **options: Any) -> Received:
    settings = options.pop("settings", {})
    endpoint = _endpoint(workspace, wire, name, **settings)
    workspace.run(PROMPT, endpoint=endpoint, stream=stream, **options).raise_for_error()
    (request,) = wire.requests
    return request


@EVERY_KIND
@STREAMED
def test_where_it_is_asked_and_with_what_key(workspace: Workspace, wire: WireServer, name: str, stream: bool) -> None:
    kind, request = KINDS[name], _asked(workspace, wire, name, stream)
    method = "streamGenerateContent" if stream else "generateContent"
    assert (request.method, request.path) == ("POST", kind.path.format(stream=method))
    assert dict(request.query).items() >= kind.query.items()
    assert {header: request.headers.get(header) for header in kind.headers} == kind.headers
    header, before = kind.header
    assert request.headers[header] == before + KEY
    elsewhere = {each: value for each, value in request.headers.items() if each.lower() != header.lower()}
    assert KEY not in f"{request.path}{request.query}{elsewhere}{request.body.decode()}"


@EVERY_KIND
@STREAMED
def test_the_question_is_sent_as_it_was_put(workspace: Workspace, wire: WireServer, name: str, stream: bool) -> None:
    kind = KINDS[name]
    request = _asked(workspace, wire, name, stream, system=SYSTEM, temperature=0.25, max_tokens=64)
    assert kind.read(request.json) == Said(SYSTEM, PROMPT, 0.25, 64)
    if kind.model_in == "body":
        assert request.json["model"] == kind.model


@EVERY_KIND
@STREAMED
def test_a_stream_is_asked_for_only_where_one_is_wanted(
    workspace: Workspace, wire: WireServer, name: str, stream: bool
) -> None:
    kind, body = KINDS[name], _asked(workspace, wire, name, stream).json
    if kind.stream_in == "body":
        assert bool(body.get("stream", False)) == stream
    assert body.get("stream_options") == ({"include_usage": True} if stream and kind.wants_usage else None)


@EVERY_KIND
@STREAMED
def test_what_the_endpoint_says_holds_where_the_call_says_nothing(
    workspace: Workspace, wire: WireServer, name: str, stream: bool
) -> None:
    settings = {"params": {"temperature": 0.75, "maxTokens": 32}, "systemPrompt": SYSTEM}
    kind, request = KINDS[name], _asked(workspace, wire, name, stream, settings=settings)
    assert kind.read(request.json) == Said(SYSTEM, PROMPT, 0.75, 32)


@EVERY_KIND
def test_what_the_call_says_goes_before_what_the_endpoint_says(
    workspace: Workspace, wire: WireServer, name: str
) -> None:
    settings = {"params": {"temperature": 0.75, "maxTokens": 32}, "systemPrompt": "Be verbose."}
    request = _asked(workspace, wire, name, True, settings=settings, system=SYSTEM, max_tokens=64)
    assert KINDS[name].read(request.json) == Said(SYSTEM, PROMPT, 0.75, 64)


@EVERY_KIND
def test_nothing_is_made_up_where_nobody_says_anything(workspace: Workspace, wire: WireServer, name: str) -> None:
    said = KINDS[name].read(_asked(workspace, wire, name, True, system=SYSTEM).json)
    assert said.temperature is None
    assert (said.max_tokens is None) == (name != "anthropic")  # whose requests must have a limit


@pytest.mark.parametrize("name", ["openai", "custom", "deepseek", "azure"])
def test_extra_fields_of_the_endpoint_reach_the_body(workspace: Workspace, wire: WireServer, name: str) -> None:
    request = _asked(workspace, wire, name, True, settings={"params": {"extraBody": {"cache_prompt": True}}})
    assert request.json["cache_prompt"] is True
    assert "extra_body" not in request.json


@EVERY_KIND
@STREAMED
def test_the_usage_is_read_back(workspace: Workspace, wire: WireServer, name: str, stream: bool) -> None:
    kind = KINDS[name]
    written = 30 if kind.written else 0
    wire.answers(Answer("Fine.", input_tokens=1000, cached_tokens=60, written_tokens=written, output_tokens=7))
    reply = workspace.run(PROMPT, endpoint=_endpoint(workspace, wire, name), stream=stream).raise_for_error()
    assert reply.usage == Usage(1000, kind.cached, kind.written, 7)
    assert (reply.output, reply.model) == ("Fine.", kind.model)


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        pytest.param(name, stream, id=f"{name}-{'streamed' if stream else 'whole'}")
        for name in KINDS
        for stream in (True, False)
        # Anthropic always tells it, and not every litellm reads an answer without; nor a whole one of Google's.
        if name != "anthropic" and (stream or name != "google")
    ],
)
def test_no_usage_is_made_up_where_none_is_told(
    workspace: Workspace, wire: WireServer, name: str, stream: bool
) -> None:
    wire.answers(Answer("Fine.", reports_usage=False))
    reply = workspace.run(PROMPT, endpoint=_endpoint(workspace, wire, name), stream=stream).raise_for_error()
    assert (reply.output, reply.usage, reply.cost_usd) == ("Fine.", None, None)


@EVERY_KIND
@STREAMED
def test_thoughts_are_no_part_of_the_answer(workspace: Workspace, wire: WireServer, name: str, stream: bool) -> None:
    wire.answers(Answer("It is.", pieces=["It ", "is."], thinking=["Well. ", "So."]))
    seen: list[tuple[str, str]] = []
    endpoint = _endpoint(workspace, wire, name)
    reply = workspace.run(PROMPT, endpoint=endpoint, stream=stream, on_output=lambda *told: seen.append(told))
    assert reply.raise_for_error().output == "It is."
    assert "".join(text for kind, text in seen if kind == "stdout") == "It is."


def test_anthropics_hour_is_asked_for_and_what_it_wrote_is_counted(workspace: Workspace, wire: WireServer) -> None:
    (workspace.root / "a.py").write_text("a = 1\n" * 200)
    wire.answers(Answer("Fine.", input_tokens=1000, written_tokens=300, output_tokens=7))
    reply = workspace.run("@a.py Why?", endpoint=_endpoint(workspace, wire, "anthropic", providerTtl="1h"))
    assert reply.raise_for_error().usage == Usage(1000, 0, 300, 7)


# ---- llama.cpp's own server, as one that somebody else runs -----------------------------------------------------------

QUESTION = "Say one word about this text: " + "The quick brown fox jumps over the lazy dog. " * 20


@dataclass(frozen=True)
class LlamaServer:
    url: str
    key: str


@pytest.fixture(scope="module")
def llama(fetched_model: Path) -> Iterator[LlamaServer]:
    """The embedded model's server, by its address and key alone; loaded once."""
    from ccw_magics.backends.local_process import ModelSettings, processes

    process = processes.start(ModelSettings(fetched_model))
    yield LlamaServer(process.url, process.headers["Authorization"].removeprefix("Bearer "))
    processes.stop()


def _hosted(
    workspace: Workspace, llama: LlamaServer, kind: str, *, key: str = "", **params: Any
) -> Callable[..., Reply]:
    """Asks llama.cpp's server as a provider of the given type."""
    provider = workspace.config.add_provider(
        {
            "name": "house",
            "type": kind,
            "apiKey": key or llama.key,
            "apiBase": f"{llama.url}/v1",
            "advancedSettings": {"timeout": 60, "maxRetries": 0},
        }
    )
    endpoint = {"id": "house", "providerId": provider.id, "model": "smollm2", "params": params}
    workspace.config.add_endpoint(endpoint)
    return lambda prompt, **options: workspace.run(prompt, endpoint="house", **options)


LLAMA_KINDS = pytest.mark.parametrize("kind", ["custom", "openai"])


@pytest.mark.embedded
@LLAMA_KINDS
@STREAMED
def test_llama_cpp_answers_and_keeps_what_it_has_read(
    workspace: Workspace, llama: LlamaServer, kind: str, stream: bool
) -> None:
    ask = _hosted(workspace, llama, kind)
    options = {"max_tokens": 8, "temperature": 0, "stream": stream}
    question = f"({kind}, {stream}) {QUESTION}"  # one that the server has not read yet
    first, second = (ask(question, **options).raise_for_error() for _ in range(2))
    assert first.output == second.output != ""
    assert first.usage is not None
    assert second.usage is not None
    assert first.usage.input_tokens == second.usage.input_tokens > 150
    assert first.usage.cached_input_tokens < 50
    assert second.usage.cached_input_tokens > 150
    assert 0 < second.usage.output_tokens <= 8
    assert second.cost_usd is None


@pytest.mark.embedded
@LLAMA_KINDS
def test_llama_cpp_refuses_a_wrong_key(workspace: Workspace, llama: LlamaServer, kind: str) -> None:
    reply = _hosted(workspace, llama, kind, key=KEY)("Hi")
    assert isinstance(reply.failure, ProviderError)
    assert (reply.failure.status, reply.failure.retryable) == (401, False)
    assert KEY not in f"{reply.error}{reply.failure.__cause__}"


@pytest.mark.embedded
@LLAMA_KINDS
@STREAMED
def test_llama_cpp_refuses_what_does_not_fit(workspace: Workspace, llama: LlamaServer, kind: str, stream: bool) -> None:
    reply = _hosted(workspace, llama, kind)("word " * 10_000, stream=stream)
    assert isinstance(reply.failure, ContextTooLarge)
    assert reply.output == ""


def _told(llama: LlamaServer, kind: str, prompt: str, **settings: Any) -> tuple[str, Usage]:
    """What the server answers to a call, and the usage."""
    call = ModelCall(kind, "smollm2", prompt, api_key=Secret(llama.key), api_base=f"{llama.url}/v1", **settings)
    (events,) = ask(call)
    assert events[-1].usage is not None
    return text_of(events), events[-1].usage


@pytest.mark.embedded
@LLAMA_KINDS
@STREAMED
def test_llama_cpp_finds_the_turns_before(llama: LlamaServer, kind: str, stream: bool) -> None:
    settings = {"blocks": (f"({kind}, {stream}, in turns) {QUESTION}",), "params": {"max_tokens": 16}, "stream": stream}
    answer, _ = _told(llama, kind, "Which animal jumps?", is_kept=True, **settings)
    turns = (Exchange("Which animal jumps?", answer),)
    _, usage = _told(llama, kind, "Over which one?", turns=turns, is_kept=True, **settings)
    assert usage.cached_input_tokens > 0.8 * usage.input_tokens


@pytest.mark.embedded
@LLAMA_KINDS
@STREAMED
def test_llama_cpp_keeps_to_a_schema(llama: LlamaServer, kind: str, stream: bool) -> None:
    shape = {
        "type": "object",
        "properties": {"animal": {"type": "string", "enum": ["fox", "dog"]}, "is_quick": {"type": "boolean"}},
        "required": ["animal", "is_quick"],
        "additionalProperties": False,
    }
    schema = AnswerSchema("animal", shape, is_strict=True)
    text, _ = _told(llama, kind, "Which animal jumps?", schema=schema, stream=stream, params={"max_tokens": 64})
    found = json.loads(text)
    assert found["animal"] in {"fox", "dog"}
    assert isinstance(found["is_quick"], bool)


@pytest.mark.embedded
@LLAMA_KINDS
def test_llama_cpp_is_free_again_after_a_cancelled_call(workspace: Workspace, llama: LlamaServer, kind: str) -> None:
    """It has one slot: were the endless answer not given up, the next call would wait for it, and fail."""
    ask = _hosted(workspace, llama, kind, extra_body={"ignore_eos": True})

    def interrupt(kind: str, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask("Tell a long story.", on_output=interrupt)
    provider = workspace.config.get_all_providers()[0]
    workspace.config.update_provider(provider.id, {"advancedSettings": {"timeout": 15, "maxRetries": 0}})
    assert ask("Hi", max_tokens=4).raise_for_error().output

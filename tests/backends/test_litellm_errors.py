"""What litellm and a provider's rules make fail: answers without text, requests that cannot be made, wrong dates."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import warnings
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_server import Answer, WireServer

from ccw_magics.backends.base import Done, Event, ModelCall, Text, Usage
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.backends.litellm_errors import clean_error
from ccw_magics.backends.litellm_formats import Seen
from ccw_magics.backends.litellm_wire import retry_after_s
from ccw_magics.config.credentials import Secret
from ccw_magics.errors import CcwError, ConfigError, ProviderError

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
KEY = "sk-canary-0123456789abcdef"
FAMILIES = {
    "openai": ("gpt-4o", "/v1"),
    "custom": ("house-model", "/v1"),
    "lm_studio": ("house-model", "/v1"),
    "perplexity": ("sonar", ""),
    "azure": ("gpt-4o", ""),
    "mistral": ("mistral-small-latest", "/v1"),
    "anthropic": ("claude-sonnet-4-5", ""),
    "google": ("gemini-2.5-flash", ""),
    "xai": ("grok-4", "/v1"),
}
EVERY_WAY = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
EVERY_FAMILY = pytest.mark.parametrize("kind", FAMILIES)


def call_to(kind: str, url: str, key: str = KEY, **more: Any) -> ModelCall:
    model, suffix = FAMILIES[kind]
    version = {"api_version": "2024-02-01"} if kind == "azure" else {}
    return ModelCall(kind, model, "Hi", api_key=Secret(key), api_base=f"{url}{suffix}", **{**version, **more})


def ask(call: ModelCall) -> list[Any]:
    """The events of a call, and its error behind them."""

    async def told() -> list[Any]:
        backend = LiteLLMBackend()
        events = backend.stream(call)
        heard: list[Any] = []
        try:
            while (event := await anext(events, None)) is not None:
                heard.append(event)
        except CcwError as error:
            heard.append(error)
        await backend.aclose()
        return heard

    return asyncio.run(told())


USAGE = {"prompt_tokens": 40, "completion_tokens": 500, "total_tokens": 540}
CLAUDES = {"input_tokens": 40, "output_tokens": 500}
GEMINIS = {"promptTokenCount": 40, "candidatesTokenCount": 500, "totalTokenCount": 540}
REASONS = {  # why an answer ends, by format: at its limit, withheld, by itself
    "openai": ("length", "content_filter", "stop"),
    "anthropic": ("max_tokens", "refusal", "end_turn"),
    "google": ("MAX_TOKENS", "SAFETY", "STOP"),
}


def thought_only(kind: str, reason: str, stream: bool) -> Answer:
    """An answer that is all thoughts."""
    model = FAMILIES[kind][0]
    if kind == "openai":
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
        message = {"role": "assistant", "content": None, "reasoning_content": "hm"}
        events: list[Any] = [
            head | {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            head | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            head | {"choices": [], "usage": USAGE},
        ]
        choices = [{"index": 0, "message": message, "finish_reason": reason}]
        whole = head | {"object": "chat.completion", "choices": choices, "usage": USAGE}
    elif kind == "anthropic":
        opened: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": []}
        block: dict[str, Any] = {"type": "thinking", "thinking": "hm", "signature": "d2lyZQ=="}
        opening = opened | {"usage": {"input_tokens": 40, "output_tokens": 1}, "stop_reason": None}
        events = [
            {"type": "message_start", "message": opening},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 500}},
            {"type": "message_stop"},
        ]
        whole = opened | {"content": [block], "stop_reason": reason, "usage": CLAUDES}
    else:
        parts = {"role": "model", "parts": [{"text": "hm", "thought": True}]}
        candidate = {"index": 0, "content": parts, "finishReason": reason}
        whole = {"candidates": [candidate], "usageMetadata": GEMINIS, "modelVersion": model}
        events = [whole]
    if not stream:
        return Answer(body=whole, content_type="application/json")
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Answer(body=body, content_type="text/event-stream")


@EVERY_WAY
@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.parametrize(
    ("end", "retryable", "words", "hint"),
    [
        (0, False, "within its limit of tokens", "--max-tokens"),
        (1, False, "content filter", "Change the prompt"),
        (2, True, "answered without any text", "Ask again."),
    ],
    ids=["at its limit", "withheld", "by itself"],
)
def test_an_answer_without_text_is_paid_for_and_told_before_it_fails(
    wire: WireServer, kind: str, stream: bool, end: int, retryable: bool, words: str, hint: str
) -> None:
    wire.answers(thought_only(kind, REASONS[kind][end], stream))
    *_, done, error = ask(call_to(kind, wire.url, stream=stream))
    assert isinstance(done, Done)
    assert done.usage == Usage(40, 0, 0, 500)
    assert done.cost_usd is not None
    assert done.cost_usd > 0
    assert isinstance(error, ProviderError)
    assert (error.retryable, error.status) == (retryable, None)
    assert words in error.message
    assert "answered without any text" in error.message
    assert hint in (error.hint or "")


@EVERY_WAY
def test_a_prompt_that_gemini_blocks_is_not_asked_again(wire: WireServer, stream: bool) -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": GEMINIS, "modelVersion": "gemini-2.5-flash"}
    framed = f"data: {json.dumps(body)}\n\n" if stream else body
    wire.answers(Answer(body=framed, content_type="text/event-stream" if stream else "application/json"))
    *_, error = ask(call_to("google", wire.url, stream=stream))
    assert "content filter" in error.message
    assert not error.retryable


def test_a_stream_that_breaks_off_tells_no_usage_that_was_only_begun(wire: WireServer) -> None:
    """Anthropic's first event knows the input; the output it tells is not what will have been written."""
    wire.answers(Answer("one two three", end_after=2, input_tokens=5000))
    events = ask(call_to("anthropic", wire.url))
    assert not [event for event in events if isinstance(event, Done)]
    assert "broke off" in events[-1].message


@EVERY_WAY
@EVERY_FAMILY
@pytest.mark.parametrize("params", [{"stop": {1, 2}}, {"stop": "\ud800"}], ids=["a set", "half a character"])
def test_what_cannot_be_written_is_no_fault_of_the_provider(
    wire: WireServer, kind: str, stream: bool, params: Mapping[str, Any]
) -> None:
    events = ask(call_to(kind, wire.url, stream=stream, params=params))
    if wire.requests:
        assert any(isinstance(event, Text) for event in events)  # litellm left it out, or wrote it in some other way
        return
    (error,) = [event for event in events if isinstance(event, Exception)]
    assert isinstance(error, ProviderError)
    assert (error.status, error.retryable) == (None, False)
    assert "could not be made" in error.message or "does not take the parameter stop" in error.message
    assert "params" in (error.hint or "")
    assert "Traceback" not in error.message


@EVERY_FAMILY
def test_a_parameter_that_the_model_does_not_take_is_named(wire: WireServer, kind: str) -> None:
    params = {"thinking": {"type": "enabled", "budget_tokens": 100}, "temperature": 0.5}
    *_, last = ask(call_to(kind, wire.url, params=params))
    if wire.requests:
        pytest.skip("litellm sends it")
    assert last.message.endswith(f"at {kind} does not take the parameter thinking")
    assert last.hint == "Remove it from the endpoint's params."
    assert (last.status, last.retryable) == (None, False)


@EVERY_WAY
@EVERY_FAMILY
@pytest.mark.parametrize("key", ["ключ-0123456789abcdef", "sk-01234\n56789", "sk-0123456789“", "sk-\ud800", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(
    wire: WireServer, kind: str, stream: bool, key: str
) -> None:
    (error,) = ask(call_to(kind, wire.url, key=key, stream=stream))
    assert isinstance(error, ConfigError)
    assert error.message == f"the key of {kind} holds a character that no header can carry"
    assert key not in str(error)
    assert not wire.requests


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("X-Team", "grün", "the header X-Team holds"),
        ("X-Team", "a\r\nb: c", "the header X-Team holds"),
        ("X Team", "a", "'X Team' cannot"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(wire: WireServer, name: str, value: str, words: str) -> None:
    (error,) = ask(call_to("openai", wire.url, headers={name: Secret(value)}))
    assert isinstance(error, ConfigError)
    assert words in error.message
    assert value not in error.message or value == "a"


CANARIES = {
    "OPENAI_ORGANIZATION": "org-canary",
    "OPENAI_ORG_ID": "org-id-canary",
    "OPENAI_PROJECT_ID": "proj-canary",
    "OPENAI_PROJECT": "project-canary",
    "OPENAI_ADMIN_KEY": "admin-canary",
    "OPENAI_CUSTOM_HEADERS": "X-Custom: custom-canary\nAuthorization: Bearer other-canary",
}


@EVERY_WAY
@EVERY_FAMILY
def test_no_account_of_the_environment_reaches_a_host(
    wire: WireServer, kind: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    assert isinstance(ask(call_to(kind, wire.url, stream=stream))[-1], Done)
    sent = " ".join(f"{name}: {value}" for name, value in wire.requests[0].headers.items()).replace(KEY, "")
    assert "canary" not in sent
    assert "openai-organization" not in sent.lower()


@EVERY_WAY
@pytest.mark.parametrize("kind", ["openai", "custom", "azure"])
def test_an_account_of_the_config_reaches_its_host(
    wire: WireServer, kind: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    ask(call_to(kind, wire.url, stream=stream, organization="org-1", headers={"OpenAI-Project": Secret("proj-1")}))
    sent = wire.requests[0].headers
    assert (sent["OpenAI-Organization"], sent["OpenAI-Project"]) == ("org-1", "proj-1")


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google", "xai"])
@EVERY_WAY
def test_a_call_given_up_at_any_moment_leaves_nothing_unawaited(wire: WireServer, kind: str, stream: bool) -> None:
    turns = 40

    async def first(events: AsyncGenerator[Event, None]) -> Event:
        return await anext(events)

    async def give_up() -> None:
        backend = LiteLLMBackend()
        await backend.warm(call_to(kind, wire.url))
        for turn in range(turns):
            asking = asyncio.create_task(first(backend.stream(call_to(kind, wire.url, stream=stream))))
            for _ in range(turn % 8):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        preparing = [task for task in asyncio.all_tasks() if "LiteLLMBackend._answer" in repr(task)]
        await asyncio.gather(*preparing, return_exceptions=True)
        await backend.aclose()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(give_up())
        gc.collect()
    assert [str(warning.message) for warning in caught if "never awaited" in str(warning.message)] == []
    assert len(wire.requests) < turns


def test_a_trace_in_litellms_words_is_cut_off() -> None:
    trace = 'Boom\nTraceback (most recent call last):\n  File "/home/me/litellm/main.py", line 1'
    error = clean_error(ValueError(trace), ModelCall("openai", "gpt-4o", "Hi"), Seen(requests=1))
    assert error.message == "openai sent an answer that cannot be read: Boom"


@settings(max_examples=200 * FUZZ, deadline=None)
@given(
    st.text()
    | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,4} (Jan|Feb|Dec) \d{1,12} \d{1,4}:\d{1,4}:\d{1,4} ([+-]\d{1,25}|GMT|)\Z")
    | st.floats().map(str)
)
@example("Thu, 01 Jan 2030 00:00:00 +99999999999999999999")
@example("Thu, 01 Jan 99999999999 00:00:00 GMT")
@example("Thu, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("9" * 400)
@example("")
def test_no_wait_that_a_server_asks_for_is_anything_but_seconds(asked: str) -> None:
    for headers in ({"retry-after": asked}, {"retry-after-ms": asked}, {"retry-after-ms": asked, "retry-after": asked}):
        wait_s = retry_after_s(headers)
        assert wait_s is None or 0 <= wait_s < float("inf")

"""What the wire below litellm sees: true statuses, limits, answers that are none; for every family, streamed and not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from wire_calls import CASES, FAMILIES, KEY, ask, call_to, text_of
from wire_faults import http_date, swallowing
from wire_server import Answer, WireServer

from ccw_magics.backends.base import Done, Note, Text
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.errors import ProviderError

STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 504, 520, 529)
RETRYABLE = {408, 409, 429, 500, 502, 503, 504, 520, 529}


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_every_status_is_reported_as_it_came(wire: WireServer, kind: str, stream: bool) -> None:
    wire.answers(*(Answer(status=status) for status in STATUSES))
    errors = ask(*(call_to(kind, wire.url, stream=stream) for _ in STATUSES))
    assert [error.status for error in errors] == list(STATUSES)
    assert {error.status for error in errors if error.retryable} == RETRYABLE
    assert all(f"({error.status})" in error.message for error in errors)
    assert all(error.hint for error in errors)
    assert len(wire.requests) == len(STATUSES)


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_the_wait_that_a_provider_asks_for_comes_with_the_error(wire: WireServer, kind: str, stream: bool) -> None:
    asked = [{"Retry-After": "7"}, {"retry-after-ms": "1500", "Retry-After": "2"}, {"Retry-After": http_date(90)}, {}]
    asked += [{"Retry-After": word} for word in ("soon", "-1", "inf", "nan")]
    wire.answers(*(Answer(status=status, headers=headers) for headers in asked for status in (429, 503)))
    errors = ask(*(call_to(kind, wire.url, stream=stream) for _ in range(2 * len(asked))))
    waits = [error.retry_after_s for error in errors]
    assert waits[:4] == [7.0, 7.0, 1.5, 1.5]
    assert all(80 < wait <= 90 for wait in waits[4:6])
    assert waits[6:] == [None] * len(waits[6:])


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_a_spent_quota_is_no_rate_limit(wire: WireServer, kind: str, stream: bool) -> None:
    spent = {"error": {"message": "You exceeded your current quota, please check your plan and billing details."}}
    bodies = [
        {"error": {**spent["error"], "code": "insufficient_quota", "type": "insufficient_quota"}},
        spent,
        {"error": {"message": "Your credit balance is too low to access the API."}},
    ]
    again = {"error": {**spent["error"], "details": [{"@type": "RetryInfo", "retryDelay": "34s"}]}}
    wire.answers(*(Answer(status=429, body=body) for body in (*bodies, again)))
    *used_up, limited = ask(*(call_to(kind, wire.url, stream=stream) for _ in range(4)))
    for error in used_up:
        assert (error.status, error.retryable, error.retry_after_s) == (429, False, None)
        assert "credit" in error.hint
    assert (limited.status, limited.retryable, limited.retry_after_s) == (429, True, 34.0)


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_a_connection_is_waited_for_no_longer_than_said(kind: str, stream: bool) -> None:
    with swallowing() as url:
        begun_s = time.monotonic()
        (error,) = ask(call_to(kind, url, stream=stream, connect_timeout_s=0.2))
    assert time.monotonic() - begun_s < 10
    assert isinstance(error, ProviderError)
    assert "no connection within 0.2 s" in error.message
    assert error.retryable


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_what_is_no_answer_never_passes_for_one(wire: WireServer, kind: str, stream: bool) -> None:
    page = "<html><body>Welcome to the hotel's network</body></html>"
    faults = [
        (Answer(malformed=True), "cannot be read"),
        (Answer(body=page, content_type="text/html"), "cannot be read"),
        (Answer(body=page, content_type="text/event-stream" if stream else "application/json"), "cannot be read"),
        (Answer(empty=True), "without any text" if stream else "cannot be read"),
        (Answer("one two three", cut_after=2), "broke off"),
    ]
    wire.answers(*(answer for answer, _ in faults))
    errors = ask(*(call_to(kind, wire.url, stream=stream) for _ in faults))
    for error, (answer, words) in zip(errors, faults, strict=True):
        assert isinstance(error, ProviderError), answer
        assert words in error.message, answer
        assert error.retryable
        assert error.status is None
    assert len(wire.requests) == len(faults)


def whole_stream(kind: str) -> list[bytes]:
    """A stream of this family as the wire server writes it, event by event."""
    from wire_formats import FORMATS, Received

    ends = {"anthropic": "/messages", "google": ":streamGenerateContent", "ollama": "/api/chat"}
    path = ends.get(kind, "/chat/completions")
    asked = {"model": FAMILIES[kind][0], "stream_options": {"include_usage": True}}
    request = Received("POST", path, {}, {}, b"", asked, 0.0)
    form, answer = FORMATS[path], Answer("one two")
    stream = b"".join(
        [
            form.opening(answer, request),
            *(form.piece(text, answer, request) for text in answer.cut()),
            form.closing(answer, request),
        ]
    )
    end = b"\n" if kind == "ollama" else b"\n\n"
    return [event + end for event in stream.split(end) if event]


NEEDED = {"anthropic": 2, "google": 1, "ollama": 1, "mistral": 2}
"""How many events of a stream's end can be missing before the text is in doubt."""


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_stream_cut_between_two_events_is_an_error(wire: WireServer, kind: str) -> None:
    events = whole_stream(kind)
    last = len(events) - NEEDED.get(kind, 3)
    media_type = "application/x-ndjson" if kind == "ollama" else "text/event-stream"
    lengths = range(1, len(events) + 1)
    wire.answers(*(Answer(body=b"".join(events[:length]), content_type=media_type) for length in lengths))
    outcomes = ask(*(call_to(kind, wire.url) for _ in lengths))
    for length, outcome in zip(lengths, outcomes, strict=True):
        if length > last:
            assert text_of(outcome) == "one two", length
        else:
            assert isinstance(outcome, ProviderError), (length, outcome)
            assert "broke off" in outcome.message or "without any text" in outcome.message


@pytest.mark.parametrize("kind", FAMILIES)
def test_an_error_in_the_middle_of_a_stream_has_the_status_it_would_have_had(wire: WireServer, kind: str) -> None:
    wire.answers(Answer("one two three", error_after=2))
    (error,) = ask(call_to(kind, wire.url))
    assert (error.status, error.retryable) == (500, True)
    assert "fault in the middle" in error.message


def test_an_overloaded_anthropic_says_so_in_the_middle_of_a_stream(wire: WireServer) -> None:
    start = whole_stream("anthropic")[:4]
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    body = b"".join(start) + f"event: error\ndata: {json.dumps(told)}\n\n".encode()
    wire.answers(Answer(body=body, content_type="text/event-stream"))
    (error,) = ask(call_to("anthropic", wire.url))
    assert (error.status, error.message) == (529, "anthropic is overloaded (529): Overloaded")


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_of_a_large_error_only_the_beginning_is_read(wire: WireServer, kind: str, stream: bool) -> None:
    page = b"<html><style>p { }</style><p>Bad gateway</p>" + b"<p>sorry</p>" * 5_000_000
    wire.answers(Answer(status=502, body=page, content_type="text/html"))
    (error,) = ask(call_to(kind, wire.url, stream=stream))
    assert error.status == 502
    assert "Bad gateway" in error.message
    assert len(error.message) < 400
    assert len(str(error.__cause__)) < 1_000_000


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google", "ollama"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_large_answer_is_read(wire: WireServer, kind: str, stream: bool) -> None:
    wire.answers(Answer("x" * 5_000_000, pieces=["x" * 2_500_000] * 2))
    (events,) = ask(call_to(kind, wire.url, stream=stream))
    assert len(text_of(events)) == 5_000_000


def test_another_host_does_not_get_the_key_by_a_redirection(wire: WireServer) -> None:
    with WireServer() as other:
        target = other.url.replace("127.0.0.1", "localhost")
        wire.answers(Answer(status=307, body="", headers={"Location": f"{target}/v1/chat/completions"}))
        for kind in ("openai", "anthropic", "google"):
            (error,) = ask(call_to(kind, wire.url))
            assert "another host" in error.message
            assert not error.retryable
        assert len(other.requests) == 0


def test_a_redirection_within_the_host_is_followed(wire: WireServer) -> None:
    moved = Answer(status=308, body="", headers={"Location": f"{wire.url}/new/chat/completions"})
    wire.answers(moved, Answer("Here."))
    (events,) = ask(call_to("openai", wire.url))
    assert text_of(events) == "Here."


def test_servers_that_leave_out_done_or_blank_lines_are_understood(wire: WireServer) -> None:
    events = whole_stream("custom")
    careless = [b"".join(events[:-1]), b": keep-alive\n\n" + b"".join(events).replace(b"\n\n", b"\r\n\r\n")]
    wire.answers(
        *(Answer(body=body, content_type=kind) for body in careless for kind in ("text/event-stream", "text/plain"))
    )
    assert [text_of(events) for events in ask(*[call_to("custom", wire.url)] * 4)] == ["one two"] * 4


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_model_that_thinks_gives_a_sign_of_life(wire: WireServer, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind not in {"custom", "deepseek", "anthropic"}:
        pytest.skip("spoken like one of the others")
    events = whole_stream(kind)
    if kind == "anthropic":
        thought: dict[str, Any] = {"type": "content_block_delta", "index": 0}
        thought["delta"] = {"type": "thinking_delta", "thinking": "hm"}
        framed = f"event: content_block_delta\ndata: {json.dumps(thought)}\n\n".encode()
    else:
        chunk = json.loads(events[1].removeprefix(b"data: "))
        chunk["choices"][0]["delta"] = {"reasoning_content": "hm"}
        framed = f"data: {json.dumps(chunk)}\n\n".encode()
    body = b"".join([*events[:2], framed * 5, *events[2:]])
    wire.answers(Answer(body=body, content_type="text/event-stream"))
    (heard,) = ask(call_to(kind, wire.url))
    assert [event for event in heard if isinstance(event, Note)] == [Note("thinking…")]
    assert text_of(heard) == "one two"
    monkeypatch.setattr("ccw_magics.backends.litellm_answer.NOTE_S", 0.0)
    (heard,) = ask(call_to(kind, wire.url))
    assert len([event for event in heard if isinstance(event, Note)]) == 5


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_usage_that_a_provider_does_not_tell_is_not_made_up(wire: WireServer, kind: str, stream: bool) -> None:
    if kind == "anthropic" or (kind == "google" and not stream):
        pytest.skip("they always tell it, and litellm takes no answer without")
    wire.answers(Answer("one two", reports_usage=False))
    (events,) = ask(call_to(kind, wire.url, stream=stream))
    assert isinstance(events[-1], Done)
    assert (events[-1].usage, events[-1].cost_usd, events[-1].uncached_cost_usd) == (None, None, None)


REDIRECTIONS: dict[str, Callable[[str], Any]] = {
    "api_base": lambda url: url,
    "base_url": lambda url: url,
    "api_key": lambda _: "sk-other",
    "custom_llm_provider": lambda _: "openai",
    "extra_headers": lambda _: {"Authorization": "Bearer other", "x-api-key": "other"},
    "headers": lambda _: {"Authorization": "Bearer other", "x-api-key": "other"},
    "mock_response": lambda _: "mock",
    "azure_ad_token": lambda _: "other",
    "fallbacks": lambda url: [{"model": "openai/other", "api_base": url}],
    "client": lambda _: None,
    "model": lambda _: "openai/other",
    "organization": lambda _: "org-other",
    "messages": lambda _: [],
    "extra_body": lambda url: {"api_base": url, "extra_headers": {"x-api-key": "other"}},
}


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("nested", [False, True], ids=["at the top", "in extra_body"])
def test_no_parameter_leads_a_call_or_its_key_elsewhere(wire: WireServer, kind: str, nested: bool) -> None:
    with WireServer() as other:
        found = [{name: value(other.url)} for name, value in REDIRECTIONS.items()]
        params = [{"extra_body": one} for one in found] if nested else found
        outcomes = ask(*(call_to(kind, wire.url, params=one) for one in params))
        assert [type(outcome).__name__ for outcome in outcomes] == ["ConfigError"] * len(params)
        assert len(other.requests) == len(wire.requests) == 0


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_is_in_extra_body_reaches_the_server(wire: WireServer, kind: str) -> None:
    params = {"temperature": 0.5, "extra_body": {"house_rule": {"level": 3}}}
    (events,) = ask(call_to(kind, wire.url, params=params))
    assert text_of(events) == "Hello from the wire."
    assert "house_rule" in json.dumps(wire.requests[0].json)
    assert [word.removeprefix("Bearer ") for word in wire.requests[0].credentials] == [KEY]


@pytest.mark.parametrize("kind", FAMILIES)
def test_an_answer_given_up_is_hung_up_on(wire: WireServer, kind: str) -> None:
    wire.answers(Answer("one two", pieces=["one ", "two"], stall_after=1))

    async def give_up() -> None:
        backend = LiteLLMBackend()
        events = backend.stream(call_to(kind, wire.url))
        async for event in events:
            if isinstance(event, Text):
                break
        await events.aclose()
        assert await asyncio.to_thread(wire.disconnects.wait, 1)
        await backend.aclose()

    asyncio.run(give_up())

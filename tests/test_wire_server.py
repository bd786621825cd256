"""The wire server speaks so that litellm understands it, and its faults happen on the wire."""

from __future__ import annotations

import asyncio
import calendar
import json
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from wire_faults import NO_SUCH_HOST, http_date, refused, self_signed, signed_by_a_stranger, swallowing
from wire_server import Answer, Received, WireServer

KEY = "sk-canary-123"
TEXT = ["Hel", "lo, ", "wörld", "\n\n```py\n", "x = 1"]
OPENAI = "/v1/chat/completions"
CHATS = {  # litellm's model, the base's path, the path that is asked, cached and written tokens reported
    "openai": ("openai/gpt-4o", "/v1", OPENAI, 40, None),
    "compatible": ("openai/own-model", "/any/base", "/any/base/chat/completions", 40, None),
    "azure": ("azure/mine", "", "/openai/deployments/mine/chat/completions", 40, None),
    "mistral": ("mistral/mistral-small", "/v1", OPENAI, 40, None),
    "deepseek": ("deepseek/deepseek-chat", "/beta", "/beta/chat/completions", 40, None),
    "anthropic": ("anthropic/claude-sonnet-4-20250514", "", "/v1/messages", 40, 20),
    "gemini": ("gemini/gemini-2.5-flash", "/v1beta", "/v1beta/models/gemini-2.5-flash:generateContent", 40, None),
    "ollama_chat": ("ollama_chat/own-model", "", "/api/chat", None, None),
    "ollama": ("ollama/own-model", "", "/api/generate", None, None),
}
FORMATS = {
    "openai": OPENAI,
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:streamGenerateContent",
    "ollama_chat": "/api/chat",
    "ollama": "/api/generate",
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all of litellm's calls: it keeps its connections, and they belong to a loop."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        patch.setattr(litellm, "suppress_debug_info", True)
        yield runner
        runner.run(litellm.close_litellm_async_clients())


async def complete(url: str, model: str, **more: Any) -> tuple[list[str], Any]:
    """The pieces of the answer and the usage, as litellm reads them."""
    import litellm

    question = [{"role": "user", "content": "Hi?"}]
    common = {"api_key": KEY, "num_retries": 0, "max_retries": 0, "timeout": 10, "api_version": "2024-10-21"}
    reply = await litellm.acompletion(model=model, api_base=url, messages=question, **common, **more)
    if not more:
        return [reply.choices[0].message.content], reply.usage
    pieces, usage = [], None
    async for chunk in reply:
        pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = getattr(chunk, "usage", None) or usage
    return pieces, usage


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "base", "path", "cached", "written"), CHATS.values(), ids=CHATS)
def test_litellm_gets_text_and_usage(
    wire: WireServer,
    runner: asyncio.Runner,
    model: str,
    base: str,
    path: str,
    cached: int | None,
    written: int | None,
    stream: bool,
) -> None:
    wire.answers(Answer(pieces=TEXT, input_tokens=100, cached_tokens=40, written_tokens=20, output_tokens=7))
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    pieces, usage = runner.run(complete(wire.url + base, model, **more))
    assert pieces == (TEXT if stream else ["".join(TEXT)])
    assert (usage.prompt_tokens, usage.completion_tokens) == (100, 7)
    details = usage.prompt_tokens_details
    assert getattr(details, "cached_tokens", None) == cached
    assert getattr(usage, "cache_creation_input_tokens", None) == written
    (request,) = wire.requests
    assert request.path == (path.replace(":g", ":streamG") if stream else path)
    assert [credential.removeprefix("Bearer ") for credential in request.credentials] == [KEY]
    assert "Hi?" in request.body.decode()
    assert len(request.sent_s) == (len(TEXT) + 1 if stream else 1)


@pytest.mark.parametrize("name", CHATS)
def test_litellm_gets_the_key_echoed(wire: WireServer, runner: asyncio.Runner, name: str) -> None:
    import litellm

    wire.answers(Answer(echo_key=True))
    model, base, *_ = CHATS[name]
    with pytest.raises(litellm.AuthenticationError, match="Incorrect API key"):
        runner.run(complete(wire.url + base, model))


def test_ollama_is_told_about_a_model(wire: WireServer) -> None:
    told = httpx.post(f"{wire.url}/api/show", json={"name": "own-model"}).json()
    assert told["model_info"]["wire.context_length"] == 8192
    assert (len(wire.lookups), len(wire.requests)) == (1, 0)


def test_another_path_is_not_found(wire: WireServer) -> None:
    assert httpx.get(f"{wire.url}/v1/models").status_code == 404
    assert (wire.lookups[0].method, wire.lookups[0].path) == ("GET", "/v1/models")


def ask(wire: WireServer, path: str = OPENAI, **more: Any) -> httpx.Response:
    return httpx.post(wire.url + path, json={"model": "m", "stream": True, **more}, headers={"x-api-key": KEY})


def read(wire: WireServer, path: str = OPENAI, *, stream: bool = True, timeout_s: float = 10.0) -> tuple[str, str]:
    """What came, and the name of the error that ended it, or an empty string."""
    came = ""
    try:
        body = {"model": "m", "stream": stream}
        with httpx.stream("POST", wire.url + path, json=body, timeout=timeout_s) as response:
            came = f"{response.status_code} "
            for text in response.iter_text():
                came += text
    except httpx.HTTPError as error:
        return came, type(error).__name__
    return came, ""


def test_answers_come_in_order_and_the_last_repeats(wire: WireServer) -> None:
    wire.answers(Answer(status=429, headers={"Retry-After": "3"}), Answer(status=503), Answer())
    replies = [ask(wire) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [429, 503, 200, 200]
    assert replies[0].headers["retry-after"] == "3"


def test_an_answer_may_depend_on_the_request(wire: WireServer) -> None:
    def choose(request: Received) -> Answer:
        return Answer(status=429) if request.model == "busy" else Answer()

    wire.answers(choose)
    assert [ask(wire, model=name).status_code for name in ("busy", "free", "busy")] == [429, 200, 429]


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_an_error_is_json_with_a_message(wire: WireServer, path: str, status: int) -> None:
    wire.answers(Answer(status=status))
    reply = ask(wire, path)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json")
    assert f"fault {status}" in json.dumps(reply.json()["error"])


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "x-goog-api-key", "api-key"])
def test_the_key_is_echoed_from(wire: WireServer, header: str) -> None:
    wire.answers(Answer(echo_key=True, status=403))
    reply = httpx.post(wire.url + OPENAI, json={}, headers={header: f"Bearer {KEY}"})
    assert (reply.status_code, KEY in reply.text) == (403, True)


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("after", [0, 1, 2, 99])
def test_a_cut_stream_ends_without_its_end(wire: WireServer, path: str, after: int) -> None:
    wire.answers(Answer(pieces=["one", "two", "three"], cut_after=after))
    came, error = read(wire, path)
    assert error == "RemoteProtocolError"
    assert [piece in came for piece in ("one", "two", "three")] == [after > place for place in range(3)]
    assert came.startswith("200") == (after > 0)
    assert not wire.disconnects


@pytest.mark.parametrize("after", [0, 1])
def test_a_cut_body_ends_in_the_middle(wire: WireServer, after: int) -> None:
    wire.answers(Answer(cut_after=after))
    came, error = read(wire, stream=False)
    assert (error, bool(came)) == ("RemoteProtocolError", after > 0)
    assert "usage" not in came


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_stall_lasts_until_the_client_goes(wire: WireServer, after: int, stream: bool) -> None:
    wire.answers(Answer(stall_after=after))
    came, error = read(wire, stream=stream, timeout_s=0.1)
    assert (error, bool(came)) == ("ReadTimeout", after > 0)
    assert wire.disconnects.wait()
    assert wire.disconnects[0].request is wire.requests[0]
    assert wire.disconnects[0].at_s > wire.requests[0].at_s


def test_a_client_that_leaves_between_pieces_is_noticed(wire: WireServer) -> None:
    wire.answers(Answer(pieces=["one", "two"], gap_s=60.0))
    with httpx.stream("POST", wire.url + OPENAI, json={"stream": True}) as response:
        assert response.status_code == 200
        assert wire.requests[0].sent_s.wait()
    assert wire.disconnects.wait()


@pytest.mark.parametrize("answer", [Answer(stall_after=0), Answer(stall_after=1), Answer(delay_s=60), Answer(gap_s=60)])
def test_stopping_the_server_ends_every_wait(answer: Answer) -> None:
    outcome: list[tuple[str, str]] = []
    with WireServer() as server:
        server.answers(answer)
        client = threading.Thread(target=lambda: outcome.append(read(server, timeout_s=60.0)))
        client.start()
        assert server.requests.wait()
    client.join(10)
    assert [error for _, error in outcome] in (["RemoteProtocolError"], ["ReadError"])
    assert not server.disconnects
    assert not server._thread.is_alive()


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
def test_an_error_in_the_middle_of_a_stream(wire: WireServer, path: str) -> None:
    wire.answers(Answer(pieces=["one", "two"], error_after=1))
    came, error = read(wire, path)
    assert (came[:3], error) == ("200", "")
    assert ["one" in came, "two" in came, "fault in the middle" in came] == [True, False, True]


def events(text: str) -> Iterator[str]:
    for line in text.splitlines():
        data = line.removeprefix("data: ")
        if data and not data.startswith(("event: ", "[DONE]")):
            yield data


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
def test_one_event_is_malformed(wire: WireServer, path: str) -> None:
    wire.answers(Answer(pieces=["one", "two"], malformed=True))
    broken = []
    for event in events(ask(wire, path).text):
        try:
            json.loads(event)
        except ValueError:
            broken.append(event)
    assert ["two" in event for event in broken] == [True]


def test_a_body_is_malformed(wire: WireServer) -> None:
    wire.answers(Answer(malformed=True))
    with pytest.raises(ValueError, match="delimiter"):
        ask(wire, stream=False).json()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_empty_answer(wire: WireServer, stream: bool) -> None:
    wire.answers(Answer(empty=True))
    reply = ask(wire, stream=stream)
    assert (reply.status_code, reply.content) == (200, b"")


def test_any_body_under_any_content_type(wire: WireServer) -> None:
    wire.answers(Answer(body="<p>Log in</p>", content_type="text/html"), Answer(content_type="text/plain"))
    portal, stream = ask(wire), ask(wire)
    assert (portal.status_code, portal.text, portal.headers["content-type"]) == (200, "<p>Log in</p>", "text/html")
    assert (stream.headers["content-type"], "[DONE]" in stream.text) == ("text/plain", True)


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_provider_may_keep_its_usage_to_itself(wire: WireServer, path: str, stream: bool) -> None:
    path = path if stream else path.replace(":streamG", ":g")
    options = {"stream": stream, "stream_options": {"include_usage": True}}
    wire.answers(Answer(input_tokens=4321), Answer(input_tokens=4321, reports_usage=False))
    assert ["4321" in ask(wire, path, **options).text for _ in range(2)] == [True, False]


def test_openai_tells_the_usage_of_a_stream_only_when_asked(wire: WireServer) -> None:
    assert "usage" not in ask(wire).text


def test_a_large_request_is_taken(wire: WireServer) -> None:
    assert ask(wire, padding="x" * 5_000_000).status_code == 200
    assert len(wire.requests[0].body) > 5_000_000


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("after", [0, 1, 99])
def test_a_reset_breaks_the_connection(wire: WireServer, path: str, after: int) -> None:
    wire.answers(Answer(pieces=["one", "two", "three"], reset_after=after, gap_s=0.05))
    came, error = read(wire, path)
    assert error == "ReadError"
    assert [piece in came for piece in ("one", "two", "three")] == [after > place for place in range(3)]
    assert came.startswith("200") == (after > 0)


def test_a_reset_in_the_middle_of_a_body(wire: WireServer) -> None:
    wire.answers(Answer(reset_after=1, gap_s=0.05))
    came, error = read(wire, stream=False)
    assert (error, came.startswith('200 {"id"'), "usage" in came) == ("ReadError", True, False)


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("after", [0, 1, 99])
def test_a_stream_may_end_without_its_format_ending_it(wire: WireServer, path: str, after: int) -> None:
    wire.answers(Answer(pieces=["one", "two", "three"], end_after=after))
    came, error = read(wire, path)
    assert error == ""
    assert [piece in came for piece in ("one", "two", "three")] == [after > place for place in range(3)]
    assert not any(end in came for end in ("[DONE]", "message_stop", "finishReason", "done_reason"))


@pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)
def test_a_malformed_event_in_the_middle_is_followed_by_whole_ones(wire: WireServer, path: str) -> None:
    wire.answers(Answer(pieces=["one", "two", "three"], malformed_at=1))
    broken = []
    for event in events(ask(wire, path).text):
        try:
            json.loads(event)
        except ValueError:
            broken.append(event)
    assert ["two" in event for event in broken] == [True]


def test_a_slow_drip_brings_all_of_it_a_byte_at_a_time(wire: WireServer) -> None:
    wire.answers(Answer(pieces=["one", "two"], drip_bytes=1))
    with httpx.stream("POST", wire.url + OPENAI, json={"model": "m", "stream": True}) as response:
        lots = list(response.iter_raw())
    assert len(lots) > 50
    assert b"".join(lots).endswith(b"data: [DONE]\n\n")


def test_a_drip_with_pauses_never_gets_to_the_first_event(wire: WireServer) -> None:
    wire.answers(Answer(drip_bytes=1, gap_s=60.0))
    came, error = read(wire, timeout_s=0.1)
    assert (came, error) == ("200 d", "ReadTimeout")
    assert wire.disconnects.wait()


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_of_50_mb(wire: WireServer, status: int) -> None:
    wire.answers(Answer(body=b"x" * 50_000_000, status=status))
    reply = ask(wire)
    assert (reply.status_code, len(reply.content)) == (status, 50_000_000)


THOUGHTS = {"anthropic": "thinking", "gemini": "thought", "ollama_chat": "thinking", "ollama": "thinking"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FORMATS)
def test_thoughts_come_before_the_text_under_a_name_of_their_own(wire: WireServer, name: str, stream: bool) -> None:
    path = FORMATS[name] if stream else FORMATS[name].replace(":streamG", ":g")
    wire.answers(Answer("Fine.", pieces=["Fine."], thinking=["Well. ", "So."]))
    came = ask(wire, path, stream=stream).text
    assert came.index("Well. ") < came.index("So.")
    assert came.index("So.") < came.index("Fine.") or not stream
    assert THOUGHTS.get(name, "reasoning_content") in came


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "model", ["deepseek/deepseek-reasoner", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "ollama_chat/own"]
)
def test_litellm_tells_thoughts_from_text(wire: WireServer, runner: asyncio.Runner, model: str, stream: bool) -> None:
    wire.answers(Answer("Fine.", pieces=["Fine."], thinking=["Well. ", "So."]))
    pieces, _ = runner.run(complete(wire.url, model, **({"stream": True} if stream else {})))
    assert pieces == ["Fine."]


@pytest.mark.parametrize("ttl", [None, "5m", "1h"])
def test_anthropic_tells_how_long_what_was_written_lasts(wire: WireServer, ttl: str | None) -> None:
    wire.answers(Answer(input_tokens=100, written_tokens=60))
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})}
    messages = [{"role": "user", "content": [part]}]
    usage = ask(wire, FORMATS["anthropic"], stream=False, messages=messages).json()["usage"]
    lasts = ttl == "1h"
    assert usage["cache_creation_input_tokens"] == 60
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 0 if lasts else 60,
        "ephemeral_1h_input_tokens": 60 if lasts else 0,
    }


def test_nobody_answers_where_nobody_listens() -> None:
    with refused() as url, pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_full_queue_keeps_who_knocks_waiting() -> None:
    with swallowing() as url, pytest.raises(httpx.ConnectTimeout):
        httpx.get(url, timeout=0.2)


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(NO_SUCH_HOST)


def test_a_certificate_that_signed_itself_is_not_believed() -> None:
    with WireServer(self_signed()) as server, pytest.raises(httpx.ConnectError, match="self-signed"):
        httpx.post(server.url + OPENAI, json={})


def test_a_strangers_certificate_is_believed_where_he_is_known() -> None:
    tls, authority = signed_by_a_stranger()
    with WireServer(tls) as server:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.post(server.url + OPENAI, json={})
        known = ssl.create_default_context(cadata=authority.decode())
        assert httpx.post(server.url + OPENAI, json={}, verify=known).status_code == 200


def test_a_date_is_written_as_http_has_it() -> None:
    parsed = time.strptime(http_date(3600), "%a, %d %b %Y %H:%M:%S GMT")
    assert 3590 < calendar.timegm(parsed) - time.time() < 3610

"""Tries, keys, deadlines and fallbacks, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from wire_server import Answer, WireServer

from ccw_magics import Workspace
from ccw_magics.errors import ConfigError, ContextTooLarge, ProviderError, SecretMissing

KEYS = {"ONE": "sk-first-0123456789abcdef", "TWO": "sk-other-0123456789abcdef", "SIX": "sk-third-0123456789abcdef"}


@pytest.fixture
def workspace(project: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    return Workspace(project)


def _endpoint(workspace: Workspace, wire: WireServer, name: str = "wired", **settings: Any) -> None:
    """An endpoint with a provider of its own at the server."""
    endpoint = settings.pop("endpoint", {})
    provider = workspace.config.add_provider(
        {"name": name, "type": "openai", "apiKey": "${ONE}", "apiBase": f"{wire.url}/v1", **settings}
    )
    workspace.config.add_endpoint({"id": name, "name": "", "providerId": provider.id, "model": "gpt-4o", **endpoint})


def _notes(workspace: Workspace, prompt: str = "Hi", **options: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    tell = lambda kind, text: notes.append(text) if kind == "stderr" else None  # noqa: E731
    return workspace.run(prompt, endpoint="wired", on_output=tell, **options), notes


def _used(wire: WireServer) -> list[str]:
    return [request.credentials[0].removeprefix("Bearer ") for request in wire.requests]


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=429),
        Answer(status=429, headers={"Retry-After": "7"}),
        Answer(status=500),
        Answer(status=503),
        Answer(cut_after=0),
        Answer(empty=True),
    ],
    ids=["429", "429 with Retry-After", "500", "503", "cut before the answer", "empty"],
)
def test_a_transient_failure_is_tried_again(workspace: Workspace, wire: WireServer, fault: Answer) -> None:
    _endpoint(workspace, wire)
    wire.answers(fault, fault, Answer("At last."))
    reply, notes = _notes(workspace)
    assert reply.raise_for_error().output == "At last."
    assert reply.retries == 2
    assert len(wire.requests) == len(reply.attempts) == 3
    assert len([note for note in notes if "asking again" in note]) == 2
    assert "2 retries" in reply.summary()
    assert "(2 times)" in reply.remarks()[0]


def test_the_wait_is_what_the_provider_asks_for(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire)
    wire.answers(Answer(status=429, headers={"Retry-After": "7"}), Answer("At last."))
    _, notes = _notes(workspace)
    assert any("asking again in 7 s" in note for note in notes)


def test_a_wait_beyond_the_deadline_is_not_begun(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire)
    wire.answers(Answer(status=429, headers={"Retry-After": "3600"}))
    reply, _ = _notes(workspace)
    with pytest.raises(ProviderError) as raised:
        reply.raise_for_error()
    assert raised.value.retry_after_s == 3600
    assert len(wire.requests) == 1


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_there_are_as_many_tries_as_the_config_says(workspace: Workspace, wire: WireServer, retries: int) -> None:
    _endpoint(workspace, wire, advancedSettings={"maxRetries": retries})
    wire.answers(Answer(status=503))
    reply, _ = _notes(workspace)
    assert not reply.success
    assert len(wire.requests) == len(reply.attempts) == retries + 1
    assert reply.retries == retries


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_will_fail_again_is_not_tried_again(workspace: Workspace, wire: WireServer, status: int) -> None:
    _endpoint(workspace, wire)
    wire.answers(Answer(status=status))
    reply, _ = _notes(workspace)
    assert not reply.success
    assert len(wire.requests) == 1


def test_nothing_is_tried_again_after_text_was_shown(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire)
    wire.answers(Answer(pieces=["one ", "two ", "three"], cut_after=2), Answer("Whole."))
    reply, _ = _notes(workspace)
    assert (reply.success, reply.output) == (False, "one two ")
    assert len(wire.requests) == 1


def test_unless_the_user_asks_for_it(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire)
    wire.answers(Answer(pieces=["one ", "two ", "three"], cut_after=2), Answer("Whole."))
    shown: list[str] = []
    reply = workspace.run(
        "Hi",
        endpoint="wired",
        retry_cut=True,
        on_output=lambda kind, text: shown.append(text) if kind == "stdout" else None,
    )
    assert (reply.success, reply.output) == (True, "Whole.")
    assert "".join(shown) == "one two \n\n---\n\nWhole."


@pytest.mark.parametrize(
    ("settings", "answer", "words", "tries"),
    [
        pytest.param({"timeout": 0.4}, Answer(stall_after=0), "did not finish within 0.4 s", 1, id="whole"),
        pytest.param({"timeout": 0.4}, Answer(stall_after=2), "did not finish within 0.4 s", 1, id="whole, with text"),
        pytest.param(
            {"firstTokenTimeout": 0.2, "maxRetries": 1},
            Answer(stall_after=0),
            "did not begin to answer within 0.2 s",
            2,
            id="first",
        ),
        pytest.param(
            {"betweenTokensTimeout": 0.2, "maxRetries": 1},
            Answer(stall_after=2),
            "fell silent: nothing came within 0.2 s",
            1,
            id="between",
        ),
    ],
)
def test_time_limits(
    workspace: Workspace, wire: WireServer, settings: dict[str, Any], answer: Answer, words: str, tries: int
) -> None:
    _endpoint(workspace, wire, advancedSettings=settings)
    wire.answers(answer)
    reply, _ = _notes(workspace)
    with pytest.raises(ProviderError, match=words):
        reply.raise_for_error()
    assert len(wire.requests) == len(reply.attempts) == tries
    assert wire.disconnects.wait(tries)


def _several(strategy: str | None = None, **more: Any) -> dict[str, Any]:
    keys = [{"id": "b", "key": "${TWO}", "weight": 3}, {"id": "c", "key": "${SIX}"}]
    return {"apiKeys": keys, **({"routingStrategy": strategy} if strategy else {}), **more}


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refused_key_gives_way_to_the_next_at_once(workspace: Workspace, wire: WireServer, status: int) -> None:
    _endpoint(workspace, wire, **_several(), advancedSettings={"maxRetries": 0})
    wire.answers(lambda request: Answer(status=status) if KEYS["ONE"] in request.credentials[0] else Answer("Yes."))
    reply, notes = _notes(workspace)
    assert reply.raise_for_error().output == "Yes."
    assert _used(wire) == [KEYS["ONE"], KEYS["TWO"]]
    assert any("trying another key" in note for note in notes)
    assert reply.remarks()[0].startswith("wired, key sk-…def: ")
    assert reply.key == "sk-…def"
    assert "key sk-…def" in reply.summary()
    _notes(workspace)
    assert _used(wire)[2:] == [KEYS["TWO"]]  # the first one cools down


def test_all_keys_refused_is_an_error(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, **_several())
    wire.answers(Answer(status=401))
    reply, _ = _notes(workspace)
    with pytest.raises(ProviderError, match="refused the key"):
        reply.raise_for_error()
    assert sorted(_used(wire)) == sorted(KEYS.values())


def test_a_key_whose_variable_is_not_set_is_left_out(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONE")
    _endpoint(workspace, wire, **_several())
    _notes(workspace)[0].raise_for_error()
    assert _used(wire) == [KEYS["TWO"]]
    for name in ("TWO", "SIX"):
        monkeypatch.delenv(name)
    with pytest.raises(SecretMissing, match="ONE"):
        _notes(workspace)[0].raise_for_error()


@pytest.mark.parametrize("strategy", ["simple-shuffle", "weighted", "latency-based", "cost-based", "least-busy"])
def test_a_strategy_spreads_the_calls(workspace: Workspace, wire: WireServer, strategy: str) -> None:
    _endpoint(workspace, wire, **_several(strategy))
    for _ in range(30):
        _notes(workspace)[0].raise_for_error()
    used = {key: _used(wire).count(key) for key in KEYS.values()}
    assert set(used) == set(KEYS.values()) or strategy == "least-busy"


FAULTS = {
    "throttled": (Answer(status=429), ProviderError),
    "key refused": (Answer(status=401), ProviderError),
    "model unknown": (Answer(status=404), ProviderError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fallback_answers(workspace: Workspace, wire: WireServer, fault: str) -> None:
    settings = {"advancedSettings": {"maxRetries": 1}}
    _endpoint(workspace, wire, **settings, endpoint={"fallback": ["gone", "backup"]})
    _endpoint(workspace, wire, "backup", endpoint={"model": "gpt-4.1"})
    answer, _ = FAULTS[fault]
    wire.answers(lambda request: answer if request.model == "gpt-4o" else Answer("From the other."))
    reply, notes = _notes(workspace)
    assert reply.raise_for_error().output == "From the other."
    assert (reply.endpoint, reply.model, reply.fallback_from) == ("backup", "gpt-4.1", "wired")
    assert "backup was asked instead of wired" in reply.remarks()
    assert any("asking backup instead" in note for note in notes)
    assert any("endpoint not found: gone" in remark for remark in reply.remarks())


def test_where_all_fail_the_first_error_counts_and_the_others_are_told(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, endpoint={"fallback": ["backup"]})
    _endpoint(workspace, wire, "backup", endpoint={"model": "gpt-4.1"})
    wire.answers(lambda request: Answer(status=404 if request.model == "gpt-4o" else 401))
    reply, _ = _notes(workspace)
    assert (reply.endpoint, reply.fallback_from) == ("wired", "")
    assert reply.error is not None
    assert "does not know model" in reply.error
    assert "backup: openai refused the key (401)" in reply.error


def test_a_missing_key_and_a_small_window_fall_back_too(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _endpoint(workspace, wire, apiKey="${NOT_SET}", endpoint={"fallback": ["backup"]})
    _endpoint(workspace, wire, "backup")
    assert _notes(workspace)[0].raise_for_error().endpoint == "backup"
    monkeypatch.setenv("NOT_SET", "sk-now-it-is-0123456789")
    workspace.config.update_endpoint("wired", {"contextWindow": 100})
    reply, _ = _notes(workspace, "word " * 500)
    assert reply.raise_for_error().endpoint == "backup"


def test_no_fallback_after_text(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, endpoint={"fallback": ["backup"]})
    _endpoint(workspace, wire, "backup")
    wire.answers(Answer(pieces=["one ", "two"], cut_after=1), Answer("Other."))
    reply, _ = _notes(workspace)
    assert (reply.endpoint, reply.output, reply.success) == ("wired", "one ", False)


def test_the_context_window_of_the_endpoint_holds(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, endpoint={"contextWindow": 200})
    with pytest.raises(ContextTooLarge, match="takes 200"):
        _notes(workspace, "word " * 400)[0].raise_for_error()
    assert len(wire.requests) == 0


def test_the_endpoints_params_and_system_prompt_hold_until_a_call_says_otherwise(
    workspace: Workspace, wire: WireServer
) -> None:
    params = {"temperature": 0.3, "max_tokens": 9, "extra_body": {"top_k": 5}}
    _endpoint(workspace, wire, endpoint={"params": params, "systemPrompt": "Be brief."})
    _notes(workspace)[0].raise_for_error()
    _notes(workspace, temperature=1.0, system="Be long.")[0].raise_for_error()
    bodies = [request.json for request in wire.requests]
    assert [body["messages"][0]["content"] for body in bodies] == ["Be brief.", "Be long."]
    assert [(body["temperature"], body["max_tokens"], body["top_k"]) for body in bodies] == [(0.3, 9, 5), (1.0, 9, 5)]


def test_calls_wait_for_the_limit_of_requests(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, advancedSettings={"rpm": 1})
    _notes(workspace)[0].raise_for_error()

    def interrupt(kind: str, text: str) -> None:
        assert "waiting" in text
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.run("Hi", endpoint="wired", on_output=interrupt)
    assert len(wire.requests) == 1


def test_a_call_above_the_limit_of_tokens_is_refused(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, advancedSettings={"tpm": 100})
    with pytest.raises(ProviderError, match="100"):
        _notes(workspace, "word " * 500)[0].raise_for_error()
    assert len(wire.requests) == 0


def test_a_wait_is_never_shorter_than_the_growing_one(
    workspace: Workspace, wire: WireServer, rests_s: list[float]
) -> None:
    _endpoint(workspace, wire)
    wire.answers(
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=503),
        Answer(status=429, headers={"Retry-After": "9"}),
        Answer("At last."),
    )
    _notes(workspace)[0].raise_for_error()
    assert rests_s[0] == 0.5
    assert 1.0 <= rests_s[1] <= 2.0
    assert 9.0 <= rests_s[2] <= 9.9


def test_with_several_keys_the_wait_is_that_of_the_first_to_be_ready(
    workspace: Workspace, wire: WireServer, rests_s: list[float]
) -> None:
    _endpoint(workspace, wire, apiKeys=[{"id": "b", "key": "${TWO}"}])
    asked = iter(["1", "1000", None])

    def answer(_: Any) -> Answer:
        wish = next(asked)
        return Answer("Yes.") if wish is None else Answer(status=429, headers={"Retry-After": wish})

    wire.answers(answer)
    _notes(workspace)[0].raise_for_error()
    assert _used(wire) == [KEYS["ONE"], KEYS["TWO"], KEYS["ONE"]]
    assert rests_s[0] == 0.0
    assert 0.5 <= rests_s[1] <= 1.1


def test_a_limited_key_is_waited_for_where_the_other_is_refused(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, apiKeys=[{"id": "b", "key": "${TWO}"}])
    wire.answers(Answer(status=429, headers={"Retry-After": "1"}), Answer(status=401), Answer("Yes."))
    assert _notes(workspace)[0].raise_for_error().output == "Yes."
    assert _used(wire) == [KEYS["ONE"], KEYS["TWO"], KEYS["ONE"]]


def test_a_key_that_was_mended_is_used_at_once(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _endpoint(workspace, wire, **_several())
    wire.answers(Answer(status=401), Answer("Yes."))
    _notes(workspace)
    monkeypatch.setenv("ONE", "sk-mended-0123456789abcdef")
    _notes(workspace)
    assert _used(wire)[-1] == "sk-mended-0123456789abcdef"


def test_a_fallback_for_the_sake_of_the_window_is_told(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, endpoint={"contextWindow": 100, "fallback": ["wired", "backup"]})
    _endpoint(workspace, wire, "backup")
    reply, _ = _notes(workspace, "word " * 500)
    assert (reply.raise_for_error().endpoint, reply.fallback_from, reply.retries) == ("backup", "wired", 0)
    assert [attempt.endpoint for attempt in reply.attempts] == ["wired", "backup"]  # not itself once more
    assert workspace.journal.calls()[0].call.fallback_from == "wired"


def test_a_cancelled_call_is_recorded_with_its_try(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire)
    wire.answers(Answer(pieces=["one ", "two"], stall_after=1))

    async def ask() -> None:
        begun = asyncio.Event()
        task = asyncio.ensure_future(workspace.arun("Hi", endpoint="wired", on_output=lambda *_: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
    entry = workspace.journal.get(workspace.journal.calls()[0].id)
    assert entry is not None
    assert (entry.call.outcome, entry.call.answer, entry.call.key) == ("interrupted", "one ", "sk-…def")


@pytest.mark.parametrize("params", [{"max_tokens": "many"}, {"temperature": 7}, {"api_base": "http://127.0.0.1:1"}])
def test_a_parameter_that_is_none_is_refused(workspace: Workspace, wire: WireServer, params: dict[str, Any]) -> None:
    _endpoint(workspace, wire, advancedSettings={"tpm": 100_000})
    with pytest.raises(ConfigError, match=next(iter(params))):
        _notes(workspace, **params)[0].raise_for_error()
    assert len(wire.requests) == 0


def test_a_fault_of_ours_is_an_error_too(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _endpoint(workspace, wire)

    def broken(*_: object) -> None:
        raise ZeroDivisionError(KEYS["ONE"])

    monkeypatch.setattr("ccw_magics.calls.retry.Tries._choose", broken)
    reply, _ = _notes(workspace)
    assert "ccw_magics itself failed: ZeroDivisionError" in (reply.error or "")
    assert KEYS["ONE"] not in f"{reply.error}{reply.failure.__cause__}"


def test_without_texts_no_error_quotes_the_prompt(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire)
    data = json.loads(workspace.config.path.read_text())
    workspace.config.path.write_text(json.dumps({**data, "journal": "meta"}))
    wire.answers(Answer(status=400, body={"error": {"message": "bad prompt: a secret plan"}}))
    reply, _ = _notes(workspace, "a secret plan")
    assert "a secret plan" in (reply.error or "")
    assert b"secret plan" not in b"".join(path.read_bytes() for path in (workspace.root / ".ccw" / "journal").iterdir())


def test_keys_that_are_all_told_to_come_back_at_once_are_not_tried_for_ever(
    workspace: Workspace, wire: WireServer, rests_s: list[float]
) -> None:
    _endpoint(workspace, wire, **_several(), advancedSettings={"maxRetries": 1})
    wire.answers(Answer(status=429, headers={"Retry-After": "0"}))
    assert not _notes(workspace)[0].success
    assert len(wire.requests) == 6  # three keys, a wait, three keys
    assert len([seconds for seconds in rests_s if seconds > 0]) == 1

"""The one path from request to reply, against a real server on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wire_server import Answer, WireServer

from ccw_magics import Workspace
from ccw_magics.calls import account
from ccw_magics.errors import ContextTooLarge, EndpointNotFound, ProviderError, SecretMissing

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def workspace(project: Path, wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project whose endpoint `wired` asks the loopback server."""
    monkeypatch.setenv("MY_KEY", KEY)
    (project / "a.py").write_text("answer = 42\n")
    (project / "src").mkdir()
    (project / "src" / "b.py").write_text("x = 1\n")
    (project / "src" / "c.md").write_text("# C\n")
    workspace = Workspace(project)
    provider = workspace.config.add_provider(
        {"name": "Wire", "type": "openai", "apiKey": "${MY_KEY}", "apiBase": f"{wire.url}/v1"}
    )
    workspace.config.add_endpoint({"id": "wired", "name": "", "providerId": provider.id, "model": "gpt-4o"})
    workspace.config.set_default_endpoint("wired")
    return workspace


def _sent(wire: WireServer) -> str:
    content = wire.requests[-1].json["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def test_a_prompt_without_references_is_sent_as_typed(workspace: Workspace, wire: WireServer) -> None:
    reply = workspace.run("What is $x and {y}? user@host", system="Be brief.", temperature=0.5, max_tokens=7)
    assert reply.raise_for_error().output == "Hello from the wire."
    body = wire.requests[-1].json
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is $x and {y}? user@host"},
    ]
    assert (body["temperature"], body["max_tokens"], body["stream"]) == (0.5, 7, True)
    assert wire.requests[-1].credentials == [f"Bearer {KEY}"]
    assert (reply.endpoint, reply.provider, reply.model) == ("wired", "openai", "gpt-4o")
    assert not reply.cache_used
    assert reply.cached_files == ()


def test_references_bring_their_files_in_front_of_the_prompt(workspace: Workspace, wire: WireServer) -> None:
    reply = workspace.run("@a.py @src/ @gone.py Why?")
    assert reply.success
    context, _, prompt = _sent(wire).partition("\n\n---\n\n")
    assert prompt == "@a.py @src/ @gone.py Why?"
    assert "answer = 42" in context
    assert reply.cache_used
    assert reply.cached_files == ("a.py", "src/b.py", "src/c.md")
    assert reply.pack is not None
    assert reply.pack.unmatched == ("@gone.py",)
    assert "@gone.py matched no file" in reply.remarks()[0]


def test_usage_and_cost_come_with_the_reply(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer("Yes.", input_tokens=1000, cached_tokens=400, output_tokens=10))
    reply = workspace.run("Well?")
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.cached_input_tokens, reply.usage.output_tokens) == (1000, 400, 10)
    # gpt-4o: 2.50, 1.25 (cached) and 10 dollars a million tokens, https://openai.com/api/pricing
    assert reply.cost_usd == pytest.approx(600 * 2.5e-6 + 400 * 1.25e-6 + 10 * 10e-6)
    assert "1,000 tokens in (400 cached)" in reply.summary()


def test_cost_is_unknown_and_never_zero_for_a_model_without_a_price(workspace: Workspace, wire: WireServer) -> None:
    workspace.config.update_endpoint("wired", {"model": "house-model-7"})
    reply = workspace.run("Well?")
    assert reply.success
    assert reply.cost_usd is None
    assert "cost unknown" in reply.summary()


def test_output_comes_in_pieces_in_the_callers_thread(workspace: Workspace, wire: WireServer) -> None:
    heard: list[tuple[str, str, int]] = []
    reply = workspace.run("Hi", on_output=lambda kind, text: heard.append((kind, text, threading.get_ident())))
    pieces = [text for kind, text, _ in heard if kind == "stdout"]
    assert len(pieces) > 1
    assert "".join(pieces) == reply.output
    assert {thread for *_, thread in heard} == {threading.get_ident()}


def test_without_streaming_the_answer_is_the_same(workspace: Workspace, wire: WireServer) -> None:
    reply = workspace.run("Hi", stream=False)
    assert reply.output == "Hello from the wire."
    assert "stream" not in wire.requests[-1].json or not wire.requests[-1].json["stream"]


@pytest.mark.parametrize(
    ("answer", "error", "message", "status"),
    [
        pytest.param(Answer(status=401, echo_key=True), ProviderError, "refused the key (401)", 401, id="401"),
        pytest.param(Answer(status=404), ProviderError, "does not know model gpt-4o (404)", 404, id="404"),
        pytest.param(Answer(status=429), ProviderError, "limiting requests (429)", 429, id="429"),
        pytest.param(Answer(status=500), ProviderError, "failed (500)", 500, id="500"),
        pytest.param(Answer("some words here", cut_after=2), ProviderError, "broke off before its end", None, id="cut"),
        pytest.param(Answer(empty=True), ProviderError, "without any text", None, id="empty"),
        pytest.param(Answer("some words", stall_after=1), ProviderError, "did not finish within", None, id="stall"),
    ],
)
def test_a_failure_is_a_reply_with_a_typed_error(
    workspace: Workspace, wire: WireServer, answer: Answer, error: type[Exception], message: str, status: int | None
) -> None:
    if answer.stall_after is not None:
        provider = workspace.config.get_all_providers()[0]
        workspace.config.update_provider(provider.id, {"advancedSettings": {"timeout": 0.5}})
    wire.answers(answer)
    reply = workspace.run("Hi")
    assert not reply.success
    assert len(wire.requests) == len(reply.attempts)  # one retry layer, and it is not litellm's
    with pytest.raises(error) as raised:
        reply.raise_for_error()
    assert message in str(raised.value)
    assert getattr(raised.value, "status", None) == status
    assert KEY not in f"{reply.error}{raised.value.__cause__}{pickle.loads(pickle.dumps(reply))}"


def test_a_cut_stream_keeps_its_text(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer("one two three", pieces=["one ", "two ", "three"], cut_after=2))
    reply = workspace.run("Hi")
    assert reply.output == "one two "
    assert not reply.success


def _without_variable(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("MY_KEY")
    return "Hi"


def _without_key(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    workspace.config.update_provider(workspace.config.get_all_providers()[0].id, {"apiKey": ""})
    return "Hi"


def _without_endpoint(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    workspace.config.delete_endpoint("wired")
    workspace.config.set_default_endpoint(None)
    monkeypatch.setattr("ccw_magics.backends.local_model.find_spec", lambda _: None)
    return "Hi"


def _too_large(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    (workspace.root / "big.txt").write_text("word " * 150_000)
    return "@big.txt Why?"


@pytest.mark.parametrize(
    ("arrange", "error", "words"),
    [
        pytest.param(_without_variable, SecretMissing, "MY_KEY", id="variable not set"),
        pytest.param(_without_key, SecretMissing, "OPENAI_API_KEY", id="no key"),
        pytest.param(_without_endpoint, EndpointNotFound, "nothing is configured", id="no endpoint"),
        pytest.param(_too_large, ContextTooLarge, "big.txt (732.4 KiB)", id="over maxSizeKB"),
    ],
)
def test_what_is_refused_before_anything_is_sent(
    workspace: Workspace,
    wire: WireServer,
    monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[..., str],
    error: type[Exception],
    words: str,
) -> None:
    reply = workspace.run(arrange(workspace, monkeypatch))
    with pytest.raises(error) as raised:
        reply.raise_for_error()
    assert words in str(raised.value)
    assert len(wire.requests) == 0


def test_a_prompt_over_the_models_window_is_refused_with_the_figures(workspace: Workspace, wire: WireServer) -> None:
    workspace.config.update_endpoint("wired", {"model": "gpt-4", "cacheStrategy": {"maxSizeKB": 2048}})
    (workspace.root / "big.py").write_text("value = 1\n" * 50_000)
    reply = workspace.run("@big.py Why?")
    with pytest.raises(ContextTooLarge) as raised:
        reply.raise_for_error()
    assert "8,192" in raised.value.message
    assert "big.py" in (raised.value.hint or "")
    assert len(wire.requests) == 0


def test_an_interrupt_closes_the_socket_and_keeps_the_text(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer("one two three", pieces=["one ", "two ", "three"], stall_after=2))

    def interrupt(kind: str, text: str) -> None:
        if text == "two ":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.run("Hi", on_output=interrupt)
    reply = workspace.executor.last_reply
    assert reply is not None
    assert reply.output == "one two "
    assert not reply.success
    assert wire.disconnects.wait(1)
    wire.answers(Answer("Again."))
    assert workspace.run("Hi").output == "Again."


def test_an_interrupt_before_the_call_leaves_a_reply_without_text(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.run("Hi")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workspace.cache, "pack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        workspace.run("@a.py Hi")
    reply = workspace.executor.last_reply
    assert reply is not None
    assert (reply.endpoint, reply.output, reply.success) == ("wired", "", False)


def test_many_calls_can_be_awaited_at_once(workspace: Workspace, wire: WireServer) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(workspace.arun(f"Question {n}") for n in range(8)))

    replies = asyncio.run(ask())
    assert [reply.output for reply in replies] == ["Hello from the wire."] * 8
    assert len(wire.requests) == 8


def test_a_cancelled_arun_closes_its_socket(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer("one two", pieces=["one ", "two"], stall_after=1))

    async def ask() -> None:
        begun = asyncio.Event()
        task = asyncio.ensure_future(workspace.arun("Hi", on_output=lambda *_: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
    assert wire.disconnects.wait(1)


def test_no_cache_still_sends_the_files_and_keeps_nothing(workspace: Workspace, wire: WireServer) -> None:
    reply = workspace.run("@a.py Why?", enable_cache=False)
    assert "answer = 42" in _sent(wire)
    assert reply.cache_used
    assert workspace.cache.rows() == []


def test_an_edit_is_sent_with_the_next_call(workspace: Workspace, wire: WireServer) -> None:
    first = workspace.run("@a.py Why?")
    same = workspace.run("@a.py Why?")
    (workspace.root / "a.py").write_text("answer = 4711\n")
    edited = workspace.run("@a.py Why?")
    again = workspace.run("@a.py Why?", repack=True)
    assert "answer = 4711" in _sent(wire)
    packs = [reply.pack for reply in (first, same, edited)]
    assert len({pack.session_id for pack in packs if pack}) == 1
    assert [(pack.revision, pack.status) for pack in packs if pack] == [(1, "rebuilt"), (1, "hit"), (2, "extended")]
    assert again.pack is not None
    assert (again.pack.revision, again.pack.status) == (1, "rebuilt")


def test_a_reply_is_light(workspace: Workspace, wire: WireServer) -> None:
    (workspace.root / "large.txt").write_text("word " * 40_000)
    reply = workspace.run("@large.txt Why?")
    gc.collect()
    assert len(pickle.dumps(reply)) < 5_000


def test_an_untrusted_config_is_not_used(workspace: Workspace, wire: WireServer) -> None:
    text = workspace.config.path.read_text().replace(f"{wire.url}/v1", "https://evil.example/v1")
    workspace.config.path.write_text(text)
    reply = workspace.run("Hi")
    assert "evil.example" in (reply.error or "")
    assert "MY_KEY" in (reply.error or "")
    assert len(wire.requests) == 0


def test_a_slow_reading_of_files_says_how_far_it_has_come(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccw_magics.calls.preparation.SILENT_S", 0.0)
    for number in range(250):
        (workspace.root / f"f{number}.txt").write_text("x\n")
    notes: list[str] = []
    workspace.run("@*.txt Why?", on_output=lambda kind, text: notes.append(text) if kind == "stderr" else None)
    assert "reading files: 100 of 250" in notes


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot interrupt itself there")
def test_an_interrupt_while_the_call_is_recorded_loses_neither_record_nor_reply(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    record = account.record

    def interrupted(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return record(*arguments, **named)

    monkeypatch.setattr(account, "record", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            workspace.run("Hi")
    finally:
        signal.signal(signal.SIGINT, before)
    assert [entry.call.outcome for entry in workspace.journal.calls()] == ["ok"]
    assert workspace.executor.last_reply is not None
    assert workspace.executor.last_reply.output == "Hello from the wire."


def test_every_call_is_recorded_as_it_ended(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(
        Answer("Yes.", input_tokens=1000, cached_tokens=400, output_tokens=10),
        Answer(status=401),
        Answer(pieces=["one ", "two"], cut_after=1),
    )
    workspace.run("@a.py Why?")
    workspace.run("Refused?")
    workspace.run("Cut?")
    workspace.run("@/etc/hostname ?")
    outside, cut, refused, answered = (workspace.journal.get(entry.id) for entry in workspace.journal.calls())
    assert answered is not None
    assert refused is not None
    assert cut is not None
    assert outside is not None
    call = answered.call
    assert (call.endpoint, call.provider, call.model, call.mode) == ("wired", "openai", "gpt-4o", "analysis")
    assert (call.files, call.prompt, call.answer, call.outcome) == (("a.py",), "@a.py Why?", "Yes.", "ok")
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (1000, 400, 10)
    assert call.cost_usd == pytest.approx(600 * 2.5e-6 + 400 * 1.25e-6 + 10 * 10e-6)
    assert call.uncached_cost_usd == pytest.approx(1000 * 2.5e-6 + 10 * 10e-6)
    assert (call.key, call.retries, len(call.pack_hash)) == ("sk-…def", 0, 64)
    assert (refused.call.outcome, refused.call.cost_usd, refused.call.answer) == ("ProviderError", None, "")
    assert (cut.call.outcome, cut.call.answer) == ("ProviderError", "one ")
    assert (outside.call.outcome, outside.call.pack_hash) == ("PatternError", "")


@pytest.mark.parametrize(("mode", "rows", "prompt"), [("full", 1, "Hi"), ("meta", 1, None), ("off", 0, None)])
def test_the_config_says_what_is_recorded(
    workspace: Workspace, wire: WireServer, mode: str, rows: int, prompt: str | None
) -> None:
    data = json.loads(workspace.config.path.read_text())
    workspace.config.path.write_text(json.dumps({**data, "journal": mode}))
    workspace.run("Hi")
    entries = workspace.journal.calls(with_text=True)
    assert len(entries) == rows
    assert [entry.call.prompt for entry in entries] == [prompt] * rows


def test_a_journal_that_cannot_be_written_is_a_remark(workspace: Workspace, wire: WireServer) -> None:
    (workspace.root / ".ccw" / "journal").write_text("in the way")
    reply = workspace.run("Hi")
    assert reply.success
    assert "not recorded" in reply.remarks()[0]


def test_a_raised_error_leaves_the_reply_light(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(status=401))
    reply = workspace.run("Hi")
    with pytest.raises(ProviderError):
        reply.raise_for_error()
    assert reply.failure is not None
    assert reply.failure.__traceback__ is None

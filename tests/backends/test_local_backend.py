from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from ccw_magics.backends import local_backend, local_model, local_process, local_request
from ccw_magics.backends.base import (
    SEPARATOR,
    AnswerSchema,
    Done,
    Event,
    Exchange,
    ModelCall,
    Note,
    Sent,
    Text,
    Usage,
)
from ccw_magics.backends.local_backend import LocalBackend
from ccw_magics.errors import CcwError, ConfigError, ContextTooLarge, ProviderError, ToolError

USAGE = {"prompt_tokens": 20, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 15}}
SCHEMA = AnswerSchema(
    "bug",
    {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 60},
            "level": {"type": "string", "enum": ["high", "low"]},
            "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 2},
            "where": {"$ref": "#/$defs/Where"},
        },
        "required": ["title", "level", "when", "tags", "where"],
        "additionalProperties": False,
        "$defs": {
            "Where": {
                "type": "object",
                "properties": {"line": {"type": "integer"}, "file": {"type": "string", "maxLength": 20}},
                "required": ["line"],
                "additionalProperties": False,
            }
        },
    },
    is_strict=False,
)
LAST = json.dumps({"choices": [], "usage": USAGE})


def piece(text: str, **choice: object) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, **choice}]})


def progress(processed: int, *, cache: int = 0, total: int = 2013) -> str:
    counts = {"total": total, "cache": cache, "processed": processed, "time_ms": 1}
    return json.dumps({"choices": [{"delta": {"content": None}}], "prompt_progress": counts})


def call(prompt: str, model: Path | str = "", **fields: Any) -> ModelCall:
    return ModelCall("local", str(model), prompt, **fields)


async def events_of(asked: ModelCall) -> list[Event]:
    async with aclosing(LocalBackend().stream(asked)) as stream:
        return [event async for event in stream]


def ask(asked: ModelCall) -> list[Event]:
    return asyncio.run(events_of(asked))


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def notes_of(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def done_of(events: list[Event]) -> tuple[Done, Usage]:
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage is not None
    assert sum(isinstance(event, Done) for event in events) == 1
    return done, done.usage


class TestWithoutModel:
    """The whole way, with a child that streams back the lines it is asked."""

    def test_text_comes_in_pieces_and_usage_at_last(self, stand_in: Path) -> None:
        events = ask(call("\n".join([piece("Hel"), piece("lo"), LAST, "[DONE]"]), stand_in))
        assert events == [
            Note("starting the embedded model…"),
            Sent(),
            Text("Hel"),
            Text("lo"),
            Done(Usage(20, cached_input_tokens=15, output_tokens=2), cost_usd=0.0, uncached_cost_usd=0.0, model="tiny"),
        ]

    def test_unstreamed_text_comes_at_once(self, stand_in: Path) -> None:
        events = ask(call("\n".join([piece("Hel"), piece("lo"), LAST]), stand_in, stream=False))
        assert [event for event in events if isinstance(event, Text)] == [Text("Hello")]

    def test_a_second_call_finds_the_child_running(self, stand_in: Path) -> None:
        ask(call(LAST, stand_in))
        assert notes_of(ask(call(LAST, stand_in))) == []

    def test_an_answer_cut_short_says_so(self, stand_in: Path) -> None:
        events = ask(call("\n".join([piece("Hello", finish_reason="length"), LAST]), stand_in))
        assert events[-1].is_cut

    @pytest.mark.parametrize(
        ("lines", "notes"),
        [
            pytest.param([progress(1240)], ["reading 1,240 of 2,013 tokens (62 %)"], id="under way"),
            pytest.param([progress(0), progress(512)], ["reading 0 of 2,013 tokens (0 %)"], id="not too often"),
            pytest.param([progress(2013)], [], id="through"),
            pytest.param([progress(1900, cache=1900)], [], id="nearly all was cached"),
        ],
    )
    def test_reading_a_long_prompt_is_told(self, stand_in: Path, lines: list[str], notes: list[str]) -> None:
        assert notes_of(ask(call("\n".join([*lines, LAST]), stand_in)))[1:] == notes

    @pytest.mark.parametrize(
        ("lines", "partial", "message"),
        [
            pytest.param([piece("Hel"), "CRASH"], "Hel", "exit code 3 (ggml: everything is broken)", id="exits"),
            pytest.param([piece("Hel"), "KILL"], "Hel", "ended by SIGKILL", id="is killed"),
            pytest.param([piece("Hel")], "Hel", "does not answer", id="stops talking"),
        ],
    )
    def test_a_broken_child_is_an_error_of_the_call(
        self, stand_in: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], partial: str, message: str
    ) -> None:
        if message == "does not answer":  # it lives on, and is not waited for here
            monkeypatch.setattr(local_backend, "END_TIMEOUT_S", 0.01)
        events: list[Event] = []

        async def collect() -> None:
            async with aclosing(LocalBackend().stream(call("\n".join(lines), stand_in))) as stream:
                async for event in stream:
                    events.append(event)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(ToolError) as raised:
            asyncio.run(collect())
        assert message in raised.value.message
        assert "starts anew" in (raised.value.hint or "")
        assert raised.value.__context__ is None
        assert text_of(events) == partial
        assert text_of(ask(call("\n".join([piece("again"), LAST]), stand_in))) == "again"

    @pytest.mark.parametrize(
        ("error", "kind", "fields"),
        [
            pytest.param(
                {
                    "code": 400,
                    "type": "exceed_context_size_error",
                    "message": "m",
                    "n_prompt_tokens": 13315,
                    "n_ctx": 8192,
                },
                ContextTooLarge,
                {"message": "files and prompt are 13,315 tokens; the embedded model has room for 8,192"},
                id="too large",
            ),
            pytest.param(
                {"code": 503, "message": "Loading model"},
                ProviderError,
                {"status": 503, "retryable": True},
                id="loading",
            ),
            pytest.param(
                {"code": 400, "message": "bad"}, ProviderError, {"status": 400, "retryable": False}, id="bad request"
            ),
        ],
    )
    @pytest.mark.parametrize("form", ["REFUSE {}", '{{"error": {}}}'], ids=["at once", "while streaming"])
    def test_a_refusal_is_typed(
        self, stand_in: Path, form: str, error: Mapping[str, object], kind: type[CcwError], fields: Mapping[str, object]
    ) -> None:
        with pytest.raises(kind) as raised:
            ask(call(form.format(json.dumps(error)), stand_in))
        assert {name: getattr(raised.value, name) for name in fields} == fields
        assert raised.value.__context__ is None

    def test_the_time_limit_holds(self, stand_in: Path) -> None:
        with pytest.raises(ProviderError, match=r"not complete after 0.3 s") as raised:
            ask(call(f"{piece('Hello')}\nSTALL", stand_in, timeout_s=0.3))
        assert raised.value.retryable
        assert raised.value.__context__ is None

    def test_what_is_asked(self, stand_in: Path) -> None:
        asked = call(
            f"BODY\n{LAST}", stand_in, blocks=("files",), system="be brief", params={"temperature": 0.5, "seed": 1}
        )
        body = json.loads(text_of(ask(call(asked.prompt, stand_in, system="be brief", params=asked.params))))
        assert body["messages"] == [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": f"BODY\n{LAST}"},
        ]
        assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 1, local_request.MAX_ANSWER_TOKENS)
        assert local_request.body(asked)["messages"][1]["content"] == f"files\n\n---\n\n{asked.prompt}"

    def test_another_model_is_asked_as_it_is(self, stand_in: Path) -> None:
        body = local_request.body(call("hi", stand_in))
        assert body["messages"] == [{"role": "user", "content": "hi"}]
        assert "temperature" not in body

    def test_a_conversation_is_asked_turn_by_turn(self) -> None:
        asked = call("Two?", blocks=("files",), tail="news", turns=(Exchange("One?", "I."),), system="mine")
        assert local_request.body(asked)["messages"] == [
            {"role": "system", "content": "mine"},
            {"role": "user", "content": f"files{SEPARATOR}One?"},
            {"role": "assistant", "content": "I."},
            {"role": "user", "content": f"news{SEPARATOR}Two?"},
        ]

    def test_a_schema_is_asked_for_whatever_the_parameters_say(self) -> None:
        schema = AnswerSchema("shape", {"type": "object", "properties": {}}, is_strict=False)
        body = local_request.body(call("hi", schema=schema, params={"response_format": {"type": "text"}}))
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["schema"] == {"type": "object", "properties": {}}
        assert "response_format" not in local_request.body(call("hi"))

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_the_next_turn_begins_with_all_that_is_kept_of_this_one(self, is_kept: bool) -> None:
        blocks = ("x" * 3000,)
        now = call("y" * 3000, blocks=blocks, is_kept=is_kept)
        following = call("next", blocks=blocks, turns=(Exchange("y" * 3000, "I."),), is_kept=is_kept)
        kept, shared = local_request.prefix(now).kept_bytes, 6000 if is_kept else 3000
        assert shared - 256 < kept <= shared + 256
        assert local_request.prefix(following).shared_bytes(local_request.prefix(now)) > 5800
        assert local_request.prefix(following).kept_bytes > 5800

    @pytest.mark.parametrize(
        ("params", "longest"),
        [
            ({}, local_request.MAX_ANSWER_TOKENS),
            ({"max_tokens": 7}, 7),
            ({"max_tokens": -1}, local_process.CONTEXT_TOKENS),
        ],
    )
    def test_what_it_says_of_itself(self, params: Mapping[str, Any], longest: int) -> None:
        async def said() -> tuple[object, ...]:
            backend, asked = LocalBackend(), call("hi", params=params)
            return (
                await backend.max_output_tokens(asked),
                await backend.price_usd(asked, Usage(10, 0, 0, 10)),
                await backend.has_schema_mode(asked),
            )

        assert asyncio.run(said()) == (longest, 0.0, True)

    def test_only_what_the_caller_left_open_is_set_for_the_default_model(self) -> None:
        body = local_request.body(call("hi", system="mine", params={"temperature": 0.9}))
        assert (body["temperature"], body["repeat_penalty"]) == (0.9, 1.1)
        assert body["messages"][0] == {"role": "system", "content": "mine"}

    def test_tokens_are_counted(self, stand_in: Path) -> None:
        assert asyncio.run(LocalBackend().count_tokens(call("", stand_in), "three little words")) == 3

    def test_nothing_is_fetched_to_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_backend, "is_xllamacpp_installed", lambda: True)
        assert asyncio.run(LocalBackend().count_tokens(call(""), "words")) is None

    def test_without_the_extra_nothing_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_process, "find_spec", lambda _: None)
        assert asyncio.run(LocalBackend().count_tokens(call(""), "words")) is None

    def test_absent_weights_are_fetched_first(self, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fetching() -> Any:
            yield "fetching the embedded model: 1 of 94 MB"
            monkeypatch.setattr(local_model, "installed", lambda: stand_in)

        monkeypatch.setattr(local_model, "fetching", fetching)
        events = ask(call(f"{piece('Hello')}\n{LAST}"))
        assert notes_of(events) == ["fetching the embedded model: 1 of 94 MB", "starting the embedded model…"]
        assert done_of(events)[0].model == local_model.DEFAULT_MODEL

    def test_without_the_extra_both_ways_on_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_process, "find_spec", lambda _: None)
        with pytest.raises(ConfigError) as raised:
            ask(call("hi"))
        assert "ccw_magics[local]" in (raised.value.hint or "")
        assert "%ccw init" in (raised.value.hint or "")

    def test_closing_closes_the_socket(self, stand_in: Path) -> None:
        async def leave() -> int:
            async with aclosing(LocalBackend().stream(call(f"{piece('Hello')}\nSTALL", stand_in))) as stream:
                async for event in stream:
                    if isinstance(event, Text):
                        break
            return len(asyncio.all_tasks())

        assert asyncio.run(leave()) == 1

    def test_the_key_is_in_no_traceback(self, stand_in: Path) -> None:
        with pytest.raises(ToolError) as raised:
            ask(call(f"{piece('Hello')}\nCRASH", stand_in))
        process = local_process.processes._running[stand_in]
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True).format()
        assert process._key.reveal() not in "".join(shown)

    def test_neither_xllamacpp_nor_litellm_is_imported(self) -> None:
        program = (
            "import sys, ccw_magics.backends.local_backend as b, ccw_magics.backends.local_model as m; m.available();"
            "print([n for n in ('xllamacpp', 'litellm', 'httpx', 'filelock') if n in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


@pytest.mark.embedded
class TestWithModel:
    """SmolLM2 itself."""

    CONTEXT = "## tides.md\n\nThe harbour is called Brest. Its tides are computed by the tool tidecalc.\n" * 12

    def test_it_answers_and_keeps_the_prefix(self, embedded_model: Path) -> None:
        first = ask(call("What is the harbour called?", blocks=(self.CONTEXT,), params={"max_tokens": 24}))
        second = ask(call("Which tool computes its tides?", blocks=(self.CONTEXT,), params={"max_tokens": 24}))
        assert "Brest" in text_of(first)
        done, usage = done_of(first)
        assert (done.model, done.cost_usd, usage.cached_input_tokens) == (local_model.DEFAULT_MODEL, 0.0, 0)
        assert 0 < usage.output_tokens <= 24
        _, again = done_of(second)
        assert again.cached_input_tokens > 0.9 * again.input_tokens

    def test_a_conversation_finds_what_it_said_before(self, embedded_model: Path) -> None:
        turns: tuple[Exchange, ...] = ()
        shares: list[float] = []
        answers: list[str] = []
        for prompt in ("My name is Mathilde. What is the harbour called?", "Which tool is it?", "What is my name?"):
            asked = call(prompt, blocks=(self.CONTEXT,), turns=turns, is_kept=True, params={"max_tokens": 24})
            events = ask(asked)
            _, usage = done_of(events)
            shares.append(usage.cached_input_tokens / usage.input_tokens)
            answers.append(text_of(events))
            turns = (*turns, Exchange(prompt, answers[-1]))
        assert min(shares[1:]) > 0.8
        assert "Math" in answers[-1]

    @pytest.mark.parametrize("stream", [True, False])
    def test_an_answer_has_the_shape_that_was_asked_for(self, embedded_model: Path, stream: bool) -> None:
        prompt = "Describe this: on 2024-05-03 the parser crashed in line 12. It is bad."
        events = ask(call(prompt, schema=SCHEMA, stream=stream, params={"max_tokens": 300}))
        found = json.loads(text_of(events))
        assert list(found) == ["title", "level", "when", "tags", "where"]
        assert isinstance(found["title"], str)
        assert found["level"] in {"high", "low"}
        assert found["when"] is None or re.fullmatch(r"\d{4}-\d\d-\d\d", found["when"])
        assert len(found["tags"]) <= 2
        assert isinstance(found["where"]["line"], int)
        assert not events[-1].is_cut

    def test_too_much_is_refused_with_the_figures(self, embedded_model: Path) -> None:
        asked = call("Why?", blocks=(self.CONTEXT * 40,))
        with pytest.raises(ContextTooLarge, match=r"1\d,\d{3} tokens; the embedded model has room for 8,192"):
            ask(asked)
        tokens = asyncio.run(LocalBackend().count_tokens(asked, asked.text))
        assert tokens is not None
        assert tokens > local_process.CONTEXT_TOKENS

    def test_a_killed_child_is_an_error_and_the_next_call_starts_another(self, embedded_model: Path) -> None:
        async def kill_in_the_middle() -> None:
            async with aclosing(
                LocalBackend().stream(call("Count to a thousand.", params={"ignore_eos": True}))
            ) as stream:
                async for event in stream:
                    if isinstance(event, Text):
                        running = local_process.processes.running(embedded_model)
                        assert running is not None
                        running._process.kill()

        with pytest.raises(ToolError, match="SIGKILL" if sys.platform != "win32" else "exit code"):
            asyncio.run(kill_in_the_middle())
        assert text_of(ask(call("Say hello.", params={"max_tokens": 8})))

    def test_leaving_an_answer_frees_the_model(self, embedded_model: Path) -> None:
        async def leave_and_ask_again() -> float:
            endless = call("Count to a thousand.", params={"ignore_eos": True, "max_tokens": 8000})
            async with aclosing(LocalBackend().stream(endless)) as stream:
                async for event in stream:
                    if isinstance(event, Text):
                        break
            left = time.monotonic()
            await events_of(call("Say hello.", params={"max_tokens": 4}))
            return time.monotonic() - left

        assert asyncio.run(leave_and_ask_again()) < 60  # the endless answer alone takes two minutes

    def test_a_cancelled_call_leaves_nothing_behind(self, embedded_model: Path) -> None:
        async def cancel() -> str:
            endless = call("Count to a thousand.", params={"ignore_eos": True, "max_tokens": 8000})
            seen = asyncio.Event()

            async def consume() -> None:
                async with aclosing(LocalBackend().stream(endless)) as stream:
                    async for event in stream:
                        if isinstance(event, Text):
                            seen.set()

            task = asyncio.create_task(consume())
            await seen.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) == 1
            return text_of(await events_of(call("Say hello.", params={"max_tokens": 4})))

        assert asyncio.run(cancel())

"""The real agents: an answer as it streams, an interrupt, and what they say where something is amiss."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ccw_magics.backends.base import AgentTask, Done, Event, ModelCall, Note, Sent, Text, Tool
from ccw_magics.backends.tool_backend import ToolBackend
from ccw_magics.errors import ToolError

TOOLS = ("codex", "gemini", "qwen")
MODELS = {"codex": "stand-in", "gemini": "gemini-2.5-pro", "qwen": ""}


def call(tool: Tool, place: Path, prompt: str = "Say hello.") -> ModelCall:
    return ModelCall(f"{tool}-cli", MODELS[tool], prompt, agent=AgentTask("analysis", place), timeout_s=60)


def ask(asked: ModelCall) -> list[Event]:
    async def collected() -> list[Event]:
        return [event async for event in ToolBackend().stream(asked)]

    return asyncio.run(collected())


def running(place: Path) -> list[int]:
    """The processes at work in the directory."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (directory / "cwd").readlink() == place:
                found.append(int(directory.name))
    return found


@pytest.mark.parametrize("tool", TOOLS)
def test_an_answer(tool: Tool, ready: Any, place: Path, trust: None) -> None:
    prompt = "/help @nothing.txt and @property, café 🎉"
    (place / "nothing.txt").write_text("never sent by itself")
    events = ask(call(tool, place, prompt))
    assert isinstance(events[0], Sent)
    assert "".join(event.text for event in events if isinstance(event, Text)) == ready.text
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.cached_input_tokens, done.usage.output_tokens) == (120, 40, 7)
    assert len(ready.asked) == 1
    sent = json.dumps(ready.asked[0], ensure_ascii=False).replace("\\", "")
    assert prompt in sent
    assert "never sent by itself" not in sent


@pytest.mark.parametrize("tool", TOOLS)
def test_an_interrupt_leaves_nothing_running(tool: Tool, ready: Any, place: Path, trust: None) -> None:
    ready.stalls = True

    async def interrupted() -> float:
        stream = ToolBackend().stream(call(tool, place))
        reading = asyncio.create_task(_read(stream))
        assert await asyncio.to_thread(ready.reached.wait, 30)
        assert running(place)
        begin_s = time.monotonic()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return time.monotonic() - begin_s

    assert asyncio.run(interrupted()) < 5
    assert running(place) == []


async def _read(stream: Any) -> None:
    try:
        async for _ in stream:
            pass
    finally:
        await stream.aclose()


@pytest.mark.parametrize("tool", TOOLS)
def test_no_login(
    tool: Tool, ready: Any, home: Path, place: Path, trust: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name)
    (home / ".gemini/settings.json").unlink()
    monkeypatch.setenv("SOME_TOKEN", ready.key)
    ready.status = 401
    with pytest.raises(ToolError, match=f"{tool} is not logged in") as caught:
        ask(call(tool, place))
    assert "Log in:" in (caught.value.hint or "")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_option_that_is_not_known(tool: Tool, ready: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccw_magics.backends.tool_backend.command", lambda _: (tool, "exec", "--not-an-option"))
    with pytest.raises(ToolError, match=rf"{tool} \d+\.\d+\.\d+ does not know an option"):
        ask(call(tool, place))


def test_what_codex_runs_is_noted(ready: Any, place: Path) -> None:
    ready.tool = ("exec_command", {"cmd": "echo looked"})
    assert Note("runs echo looked") in ask(call("codex", place))

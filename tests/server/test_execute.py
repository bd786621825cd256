"""A question over HTTP: streamed, recorded, and broken off when nobody listens any more."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from served import Site
from wire_server import Answer, WireServer

from ccw_magics import Workspace
from ccw_magics.server import execute
from ccw_magics.server.operation import Call, Event

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def asked(site: Site, wire: WireServer) -> Site:
    """A project whose default endpoint asks the wire server."""
    provider = site.store.add_provider({"type": "openai", "apiKey": KEY, "apiBase": f"{wire.url}/v1"})
    site.store.add_endpoint({"id": "wired", "providerId": provider.id, "model": "gpt-4o"})
    site.store.set_default_endpoint("wired")
    return site


def answered(site: Site, **body: Any) -> tuple[str, list[str], dict[str, Any]]:
    """The streamed text, the notes, and the reply."""
    events = list(site.events({"prompt": "Hello?", **body}))
    (reply,) = [data for kind, data in events if kind == "reply"]
    assert events[-1] == ("reply", reply)
    text = "".join(data["text"] for kind, data in events if kind == "stdout")
    return text, [data["text"] for kind, data in events if kind == "stderr"], reply


def test_an_answer_streams_and_ends_with_the_reply(asked: Site, wire: WireServer) -> None:
    (asked.root / "a.md").write_text("The file's text.")
    wire.answers(Answer("One two three."))
    text, _, reply = answered(asked, prompt="@a.md What?", system="Be brief.", params={"temperature": 0})
    assert text == reply["output"] == "One two three."
    assert (reply["success"], reply["error"], reply["endpoint"], reply["provider"]) == (True, None, "wired", "openai")
    assert (reply["cacheUsed"], reply["cachedFiles"], reply["pack"]["files"]) == (True, ["a.md"], ["a.md"])
    assert reply["usage"]["outputTokens"] > 0
    sent = wire.requests[0].json
    assert "The file's text." in str(sent["messages"])
    assert sent["temperature"] == 0
    assert asked.get(f"/cache/{reply['pack']['sessionId']}")["content"].count("The file's text.") == 1


def test_it_is_recorded_as_any_call(asked: Site) -> None:
    answered(asked, prompt="For the record?")
    (entry,) = Workspace(asked.root).journal.calls()
    assert entry.call.endpoint == "wired"


def test_references_start_where_the_path_says(asked: Site, wire: WireServer) -> None:
    (asked.root / "src").mkdir()
    (asked.root / "src" / "b.md").write_text("Below.")
    body = {"prompt": "@b.md What?"}
    answer = asked.served.request("POST", "/execute", json=body, params={"path": f"{asked.name}/src"})
    assert '"cachedFiles": ["src/b.md"]' in answer.text


def test_a_failure_stands_in_the_reply_without_the_key(asked: Site, wire: WireServer) -> None:
    wire.answers(Answer(echo_key=True))
    text, _, reply = answered(asked)
    assert (text, reply["success"]) == ("", False)
    assert "refused the key (401)" in reply["error"]
    assert KEY not in str(reply)


def test_an_answer_that_echoes_the_key_is_masked(asked: Site, wire: WireServer) -> None:
    wire.answers(Answer(f"Your key is {KEY}, isn't it?"))
    text, _, reply = answered(asked)
    assert text == reply["output"] == "Your key is sk-…def, isn't it?"


def test_a_limit_holds(asked: Site, wire: WireServer) -> None:
    _, _, reply = answered(asked, prompt="x " * 1000, maxCostUsd=0.0000001)
    assert "costs about" in reply["error"]
    assert wire.requests == []


def test_an_answer_in_shape(asked: Site, wire: WireServer) -> None:
    wire.answers(Answer('{"title": "T", "line": 3}'))
    _, _, reply = answered(asked, schema="title, line: int")
    assert reply["data"] == {"title": "T", "line": 3}


def test_a_conversation_goes_on(asked: Site, wire: WireServer) -> None:
    wire.answers(Answer("Ada."))
    answered(asked, prompt="Name one.", chat="c")
    _, _, reply = answered(asked, prompt="Another.", chat="c")
    assert reply["chat"] == "c"
    assert [message["role"] for message in wire.requests[-1].json["messages"]] == ["user", "assistant", "user"]


def test_a_client_that_goes_breaks_the_call_off(asked: Site, wire: WireServer) -> None:
    wire.answers(Answer("Many words that come slowly. " * 50, gap_s=0.05))
    for kind, _ in asked.events({"prompt": "Hello?"}):
        if kind == "stdout":
            break
    assert wire.disconnects.wait()
    ended_at = time.monotonic() + 20
    while not (entries := Workspace(asked.root).journal.calls()):
        assert time.monotonic() < ended_at
    assert (entries[0].call.outcome, "Many words" in str(entries[0].call.error)) == ("interrupted", False)


def test_other_requests_are_answered_while_one_streams(asked: Site, wire: WireServer) -> None:
    wire.answers(Answer("x", delay_s=60))
    with httpx.Client(base_url=asked.served.url, headers=asked.served.headers, trust_env=False) as client:
        stream = client.stream("POST", "/execute", json={"prompt": "?"}, params={"path": asked.name}, timeout=0.5)
        with pytest.raises(httpx.ReadTimeout), stream:
            pass
        assert client.get("/providers", params={"path": asked.name}).json()["count"] == 1
    assert wire.disconnects.wait()


def test_nothing_on_the_way_holds_the_pieces_back(asked: Site) -> None:
    answer = asked.request("POST", "/execute", {"prompt": "?"})
    assert (answer.headers["x-accel-buffering"], answer.headers["cache-control"]) == ("no", "no-store")


@pytest.mark.parametrize("name", ["tool", "mode", "model", "material", "cwd"])
def test_no_agent_and_no_other_folder_can_be_asked_for(asked: Site, wire: WireServer, name: str) -> None:
    status, error = asked.refused("POST", "/execute", {"prompt": "?", name: "codex"})
    assert (status, error) == (400, f"{name}: Extra inputs are not permitted")
    assert wire.requests == []


@pytest.mark.parametrize("tool", ["codex", "gemini", "qwen"])
def test_an_endpoint_of_an_agents_name_is_a_model(asked: Site, wire: WireServer, tool: str) -> None:
    provider = asked.store.add_provider({"type": "custom", "name": tool, "apiBase": f"{wire.url}/v1"})
    asked.store.add_endpoint({"id": tool, "providerId": provider.id, "model": tool})
    _, _, reply = answered(asked, endpointId=tool)
    assert (reply["success"], wire.requests[0].json["model"]) == (True, tool)


def test_who_waits_for_a_turn_gets_signs_of_life_and_leaves_it_to_others(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait() -> None:
        turns = asyncio.Semaphore(0)
        monkeypatch.setattr(execute, "_turns", turns)
        monkeypatch.setattr(execute, "SIGN_OF_LIFE_S", 0)
        workspace = Workspace(project)
        monkeypatch.setattr(workspace.executor, "execute", lambda *_: pytest.fail("nobody waits for that"))
        events = execute.execute(Call(workspace, project, lambda _: project, body={"prompt": "?"}))
        assert [await anext(events), await anext(events)] == [Event(), Event()]
        (waiting,) = execute._under_way
        await events.aclose()
        turns.release()
        assert await waiting.work is None
        assert not turns.locked()
        assert execute._under_way == set()

    asyncio.run(wait())

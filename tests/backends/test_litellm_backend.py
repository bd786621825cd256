"""What goes over the wire for each provider type, and where the breakpoints stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from wire_server import Answer, WireServer

from ccw_magics import Workspace

KEY = "sk-canary-0123456789abcdef"
MODELS = {"anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash", "azure": "gpt-4o", "openai": "gpt-4o"} | {
    "mistral": "mistral-small-latest"  # sends usage unasked, which litellm does not ask for
}


@pytest.fixture
def workspace(project: Path) -> Workspace:
    (project / "a.py").write_text("".join(f"a{n} = {n}\n" for n in range(200)))
    (project / "b.py").write_text("b = 1\n")
    return Workspace(project)


def _endpoint(workspace: Workspace, wire: WireServer, kind: str, **settings: Any) -> str:
    base = wire.url if kind in {"anthropic", "google", "azure", "ollama", "deepseek"} else f"{wire.url}/v1"
    version = {"apiVersion": "2024-02-01"} if kind == "azure" else {}
    provider = workspace.config.add_provider(
        {
            "name": kind,
            "type": kind,
            "apiKey": KEY,
            "apiBase": base,
            "advancedSettings": version | settings.pop("advanced", {}),
        }
    )
    model = MODELS.get(kind, "house-model")
    workspace.config.add_endpoint({"id": kind, "name": "", "providerId": provider.id, "model": model, **settings})
    return kind


def _breakpoints(request: Any) -> list[dict[str, Any]]:
    """Every cache_control in a request's body, wherever it stands."""
    found: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend([value["cache_control"]] if "cache_control" in value else [])
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(request.json)
    return found


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("kind", "path", "credential"),
    [
        ("openai", "/v1/chat/completions", f"Bearer {KEY}"),
        ("custom", "/v1/chat/completions", f"Bearer {KEY}"),
        ("mistral", "/v1/chat/completions", f"Bearer {KEY}"),
        ("deepseek", "/chat/completions", f"Bearer {KEY}"),
        ("azure", "/openai/deployments/gpt-4o/chat/completions", KEY),
        ("anthropic", "/v1/messages", KEY),
        ("google", "/models/gemini-2.5-flash", KEY),
        ("ollama", "/api/chat", f"Bearer {KEY}"),
    ],
)
def test_each_provider_type_is_called_its_own_way(
    workspace: Workspace, wire: WireServer, kind: str, path: str, credential: str, stream: bool
) -> None:
    wire.answers(Answer("Fine.", input_tokens=20, cached_tokens=0, output_tokens=3))
    reply = workspace.run("Hi", endpoint=_endpoint(workspace, wire, kind), stream=stream).raise_for_error()
    request = wire.requests[0]
    assert request.path.startswith(path)
    assert request.credentials == [credential]
    assert reply.output == "Fine."
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (20, 3)


def test_headers_and_organization_are_sent(
    workspace: Workspace, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "blue")
    advanced = {"customHeaders": {"X-Team": "${TEAM}"}, "organization": "org-1"}
    workspace.run("Hi", endpoint=_endpoint(workspace, wire, "openai", advanced=advanced)).raise_for_error()
    assert wire.requests[0].headers["X-Team"] == "blue"
    assert wire.requests[0].headers["OpenAI-Organization"] == "org-1"


def test_anthropic_gets_a_breakpoint_where_the_kept_text_ends_now_and_ended_last_time(
    workspace: Workspace, wire: WireServer
) -> None:
    endpoint = _endpoint(workspace, wire, "anthropic")
    for number in range(6):
        text = (workspace.root / "a.py").read_text()
        edited = text.replace(f"a{number * 30} = ", f"a{number * 30} = {'1 + ' * 200}")
        (workspace.root / "a.py").write_text(edited)
        reply = workspace.run("@*.py Why?", endpoint=endpoint).raise_for_error()
        parts = wire.requests[-1].json["messages"][-1]["content"]
        marked = [place for place, part in enumerate(parts) if "cache_control" in part]
        assert len(_breakpoints(wire.requests[-1])) == len(marked) <= 2
        assert marked[-1] == len(parts) - 2  # the end of the blocks; behind them stand only tail and prompt
        assert parts[-1]["text"].endswith("\n\n---\n\n@*.py Why?")
        assert all(part.get("cache_control", {"type": "ephemeral"}) == {"type": "ephemeral"} for part in parts)
        assert reply.pack is not None
        if reply.pack.status == "extended":
            parts_before = wire.requests[-2].json["messages"][-1]["content"]
            kept = len(parts_before) - 1
            assert marked[0] == kept - 1
            assert [part["text"] for part in parts[:kept]] == [part["text"] for part in parts_before[:kept]]


def test_the_hour_is_asked_for_only_where_the_endpoint_says_so(workspace: Workspace, wire: WireServer) -> None:
    workspace.run("@*.py Why?", endpoint=_endpoint(workspace, wire, "anthropic", providerTtl="1h")).raise_for_error()
    assert _breakpoints(wire.requests[0]) == [{"type": "ephemeral", "ttl": "1h"}]


@pytest.mark.parametrize("kind", ["openai", "custom", "google", "mistral", "deepseek", "ollama", "azure"])
def test_where_caching_is_automatic_one_string_is_sent_and_nothing_added(
    workspace: Workspace, wire: WireServer, kind: str
) -> None:
    workspace.run("@*.py Why?", endpoint=_endpoint(workspace, wire, kind)).raise_for_error()
    assert _breakpoints(wire.requests[0]) == []
    if kind != "google":
        assert isinstance(wire.requests[0].json["messages"][-1]["content"], str)


def test_without_the_cache_there_is_no_breakpoint(workspace: Workspace, wire: WireServer) -> None:
    endpoint = _endpoint(workspace, wire, "anthropic")
    workspace.run("@*.py Why?", endpoint=endpoint, enable_cache=False).raise_for_error()
    assert _breakpoints(wire.requests[0]) == []
    assert "a199 = 199" in str(wire.requests[0].json["messages"])


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google", "deepseek"])
def test_cached_tokens_are_reported_whatever_the_provider_calls_them(
    workspace: Workspace, wire: WireServer, kind: str
) -> None:
    wire.answers(
        Answer("Fine.", input_tokens=5000, cached_tokens=4000, written_tokens=500 if kind == "anthropic" else 0)
    )
    reply = workspace.run("Hi", endpoint=_endpoint(workspace, wire, kind)).raise_for_error()
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.cached_input_tokens) == (5000, 4000)
    assert reply.usage.cache_write_tokens == (500 if kind == "anthropic" else 0)


def test_a_key_in_a_header_is_all_that_knows_the_server(workspace: Workspace, wire: WireServer) -> None:
    """Without a key, no key of the environment is sent to somebody else's base."""
    provider = workspace.config.add_provider({"name": "c", "type": "custom", "apiBase": f"{wire.url}/v1"})
    workspace.config.add_endpoint({"id": "open", "name": "", "providerId": provider.id, "model": "m"})
    workspace.run("Hi", endpoint="open").raise_for_error()
    assert wire.requests[0].credentials == ["Bearer no-key"]

"""The real command-line agents, each with a home of its own, and a model on loopback that asks for what a test wants."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

TOOLS_DIR = os.environ.get("CCW_TEST_AGENTS", "")
KEY = "canary-key-of-the-agents-0123456789"


class ModelServer(ThreadingHTTPServer):
    """Speaks Gemini's format, OpenAI's chat completions, and OpenAI's responses.

    Attributes:
        text: What it answers.
        tool: What it asks for first, where the agent has not done that yet: a tool's name and arguments.
        key: What it repeats in a refusal.
        stalls: Whether it stops in the middle of the text.
        status: The HTTP status of every answer.
        asked: The requests' bodies.
        keys: The keys that came with them in Gemini's format.
        reached: Set once a stalled answer has begun.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.text = "Hello there, **you**."
        self.tool: tuple[str, dict[str, Any]] | None = None
        self.stalls = False
        self.key = KEY
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.shutdown()
        self.server_close()

    def pieces(self) -> list[str]:
        return re.findall(r"\S+\s*", self.text)


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send_whole({"data": [], "models": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("x-goog-api-key"))
        if self.server.status != 200:
            self._send_whole({"error": {"message": f"refused: {KEY}", "code": self.server.status}})
        elif "streamGenerateContent" in self.path:
            self._stream(_gemini(self.server, body))
        elif self.path.endswith("/chat/completions"):
            self._stream([*_chat(self.server, body), "[DONE]"])
        elif self.path.endswith("/responses"):
            self._stream(_responses(self.server, body))
        else:
            self._send_whole({"totalTokens": 1, "candidates": []})

    def _send_whole(self, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: list[Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for index, event in enumerate(events):
            if self.server.stalls and index == len(events) // 2:
                self.server.reached.set()
                self.server.go_on.wait(60)
            data = event if isinstance(event, str) else json.dumps(event)
            self.wfile.write(f"data: {data}\r\n\r\n".encode())
            self.wfile.flush()


def _gemini(server: ModelServer, body: dict[str, Any]) -> list[Any]:
    parts: list[dict[str, Any]] = [{"text": piece} for piece in server.pieces()]
    if server.tool and "functionResponse" not in json.dumps(body["contents"]):
        parts = [{"functionCall": {"name": server.tool[0], "args": server.tool[1]}}]
    usage = {"promptTokenCount": 120, "candidatesTokenCount": 7, "totalTokenCount": 127, "cachedContentTokenCount": 40}
    content = [{"content": {"role": "model", "parts": [part]}, "index": 0} for part in parts]
    content[-1]["finishReason"] = "STOP"
    return [{"candidates": [one], "modelVersion": "gemini-2.5-pro", "usageMetadata": usage} for one in content]


def _chat(server: ModelServer, body: dict[str, Any]) -> list[Any]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": piece} for piece in server.pieces()]
    if server.tool and all(message["role"] != "tool" for message in body["messages"]):
        function = {"name": server.tool[0], "arguments": json.dumps(server.tool[1])}
        deltas = [{"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stand-in"}
    end = "tool_calls" if "tool_calls" in deltas[0] else "stop"
    usage = {"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127}
    return [
        *({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": end}]},
        {**head, "choices": [], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 40}}},
    ]


def _responses(server: ModelServer, body: dict[str, Any]) -> list[Any]:
    content = [{"type": "output_text", "text": server.text, "annotations": []}]
    item: dict[str, Any] = {"type": "message", "id": "m", "role": "assistant", "content": content}
    if server.tool and not any(str(one.get("type")).endswith("_output") for one in body["input"]):
        name, arguments = server.tool
        item = {
            "type": "function_call",
            "id": "f",
            "call_id": "call_1",
            "name": name,
            "arguments": json.dumps(arguments),
        }
    usage = {
        "input_tokens": 120,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens": 7,
        "total_tokens": 127,
    }
    return [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "usage": usage}},
    ]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory for an agent to work in."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


@pytest.fixture
def ready(home: Path, model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """All three tools on PATH, logged in to the model on loopback by what their users write down."""
    if not TOOLS_DIR:
        pytest.skip("CCW_TEST_AGENTS names no folder of installed agents")
    for name in ("codex", "gemini", "qwen"):
        if not _put_on_path(name, monkeypatch):
            pytest.skip(f"{name} is not installed in CCW_TEST_AGENTS")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "QWEN_CODE_SYSTEM_SETTINGS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", model.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
    monkeypatch.setenv("OPENAI_MODEL", "stand-in")
    write(home / ".gemini/settings.json", {"security": {"auth": {"selectedType": "gemini-api-key"}}})
    (home / ".codex").mkdir()
    provider = f'name = "m"\nbase_url = "{model.url}/v1"\nwire_api = "responses"\nrequest_max_retries = 0\n'
    (home / ".codex/config.toml").write_text(f'model_provider = "m"\n[model_providers.m]\n{provider}')
    return model


def _put_on_path(name: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    for folder in (Path(TOOLS_DIR) / name, Path(TOOLS_DIR)):
        binaries = folder / "node_modules" / ".bin"
        if shutil.which(name, path=str(binaries)):
            monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
            return True
    return False


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@pytest.fixture
def trust(home: Path, place: Path) -> None:
    """The user trusts the directory, as gemini asks for."""
    write(home / ".gemini/trustedFolders.json", {str(place): "TRUST_FOLDER"})

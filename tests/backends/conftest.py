"""The embedded model for the tests that run it, and a stand-in for its process for those that need none."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccw_magics.backends import local_process

STAND_IN = r"""
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

order = json.loads(sys.stdin.buffer.readline())

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer " + order["api_key"]:
            return self.reply(401, {"error": {"code": 401, "message": "no"}})
        if self.path == "/tokenize":
            return self.reply(200, {"tokens": body["content"].split()})
        if "REFUSE" in body["messages"][-1]["content"]:
            return self.reply(400, {"error": json.loads(body["messages"][-1]["content"].partition(" ")[2])})
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in body["messages"][-1]["content"].splitlines():
            if line == "CRASH":
                sys.stderr.write("0.1 E ggml: everything is broken\n")
                sys.stderr.flush()
                os._exit(3)
            if line == "KILL":
                os.kill(os.getpid(), 9)
            if line == "STALL":
                threading.Event().wait()
            if line == "BODY":
                line = json.dumps({"choices": [{"delta": {"content": json.dumps(body)}}]})
            data = ("data: " + line + "\n\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def reply(self, status, document):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"url": "http://127.0.0.1:%d" % server.server_port}), flush=True)
while sys.stdin.buffer.read(4096):
    pass
os._exit(0)
"""
"""A child without a model: it streams back the lines it is sent, as llama.cpp would."""


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    """Whatever a test starts ends with it."""
    yield
    local_process.processes.stop()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file whose child is the stand-in."""
    program, model = tmp_path / "stand_in.py", tmp_path / "tiny.gguf"
    program.write_text(STAND_IN)
    model.write_bytes(b"GGUF")
    monkeypatch.setattr(local_process, "_SERVER_PROGRAM", program)
    monkeypatch.setattr(
        local_process, "find_spec", lambda _: importlib.util.spec_from_loader("json", None, origin=json.__file__)
    )
    return model

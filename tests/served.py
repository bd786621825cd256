"""A server as users start it, `ccw serve` in a process and a home of its own, and projects below its root."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from ccw_magics import ConfigStore

START_LIMIT_S = 60.0
BASE = "/api/litellm-api"
SERVE = "import sys; from ccw_magics.cli.shell.command import main; sys.argv = ['ccw', 'serve', *sys.argv[1:]]; main()"


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a server: nobody's keys, no proxy, and a home of its own."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("CCW_", "JUPYTER")) and not name.lower().endswith(("_api_key", "_api_base", "_proxy"))
    }
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "NO_PROXY": "*", **more}


class Served:
    """A running server; a context manager.

    Args:
        folder: Where its root and its home are, or are made.
        words: What follows `ccw serve`.

    Attributes:
        root: Its root.
        url: Of the routes, without a slash at the end.
        token: What its requests must bring.
        said: What it wrote to standard output until it was ready.
    """

    def __init__(self, folder: Path, *words: str, **more: str) -> None:
        self.root, self.home = folder / "root", folder / "home"
        (self.root / ".ccw" / "storage").mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        self.log = folder / "log"
        self.said = ""
        self.process = self._started(words or ("--port", "0"), more)

    def _started(self, words: tuple[str, ...], more: dict[str, str]) -> subprocess.Popen[str]:
        with self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-c", SERVE, *words],
                cwd=self.root,
                env=environment(self.home, **more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        watchdog = threading.Timer(START_LIMIT_S, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"Authorization: token (?P<token>\S+)' (?P<url>\S+)/providers", line):
                self.url, self.token = found["url"], found["token"]
                break
        watchdog.cancel()
        assert hasattr(self, "url"), self.log.read_text()
        self._client = httpx.Client(base_url=self.url, headers=self.headers, timeout=60, trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self.interrupt()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def interrupt(self) -> int:
        """Press Ctrl-C, and see how it ends."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()

    def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """A request with the token."""
        return self._client.request(verb, path, **options)


class Site:
    """A project below a server's root.

    Args:
        served: The server.
        name: The folder.
    """

    def __init__(self, served: Served, name: str) -> None:
        self.served, self.name = served, name
        self.root = served.root / name
        (self.root / ".ccw" / "storage").mkdir(parents=True)

    @property
    def store(self) -> ConfigStore:
        """Its config, as another process sees it."""
        return ConfigStore(self.root)

    def request(self, verb: str, path: str, json: Any = None, **query: Any) -> httpx.Response:
        """A request about this project."""
        return self.served.request(verb, path, json=json, params={"path": self.name, **query})

    def get(self, path: str, **query: Any) -> Any:
        """What a GET that goes well answers."""
        answer = self.request("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, verb: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        """The status and the error of a request that is refused."""
        answer = self.request(verb, path, body, **query)
        told = answer.json()
        assert set(told) == {"error", "hint"}
        return answer.status_code, told["error"]

    def events(self, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """The events of a question, as they come."""
        sent = self.served._client.stream("POST", "/execute", json=body, params={"path": self.name})
        with sent as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"] == "text/event-stream"
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield kind, json.loads(line.removeprefix("data: "))

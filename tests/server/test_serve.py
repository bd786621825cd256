"""`ccw serve`, and the curl lines that CCW's users know, as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from IPython.core.interactiveshell import InteractiveShell
from served import SERVE, Served, Site, environment
from wire_server import Answer, WireServer

from ccw_magics import CcwError, ConfigStore, Workspace
from ccw_magics.cli.tree import tree
from ccw_magics.notebook.door import NotebookDoor
from ccw_magics.server.table import OPERATIONS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^curl .*(?:\\\n.*)*$", README, re.MULTILINE)
PROVIDER = "openai-1234567890"


def test_it_says_where_it_is_and_how_to_ask_it(served: Served) -> None:
    assert re.fullmatch(
        rf"serving {re.escape(str(served.root))} at http://localhost:\d+/api/litellm-api\n"
        r"Ctrl-C ends it\. Each request needs the token:\n"
        r"  curl -H 'Authorization: token [0-9a-f]{48}' http://localhost:\d+/api/litellm-api/providers\n",
        served.said,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_at_the_first_signal(tmp_path: Path, number: signal.Signals) -> None:
    with Served(tmp_path) as server:
        server.request("GET", "/providers")
        server.process.send_signal(number)
        assert server.process.wait(20) == 0
    assert server.log.read_text() == ""


def test_what_is_set_for_jupyter_opens_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "home" / ".jupyter" / "jupyter_server_config.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Served, "_started", _with_settings(settings, Served._started))
        with Served(tmp_path) as server:
            assert httpx.get(f"{server.url}/providers", trust_env=False).status_code == 403
            assert httpx.URL(server.url).host == "localhost"


def _with_settings(settings: Path, start: Any) -> Any:
    def started(server: Served, *arguments: Any) -> Any:
        settings.parent.mkdir()
        settings.write_text(
            "c.ServerApp.ip = '0.0.0.0'\nc.IdentityProvider.token = ''\nc.ServerApp.disable_check_xsrf = True\n"
        )
        return start(server, *arguments)

    return started


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "//",
            "/files/README.md",
            "/files/",
            "/view/README.md",
            "/tree",
            "/lab",
            "/metrics",
            "/login",
            "/logout",
        ),
        *("/static/style/style.min.css", "/favicon.ico", "/robots.txt", "/logo", "/api", "/api/", "/api/status"),
        *("/api/me", "/api/spec.yaml", "/api/contents", "/api/kernels", "/api/sessions", "/api/terminals"),
        *("/api/kernelspecs", "/api/config/notebook", "/api/shutdown", "/api/litellm-apis", "/api/security/csp-report"),
    ],
)
def test_it_has_neither_kernels_nor_files(served: Served, path: str) -> None:
    (served.root / "README.md").write_text("Hello.")
    url = httpx.URL(served.url).copy_with(path=path)
    for verb in ("GET", "POST"):
        answer = httpx.request(verb, url, headers=served.headers, trust_env=False)
        assert (answer.status_code, answer.json()) == (
            404,
            {"error": "Not Found", "hint": "GET /api/litellm-api/openapi.json describes every request."},
        )
        assert httpx.request(verb, url, trust_env=False).status_code == 403


HANDLERS = """
import pathlib
from jupyter_server.serverapp import ServerApp
from ccw_magics.server.serve import serve

def walk(router):
    for rule in router.rules:
        if hasattr(rule.target, "rules"):
            walk(rule.target)
        else:
            print(rule.matcher.regex.pattern, rule.target.__name__)

ServerApp.start = lambda app: walk(app.web_app.default_router)
serve(pathlib.Path.cwd(), 0, lambda said: None)
"""


def test_every_handler_is_ours(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANDLERS],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    handlers = [line.rsplit(maxsplit=1) for line in done.stdout.splitlines()]
    assert {name for _, name in handlers} == {"OperationHandler"}
    paths = {operation.path for operation in OPERATIONS}
    assert len(handlers) == len(paths) + 1  # what else is below
    ours = re.escape("/api/litellm-api")
    assert all(pattern.startswith(ours) for pattern, _ in handlers), done.stdout


def test_it_listens_on_this_machine_alone(served: Served) -> None:
    port = httpx.URL(served.url).port
    assert port is not None
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))  # free, so it is not the whole machine's


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", SERVE, "--port", port],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == f"CcwError: port {port} is taken, or may not be used\n--port takes another one.\n"


def test_a_question_that_is_under_way_is_broken_off_and_recorded(tmp_path: Path, wire: WireServer) -> None:
    wire.answers(Answer("Many words that come slowly. " * 50, gap_s=0.05))
    with Served(tmp_path) as server:
        site = asking(server, wire)
        events = site.events({"prompt": "Hello?"})
        next(events)
        server.process.send_signal(signal.SIGINT)
        assert [kind for kind, _ in events if kind == "reply"] == []
        assert server.process.wait(20) == 0
        (entry,) = Workspace(site.root).journal.calls()
    assert (entry.opening, entry.call.outcome) == ("Hello?", "interrupted")
    assert server.log.read_text() == ""


def asking(server: Served, wire: WireServer) -> Site:
    """A project whose default endpoint asks the wire server."""
    site = Site(server, "asking")
    site.store.add_provider({"id": "p", "type": "openai", "apiKey": "k", "apiBase": f"{wire.url}/v1"})
    site.store.add_endpoint({"id": "wired", "providerId": "p", "model": "gpt-4o"})
    site.store.set_default_endpoint("wired")
    return site


def test_the_token_is_in_files_of_its_users_alone_and_in_no_log(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        for path in ("/providers", "/nothing", "/cache/x?offset=x"):
            address = httpx.URL(f"{server.url}{path}").copy_merge_params({"token": server.token})
            httpx.get(address, headers={"Referer": str(address)}, trust_env=False)
        holding = [path for path in server.home.rglob("*") if path.is_file() and server.token in path.read_text()]
        assert {path.stat().st_mode & 0o077 for path in holding} == {0}
    assert server.token not in server.log.read_text()
    assert not any(path.exists() for path in holding)


def test_a_notebook_has_a_server_already() -> None:
    with pytest.raises(CcwError, match="`serve` is for a terminal") as raised:
        NotebookDoor(InteractiveShell()).verb(["serve"])
    assert "<base>/api/litellm-api/" in str(raised.value.hint)


def test_the_port_is_that_of_the_lines() -> None:
    serve = tree.get_command(click.Context(tree), "serve")
    assert serve is not None
    (port,) = [option for option in serve.params if option.name == "port"]
    assert port.default == 3000


@pytest.fixture
def three_thousand(tmp_path: Path, home: Path, wire: WireServer) -> Iterator[Served]:
    """A server that curl finds at port 3000, and the config that the lines expect, with the wire server for OpenAI."""
    with Served(tmp_path, OPENAI_API_KEY="sk-canary-0123456789abcdef") as server:
        # Somebody may have a server at that port: curl is sent to this one instead, by a file that leaves its line alone.
        (home / ".curlrc").write_text(f'connect-to = "localhost:3000:localhost:{httpx.URL(server.url).port}"\n')
        ConfigStore(server.root).add_provider(
            {"id": PROVIDER, "type": "openai", "apiKey": "${OPENAI_API_KEY}", "apiBase": f"{wire.url}/v1"}
        )
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_lines_of_the_readme_run_as_they_stand(three_thousand: Served, wire: WireServer) -> None:
    add_provider, add_endpoint, test = LINES
    told = [json.loads(run(line, three_thousand.token)) for line in (add_provider, add_endpoint, test)]
    provider, endpoint, tested = told
    assert (provider["success"], provider["provider"]["apiKey"]) == (True, "${OPENAI_API_KEY}")
    assert (endpoint["success"], endpoint["endpoint"]["cacheStrategy"]["filePatterns"]) == (True, ["*.md", "*.ts"])
    assert (tested["success"], tested["provider"]) == (False, "openai")  # the wire server has no list of models
    assert [lookup.headers["Authorization"] for lookup in wire.lookups] == ["Bearer sk-canary-0123456789abcdef"]
    store = ConfigStore(three_thousand.root)
    assert [known.id for known in store.get_all_endpoints()] == ["my-gpt4o"]
    assert len(store.get_all_providers()) == 2
    for line in LINES:
        assert json.loads(run(line, "wrong"))["error"] == "Forbidden"


def run(line: str, token: str) -> str:
    """What a line answers in a shell."""
    environment = {**os.environ, "CCW_TOKEN": token, "NO_PROXY": "*", "no_proxy": "*"}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_the_lines_of_the_readme_are_those_of_ccw_with_the_token() -> None:
    token = ' -H "Authorization: token $CCW_TOKEN"'
    assert [line.replace(token, "") for line in LINES] == [
        """curl -X POST http://localhost:3000/api/litellm-api/providers -H "Content-Type: application/json" -d '{"name": "My OpenAI", "type": "openai", "apiKey": "${OPENAI_API_KEY}", "enabled": true}'""",
        """curl -X POST http://localhost:3000/api/litellm-api/endpoints -H "Content-Type: application/json" -d '{"id": "my-gpt4o", "name": "GPT-4o with Cache", "providerId": "openai-1234567890", "model": "gpt-4o", "cacheStrategy": {"enabled": true, "ttlMinutes": 60, "maxSizeKB": 512, "filePatterns": ["*.md", "*.ts"]}}'""",
        """curl -X POST http://localhost:3000/api/litellm-api/providers/openai-1234567890/test""",
    ]
    assert all(token in line for line in LINES)

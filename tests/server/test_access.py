"""Who may: on every verb of every path Jupyter's own token, or its cookie with the XSRF header that goes with it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from served import BASE, Site, environment

from ccw_magics.server.table import OPERATIONS

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PATHS = sorted({operation.path.replace("{id}", "some") for operation in OPERATIONS} | {"/nothing", "/a/b/c", ""})
KEY = "sk-canary-0123456789abcdef"
ENABLED = Path(__file__).parents[2] / "etc" / "jupyter"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", [{}, {"Authorization": "token wrong"}], ids=["no token", "a wrong one"])
def test_nobody_gets_anything_without_the_token(site: Site, path: str, header: dict[str, str]) -> None:
    for verb in VERBS:
        answer = httpx.request(verb, f"{site.served.url}{path}", headers=header, json={}, trust_env=False)
        assert answer.status_code == 403, (verb, answer.text)
        if verb != "HEAD":
            assert set(answer.json()) == {"error", "hint"}


def test_a_huge_body_of_somebody_who_is_not_logged_in_is_not_waited_for(site: Site) -> None:
    address = httpx.URL(site.served.url)
    with socket.create_connection((address.host, address.port), timeout=20) as client:
        head = f"POST {BASE}/providers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 403 ")


class Jupyter:
    """A plain Jupyter Server as users have it, with the routes enabled by nothing but their file in `etc`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        (self.root / ".ccw" / "storage").mkdir(parents=True)
        (folder / "home").mkdir()
        self.log = folder / "log"
        words = [
            "--ServerApp.base_url=/hub/user",
            "--port=0",
            "--no-browser",
            "--allow-root",
            "--ServerApp.password=",
            "--debug",
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *words, f"--ServerApp.root_dir={self.root}"],
                env=environment(folder / "home", JUPYTER_CONFIG_PATH=str(ENABLED), JUPYTER_TOKEN="let-me-in"),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = self._address()

    def _address(self) -> str:
        """Where it is, as its log says."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"(http://127\.0\.0\.1:\d+/hub/user)/", self.log.read_text()):
                return found[1]
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    server = Jupyter(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "[D " in log
    assert KEY not in log


@pytest.fixture
def browser(jupyter: Jupyter) -> Iterator[httpx.Client]:
    """A browser that is logged in: it has the cookies, and sends no token."""
    with httpx.Client(base_url=f"{jupyter.url}{BASE}", trust_env=False, timeout=30) as client:
        assert client.post(f"{jupyter.url}/login", params={"token": "let-me-in"}).status_code < 500
        assert client.get(f"{jupyter.url}/tree", params={"token": "let-me-in"}).status_code < 500
        client.get(f"{jupyter.url}/login")
        yield client


@pytest.mark.parametrize(
    "body", [f'{{"type": "openai", "apiKey": "{KEY}"}}', f'{{"apiKey": "{KEY}', f'{{"type": {{"{KEY}": "{KEY}"}}}}']
)
def test_not_even_a_log_of_everything_has_a_key(jupyter: Jupyter, body: str) -> None:
    headers = {"Authorization": "token let-me-in"}
    answer = httpx.post(f"{jupyter.url}{BASE}/providers", content=body, headers=headers, trust_env=False)
    assert KEY not in answer.text  # the fixture looks into the log, at DEBUG, at its end
    if answer.status_code == 200:
        url = f"{jupyter.url}{BASE}/providers/{answer.json()['provider']['id']}"
        assert httpx.delete(url, headers=headers, trust_env=False).status_code == 200


def test_a_preflight_opens_nothing(site: Site) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = httpx.options(f"{site.served.url}/providers", headers=asked, trust_env=False)
    assert (answer.content, "access-control-allow-origin" in answer.headers) == (b"", False)


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0x7f000001", ""])
def test_a_name_that_was_bound_anew_is_refused(site: Site, name: str) -> None:
    headers = {**site.served.headers, "Host": name}
    assert httpx.get(f"{site.served.url}/providers", headers=headers, trust_env=False).status_code == 403


def test_a_jupyter_server_has_the_routes_once_the_package_is_installed(jupyter: Jupyter) -> None:
    answer = httpx.get(f"{jupyter.url}{BASE}/providers", headers={"Authorization": "token let-me-in"}, trust_env=False)
    assert answer.json() == {"providers": [], "count": 0}


def test_its_file_of_settings_is_part_of_the_wheel() -> None:
    text = (ENABLED.parents[1] / "pyproject.toml").read_text()
    assert '[tool.hatch.build.targets.wheel.shared-data]\n"etc" = "etc"' in text
    enabled = json.loads((ENABLED / "jupyter_server_config.d" / "ccw_magics.json").read_text())
    assert enabled == {"ServerApp": {"jpserver_extensions": {"ccw_magics": True}}}


def test_a_cookie_reads(browser: httpx.Client) -> None:
    assert browser.get("/providers").status_code == 200


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE"])
def test_a_cookie_alone_changes_nothing(browser: httpx.Client, verb: str) -> None:
    answer = browser.request(verb, "/providers/none", json={})
    assert (answer.status_code, "_xsrf" in answer.json()["error"]) == (403, True)


def test_a_cookie_changes_with_its_xsrf_header(browser: httpx.Client, jupyter: Jupyter) -> None:
    header = {"X-XSRFToken": browser.cookies["_xsrf"]}
    made = browser.post("/providers", json={"type": "ollama"}, headers=header).json()["provider"]
    assert browser.delete(f"/providers/{made['id']}", headers=header).status_code == 200


def test_a_cookie_from_another_page_is_not_enough(browser: httpx.Client) -> None:
    header = {"X-XSRFToken": browser.cookies["_xsrf"], "Origin": "https://evil.example"}
    assert browser.post("/providers", json={"type": "ollama"}, headers=header).status_code in {403, 404}
    assert browser.get("/providers", headers={"Origin": "https://evil.example"}).status_code in {403, 404}

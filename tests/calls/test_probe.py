"""The test of a provider, against a server on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from ccw_magics.calls import worker
from ccw_magics.calls.model_list import model_list
from ccw_magics.calls.probe import LARGEST_BYTES, Probe, probe
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import STANDARD_KEY_NAMES, Provider

KEY = "sk-canary-0123456789abcdef"
OPENAI_LIST = {"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"nothing": 1}, "odd", {"id": "x\n"}]}


@dataclass
class Asked:
    path: str
    headers: dict[str, str]

    @property
    def text(self) -> str:
        return f"{self.path} {self.headers}"


Reply = tuple[int, bytes, dict[str, str]]


@dataclass
class Server:
    """Answers every GET by `reply`; what it was asked is in `asked`."""

    url: str = ""
    reply: Callable[[Asked], Reply] = lambda _: (404, b"", {})
    asked: list[Asked] = field(default_factory=list)


def _serve() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
            state.asked.append(asked)
            status, body, headers = state.reply(asked)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # who has read enough hangs up
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from _serve()


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    yield from _serve()


def whole(document: object, status: int = 200, **headers: str) -> Reply:
    return status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers}


def guarded(document: object, *keys: str) -> Callable[[Asked], Reply]:
    """The document for who brings one of the keys, else a 401 that repeats what was brought."""

    def reply(asked: Asked) -> Reply:
        brought = " ".join(asked.headers.values())
        if any(key in brought for key in keys or (KEY,)):
            return whole(document)
        return whole({"error": {"message": f"Incorrect API key provided: {brought}"}}, 401)

    return reply


def provider(kind: str = "openai", **given: Any) -> Provider:
    return Provider.model_validate({"id": "p", "type": kind, "apiKey": KEY, **given})


def outcome_of(given: Provider, *keys: str) -> Probe:
    """The probe's outcome, which never shows a key."""
    found = asyncio.run(probe(given))
    for key in (KEY, *keys):
        assert key not in repr(found)
    assert "\n" not in found.outcome + found.hint
    return found


GOOD = {
    "openai": ("/v1", OPENAI_LIST, "/v1/models", "authorization", ("a", "b")),
    "custom": ("/v1/", OPENAI_LIST, "/v1/models", "authorization", ("a", "b")),
    "mistral": ("/v1", OPENAI_LIST, "/v1/models", "authorization", ("a", "b")),
    "deepseek": ("", OPENAI_LIST, "/models", "authorization", ("a", "b")),
    "groq": ("/openai/v1", OPENAI_LIST["data"], "/openai/v1/models", "authorization", ("a", "b")),
    "anthropic": ("", OPENAI_LIST, "/v1/models?limit=1000", "x-api-key", ("a", "b")),
    "google": (
        "/v1beta",
        {
            "models": [
                {"name": "models/gemini", "supportedGenerationMethods": ["generateContent"]},
                {"name": "models/embedding", "supportedGenerationMethods": ["embedContent"]},
            ]
        },
        "/v1beta/models?pageSize=1000",
        "x-goog-api-key",
        ("gemini",),
    ),
    "azure": ("", OPENAI_LIST, "/openai/models?api-version=2024-10-21", "api-key", ()),
    "ollama": ("", {"models": [{"name": "llama3:latest"}]}, "/api/tags", "authorization", ("llama3:latest",)),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_key(server: Server, kind: str) -> None:
    suffix, document, path, header, models = GOOD[kind]
    server.reply = guarded(document)
    found = outcome_of(provider(kind, apiBase=server.url + suffix))
    assert (found.is_ok, found.models) == (True, models), found
    assert found.outcome.startswith("reachable in ")
    assert "the key is accepted" in found.outcome
    assert found.latency_s is not None
    assert server.asked[0].path == path
    assert server.asked[0].headers[header] in {KEY, f"Bearer {KEY}"}
    assert KEY not in server.asked[0].path
    assert KEY not in server.asked[-1].text, "whether the key matters is tried without one"


@pytest.mark.parametrize("kind", GOOD)
def test_a_bad_key(server: Server, kind: str) -> None:
    server.reply = guarded(GOOD[kind][1], "another key")
    found = outcome_of(provider(kind, apiBase=server.url + GOOD[kind][0]))
    assert (found.is_ok, found.models) == (False, ())
    assert f"{kind} refused the key (401)" in found.outcome
    assert len(server.asked) == 1


def test_googles_word_for_a_bad_key(server: Server) -> None:
    details = [{"reason": "API_KEY_INVALID"}]
    server.reply = lambda _: whole({"error": {"code": 400, "message": "API key not valid.", "details": details}}, 400)
    assert (
        "google refused the key (401): API key not valid." in outcome_of(provider("google", apiBase=server.url)).outcome
    )


def test_a_list_for_anybody_says_nothing_of_the_key(server: Server) -> None:
    server.reply = lambda _: whole(OPENAI_LIST)
    found = outcome_of(provider("custom", apiBase=server.url))
    assert found.is_ok
    assert "so the key was not tested; 2 models" in found.outcome


def test_no_key_is_needed(server: Server) -> None:
    server.reply = lambda _: whole({"models": []})
    found = outcome_of(provider("ollama", apiBase=server.url, apiKey=""))
    assert "no key is needed; 0 models" in found.outcome
    assert "authorization" not in server.asked[0].headers
    assert len(server.asked) == 1


ANSWERS: dict[str, tuple[Reply, bool | None, str, str]] = {
    "wrong base": (whole({"detail": "Not Found"}, 404), False, "has no list of models (404)", "/v1"),
    "another method": ((405, b"", {}), False, "has no list of models (405)", "/v1"),
    "not allowed": (whole({"error": {"message": "Missing scopes"}}, 403), None, "does not let this key", "allowed"),
    "limited": (whole({"error": {"message": "slow"}}, 429), False, "is limiting requests (429): slow", "Wait"),
    "limited for a while": (whole({}, 429, **{"Retry-After": "7"}), False, "limiting requests", "7 s of rest"),
    "no credit": (whole({"error": {"code": "insufficient_quota"}}, 429), False, "used up (429)", "Add credit"),
    "failed": ((500, b"oh", {}), False, "openai failed (500): oh", "again"),
    "a teapot": ((418, b"", {}), False, "rejected the request (418)", "type and apiBase"),
    "a page": ((200, b"<html><title>Hello</title></html>", {"Content-Type": "text/html"}), False, "no list", "apiBase"),
    "an error page": ((502, b"<html>bad <b>gateway</b></html>", {}), False, "gateway (502): bad gateway", "again"),
    "other JSON": (whole({"hello": "you"}), False, "answers, but with no list of models", "apiBase"),
    "nothing": ((204, b"", {}), False, "the status 204", ""),
    "nested JSON": ((200, b"[" * 100_000, {}), False, "no list of models", "apiBase"),
    "endless": ((200, b" " * (LARGEST_BYTES + 1) + b"[]", {}), False, "no list of models", "apiBase"),
}


@pytest.mark.parametrize(("reply", "is_ok", "outcome", "hint"), ANSWERS.values(), ids=ANSWERS)
def test_answers_in_words(server: Server, reply: Reply, is_ok: bool | None, outcome: str, hint: str) -> None:
    server.reply = lambda _: reply
    found = outcome_of(provider(apiBase=f"{server.url}/v1"))
    assert (found.is_ok, found.models) == (is_ok, ())
    assert outcome in found.outcome
    assert hint in found.hint
    assert found.latency_s is not None


def _dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return int(gone.getsockname()[1])


@pytest.mark.parametrize(
    ("base", "outcome"),
    [
        ("http://nowhere.invalid/v1", "there is no such host: http://nowhere.invalid/v1"),
        ("http://127.0.0.1:{port}/v1", "openai cannot be reached at http://127.0.0.1:"),
        ("http://me:{key}@127.0.0.1:{port}/v1", "openai cannot be reached at http://127.0.0.1:"),
        ("localhost:11434", "apiBase is no URL: localhost:11434"),
        ("http:///v1", "apiBase is no URL"),
        ("http://127.0.0.1:99999/", "apiBase is no URL"),
        ("", "cannot be tested for free without an apiBase"),
    ],
    ids=["no such host", "dead port", "password", "no scheme", "broken", "no such port", "unknown type"],
)
def test_no_answer(base: str, outcome: str) -> None:
    given = provider("openai" if base else "bedrock", apiBase=base.format(port=_dead_port(), key=KEY))
    found = outcome_of(given)
    assert outcome in found.outcome
    assert found.is_ok is (False if base else None)
    assert found.hint
    assert found.latency_s is None


def test_a_redirection_elsewhere_takes_no_key_along(server: Server, elsewhere: Server) -> None:
    server.reply = lambda _: (307, b"", {"Location": f"{elsewhere.url}/v1/models"})
    found = outcome_of(provider(apiBase=f"{server.url}/v1", advancedSettings={"customHeaders": {"X-Mine": KEY}}))
    assert (found.is_ok, elsewhere.asked, len(server.asked)) == (False, [], 1)
    assert "redirects" in found.outcome
    assert "the key would go there" in found.outcome


def test_a_redirection_at_home_is_followed(server: Server) -> None:
    reply = guarded(OPENAI_LIST)
    server.reply = lambda asked: reply(asked) if asked.path == "/new" else (308, b"", {"Location": "/new"})
    assert outcome_of(provider(apiBase=server.url)).models == ("a", "b")


def test_redirections_in_a_circle_end(server: Server) -> None:
    server.reply = lambda _: (302, b"", {"Location": "/again"})
    assert outcome_of(provider(apiBase=server.url)).is_ok is False
    assert len(server.asked) == 4


SEVERAL = {
    "all good": (("k1-0123456789abcdef", "k2-0123456789abcdef", KEY), True, "accepted"),
    "one bad": (("k1-0123456789abcdef", KEY), False, "spare: openai refused the key (401)"),
    "all bad": (("none",), False, "openai refused the key (401)"),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_keys(server: Server, case: str) -> None:
    good, is_ok, outcome = SEVERAL[case]
    server.reply = lambda asked: (
        whole(OPENAI_LIST) if any(key in asked.text for key in good) else whole({"error": "no"}, 401)
    )
    entries = [
        {"id": "one", "key": "k1-0123456789abcdef"},
        {"id": "two", "label": "spare", "key": "k2-0123456789abcdef"},
        {"id": "off", "key": "k3-0123456789abcdef", "enabled": False},
    ]
    found = outcome_of(provider(apiBase=server.url, apiKeys=entries), "k1-0", "k2-0", "k3-0")
    assert found.is_ok is is_ok
    assert outcome in found.outcome
    assert ("apiKey:" in found.outcome) is (case != "all bad")
    assert "k3-0" not in "".join(asked.text for asked in server.asked)


def test_a_certificate_that_nobody_vouches_for() -> None:
    import ssl

    import trustme
    from wire_server import WireServer

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with WireServer(tls) as wire:
        found = outcome_of(provider(apiBase=f"{wire.url}/v1"))
        assert "certificate of https://127.0.0.1:" in found.outcome
        assert "cannot be verified" in found.outcome
        assert not wire.lookups


def test_references_and_headers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    monkeypatch.setenv("THE_BASE", f"{server.url}/hidden-path-name")
    server.reply = lambda asked: (404, f"no {asked.path} {asked.headers['x-team']}".encode(), {})
    settings = {"customHeaders": {"X-Team": "team-${THE_KEY}"}, "organization": "org"}
    found = outcome_of(provider(apiKey="${THE_KEY}", apiBase="${THE_BASE}/v1", advancedSettings=settings))
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["x-team"] == f"team-{KEY}"
    assert server.asked[0].headers["openai-organization"] == "org"
    assert "${THE_BASE}/v1 answers, but has no list of models (404)" in found.outcome
    assert "hidden-path-name" not in repr(found)


MISSING = {
    "key": ({"apiKey": "${NOT_SET}"}, "variable NOT_SET is not set"),
    "header": ({"advancedSettings": {"customHeaders": {"X": "${NOT_SET}"}}}, "variable NOT_SET is not set"),
    "none": ({"apiKey": ""}, "there is no key"),
    "a mask": ({"apiKey": "sk-…abc"}, "mask"),
    "a letter": ({"apiKey": f"{KEY}ü"}, "no header can carry"),
    "a header's name": ({"advancedSettings": {"customHeaders": {"X Y": "1"}}}, "name of a header"),
}


@pytest.mark.parametrize("case", MISSING)
def test_nothing_is_sent_without_what_it_takes(server: Server, case: str) -> None:
    changes, outcome = MISSING[case]
    found = outcome_of(provider(**{"apiBase": server.url, **changes}))
    assert found.is_ok is False
    assert outcome in found.outcome
    assert server.asked == []


def test_a_proxy_is_used_and_its_password_not_shown(server: Server) -> None:
    server.reply = lambda _: (407, f"denied to {KEY}".encode(), {})
    proxy = server.url.replace("://", f"://me:{KEY}@")
    found = outcome_of(provider(apiBase="http://far.invalid/v1", advancedSettings={"proxy": proxy}))
    assert server.asked[0].path == "http://far.invalid/v1/models"
    assert found.is_ok is False
    assert "(407)" in found.outcome


def test_the_names_are_redacted(server: Server) -> None:
    server.reply = lambda _: whole({"data": [{"id": KEY}]})
    outcome_of(provider(apiBase=server.url))


def test_no_variable_of_the_environment_is_a_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in STANDARD_KEY_NAMES.values():
        monkeypatch.setenv(name, KEY)
    server.reply = lambda _: whole(OPENAI_LIST)
    outcome_of(provider("custom", apiKey="", apiBase=server.url))
    assert KEY not in server.asked[0].text


@pytest.mark.parametrize("is_there", [False, True], ids=["no package", "no weights"])
def test_the_embedded_model(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    monkeypatch.setattr("ccw_magics.backends.local_model.available", lambda: is_there)
    found = outcome_of(provider("local"))
    assert found.is_ok is False
    assert ("weights are not there" if is_there else "xllamacpp is not installed") in found.outcome


def test_it_is_interrupted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    release = Event()

    def stall(_: Asked) -> Reply:
        release.wait(10)
        return 500, b"", {}

    def interrupt() -> None:
        if server.asked:
            raise KeyboardInterrupt

    server.reply = stall
    with pytest.raises(KeyboardInterrupt):
        worker.watch(lambda _: probe(provider(apiBase=server.url)), lambda *_: None, interrupt)
    release.set()


AT_HOME = {
    "openai": "https://api.openai.com/v1/models",
    "anthropic": "https://api.anthropic.com/v1/models?limit=1000",
    "google": "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
    "mistral": "https://api.mistral.ai/v1/models",
    "deepseek": "https://api.deepseek.com/models",
    "ollama": "http://localhost:11434/api/tags",
}


@pytest.mark.parametrize("kind", AT_HOME)
def test_each_types_own_address(kind: str) -> None:
    assert str(model_list(provider(kind)).url()) == AT_HOME[kind]


@pytest.mark.parametrize(
    ("kind", "base", "version", "url"),
    [
        ("anthropic", "https://h/v1/messages", None, "https://h/v1/models?limit=1000"),
        ("azure", "https://n.openai.azure.com/openai/v1/", "preview", "https://n.openai.azure.com/openai/v1/models"),
        ("azure", "https://h/openai/deployments/d", "2025-01-01", "https://h/openai/models?api-version=2025-01-01"),
        ("custom", "https://h/v1?a=b", None, "https://h/v1/models?a=b"),
    ],
    ids=["messages", "azure v1", "azure deployment", "query"],
)
def test_bases_as_people_write_them(kind: str, base: str, version: str | None, url: str) -> None:
    given = provider(kind, apiBase=base, advancedSettings={"apiVersion": version})
    assert str(model_list(given).url()) == url


def test_a_header_of_the_config_goes_first() -> None:
    given = provider(advancedSettings={"customHeaders": {"authorization": "Mine"}})
    assert model_list(given).headers(Secret(KEY))["Authorization"] == "Mine"

"""Every fault of a provider and of the way to it, on a real wire: outcome, tries, words, text kept, and no key anywhere.

A row is a fault; each is met in three formats, lasting (every try meets it) and passing (the next try is answered).
"""

from __future__ import annotations

import logging
import pickle
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from wire_faults import NO_SUCH_HOST, http_date, refused, self_signed, signed_by_a_stranger, swallowing
from wire_server import Answer, Received, Script, WireServer

from ccw_magics import Workspace
from ccw_magics.calls.reply import Reply
from ccw_magics.errors import ProviderError

KEY = "sk-7Qw9Zx4Lr2Tb8VnKd5Hm3Gy6Pc1Rf"
WINDOW = 12
"""A piece of the key this long counts as the key; a mask shows six characters of it."""
PIECES = ("one ", "two ", "three ", "four")
ALL = "".join(PIECES)
LOUD = ("LiteLLM", "openai._base_client", "httpx", "httpcore.http11", "aiohttp.client", "asyncio", "ccw_magics")
HANG_S = 20.0
"""No row takes as long, however busy the machine: whatever does hangs."""
LARGE_BYTES = 50_000_000
LIGHT_BYTES = 50_000
"""A reply, and the trace of its error, are smaller than this whatever the server sent."""

FORMATS = {  # provider type: the base's path, and the model
    "openai": ("/v1", "gpt-4o"),
    "anthropic": ("", "claude-sonnet-4-5"),
    "google": ("", "gemini-2.5-flash"),
}
EVERY_FORMAT = pytest.mark.parametrize("kind", FORMATS)


@pytest.fixture(autouse=True)
def loud(caplog: pytest.LogCaptureFixture) -> None:
    """Everything is logged that anybody below has to say."""
    for name in (None, *LOUD):
        caplog.set_level(logging.DEBUG, logger=name)


@pytest.fixture
def workspace(project: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MY_KEY", KEY)
    return Workspace(project)


def _said(**faults: Any) -> Answer:
    return Answer(ALL, pieces=PIECES, **faults)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and what is expected of it.

    Attributes:
        script: The server's answer.
        words: Stand in the message.
        status: The error's.
        retryable: The error's too; where it is, and no text was shown, there is a second try.
        tries: How many there are; None for what follows from that.
        text: What is kept of the answer.
        but: Other words, by provider type.
        stream: Whether the answer is asked for piece by piece.
        settings: The provider's, beside the common ones.
    """

    script: Script
    words: str
    status: int | None = None
    retryable: bool = True
    tries: int | None = None
    text: str = ""
    but: Mapping[str, str] = field(default_factory=dict)
    stream: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def expected_tries(self) -> int:
        return self.tries or (2 if self.retryable and not self.text else 1)

    def words_for(self, kind: str) -> str:
        return self.but.get(kind, self.words)


def _status(status: int, words: str, *, retryable: bool) -> Fault:
    return Fault(Answer(status=status), words, status, retryable)


def _portal(received: Received) -> Answer:
    return Answer(body=f"<html><p>You sent {' '.join(received.credentials)}</p>", content_type="text/html")


def _tattling(received: Received) -> Answer:
    return Answer(status=429, headers={"Retry-After": received.credentials[0]}, echo_key=True)


FAULTS = {
    # statuses
    "400": _status(400, "rejected the request", retryable=False),
    "401": _status(401, "refused the key", retryable=False),
    "403": _status(403, "does not allow this key to use model", retryable=False),
    "404": _status(404, "does not know model", retryable=False),
    "408": _status(408, "gave up waiting for the request", retryable=True),
    "409": _status(409, "reports a conflict", retryable=True),
    "413": _status(413, "the request is too large", retryable=False),
    "418": _status(418, "rejected the request", retryable=False),
    "422": _status(422, "could not process the request", retryable=False),
    "429": _status(429, "is limiting requests", retryable=True),
    "500": _status(500, "failed", retryable=True),
    "502": _status(502, "failed behind its gateway", retryable=True),
    "503": _status(503, "is not available", retryable=True),
    "504": _status(504, "did not answer its gateway in time", retryable=True),
    "529": _status(529, "is overloaded", retryable=True),
    "599": _status(599, "failed", retryable=True),
    "429, whole": Fault(Answer(status=429), "is limiting requests (429)", 429, stream=False),
    "503 of a gateway, in HTML": Fault(
        Answer(status=503, body="<html><h1>No server</h1>", content_type="text/html"), "(503): No server", 503
    ),
    # nothing
    "empty stream": Fault(Answer(empty=True), "answered without any text"),
    "empty body": Fault(Answer(empty=True), "cannot be read", stream=False),
    "no text": Fault(Answer(pieces=()), "answered without any text"),
    # stalled
    "stalled before the status": Fault(
        _said(stall_after=0), "did not begin to answer within 0.4 s", settings={"firstTokenTimeout": 0.4}
    ),
    "stalled before the first token": Fault(
        _said(drip_bytes=1, gap_s=60.0), "did not begin to answer within 0.4 s", settings={"firstTokenTimeout": 0.4}
    ),
    "stalled between tokens": Fault(
        _said(stall_after=2), "fell silent", text="one two ", settings={"betweenTokensTimeout": 0.4}
    ),
    "stalled for ever": Fault(_said(stall_after=0), "did not finish within 0.4 s", tries=1, settings={"timeout": 0.4}),
    "stalled, whole": Fault(
        _said(stall_after=1), "did not finish within 0.4 s", tries=1, stream=False, settings={"timeout": 0.4}
    ),
    # cut
    "cut before the status": Fault(_said(cut_after=0), "broke off before its end"),
    "cut before the first token": Fault(
        _said(end_after=0), "broke off before its end", but={"google": "answered without any text"}
    ),
    "cut in the middle": Fault(_said(cut_after=2), "broke off before its end", text="one two "),
    "cut before the end": Fault(_said(cut_after=99), "broke off before its end", text=ALL),
    "cut in the middle, whole": Fault(_said(cut_after=1), "broke off before its end", stream=False),
    "reset before the status": Fault(_said(reset_after=0), "broke off before its end"),
    "reset in the middle": Fault(_said(reset_after=2, gap_s=0.05), "broke off before its end", text="one two "),
    "reset in the middle, whole": Fault(_said(reset_after=1), "broke off before its end", stream=False),
    "ended in the middle": Fault(_said(end_after=2), "broke off before its end", text="one two "),
    "ended before its end": Fault(_said(end_after=99), "broke off before its end", text=ALL),
    # an error on the way
    "error at the start": Fault(_said(error_after=0), "fault in the middle of the stream", 500),
    "error in the middle": Fault(_said(error_after=2), "fault in the middle of the stream", 500, text="one two "),
    # no answer at all
    "malformed at the start": Fault(_said(malformed_at=0), "cannot be read"),
    "malformed in the middle": Fault(_said(malformed_at=2), "cannot be read", text="one two "),
    "malformed at the end": Fault(_said(malformed=True), "cannot be read", text="one two three "),
    "malformed, whole": Fault(_said(malformed=True), "cannot be read", stream=False),
    "HTML": Fault(Answer(body="<html><h1>Log in</h1>", content_type="text/html"), "cannot be read"),
    "HTML, whole": Fault(Answer(body="<html>Log in", content_type="text/html"), "cannot be read", stream=False),
    "HTML, said to be a stream": Fault(
        Answer(body="<html>\nLog in\n</html>", content_type="text/event-stream"), "cannot be read"
    ),
    "50 MB of error": Fault(Answer(status=500, body=b"x" * LARGE_BYTES), "failed (500)", 500),
    "50 MB of JSON error": Fault(
        Answer(status=400, body={"error": {"message": "x" * LARGE_BYTES}}), "rejected the request (400)", 400, False
    ),
    "50 MB of HTML": Fault(Answer(body=b"<p>" + b"x" * LARGE_BYTES, content_type="text/html"), "cannot be read"),
    # drip
    "slow drip of tokens": Fault(
        Answer("x" * 1000, pieces=1, gap_s=0.05),
        "did not finish within 0.6 s",
        tries=1,
        settings={"timeout": 0.6},
    ),
    "slow drip of bytes": Fault(
        _said(drip_bytes=1, gap_s=0.05), "did not finish within 0.4 s", tries=1, settings={"timeout": 0.4}
    ),
    "slow drip, whole": Fault(
        _said(drip_bytes=1, gap_s=0.05), "did not finish within 0.4 s", tries=1, stream=False, settings={"timeout": 0.4}
    ),
    # the key, said back
    "key in a refusal": Fault(Answer(echo_key=True), "refused the key (401): Incorrect API key", 401, False),
    "key in a failure": Fault(Answer(echo_key=True, status=500), "failed (500): Incorrect API key", 500),
    "key in a page": Fault(_portal, "cannot be read"),
    "key in a header": Fault(_tattling, "is limiting requests (429)", 429),
}
PASSING = {name: fault for name, fault in FAULTS.items() if fault.expected_tries > 1 and "50 MB" not in name}


def _ask(
    workspace: Workspace, url: str, kind: str, *, stream: bool = True, retry_cut: bool = False, **settings: Any
) -> tuple[Reply, str]:
    """The reply to a question, and all that was told on the way."""
    base, model = FORMATS[kind]
    common = {"timeout": 15, "connectTimeout": 5, "maxRetries": 1}
    provider = workspace.config.add_provider(
        {
            "name": kind,
            "type": kind,
            "apiKey": "${MY_KEY}",
            "apiBase": url + base,
            "advancedSettings": common | settings,
        }
    )
    workspace.config.add_endpoint({"id": kind, "providerId": provider.id, "model": model})
    told: list[tuple[str, str]] = []
    options = {"stream": stream} | ({"retry_cut": True} if retry_cut else {})
    reply = workspace.run("Hi?", endpoint=kind, on_output=lambda *what: told.append(what), **options)
    shown = "".join(text for where, text in told if where == "stdout")
    assert shown.endswith(reply.output)
    assert retry_cut or shown == reply.output
    return reply, "\n".join(text for where, text in told if where == "stderr")


def _check_no_key(workspace: Workspace, caplog: pytest.LogCaptureFixture, reply: Reply, notes: str) -> None:
    """Not in the reply, nor its error and what is chained to it, nor any log, nor a file of the project."""
    failure = reply.failure
    trace = "".join(traceback.format_exception(failure)) if failure else ""
    kept = f"{vars(failure)}{failure!r}{failure.__cause__!r}" if failure else ""
    left = f"{reply!r}{reply.error}{reply.summary()}{reply.remarks()}{reply.attempts}{notes}{trace}{kept}"
    left += caplog.text + pickle.dumps(reply).decode("latin-1")
    left += "".join(path.read_text("latin-1") for path in workspace.root.rglob("*") if path.is_file())
    pieces = {KEY[start : start + WINDOW] for start in range(len(KEY) - WINDOW + 1)}
    assert [left[max(0, left.index(piece) - 200) :][:300] for piece in pieces if piece in left] == []


def _check_failure(reply: Reply, fault: Fault) -> None:
    failure = reply.failure
    assert isinstance(failure, ProviderError)
    assert fault.words_for(reply.provider) in failure.message
    if fault.script == Answer(status=fault.status or 0):
        assert failure.message.endswith(f"({fault.status}): fault {fault.status}")
    assert "\n" not in failure.message
    assert failure.hint
    assert (failure.status, failure.retryable) == (fault.status, fault.retryable)
    assert not reply.success
    assert reply.duration_s < HANG_S
    assert len(pickle.dumps(reply)) < LIGHT_BYTES
    assert sum(map(len, traceback.format_exception(failure))) < LIGHT_BYTES


@EVERY_FORMAT
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_lasts(
    workspace: Workspace, wire: WireServer, caplog: pytest.LogCaptureFixture, kind: str, fault: Fault
) -> None:
    wire.answers(fault.script)
    reply, notes = _ask(workspace, wire.url, kind, stream=fault.stream, **fault.settings)
    _check_failure(reply, fault)
    assert reply.output.rstrip("x") == fault.text  # a drip ends wherever the time does
    assert len(wire.requests) == len(reply.attempts) == fault.expected_tries
    assert ("asking again" in notes) == (fault.expected_tries == 2)
    _check_no_key(workspace, caplog, reply, notes)


@EVERY_FORMAT
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes(
    workspace: Workspace, wire: WireServer, caplog: pytest.LogCaptureFixture, kind: str, fault: Fault
) -> None:
    wire.answers(fault.script, _said())
    reply, notes = _ask(workspace, wire.url, kind, stream=fault.stream, **fault.settings)
    assert reply.raise_for_error().output == ALL
    assert [fault.words_for(kind) in attempt.error for attempt in reply.attempts] == [True, False]
    assert reply.attempts[1].error == ""
    assert (len(wire.requests), reply.retries) == (2, 1)
    _check_no_key(workspace, caplog, reply, notes)


@EVERY_FORMAT
def test_a_broken_answer_is_asked_for_again_where_the_user_wants_it(
    workspace: Workspace, wire: WireServer, kind: str
) -> None:
    wire.answers(_said(cut_after=2), _said())
    reply, _ = _ask(workspace, wire.url, kind, retry_cut=True)
    assert reply.raise_for_error().output == ALL
    assert len(wire.requests) == 2


@EVERY_FORMAT
def test_no_more_tries_than_are_allowed(workspace: Workspace, wire: WireServer, kind: str) -> None:
    wire.answers(Answer(status=503))
    reply, _ = _ask(workspace, wire.url, kind, maxRetries=4)
    assert (len(wire.requests), reply.retries, reply.success) == (5, 4, False)


@EVERY_FORMAT
@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        pytest.param({"Retry-After": "7"}, 7.0, 7.0, id="seconds"),
        pytest.param({"Retry-After": "0"}, 0.0, 0.0, id="at once"),
        pytest.param({"Retry-After": "date"}, 3.0, 7.0, id="date"),
        pytest.param({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5, 1.5, id="milliseconds"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_provider_says_when_to_come_back(
    workspace: Workspace,
    wire: WireServer,
    kind: str,
    headers: Mapping[str, str],
    least_s: float,
    most_s: float,
    status: int,
) -> None:
    headers = {name: http_date(7) if value == "date" else value for name, value in headers.items()}
    wire.answers(Answer(status=status, headers=headers))
    reply, notes = _ask(workspace, wire.url, kind)
    assert isinstance(reply.failure, ProviderError)
    assert reply.failure.retry_after_s is not None
    assert least_s <= reply.failure.retry_after_s <= most_s
    assert len(wire.requests) == 2
    assert "asking again in " in notes


@EVERY_FORMAT
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "", "Fri, 99 Foo 2026"])
def test_nonsense_about_when_to_come_back_is_no_wish(
    workspace: Workspace, wire: WireServer, kind: str, value: str
) -> None:
    wire.answers(Answer(status=429, headers={"Retry-After": value}))
    reply, _ = _ask(workspace, wire.url, kind)
    assert isinstance(reply.failure, ProviderError)
    assert (reply.failure.status, reply.failure.retry_after_s, len(wire.requests)) == (429, None, 2)


@EVERY_FORMAT
def test_nobody_waits_longer_than_there_is_time(workspace: Workspace, wire: WireServer, kind: str) -> None:
    wire.answers(Answer(status=429, headers={"Retry-After": "3600"}), _said())
    reply, _ = _ask(workspace, wire.url, kind)
    assert isinstance(reply.failure, ProviderError)
    assert (reply.failure.retry_after_s, len(wire.requests)) == (3600, 1)


@EVERY_FORMAT
def test_a_model_that_thinks_is_not_a_stalled_one(workspace: Workspace, wire: WireServer, kind: str) -> None:
    wire.answers(_said(thinking=["Well."] * 16, gap_s=0.1))
    reply, _ = _ask(workspace, wire.url, kind, firstTokenTimeout=1.2, betweenTokensTimeout=1.2)
    assert reply.raise_for_error().output == ALL
    assert len(wire.requests) == 1


@EVERY_FORMAT
def test_a_slow_answer_is_whole_where_no_limit_is_passed(workspace: Workspace, wire: WireServer, kind: str) -> None:
    wire.answers(_said(drip_bytes=7, gap_s=0.001))
    reply, _ = _ask(workspace, wire.url, kind)
    assert reply.raise_for_error().output == ALL


@EVERY_FORMAT
def test_an_answer_whose_pieces_are_all_alike_is_whole(workspace: Workspace, wire: WireServer, kind: str) -> None:
    wire.answers(Answer("0, " * 300, pieces=3))
    reply, _ = _ask(workspace, wire.url, kind)
    assert reply.raise_for_error().output == "0, " * 300


def test_an_answer_of_50_mb_is_an_answer(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer("x" * LARGE_BYTES))
    reply, _ = _ask(workspace, wire.url, "openai", stream=False, timeout=60)
    assert len(reply.raise_for_error().output) == LARGE_BYTES


@EVERY_FORMAT
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_the_key_in_an_answer_is_not_shown(
    workspace: Workspace, wire: WireServer, caplog: pytest.LogCaptureFixture, kind: str, pieces: int
) -> None:
    wire.answers(lambda received: Answer(f"You sent {' '.join(received.credentials)} to me.", pieces=pieces))
    reply, notes = _ask(workspace, wire.url, kind)
    assert reply.raise_for_error().output.startswith("You sent ")
    assert reply.output.endswith(" to me.")
    _check_no_key(workspace, caplog, reply, notes)
    assert "DEBUG" in caplog.text  # it was loud indeed


# ---- the way there ----------------------------------------------------------------------------------------------------


@contextmanager
def _no_such_host() -> Iterator[str]:
    yield NO_SUCH_HOST


@contextmanager
def _tls(make: Callable[[], Any]) -> Iterator[str]:
    with WireServer(make()) as server:
        yield server.url
        assert len(server.requests) == 0


@contextmanager
def _silent_handshake() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


@dataclass(frozen=True)
class Way:
    """An address at which there is no answer, and what is said of it."""

    address: Callable[[], AbstractContextManager[str]]
    words: str
    retryable: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


WAYS = {
    "DNS": Way(_no_such_host, "there is no such host: http://no-such-host.invalid"),
    "refused": Way(refused, "cannot be reached at http://127.0.0.1:"),
    "connect timeout": Way(swallowing, "gave no connection within 0.3 s", settings={"connectTimeout": 0.3}),
    "TLS, self-signed": Way(lambda: _tls(self_signed), "cannot be verified", retryable=False),
    "TLS, unknown authority": Way(
        lambda: _tls(lambda: signed_by_a_stranger()[0]), "cannot be verified", retryable=False
    ),
    "TLS, silent": Way(_silent_handshake, "gave no connection within 0.3 s", settings={"connectTimeout": 0.3}),
}


@EVERY_FORMAT
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_there_is_no_way(workspace: Workspace, caplog: pytest.LogCaptureFixture, kind: str, way: Way) -> None:
    fault = Fault(Answer(), way.words, retryable=way.retryable)
    with way.address() as url:
        reply, notes = _ask(workspace, url, kind, **way.settings)
    _check_failure(reply, fault)
    assert len(reply.attempts) == fault.expected_tries
    _check_no_key(workspace, caplog, reply, notes)


@EVERY_FORMAT
def test_a_server_without_tls_is_not_said_to_have_a_bad_certificate(
    workspace: Workspace, wire: WireServer, kind: str
) -> None:
    reply, _ = _ask(workspace, wire.url.replace("http", "https", 1), kind)
    assert isinstance(reply.failure, ProviderError)
    assert "certificate" not in reply.failure.message
    assert len(wire.requests) == 0

"""What is refused: in plain words, with the status that says whose fault it is, and never with a value that was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from served import Site

KEY = "sk-canary-0123456789abcdef"
DEEP: Any = "x"
for _ in range(40):
    DEEP = {"a": DEEP}


@pytest.fixture
def filled(site: Site) -> Site:
    """A project with a provider and an endpoint."""
    site.store.add_provider({"id": "openai-1", "type": "openai", "apiKey": KEY})
    site.store.add_endpoint({"id": "mine", "providerId": "openai-1", "model": "gpt-4o"})
    return site


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "words"),
    [
        pytest.param("POST", "/providers", {"name": "x"}, 400, "type: Field required", id="without a type"),
        pytest.param(
            "POST", "/providers", {"type": 5}, 400, "type: should be a valid string", id="a number for a type"
        ),
        pytest.param(
            "POST",
            "/providers",
            {"type": "openai", "enabled": "yes"},
            400,
            "enabled: should be a valid boolean",
            id="a word for a switch",
        ),
        pytest.param(
            "POST",
            "/providers",
            {"type": "openai", "apiKey": {"key": KEY}},
            400,
            "apiKey: should be a string",
            id="an object for a key",
        ),
        pytest.param(
            "POST",
            "/providers",
            {"type": "openai", "apiKey": "sk-…def"},
            400,
            "was given a mask",
            id="a mask for a new key",
        ),
        pytest.param("POST", "/providers", {"type": "openai", "extra": DEEP}, 400, "nested too deeply", id="too deep"),
        pytest.param(
            "POST",
            "/providers",
            {"type": "openai", "id": "openai-1"},
            409,
            "there is a provider openai-1 already",
            id="a taken id",
        ),
        pytest.param(
            "POST", "/providers", {"type": "openai", "id": "a b"}, 400, "without white space", id="an id with a space"
        ),
        pytest.param("PUT", "/providers/openai-1", {"id": "other"}, 400, "cannot be changed", id="another id"),
        pytest.param(
            "PUT", "/providers/openai-1", {"type": None}, 400, "type: Field required", id="the type taken away"
        ),
        pytest.param(
            "PUT",
            "/providers/openai-1",
            {"advancedSettings": {"timeout": "60"}},
            400,
            "advancedSettings.timeout: should be a valid number",
            id="a text for seconds",
        ),
        pytest.param("PUT", "/providers/none", {"name": "x"}, 404, "provider not found: none", id="change of none"),
        pytest.param("GET", "/providers/none", None, 404, "provider not found: none", id="none"),
        pytest.param("DELETE", "/providers/none", None, 404, "provider not found: none", id="deletion of none"),
        pytest.param("POST", "/providers/none/test", None, 404, "provider not found: none", id="test of none"),
        pytest.param(
            "GET",
            "/providers/..%2F..%2Fetc%2Fpasswd",
            None,
            404,
            "provider not found: ../../etc/passwd",
            id="a path for an id",
        ),
        pytest.param("GET", "/cache/..%2F..%2Fcontext.db", None, 404, "no such pack", id="a path for a pack"),
        pytest.param("GET", "/providers/%00", None, 404, "provider not found", id="NUL for an id"),
        pytest.param("GET", "/providers/%ff", None, 400, "", id="no UTF-8 in an id"),
        pytest.param(
            "POST",
            "/endpoints",
            {"id": "mine", "providerId": "openai-1"},
            409,
            "there is an endpoint mine already",
            id="a taken endpoint",
        ),
        pytest.param(
            "POST",
            "/endpoints",
            {"id": "panel", "providerId": "openai-1"},
            400,
            "a word of the %ccw command",
            id="a reserved word",
        ),
        pytest.param(
            "POST",
            "/endpoints",
            {"id": "new", "providerId": "none"},
            404,
            "provider not found: none",
            id="no such provider",
        ),
        pytest.param(
            "PUT",
            "/endpoints/mine",
            {"cacheStrategy": {"maxSizeKB": 0}},
            400,
            "cacheStrategy.maxSizeKB: should be greater than 0",
            id="no size",
        ),
        pytest.param(
            "PUT",
            "/endpoints/mine",
            {"params": {"temprature": 1}},
            400,
            "params.temprature: Extra inputs are not permitted",
            id="a parameter misspelt",
        ),
        pytest.param("DELETE", "/endpoints/none", None, 404, "endpoint not found: none", id="deletion of no endpoint"),
        pytest.param(
            "PUT",
            "/config/default-endpoint",
            {"endpointId": "none"},
            404,
            "endpoint not found: none",
            id="no such default",
        ),
        pytest.param(
            "PUT",
            "/config/cache",
            {"maxTotalSizeMB": -1},
            400,
            "maxTotalSizeMB: should be greater than 0",
            id="a negative size",
        ),
        pytest.param(
            "PUT",
            "/config/cache",
            {"maxTotalSizeMB": 1e308},
            400,
            "maxTotalSizeMB: should be less than or equal to 1099511627776",
            id="an endless size",
        ),
        pytest.param(
            "PUT",
            "/endpoints/mine",
            {"cacheStrategy": {"ttlMinutes": 1e300}},
            400,
            "cacheStrategy.ttlMinutes: should be less than or equal to 52560000",
            id="an endless time",
        ),
        pytest.param("POST", "/execute", {}, 400, "prompt: Field required", id="no question"),
        pytest.param("POST", "/execute", {"prompt": "  "}, 400, "prompt: ", id="an empty question"),
        pytest.param(
            "POST",
            "/execute",
            {"prompt": "x", "endpointId": "none"},
            404,
            "endpoint not found: none",
            id="nobody to ask",
        ),
        pytest.param(
            "POST",
            "/execute",
            {"prompt": "x", "endpoint": "mine"},
            400,
            "endpoint: Extra inputs are not permitted",
            id="a field misspelt",
        ),
        pytest.param("POST", "/execute", {"prompt": "x", "schema": "a: nothing"}, 400, "", id="a schema that is none"),
        pytest.param(
            "POST",
            "/execute",
            {"prompt": "x", "includeDirs": ["../.."]},
            400,
            "outside the server's root",
            id="a folder outside",
        ),
        pytest.param("GET", "/models/nobody", None, 404, "Provider type not found", id="no such type"),
        pytest.param("GET", "/nothing", None, 404, "Not Found", id="no such route"),
        pytest.param("GET", "/providers/", None, 404, "Not Found", id="an empty id"),
        pytest.param("PATCH", "/providers", {}, 405, "Method Not Allowed", id="no such verb"),
        pytest.param("POST", "/providers/openai-1", {}, 405, "Method Not Allowed", id="a verb of another path"),
    ],
)
def test_a_refusal_says_why(filled: Site, verb: str, path: str, body: Any, status: int, words: str) -> None:
    before = filled.store.path.read_bytes()
    answer = filled.request(verb, path, body)
    told = answer.json()
    assert (answer.status_code, set(told)) == (status, {"error", "hint"})
    assert words in told["error"]
    assert KEY not in answer.text
    assert filled.store.path.read_bytes() == before
    if status == 405:
        assert "GET" in answer.headers["allow"]


DESCRIBED = "GET /api/litellm-api/openapi.json describes every request."


@pytest.mark.parametrize(
    ("path", "body", "hint"),
    [
        pytest.param("/providers", {"name": "x"}, DESCRIBED, id="without a type"),
        pytest.param("/providers", [], DESCRIBED, id="no object"),
        pytest.param("/nothing", {}, DESCRIBED, id="no such route"),
        pytest.param(
            "/providers",
            {"type": "openai", "id": "openai-1"},
            "PUT /providers/openai-1 changes it.",
            id="a taken provider",
        ),
        pytest.param(
            "/endpoints",
            {"id": "mine", "providerId": "openai-1"},
            "PUT /endpoints/mine changes it.",
            id="a taken endpoint",
        ),
        pytest.param(
            "/execute",
            {"prompt": "x", "maxTokens": 5},
            "Known are prompt, endpointId, includeDirs, enableCache, repack, system, stream, retryCut, chat, replay, "
            "maxCostUsd, schema, params.temperature, params.topP, params.maxTokens, params.maxCompletionTokens, "
            "params.stop, params.seed, params.presencePenalty, params.frequencyPenalty, params.reasoningEffort, "
            "params.thinking, params.verbosity, params.serviceTier, params.extraBody.",
            id="an unknown name",
        ),
        pytest.param(
            "/endpoints",
            {"id": "new", "providerId": "openai-1", "params": {"temprature": 1}},
            "Known are params.temperature, params.topP, params.maxTokens, params.maxCompletionTokens, "
            "params.stop, params.seed, params.presencePenalty, params.frequencyPenalty, params.reasoningEffort, "
            "params.thinking, params.verbosity, params.serviceTier, params.extraBody.",
            id="an unknown parameter",
        ),
    ],
)
def test_a_refusal_has_the_next_step(filled: Site, path: str, body: Any, hint: str) -> None:
    assert filled.request("POST", path, body).json()["hint"] == hint


def test_a_missing_variable_is_not_to_be_set_in_a_cell(filled: Site) -> None:
    filled.store.update_provider("openai-1", {"apiKey": "${CCW_TEST_NOT_SET}"})
    hint = "Run `export CCW_TEST_NOT_SET=…` before you start Jupyter or ccw."
    for path, body in (("/providers/openai-1/test", None), ("/execute", {"prompt": "x", "endpointId": "mine"})):
        assert filled.request("POST", path, body).json()["hint"] == hint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "not valid JSON", id="empty"),
        pytest.param(b"{", "not valid JSON: Expecting property name", id="cut"),
        pytest.param(b"[]", "should be a JSON object", id="a list"),
        pytest.param(b"\xff{}", "not UTF-8", id="not UTF-8"),
        pytest.param(b'{"type": NaN}', "not valid JSON", id="NaN"),
        pytest.param(b'{"type": 1e999}', "too large", id="infinite"),
        pytest.param(b'{"type": ' + b"1" * 5000 + b"}", "not valid JSON", id="a long number"),
        pytest.param(b'{"type": "\\ud800"}', "surrogate", id="half a pair"),
        pytest.param(
            b'{"type": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply", id="a hundred thousand levels"
        ),
    ],
)
def test_a_body_that_is_no_json_is_refused(site: Site, content: bytes, words: str) -> None:
    for verb, path in (("POST", "/providers"), ("POST", "/execute"), ("PUT", "/config/cache")):
        answer = site.served.request(verb, path, content=content, params={"path": site.name})
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text
    assert not site.store.path.exists()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "in chunks"])
def test_a_body_that_is_too_large_is_refused(site: Site, is_chunked: bool) -> None:
    pieces = [b'{"type": "'] + [b"x" * (1 << 20)] * 6
    content = iter(pieces) if is_chunked else b"".join(pieces)
    answer = site.served.request("POST", "/providers", content=content, params={"path": site.name})
    assert (answer.status_code, answer.json()["hint"]) == (413, "A body may have 4,194,304 bytes.")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../..", 400),
        ("src/../../../root-old", 400),
        ("nowhere", 404),
        ("out", 400),
        ("out/deeper", 400),
        ("x" * 5000, 400),
        ("file", 404),
    ],
)
def test_a_path_is_contained(site: Site, path: str, status: int) -> None:
    (site.served.root.parent / "elsewhere" / "deeper").mkdir(parents=True, exist_ok=True)
    (site.root / "out").symlink_to(site.served.root.parent / "elsewhere")
    (site.root / "file").touch()
    answer = site.served.request("GET", "/providers", params={"path": f"{site.name}/{path}"})
    assert answer.status_code == status, answer.text
    assert str(site.served.root.parent) not in answer.text


def test_a_path_of_nul_is_none(site: Site) -> None:
    answer = site.served.request("GET", "/providers?path=a%00b")
    assert answer.status_code in {400, 404}


@pytest.mark.parametrize(
    "query",
    [{"offset": "-1"}, {"limit": "0"}, {"limit": "9999999999"}, {"offset": "x"}, {"offset": "9" * 40}, {"offset": "²"}],
)
def test_a_number_out_of_range_is_refused(site: Site, query: dict[str, str]) -> None:
    status, error = site.refused("GET", "/cache/any", **query)
    assert (status, "should be a whole number from" in error) == (400, True)


def test_a_config_that_cannot_be_read_is_nobodys_fault_who_asks(site: Site) -> None:
    site.store.path.parent.mkdir(parents=True)
    site.store.path.write_text('{"providers": [{"apiKey": "' + KEY)
    for verb, path, body in (
        ("GET", "/providers", None),
        ("POST", "/providers", {"type": "openai"}),
        ("GET", "/config", None),
    ):
        status, error = site.refused(verb, path, body)
        assert (status, KEY in error) == (409, False)
        assert "not valid JSON" in error


def test_a_config_that_is_not_trusted_is_not_used(filled: Site) -> None:
    filled.store.path.write_text(
        json.dumps(
            {
                "providers": [
                    {"id": "p", "type": "openai", "apiKey": "${OPENAI_API_KEY}", "apiBase": "https://evil.example/v1"}
                ],
                "endpoints": [{"id": "e", "providerId": "p", "model": "gpt-4o"}],
            }
        )
    )
    for path, body in (("/providers/p/test", None), ("/execute", {"prompt": "x", "endpointId": "e"})):
        status, error = filled.refused("POST", path, body)
        assert status == 403
        assert "is not trusted: provider p would send OPENAI_API_KEY to evil.example" in error
    assert filled.get("/providers")["count"] == 1


def test_a_config_that_cannot_be_written_is_nobodys_fault_who_asks(site: Site) -> None:
    site.store.path.with_name(f"{site.store.path.name}.lock").mkdir(parents=True)
    status, error = site.refused("PUT", "/config/cache", {"maxTotalSizeMB": 5})
    assert (status, "cannot be written" in error) == (503, True)

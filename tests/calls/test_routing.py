"""Whom a request goes to, and what is said where that is nobody."""

from __future__ import annotations

from typing import Any

import pytest

from ccw_magics.backends import local_model
from ccw_magics.calls.routing import default_endpoint_id, known_endpoints, route
from ccw_magics.config.models import Config
from ccw_magics.errors import CcwError, ConfigError, EndpointNotFound, ProviderNotFound


def config(**changes: Any) -> Config:
    provider = {"id": "p1", "name": "Mine", "type": "openai", "apiKey": "${KEY}"} | changes.pop("provider", {})
    endpoint = {"id": "my-gpt4o", "name": "", "providerId": "p1", "model": "gpt-4o"} | changes.pop("endpoint", {})
    return Config.model_validate({"providers": [provider], "endpoints": [endpoint], **changes})


@pytest.fixture(params=[True, False], ids=["with the local extra", "without the local extra"])
def extra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(local_model, "find_spec", lambda _: object() if request.param else None)
    return bool(request.param)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("given", "wanted", "error", "message", "hint"),
    [
        pytest.param(Config(), None, EndpointNotFound, "nothing is configured", "%ccw init", id="nothing configured"),
        pytest.param(Config(), None, EndpointNotFound, "nothing", 'pip install "ccw_magics[local]"', id="or the extra"),
        pytest.param(config(), None, EndpointNotFound, "no default", "%ccw default my-gpt4o", id="no default"),
        pytest.param(config(), "my-gpt40", EndpointNotFound, "my-gpt40", "Did you mean my-gpt4o?", id="nearest"),
        pytest.param(config(), "zzz", EndpointNotFound, "zzz", "Endpoints: my-gpt4o", id="those that exist"),
        pytest.param(
            config(endpoint={"enabled": False}), "my-gpt4o", ConfigError, "my-gpt4o is disabled", "", id="disabled"
        ),
        pytest.param(
            config(provider={"enabled": False}), "my-gpt4o", ConfigError, "provider Mine", "p1", id="provider disabled"
        ),
        pytest.param(
            config(endpoint={"providerId": "gone"}), "my-gpt4o", ProviderNotFound, "gone", "p1", id="provider not found"
        ),
    ],
)
@pytest.mark.usefixtures("without_extra")
def test_who_cannot_be_asked(given: Config, wanted: str | None, error: type[CcwError], message: str, hint: str) -> None:
    with pytest.raises(error) as raised:
        route(given, wanted)
    assert message in raised.value.message
    assert hint in (raised.value.hint or "")


def test_the_embedded_model_is_there_without_a_config_and_the_default_where_none_is_named(extra: bool) -> None:
    assert [endpoint.id for endpoint in known_endpoints(Config())] == (["local"] if extra else [])
    assert default_endpoint_id(Config()) == ("local" if extra else None)
    assert default_endpoint_id(config(defaultEndpoint="my-gpt4o")) == "my-gpt4o"


def test_local_can_be_named_without_the_extra_so_that_its_own_error_says_what_is_missing(extra: bool) -> None:
    assert route(Config(), "local").provider.type == "local"


def test_a_configured_local_goes_before_the_built_in_one() -> None:
    given = config(
        provider={"id": "local-1", "type": "local"},
        endpoint={"id": "local", "providerId": "local-1", "model": "other.gguf"},
    )
    assert route(given, "local").endpoint.model == "other.gguf"
    assert [endpoint.model for endpoint in known_endpoints(given)] == ["other.gguf"]

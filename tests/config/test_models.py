from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from pydantic import ValidationError

from ccw_magics.config.configfile import validate
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import (
    LOCAL_ID,
    RESERVED_VERBS,
    AdvancedSettings,
    Config,
    Endpoint,
    GlobalCacheSettings,
    Provider,
)
from ccw_magics.errors import ConfigError

PROVIDER = {"id": "p", "type": "openai"}
ENDPOINT = {"id": "e", "providerId": "p", "model": "m"}


def test_defaults() -> None:
    config = Config.model_validate({"providers": [PROVIDER], "endpoints": [ENDPOINT]})
    assert config.version == 1
    assert config.default_endpoint is None
    assert config.global_cache_settings == GlobalCacheSettings()
    assert GlobalCacheSettings().cache_dir == "~/.ccw/cache/context"
    provider, endpoint = config.providers[0], config.endpoints[0]
    assert (provider.api_key, provider.api_base, provider.enabled, provider.api_keys) == (Secret(""), None, True, [])
    assert (provider.advanced_settings.timeout, provider.advanced_settings.max_retries) == (300, 3)
    strategy = endpoint.cache_strategy
    assert (strategy.enabled, strategy.ttl_minutes, strategy.max_size_kb, strategy.file_patterns) == (True, 60, 512, [])


def test_names_in_the_file_and_in_python() -> None:
    by_name = Provider(
        id="p", type="azure", api_base="https://x", advanced_settings=AdvancedSettings(api_version="1", max_retries=2)
    )
    by_alias = Provider.model_validate(
        {"id": "p", "type": "azure", "apiBase": "https://x", "advancedSettings": {"apiVersion": "1", "maxRetries": 2}}
    )
    assert by_name == by_alias
    assert Endpoint.model_validate(ENDPOINT).model_dump(by_alias=True)["cacheStrategy"].keys() == {
        "enabled", "ttlMinutes", "maxSizeKB", "filePatterns", "layout",
    }  # fmt: skip
    assert GlobalCacheSettings().model_dump(by_alias=True).keys() == {"enabled", "cacheDir", "maxTotalSizeMB"}


def test_unknown_keys_are_kept() -> None:
    data = {**PROVIDER, "healthCheck": {"enabled": True}, "llmModels": [{"id": 1}], "secrets": 1, "model_dump": 2}
    provider = Provider.model_validate(data)
    assert provider.model_dump(by_alias=True, exclude_unset=True) == data
    assert list(provider.secrets()) == [Secret("")]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param({"providers": [{"type": "openai"}]}, ("providers", 0), id="provider without id"),
        pytest.param({"providers": [{"id": "a b", "type": "x"}]}, ("providers", 0), id="white space in an id"),
        pytest.param({"providers": [{"id": "a", "type": ""}]}, ("providers", 0, "type"), id="empty type"),
        pytest.param({"providers": [{"id": "a"}]}, ("providers", 0, "type"), id="no type"),
        pytest.param({"providers": [PROVIDER, PROVIDER]}, (), id="provider twice"),
        pytest.param({"endpoints": [ENDPOINT, ENDPOINT]}, (), id="endpoint twice"),
        pytest.param({"endpoints": [{**ENDPOINT, "id": "-x"}]}, ("endpoints", 0, "id"), id="an option as id"),
        pytest.param({"endpoints": [{"id": "e"}]}, ("endpoints", 0, "providerId"), id="no provider"),
        pytest.param({"providers": {}}, ("providers",), id="an object for a list"),
        pytest.param(
            {"endpoints": [{**ENDPOINT, "params": {"api_base": "https://evil.example"}}]},
            ("endpoints", 0, "params", "api_base"),
            id="a parameter that is none",
        ),
        pytest.param(
            {"endpoints": [{**ENDPOINT, "params": {"temperature": 3}}]},
            ("endpoints", 0, "params", "temperature"),
            id="too hot",
        ),
        pytest.param(
            {"providers": [{**PROVIDER, "routingStrategy": "guess"}]},
            ("providers", 0, "routingStrategy"),
            id="strategy",
        ),
        pytest.param(
            {"providers": [{**PROVIDER, "advancedSettings": {"connectTimeout": 0}}]},
            ("providers", 0, "advancedSettings", "connectTimeout"),
            id="no time to connect",
        ),
        pytest.param(
            {"providers": [PROVIDER, {**PROVIDER, "id": "q", "apiKeys": [{"id": "1", "key": "a"}] * 2}]},
            ("providers", 1),
            id="key twice",
        ),
        *(
            pytest.param(
                {"providers": [{**PROVIDER, "apiKeys": [{"id": "1", "key": "a", "weight": weight}]}]},
                ("providers", 0, "apiKeys", 0, "weight"),
                id=f"weight {name}",
            )
            for name, weight in {"negative": -1, "large": 1_000_001, "huge": 10**400, "inf": inf, "nan": nan}.items()
        ),
        pytest.param({"journal": "maybe"}, ("journal",), id="journal"),
        pytest.param({"globalCacheSettings": {"cacheDir": ""}}, ("globalCacheSettings", "cacheDir"), id="no folder"),
    ],
)
def test_what_is_refused(data: dict[str, Any], place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data)
    assert caught.value.errors()[0]["loc"] == place


def test_a_key_that_is_there_twice_is_named_with_its_place() -> None:
    keys = [{"id": text, "key": "sk-canary-0123456789"} for text in ("a", "b", "a")]
    with pytest.raises(ConfigError) as caught:
        validate(Config, {"providers": [{**PROVIDER, "apiKeys": keys}]})
    assert caught.value.message == "providers[0]: apiKeys[2].id 'a' is already that of apiKeys[0]"
    same_in_two_providers = [{**PROVIDER, "id": text, "apiKeys": keys[:2]} for text in ("p", "q")]
    assert validate(Config, {"providers": same_in_two_providers}).providers[1].api_keys[0].weight == 1


@pytest.mark.parametrize("verb", sorted(RESERVED_VERBS))
def test_verbs_are_no_endpoint_ids(verb: str) -> None:
    with pytest.raises(ValidationError, match="word of the %ccw command"):
        Endpoint(id=verb, provider_id="p")


def test_params_are_known_by_both_spellings() -> None:
    data = {**ENDPOINT, "params": {"maxTokens": 7, "reasoning_effort": "low", "extraBody": {"a": None}}}
    chosen = Endpoint.model_validate(data).params.chosen()
    assert chosen == {"max_tokens": 7, "reasoning_effort": "low", "extra_body": {"a": None}}


def test_local_is_an_endpoint_id() -> None:
    assert Endpoint(id=LOCAL_ID, provider_id=LOCAL_ID).id == "local"


def test_models_are_frozen_and_their_errors_hold_no_input() -> None:
    provider = Provider(type="openai", api_key=Secret("sk-canary-0123456789"))
    with pytest.raises(ValidationError):
        provider.api_key = Secret("x")  # type: ignore[misc] # that it is refused is the test
    with pytest.raises(ValidationError) as caught:
        Provider.model_validate({"type": "openai", "enabled": "sk-canary-0123456789"})
    assert "canary" not in str(caught.value)


def test_masked_keys_come_from_the_stored_provider() -> None:
    stored = Provider.model_validate(
        {
            **PROVIDER,
            "apiKey": "sk-stored-0123456789",
            "apiKeys": [{"id": "1", "key": "sk-first-0123456789"}],
            "advancedSettings": {"customHeaders": {"X-Key": "header-0123456789"}, "proxy": "http://u:p@proxy.example"},
        }
    )
    shown = Provider.model_validate(stored.model_dump())
    assert shown != stored
    assert shown.with_masked_keys_from(stored).model_dump(exclude_unset=False) == stored.model_dump()
    assert list(shown.with_masked_keys_from(stored).secrets()) == list(stored.secrets())
    with pytest.raises(ConfigError, match="mask"):
        shown.with_masked_keys_from(None)

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ccw_magics.config.models import Config
from ccw_magics.config.store import ConfigStore
from ccw_magics.config.trust import risks, trust
from ccw_magics.errors import ConfigError

VARIABLE = "${OPENAI_API_KEY}"
EVIL = "https://evil.example/v1"


def config(provider: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"providers": [{"id": "p", "type": "openai", "apiKey": VARIABLE, **provider}], **more}


def found(data: dict[str, Any]) -> list[str]:
    return [str(risk) for risk in risks(Config.model_validate(data))]


@pytest.mark.parametrize(
    ("provider_type", "base"),
    [
        ("openai", None),
        ("openai", ""),
        ("openai", "https://api.openai.com"),
        ("openai", "https://api.openai.com/v1"),
        ("openai", "HTTPS://API.OpenAI.com:443/v1/"),
        ("openai", "https://api.openai.com/@evil.example"),
        ("anthropic", "https://api.anthropic.com"),
        ("google", "https://generativelanguage.googleapis.com/v1beta"),
        ("azure", "https://mine.openai.azure.com/"),
        ("azure", "https://mine.cognitiveservices.azure.com"),
        ("azure", "https://mine.services.ai.azure.com/models"),
        ("mistral", "https://api.mistral.ai/v1"),
        ("deepseek", "https://api.deepseek.com"),
        ("ollama", None),
        ("ollama", "http://localhost:11434"),
        ("custom", "http://127.0.0.1:8000/v1"),
        ("custom", "http://127.9.9.9/v1"),
        ("custom", "http://[::1]:8000/v1"),
        ("openai", "http://LOCALHOST:1/v1"),
        ("groq", None),
        ("openrouter", None),
    ],
)
def test_addresses_that_need_no_trust(provider_type: str, base: str | None) -> None:
    assert found(config({"type": provider_type, "apiBase": base})) == []


@pytest.mark.parametrize(
    ("provider_type", "base"),
    [
        ("openai", EVIL),
        ("openai", "http://api.openai.com/v1"),
        ("openai", "https://api.anthropic.com"),
        ("openai", "https://api.openai.com@evil.example"),
        ("openai", "https://api.openai.com:x@evil.example/v1"),
        ("openai", "https://api.openai.com%2f@evil.example"),
        ("openai", "https://evil.example\\@api.openai.com"),
        ("openai", "https://evil.example/@api.openai.com"),
        ("openai", "https://evil.example#@api.openai.com"),
        ("openai", "https://evil.example?@api.openai.com"),
        ("openai", "https://api.openai.com?@evil.example"),
        ("openai", "https:\\\\evil.example"),
        ("openai", "https:/evil.example"),
        ("openai", "//evil.example"),
        ("openai", "https://api.openai.com.evil.example"),
        ("openai", "https://api.openai.com.."),
        ("openai", "https://.api.openai.com"),
        ("openai", "https://xapi.openai.com"),
        ("openai", "https://api.openai.com\n.evil.example"),
        ("openai", "https://api.openai.com\t@evil.example"),
        ("openai", " https://api.openai.com"),
        ("openai", "https://аpi.openai.com"),  # noqa: RUF001 - the Cyrillic letter is the case
        ("openai", "https://api。openai。com"),
        ("openai", "https://api.openai.com\u2044evil.example"),
        ("openai", "api.openai.com/v1"),
        ("openai", "localhost:8000"),
        ("openai", "ftp://api.openai.com"),
        ("openai", "${SOME_BASE}"),
        ("openai", "https://api.openai.com/${OTHER}"),
        ("openai", "http://localhost${OTHER}/"),
        ("azure", "https://openai.azure.com"),
        ("azure", "https://.openai.azure.com"),
        ("azure", "https://openai.azure.com.evil.example"),
        ("azure", "https://evilopenai.azure.com"),
        ("custom", "https://api.openai.com"),
        ("ollama", "http://192.168.0.5:11434"),
        ("custom", "http://localhost.evil.example"),
        ("custom", "http://127.0.0.1.evil.example"),
        ("custom", "http://127.1"),
        ("custom", "http://2130706433"),
        ("custom", "http://0x7f.0.0.1"),
        ("custom", "http://127.0.0.1@evil.example"),
        ("custom", "http://[::2]"),
        ("custom", "http://0.0.0.0:8000"),
        ("unheard-of", EVIL),
        ("huggingface/https://evil.example", None),
    ],
)
def test_addresses_that_need_trust(provider_type: str, base: str | None) -> None:
    provider = {"type": provider_type, "apiBase": base}
    assert found(config(provider))
    assert found(config({**provider, "apiKey": "keyring:mine"}))
    assert found(config({**provider, "apiKey": "", "apiKeys": [{"id": "1", "key": VARIABLE, "enabled": False}]}))
    assert found(config({**provider, "enabled": False}))


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        pytest.param({"advancedSettings": {"proxy": "http://evil.example:80"}}, ["evil.example", "OPENAI_API_KEY"], id="proxy"),
        pytest.param({"advancedSettings": {"proxy": "http://u:pw@evil.example"}}, ["evil.example"], id="proxy with password"),
        pytest.param({"apiKey": "", "advancedSettings": {"proxy": "http://${A}:80"}}, ["A"], id="variable in proxy"),
        pytest.param({"apiBase": "http://127.0.0.1", "advancedSettings": {"proxy": "http://evil.example"}}, ["evil.example"], id="loopback through a proxy"),
        pytest.param({"apiKey": "", "advancedSettings": {"customHeaders": {"X": "a ${B} c"}}}, ["B", "customHeaders"], id="header"),
        pytest.param({"advancedSettings": {"customHeaders": {"hOST": "evil.example"}}}, ["Host"], id="Host header"),
        pytest.param({"apiBase": EVIL, "apiKey": "", "advancedSettings": {"customHeaders": {"X": "${B}"}}}, ["B", "evil.example"], id="header to elsewhere"),
    ],
)  # fmt: skip
def test_other_ways_out(provider: dict[str, Any], names: list[str]) -> None:
    said = " ".join(found(config(provider)))
    assert all(name in said for name in names)
    assert "pw" not in said


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param({"apiBase": EVIL, "apiKey": "sk-literal"}, id="a key of its own"),
        pytest.param({"apiBase": EVIL, "apiKey": ""}, id="no key"),
        pytest.param({"advancedSettings": {"proxy": "http://localhost:3128"}}, id="loopback proxy"),
        pytest.param({"advancedSettings": {"customHeaders": {"X-Title": "mine"}}}, id="plain header"),
        pytest.param({"apiBase": "http://localhost", "advancedSettings": {"customHeaders": {"X": "${A}"}}}, id="header to loopback"),
    ],
)  # fmt: skip
def test_ways_that_need_no_trust(provider: dict[str, Any]) -> None:
    assert found(config(provider)) == []


def test_a_model_that_is_a_url_is_a_risk() -> None:
    endpoint = {"id": "e", "providerId": "p", "model": EVIL}
    assert "evil.example" in found(config({}, endpoints=[endpoint]))[0]
    assert found(config({"apiKey": "literal"}, endpoints=[endpoint])) == []


def falling_back(to: dict[str, Any], model: str = "m", fallback: tuple[str, ...] = ("other",)) -> list[str]:
    providers = [{"id": "p", "type": "openai", "apiKey": VARIABLE}, {"id": "q", **to}]
    asked = {"id": "my-gpt4o", "providerId": "p", "model": "gpt-4o", "fallback": fallback}
    instead = {"id": "other", "providerId": "q", "model": model, "fallback": ["my-gpt4o"]}
    return found({"providers": providers, "endpoints": [asked, instead]})


def test_a_fallback_to_elsewhere_is_said_in_words() -> None:
    assert falling_back({"type": "custom", "apiBase": EVIL}) == [
        "endpoint my-gpt4o falls back to other, which sends your files to evil.example: this is not a host of custom"
    ]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param({"type": "custom", "apiBase": EVIL}, "m", id="no key"),
        pytest.param({"type": "custom", "apiBase": EVIL, "apiKey": "sk-literal"}, "m", id="a key of its own"),
        pytest.param({"type": "custom", "apiBase": EVIL, "enabled": False}, "m", id="disabled"),
        pytest.param({"type": "openai", "apiBase": "http://api.openai.com/v1"}, "m", id="not https"),
        pytest.param({"type": "ollama", "apiBase": "http://192.168.0.5:11434"}, "m", id="another machine"),
        pytest.param({"type": "openai", "advancedSettings": {"proxy": "http://evil.example"}}, "m", id="proxy"),
        pytest.param({"type": "openai", "advancedSettings": {"customHeaders": {"Host": "evil"}}}, "m", id="Host"),
        pytest.param({"type": "huggingface/https://evil.example"}, "m", id="a type that is none"),
        pytest.param({"type": "openai"}, EVIL, id="a model that is a URL"),
    ],
)
def test_fallbacks_that_need_trust(provider: dict[str, Any], model: str) -> None:
    [risk] = falling_back(provider, model)
    assert risk.startswith("endpoint my-gpt4o falls back to other, which sends your files to ")
    assert falling_back(provider, model, ("gone", "other", "other")) == [risk]
    assert falling_back(provider, model, ("gone",)) == []


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param({"type": "anthropic", "apiKey": "${ANTHROPIC_API_KEY}"}, id="a provider's own host"),
        pytest.param({"type": "openai", "apiBase": "https://api.openai.com/v1"}, id="own host by name"),
        pytest.param({"type": "custom", "apiBase": "http://127.0.0.1:8000/v1"}, id="loopback"),
        pytest.param({"type": "ollama"}, id="ollama"),
        pytest.param({"type": "local"}, id="local"),
    ],
)
def test_fallbacks_that_need_no_trust(provider: dict[str, Any]) -> None:
    assert falling_back(provider) == []


def test_a_fallback_within_the_provider_takes_nothing_elsewhere() -> None:
    provider = {"id": "p", "type": "custom", "apiBase": "https://models.example/v1"}
    endpoints = [{"id": "big", "providerId": "p", "fallback": ["small", "local"]}, {"id": "small", "providerId": "p"}]
    assert found({"providers": [provider], "endpoints": endpoints}) == []
    assert found({"providers": [provider], "endpoints": [endpoints[0], {**endpoints[1], "model": EVIL}]})


@pytest.mark.parametrize(
    ("folder", "harmless"),
    [
        ("~/.ccw/cache/context", True), ("~/.ccw", True), ("~/.ccw/../.ccw/x", True),
        ("~/.ccw/../.ssh", False), ("~/.ccw-not", False), ("/", False), ("cache", False), ("", None), ("~", False),
        ("$HOME/.ccw", False), ("~/.ccw/trusted", False), ("~/.ccw/cache/../trusted/x", False), ("~nobody-here/.ccw", False),
        ("~/.ccw/\0", False),
    ],
)  # fmt: skip
def test_cache_folders(folder: str, harmless: bool | None) -> None:
    if harmless is not None:
        assert (found({"globalCacheSettings": {"cacheDir": folder}}) == []) is harmless


def test_a_link_out_of_the_ccw_folder_is_outside(home: Path) -> None:
    (home / ".ccw").mkdir()
    (home / ".ccw" / "link").symlink_to("/")
    assert found({"globalCacheSettings": {"cacheDir": "~/.ccw/link/tmp"}})


@pytest.fixture
def store(project: Path) -> ConfigStore:
    store = ConfigStore(project)
    store.path.parent.mkdir(parents=True)
    return store


def put(store: ConfigStore, data: dict[str, Any]) -> None:
    store.path.write_text(json.dumps(data))


def test_the_error_names_host_variable_and_file(store: ConfigStore) -> None:
    put(store, config({"apiBase": "https://user:pw@evil.example/v1"}))
    with pytest.raises(ConfigError) as caught:
        store.require_trust()
    assert all(part in caught.value.message for part in ("evil.example", "OPENAI_API_KEY", str(store.path)))
    assert "pw" not in caught.value.message
    assert all(part in (caught.value.hint or "") for part in ("%ccw trust", "ccw trust", "CCW_TRUST=1"))


def test_hostile_text_stays_plain_in_the_error(store: ConfigStore) -> None:
    put(store, config({"id": "p\x1b[2J", "apiBase": "https://evil\x1b[31m" + "x" * 5000}))
    with pytest.raises(ConfigError) as caught:
        store.require_trust()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000


def test_a_fallback_to_elsewhere_is_refused_until_it_is_trusted(store: ConfigStore) -> None:
    evil = {"id": "q", "type": "custom", "apiBase": EVIL}
    endpoints = [{"id": "e", "providerId": "p", "fallback": ["f\x1b[2J"]}, {"id": "f\x1b[2J", "providerId": "q"}]
    put(store, {"providers": [{"id": "p", "type": "openai"}, evil], "endpoints": endpoints})
    with pytest.raises(ConfigError) as caught:
        store.require_trust()
    assert "falls back to f\\x1b[2J, which sends your files to evil.example" in caught.value.message
    store.trust()
    store.require_trust()


def test_trust_is_for_this_very_content(store: ConfigStore, home: Path) -> None:
    put(store, config({"apiBase": EVIL}))
    assert [risk.target for risk in store.trust()] == ["evil.example"]
    assert store.require_trust() == store.load()
    assert ConfigStore(store.path.parents[3]).require_trust() == store.load()
    put(store, config({"apiBase": EVIL, "name": "changed"}))
    with pytest.raises(ConfigError):
        store.require_trust()
    trust(store.path)
    store.require_trust()
    folder = home / ".ccw" / "trusted"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    entries = list(folder.iterdir())
    assert len(entries) == 2
    assert all(stat.S_IMODE(entry.stat().st_mode) == 0o600 and entry.stat().st_size == 0 for entry in entries)


def test_the_variable_trusts_without_remembering(store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, config({"apiBase": EVIL}))
    monkeypatch.setenv("CCW_TRUST", "1")
    store.require_trust()
    store.update_provider("p", {"name": "new"})
    for value in ("0", ""):
        monkeypatch.setenv("CCW_TRUST", value)
        with pytest.raises(ConfigError):
            store.require_trust()


def test_what_our_own_commands_write_stays_trusted(project: Path) -> None:
    store = ConfigStore(project)
    store.init()
    provider = store.add_provider({"type": "custom", "apiBase": EVIL, "apiKey": VARIABLE})
    store.update_provider(provider.id, {"name": "new"})
    store.set_default_endpoint(None)
    store.update_global_cache_settings({"cacheDir": "/tmp/elsewhere"})
    store.require_trust()


def test_our_own_commands_do_not_make_a_hostile_file_trusted(store: ConfigStore) -> None:
    put(store, config({"apiBase": EVIL}, endpoints=[{"id": "e", "providerId": "p", "model": "m"}]))
    store.set_default_endpoint("e")
    store.add_provider({"type": "openai"})
    store.update_provider("p", {"enabled": True})
    with pytest.raises(ConfigError):
        store.require_trust()


def test_two_spellings_of_a_field_cannot_smuggle_an_address(store: ConfigStore) -> None:
    put(store, config({"apiBase": "https://api.openai.com", "api_base": EVIL}))
    store.require_trust()
    store.update_provider("p", {"name": "new"})
    assert store.get_all_providers()[0].api_base == "https://api.openai.com"
    assert store.risks() == []


def test_the_example_needs_no_trust(project: Path) -> None:
    store = ConfigStore(project)
    store.require_trust()
    store.init()
    assert store.risks() == []
    assert store.require_trust().default_endpoint == "my-gpt4o"


def test_a_project_without_config_has_nothing_to_trust(project: Path, home: Path) -> None:
    assert ConfigStore(project).trust() == []
    assert not (home / ".ccw").exists()
    with pytest.raises(ConfigError):
        trust(ConfigStore(project).path)

"""The keys that a config holds or names: what must not be shown, whoever says it."""

from __future__ import annotations

from typing import Any

import pytest

from ccw_magics.config.models import Config
from ccw_magics.config.resolution import held_keys

HELD = {
    "literal": ({"apiKey": "sk-literal-1"}, {"sk-literal-1"}),
    "variable": ({"apiKey": "${SET}"}, {"sk-from-outside"}),
    "not set": ({"apiKey": "${UNSET}"}, set()),
    "keyring": ({"apiKey": "keyring:work"}, set()),
    "none": ({"apiKey": ""}, set()),
    "listed": ({"apiKeys": [{"id": "a", "key": "sk-a"}, {"id": "b", "key": "${SET}"}]}, {"sk-a", "sk-from-outside"}),
    "header": (
        {"advancedSettings": {"customHeaders": {"X-Key": "Bearer ${SET}", "X-Other": "Bearer literal"}}},
        {"sk-from-outside", "Bearer literal"},
    ),
    "proxy": (
        {"advancedSettings": {"proxy": "http://me:${SET}@host"}},
        {"sk-from-outside", "http://me:${SET}@host"},
    ),
}


@pytest.mark.parametrize(("provider", "held"), HELD.values(), ids=HELD)
def test_what_a_config_holds(provider: dict[str, Any], held: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "sk-from-outside")
    monkeypatch.delenv("UNSET", raising=False)
    config = Config.model_validate({"providers": [{"id": "p", "type": "openai", **provider}]})
    assert {key.reveal() for key in held_keys(config)} == held

"""The model of an endpoint: what its provider serves, and what is known of the one that is named."""

from __future__ import annotations

import asyncio
from html import unescape
from typing import Any

import pytest

from ccw_magics.backends.model_facts import ModelFacts
from ccw_magics.calls import worker
from ccw_magics.calls.probe import Probe
from ccw_magics.config.models import Provider
from ccw_magics.errors import ConfigError, ToolError
from ccw_magics.notebook.panels import last_tests, model_field
from ccw_magics.notebook.panels.model_field import ModelField, facts_in_words

PROVIDER = Provider(id="p-1", name="Mine", type="openai")
DEADLINE_S = 10.0


def settle(field: ModelField) -> None:
    """Wait for what runs, and for those who are told of its end."""
    for future in (field._status._future, field._facts, field._known):
        if future is not None and not future.cancelled():
            future.exception(DEADLINE_S)
    worker.submit(asyncio.sleep(0)).result(DEADLINE_S)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a provider's test, litellm's list and its map of prices say."""
    said: dict[str, Any] = {"probe": Probe(True, "fine"), "known": (), "facts": ModelFacts(), "asked": []}

    async def probe(provider: Provider) -> Probe:
        said["asked"].append(provider.id)
        return said["probe"]

    async def known_models(provider_type: str) -> tuple[str, ...]:
        return said["known"]

    async def model_facts(provider_type: str, model: str) -> ModelFacts:
        said["asked"].append((provider_type, model))
        if isinstance(said["facts"], Exception):
            raise said["facts"]
        return said["facts"]

    monkeypatch.setattr(last_tests, "_tests", {})
    monkeypatch.setattr("ccw_magics.calls.probe.probe", probe)
    monkeypatch.setattr("ccw_magics.calls.model_facts.known_models", known_models)
    monkeypatch.setattr("ccw_magics.calls.model_facts.model_facts", model_facts)
    monkeypatch.setattr(model_field, "PAUSE_S", 0.0)
    return said


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        pytest.param(ModelFacts(), "", id="nothing-known"),
        pytest.param(ModelFacts(128_000), "128,000 tokens", id="window-alone"),
        pytest.param(
            ModelFacts(128_000, 16_384, 2.5, 1.25, 10.0),
            "128,000 tokens; $2.50 in, $1.25 cached, $10.00 out per million tokens",
            id="all",
        ),
        pytest.param(
            ModelFacts(None, None, 0.15, None, 0.6), "$0.1500 in, $0.6000 out per million tokens", id="no-cache-price"
        ),
        pytest.param(ModelFacts(4096, None, 0.0, 0.0, 0.0), "4,096 tokens; free", id="local"),
        pytest.param(ModelFacts(None, None, 0.0, None, 1.0), "$0.00 in, $1.00 out per million tokens", id="free-input"),
    ],
)
def test_facts_are_words_and_what_is_unknown_is_no_zero(facts: ModelFacts, told: str) -> None:
    assert facts_in_words(facts) == told


@pytest.mark.parametrize(
    ("probe", "known", "suggested", "told"),
    [
        pytest.param(Probe(True, "ok", models=("a", "b")), ("x",), ("a", "b"), "2 models served by Mine", id="served"),
        pytest.param(
            Probe(False, "the key is refused", "Check it."),
            ("x",),
            ("x",),
            "the key is refused. Check it. Suggested instead: 1 model known of openai",
            id="refused",
        ),
        pytest.param(
            Probe(None, "cannot be told"), (), (), "cannot be told. Type the model's name.", id="nobody-knows"
        ),
    ],
)
def test_suggestions_come_from_the_provider_or_else_from_what_is_known(
    answers: dict[str, Any], probe: Probe, known: tuple[str, ...], suggested: tuple[str, ...], told: str
) -> None:
    answers.update(probe=probe, known=known)
    field = ModelField("model", "Model", lambda: PROVIDER)
    field._ask.click()
    settle(field)
    assert field._control.options == suggested
    assert told in unescape(field._status._text.value)
    assert field._status._stop.layout.display == "none"


def test_nobody_is_asked_unless_the_config_is_trusted(answers: dict[str, Any]) -> None:
    def refused() -> Provider:
        raise ConfigError("not trusted", hint="%ccw trust")

    field = ModelField("model", "Model", refused)
    field._ask.click()
    assert "not trusted" in field._status._text.value
    assert answers["asked"] == []


def test_the_facts_of_the_named_model_stand_beside_it(answers: dict[str, Any]) -> None:
    answers["facts"] = ModelFacts(128_000)
    field = ModelField("model", "Model", lambda: PROVIDER)
    field.fill("gpt-4o")
    field.look_up("openai")
    settle(field)
    assert "128,000 tokens" in field._beside.value
    field.look_up("openai")
    assert answers["asked"] == [("openai", "gpt-4o")]
    field.look_up(None)
    assert "128,000" not in field._beside.value


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(ToolError("the embedded model ended early"), "the embedded model ended early", id="ours"),
        pytest.param(ImportError("no litellm"), "ImportError", id="another's"),
    ],
)
def test_facts_that_cannot_be_looked_up_are_said_to_be_missing(
    answers: dict[str, Any], error: Exception, told: str
) -> None:
    answers["facts"] = error
    field = ModelField("model", "Model", lambda: PROVIDER)
    field.fill("gpt-4o")
    field.look_up("openai")
    settle(field)
    assert f"could not be looked up: {told}" in field._beside.value


def test_known_models_are_suggested_until_the_provider_is_asked(answers: dict[str, Any]) -> None:
    answers.update(known=("x",), probe=Probe(True, "ok", models=("a", "b")))
    field = ModelField("model", "Model", lambda: PROVIDER)
    field.forget()
    field.look_up("openai")
    settle(field)
    assert field._control.options == ("x",)
    assert answers["asked"] == [], "nobody is asked by itself"
    field._ask.click()
    settle(field)
    field.look_up("mistral")
    settle(field)
    assert field._control.options == ("a", "b")
    assert answers["asked"] == ["p-1"]


def test_facts_of_a_model_that_was_typed_over_are_not_shown(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_field, "PAUSE_S", DEADLINE_S)
    field = ModelField("model", "Model", lambda: PROVIDER)
    field.fill("gpt-4")
    field.look_up("openai")
    first = field._facts
    monkeypatch.setattr(model_field, "PAUSE_S", 0.0)
    field.fill("gpt-4o")
    field.look_up("openai")
    settle(field)
    assert first is not None
    assert first.cancelled()
    assert answers["asked"] == [("openai", "gpt-4o")]


def test_a_listing_can_be_stopped(answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(provider: Provider) -> Probe:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("ccw_magics.calls.probe.probe", never)
    field = ModelField("model", "Model", lambda: PROVIDER)
    field._ask.click()
    assert field._status._stop.layout.display is None
    field._status._stop.click()
    worker.submit(asyncio.sleep(0)).result(DEADLINE_S)
    assert "stopped" in field._status._text.value

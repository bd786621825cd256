"""What is known of models: against the published prices, and nothing made up."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from ccw_magics.backends.litellm_facts import chat_models, facts_of
from ccw_magics.calls import worker
from ccw_magics.calls.model_facts import ModelFacts, known_models, model_facts

T = TypeVar("T")


def ask(work: Coroutine[Any, Any, T]) -> T:
    return worker.submit(work).result()


# The prices' sources stand in tests/backends/test_litellm_cost.py.
@pytest.mark.parametrize(
    ("provider_type", "model", "facts"),
    [
        ("openai", "gpt-4o", ModelFacts(128_000, 16_384, 2.5, 1.25, 10.0)),
        ("anthropic", "claude-sonnet-4-5", ModelFacts(200_000, 64_000, 3.0, 0.3, 15.0)),
        ("google", "gemini-2.5-pro", ModelFacts(1_048_576, 65_535, 1.25, 0.125, 10.0)),
    ],
)
def test_published(provider_type: str, model: str, facts: ModelFacts) -> None:
    told = ask(model_facts(provider_type, model))
    assert told.context_window_tokens == facts.context_window_tokens
    assert told.max_output_tokens == pytest.approx(facts.max_output_tokens, abs=1)
    assert told.input_usd_per_mtok == facts.input_usd_per_mtok
    assert told.cached_input_usd_per_mtok == facts.cached_input_usd_per_mtok
    assert told.output_usd_per_mtok == facts.output_usd_per_mtok


@pytest.mark.parametrize(
    ("provider_type", "model"),
    [("openai", "no-such-model"), ("openai", ""), ("no-such-provider", "x"), ("custom", "no-such-model")],
)
def test_unknown(provider_type: str, model: str) -> None:
    assert ask(model_facts(provider_type, model)) == ModelFacts()


def test_somebodys_own_server_has_prices_of_its_own() -> None:
    assert ask(model_facts("custom", "gpt-4o")) == ModelFacts(128_000, 16_384)


def test_the_embedded_model_is_free() -> None:
    told = ask(model_facts("local", ""))
    assert (told.input_usd_per_mtok, told.cached_input_usd_per_mtok, told.output_usd_per_mtok) == (0.0, 0.0, 0.0)
    assert told.context_window_tokens
    assert told.max_output_tokens


@pytest.mark.parametrize(
    ("provider_type", "expected"),
    [
        ("openai", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5"),
        ("google", "gemini-2.5-pro"),
        ("azure", "gpt-4o"),
        ("mistral", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("local", "SmolLM2-135M-Instruct"),
    ],
)
def test_known(provider_type: str, expected: str) -> None:
    names = ask(known_models(provider_type))
    assert expected in names
    assert list(names) == sorted(set(names))
    assert not [name for name in names if name.startswith((f"{provider_type}/", "gemini/", "ft:"))]
    assert not [name for name in names if "embed" in name or "whisper" in name]


@pytest.mark.parametrize("provider_type", ["custom", "no-such-provider"])
def test_none_known(provider_type: str) -> None:
    assert ask(known_models(provider_type)) == ()


MAP = {
    "sample_spec": {"mode": "one of: chat, embedding"},
    "a-chat": {"mode": "chat", "litellm_provider": "acme", "input_cost_per_token": 1e-6},
    "acme/b-chat": {"mode": "chat", "litellm_provider": "acme"},
    "acme/a-chat": {"mode": "chat", "litellm_provider": "acme"},
    "grouped": {"mode": "chat", "litellm_provider": "acme-chat-models"},
    "not-grouped": {"mode": "chat", "litellm_provider": "acme-chat-models"},
    "acme/embed": {"mode": "embedding", "litellm_provider": "acme"},
    "acme/hired": {"mode": "chat", "litellm_provider": "acme", "input_cost_per_second": 1},
    "ft:a-chat": {"mode": "chat", "litellm_provider": "acme"},
    "other": {"mode": "chat", "litellm_provider": "other"},
    "gemini/g": {"mode": "chat", "litellm_provider": "gemini"},
    "azure/z": {"mode": "chat", "litellm_provider": "azure"},
    "azure/eu/z": {"mode": "chat", "litellm_provider": "azure"},
}


@pytest.mark.parametrize(
    ("provider_type", "names"),
    [("acme", ("a-chat", "b-chat", "grouped")), ("google", ("g",)), ("azure", ("z",)), ("custom", ()), ("none", ())],
)
def test_what_a_map_lists(provider_type: str, names: tuple[str, ...]) -> None:
    library = SimpleNamespace(model_cost=MAP, models_by_provider={"acme": {"grouped"}, "other": {"other"}})
    assert chat_models(library, provider_type) == names


@pytest.mark.parametrize(
    ("info", "provider_type", "facts"),
    [
        ({}, "openai", ModelFacts()),
        ({"max_tokens": 10}, "openai", ModelFacts(context_window_tokens=10)),
        ({"max_tokens": 10, "max_input_tokens": 20}, "openai", ModelFacts(context_window_tokens=20)),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0.0}, "openai", ModelFacts()),
        ({"input_cost_per_token": 0.1e-6}, "openai", ModelFacts(input_usd_per_mtok=0.1)),
        (
            {"input_cost_per_token": 3e-6},
            "anthropic",
            ModelFacts(input_usd_per_mtok=3.0, cached_input_usd_per_mtok=0.3),
        ),
        ({"input_cost_per_token": 3e-6, "max_tokens": 5}, "ollama", ModelFacts(context_window_tokens=5)),
    ],
    ids=["nothing", "one limit", "two limits", "0 is unknown", "a price", "Anthropic's cache", "one's own server"],
)
def test_what_is_read_of_a_map(info: dict[str, Any], provider_type: str, facts: ModelFacts) -> None:
    assert facts_of(info, provider_type) == facts

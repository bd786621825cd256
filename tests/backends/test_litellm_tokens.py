from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ccw_magics.backends.base import ModelCall
from ccw_magics.backends.litellm_backend import LiteLLMBackend
from ccw_magics.backends.litellm_tokens import CLAUDE, CLAUDE_SINCE_4_7, factor

TEXT = "def größe(zahl):\n    return [zahl * faktor for faktor in range(1, 11)]\n\n안녕하세요 세계\n" * 40


def asked(what: str, kind: str, model: str, *arguments: Any, **settings: Any) -> Any:
    backend = LiteLLMBackend()
    return asyncio.run(getattr(backend, what)(ModelCall(kind, model, "Hi", **settings), *arguments))


ENCODINGS = [
    ("openai", "gpt-4o", "o200k_base"),
    ("openai", "gpt-4o-mini-2024-07-18", "o200k_base"),
    ("openai", "gpt-4.1-mini", "o200k_base"),
    ("openai", "gpt-5-of-next-year", "o200k_base"),
    ("openai", "o3", "o200k_base"),
    ("openai", "chatgpt-4o-latest", "o200k_base"),
    ("openai", "gpt-4", "cl100k_base"),
    ("openai", "gpt-4-turbo", "cl100k_base"),
    ("openai", "gpt-3.5-turbo-0125", "cl100k_base"),
    ("azure", "gpt-35-turbo", "cl100k_base"),
    ("azure", "our-deployment", "o200k_base"),
    ("google", "gemini-2.5-flash", "o200k_base"),
]


@pytest.mark.parametrize(("kind", "model", "encoding"), ENCODINGS)
def test_tokens_are_counted_by_the_models_encoding(kind: str, model: str, encoding: str) -> None:
    counted = asked("count_tokens", kind, model, TEXT)
    import tiktoken  # litellm has told it where its encodings are

    sizes = {name: len(tiktoken.get_encoding(name).encode(TEXT)) for name in ("o200k_base", "cl100k_base")}
    assert counted == pytest.approx(sizes[encoding], rel=0.01)  # newer releases count long texts in pieces
    assert sizes["cl100k_base"] > 1.1 * sizes["o200k_base"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", 1.0),
        ("claude-2.1", CLAUDE),
        ("claude-instant", CLAUDE),
        ("claude-3-5-haiku-20241022", CLAUDE),
        ("claude-sonnet-4-20250514", CLAUDE),
        ("claude-sonnet-4-5-20250929", CLAUDE),
        ("anthropic/claude-sonnet-4.6", CLAUDE),
        ("anthropic.claude-opus-4-6-v1:0", CLAUDE),
        ("claude-opus-4-7", CLAUDE_SINCE_4_7),
        ("anthropic/claude-opus-4.8", CLAUDE_SINCE_4_7),
        ("claude-sonnet-5", CLAUDE_SINCE_4_7),
        ("claude-mythos-preview", CLAUDE_SINCE_4_7),
    ],
)
def test_claude_makes_more_of_the_same_text(model: str, expected: float) -> None:
    assert factor(model) == expected


@pytest.mark.parametrize(
    ("kind", "model", "longest"),
    [("openai", "gpt-4o", 16_384), ("anthropic", "claude-sonnet-4-5", 64_000), ("openai", "house-model", None)],
)
def test_the_longest_answer_is_told(kind: str, model: str, longest: int | None) -> None:
    assert asked("max_output_tokens", kind, model) == longest

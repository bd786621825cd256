"""Tokens counted before a call, and corrected by what its provider reports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.backends.base import AnswerSchema, Exchange, ModelCall
from ccw_magics.calls import tokens

TEXT = "word " * 400
CALL = ModelCall("openai", "gpt-4o", TEXT)


class Words:
    """Counts words; only tokens are asked for."""

    async def count_tokens(self, _call: ModelCall, text: str) -> int | None:
        return len(text.split())


class Nothing:
    """Can count nothing."""

    async def count_tokens(self, _call: ModelCall, _text: str) -> None:
        return None


WORDS: Any = Words()
NOTHING: Any = Nothing()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    tokens._factors.clear()
    tokens._counted.clear()
    yield
    tokens._factors.clear()
    tokens._counted.clear()


def _count(call: ModelCall = CALL, backend: Any = None) -> int | None:
    return asyncio.run(tokens.count(backend or WORDS, call))


@pytest.mark.parametrize(
    ("call", "counted"),
    [
        pytest.param(replace(CALL, prompt="two words"), 2 + 4 + 3, id="a question"),
        pytest.param(replace(CALL, prompt="two words", system="be brief "), 4 + 8 + 3, id="with a system prompt"),
        pytest.param(
            replace(CALL, prompt="two words", turns=(Exchange("one", "two"),)), 4 + 12 + 3, id="of a conversation"
        ),
        pytest.param(replace(CALL, prompt="two words", blocks=("file ",)), 4 + 4 + 3, id="with a file"),
        pytest.param(
            replace(CALL, prompt=" two words", schema=AnswerSchema("s", {"type": "object"}, is_strict=True)),
            4 + 4 + 3,
            id="with a schema",
        ),
    ],
)
def test_everything_that_is_sent_counts(call: ModelCall, counted: int) -> None:
    assert _count(call) == counted


def test_what_cannot_be_counted_is_not_known() -> None:
    assert _count(backend=NOTHING) is None
    assert asyncio.run(tokens.count_part(NOTHING, CALL, "x")) is None


@pytest.mark.parametrize(("factor", "used"), [(1.2, 1.2), (0.8, 0.8), (5.0, 2.0), (0.5, 0.5), (0.499, 0.5)], ids=str)
def test_a_report_corrects_the_next_count(factor: float, used: float) -> None:
    first = _count()
    assert first is not None
    tokens.learn(CALL, round(first * factor))
    longer = replace(CALL, prompt=TEXT * 2)
    assert _count(longer) == pytest.approx(used * (800 + 7), rel=0.01)
    assert asyncio.run(tokens.count_part(WORDS, CALL, TEXT)) == pytest.approx(used * 400, rel=0.01)


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, model="gpt-4o-mini"),
        replace(CALL, provider_type="azure"),
        replace(CALL, api_base="http://127.0.0.1:1/v1"),
    ],
    ids=["model", "provider", "server"],
)
def test_and_no_count_for_another(other: ModelCall) -> None:
    first = _count(other)
    _count()
    tokens.learn(CALL, 600)
    assert _count(other) == first
    assert _count() == 600


def test_a_short_prompt_teaches_nothing() -> None:
    call = replace(CALL, prompt="two words")
    first = _count(call)
    tokens.learn(call, 199)
    assert _count(call) == first


def test_what_was_not_counted_teaches_nothing() -> None:
    _count()
    tokens.learn(replace(CALL, prompt=TEXT * 2), 5000)
    assert not tokens._factors


def test_only_the_newest_counts_are_remembered() -> None:
    for number in range(100):
        _count(replace(CALL, prompt=f"{number} {TEXT}"))
    assert len(tokens._counted) == tokens._REMEMBERED
    tokens.learn(replace(CALL, prompt=f"0 {TEXT}"), 600)
    assert not tokens._factors


def test_a_report_is_taken_in_once() -> None:
    _count()
    tokens.learn(CALL, 600)
    assert not tokens._counted  # so that calls without a limit again do nothing for it


@given(st.integers(200, 10**6), st.integers(1, 50))
def test_the_correction_is_bounded(reported: int, times: int) -> None:
    tokens._factors.clear()
    call = replace(CALL, prompt=TEXT * times)
    first = _count(call)
    assert first is not None
    tokens.learn(call, reported)
    after = _count(call)
    assert after is not None
    assert first // 2 <= after <= first * 2 + 1
    tokens._factors.clear()

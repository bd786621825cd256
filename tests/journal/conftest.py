"""Fixtures of the journal's tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccw_magics.journal import Call, Journal, Turn

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
_TURN = Turn(
    endpoint="my-gpt4o",
    references=("@src/**/*.py", "@README.md"),
    context=b"# a.py\n\xff",
    sections='[{"path": "a.py"}]',
    prompt="@src/**/*.py @README.md Why?\n\nAnd how?",
    asked="Why?\n\nAnd how? As JSON.",
    answer="Because.",
    key="aa" * 32,
    at=NOON,
)
_CALL = Call(
    at=NOON,
    endpoint="my-gpt4o",
    provider="openai",
    model="gpt-4o",
    mode="analysis",
    prompt_hash="aa",
    pack_hash="",
    files=(),
    input_tokens=12,
    cached_tokens=0,
    written_tokens=0,
    output_tokens=3,
    cost_usd=0.25,
    uncached_cost_usd=0.25,
    duration_s=1.0,
    first_token_s=0.5,
    retries=0,
    fallback_from="",
    key="",
    chat="",
    outcome="ok",
    error="",
    prompt="Why?",
    answer="Because.",
)


@pytest.fixture
def turn() -> Callable[..., Turn]:
    """A turn with some fields of its own."""
    return lambda **changes: dataclasses.replace(_TURN, **changes)


@pytest.fixture
def call() -> Callable[..., Call]:
    """A call with some fields of its own."""
    return lambda **changes: dataclasses.replace(_CALL, **changes)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Journal]:
    """The same file, as another kernel has it."""
    other = Journal(tmp_path)
    yield other
    other.close()

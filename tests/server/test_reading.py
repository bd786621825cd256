"""What a request sends: whatever it is, it is read, or refused in words."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.config.models import Endpoint, Provider
from ccw_magics.server.operation import LARGEST, Body, Number
from ccw_magics.server.reading import DEEPEST, read_body, read_number
from ccw_magics.server.refusal import Refusal

EXAMPLES = 100 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
NAMES = st.sampled_from(
    ["type", "apiKey", "api_key", "id", "apiKeys", "advancedSettings", "customHeaders", "providerId"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=4),
    max_leaves=10,
)
BODIES = st.sampled_from(
    [Body(Provider), Body(Provider, is_change=True, filler={"type": "any"}), Body(Endpoint)],
)


@given(content=st.binary() | VALUES.map(lambda value: json.dumps(value).encode()), body=BODIES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_anything_is_read_or_refused(content: bytes, body: Body) -> None:
    with suppress(Refusal):
        assert isinstance(read_body(content, body), dict)


@pytest.mark.parametrize("levels", [DEEPEST - 2, DEEPEST + 1])
def test_how_deep_a_body_may_be(levels: int) -> None:
    deep: Any = 1
    for _ in range(levels - 1):
        deep = [deep]
    content = json.dumps({"type": "openai", "extra": deep}).encode()
    if levels < DEEPEST:
        assert read_body(content, Body(Provider))["extra"] == deep
    else:
        with pytest.raises(Refusal, match="nested too deeply"):
            read_body(content, Body(Provider))


def test_a_whole_number_may_be_written_with_a_point() -> None:
    read = read_body(b'{"type": "openai", "advancedSettings": {"rpm": 5.0, "timeout": 0.5}}', Body(Provider))
    assert read["advancedSettings"] == {"rpm": 5, "timeout": 0.5}
    with pytest.raises(Refusal, match=r"advancedSettings\.rpm: should be a valid integer"):
        read_body(b'{"type": "openai", "advancedSettings": {"rpm": 5.5}}', Body(Provider))


def test_pythons_names_are_taken_for_the_files() -> None:
    assert read_body(b'{"type": "openai", "api_key": "k"}', Body(Provider)) == {"type": "openai", "apiKey": "k"}


def test_null_is_for_changes() -> None:
    change = Body(Provider, is_change=True, filler={"type": "any"})
    assert read_body(b'{"apiBase": null, "enabled": null}', change) == {"apiBase": None, "enabled": None}
    with pytest.raises(Refusal, match="enabled: should be a valid boolean"):
        read_body(b'{"type": "openai", "enabled": null}', Body(Provider))


def test_many_problems_are_said_in_part() -> None:
    keys = [{"id": "a", "key": 1}] * 9
    with pytest.raises(Refusal, match=r"apiKeys\.4\.key: should be a string \(and 4 more\)$"):
        read_body(json.dumps({"type": "openai", "apiKeys": keys}).encode(), Body(Provider))


@given(text=st.text() | st.integers().map(str))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_number_is_within_its_range_or_refused(text: str) -> None:
    number = Number("offset", "", 5, 0, LARGEST)
    with suppress(Refusal):
        assert 0 <= read_number(number, text) <= LARGEST


def test_a_number_that_is_left_out() -> None:
    assert read_number(Number("offset", "", 5, 0, 9), None) == 5


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"type": "openai", "type": "ollama"}', id="a field"),
        pytest.param(b'{"type": "openai", "advancedSettings": {"rpm": 1, "rpm": 2}}', id="a field further in"),
        pytest.param(b'{"type": "openai", "\\u0074ype": "ollama"}', id="spelt in another way"),
    ],
)
def test_what_stands_twice_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal, match="has the same name twice"):
        read_body(content, Body(Provider))


def test_a_field_under_both_of_its_names_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^apiKey: given twice, the other time as api_key$"):
        read_body(b'{"type": "openai", "apiKey": "a", "api_key": "b"}', Body(Provider))

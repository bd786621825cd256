"""Headers: a name and a value make one, and only masks are shown of values."""

from __future__ import annotations

import pytest
from panel_driver import all_states, press, type_secret

from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.headers_field import HeadersField

VALUE = "canary-0123456789-abcdef"


@pytest.fixture
def headers() -> HeadersField:
    made = HeadersField()
    made.fill({"X-Team": "can…def", "X-Org": "${ORG}"})
    return made


def rows(headers: HeadersField) -> list[str]:
    return [label for label, _ in headers._list.options]


def test_what_is_stored_is_listed_and_comes_back(headers: HeadersField) -> None:
    assert rows(headers) == ["X-Team: can…def", "X-Org: ${ORG}"]
    assert headers.value == {"X-Team": "can…def", "X-Org": "${ORG}"}
    assert not headers.problem
    headers.fill(None)
    assert headers.value is None


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        pytest.param("X-New", VALUE, {"X-Team": "can…def", "X-Org": "${ORG}", "X-New": Secret(VALUE)}, id="new"),
        pytest.param("X-Org", VALUE, {"X-Team": "can…def", "X-Org": Secret(VALUE)}, id="replaced"),
        pytest.param("x-org", VALUE, {"X-Team": "can…def", "x-org": Secret(VALUE)}, id="names know no case"),
        pytest.param(" X-Org ", "${A}", {"X-Team": "can…def", "X-Org": Secret("${A}")}, id="a variable"),
    ],
)
def test_a_name_and_a_value_make_one(headers: HeadersField, name: str, typed: str, value: object) -> None:
    headers._name.value = name
    type_secret(headers._secret, typed)
    assert headers.value == value
    assert headers.was_edited
    assert not headers.problem
    assert headers._name.value == ""
    assert VALUE not in all_states()


@pytest.mark.parametrize("name", ["X-Team", "x-team"])
def test_the_value_of_a_known_name_is_shown_as_its_mask(headers: HeadersField, name: str) -> None:
    headers._name.value = name
    assert headers._secret.shown == "can…def"
    assert not headers.problem


def test_half_a_header_is_no_header(headers: HeadersField) -> None:
    headers._name.value = "X-New"
    assert "X-New" in headers.problem
    headers._name.value = ""
    assert not headers.problem
    type_secret(headers._secret, VALUE)
    assert headers.problem
    assert headers._secret.shown == "can…def"


def test_remove(headers: HeadersField) -> None:
    headers._list.value = "X-Team"
    assert headers._name.value == "X-Team"
    assert not headers.was_edited
    press(headers.widget, "Remove this header")
    assert headers.value == {"X-Org": "${ORG}"}
    assert headers.was_edited
    assert headers._remove.disabled

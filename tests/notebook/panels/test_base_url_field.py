"""The base URL of a provider: what may be a password in it is kept, and not shown."""

from __future__ import annotations

import pytest
from panel_driver import shown

from ccw_magics.notebook.panels.provider_fields import BaseUrlField
from ccw_magics.notebook.panels.provider_types import type_named

PASSWORD = "hunter2-canary-password"
STORED = f"https://user:{PASSWORD}@host.example/v1?key={PASSWORD}"


@pytest.fixture
def base() -> BaseUrlField:
    made = BaseUrlField()
    made.fill(None)
    return made


def states(base: BaseUrlField) -> str:
    return str([base._control.get_state(), base._beside.get_state()])


def adapted(base: BaseUrlField) -> str:
    base.adapt(type_named("custom"), [])
    return shown(base.widget)


@pytest.mark.parametrize(
    ("stored", "visible"),
    [
        pytest.param(None, "", id="none"),
        pytest.param("https://host/v1", "https://host/v1", id="plain"),
        pytest.param("https://${REGION}.host/v1", "https://${REGION}.host/v1", id="variable"),
        pytest.param(STORED, "https://host.example/v1", id="password and query"),
        pytest.param("https://host/v1#part", "https://host/v1", id="fragment"),
        pytest.param(f"user:{PASSWORD}@host", "host", id="no scheme"),
    ],
)
def test_what_is_stored_is_kept_and_its_password_not_shown(base: BaseUrlField, stored: str, visible: str) -> None:
    base.fill(stored)
    assert base._control.value == visible
    assert base.value == stored
    assert not base.was_edited
    assert ("is kept, and not shown" in adapted(base)) == ((stored or "") != visible)
    assert PASSWORD not in states(base)


def test_an_edit_takes_the_stored_password_away_and_says_so(base: BaseUrlField) -> None:
    base.fill(STORED)
    base._control.value = "https://elsewhere.example/v1"
    assert base.was_edited
    assert base.value == "https://elsewhere.example/v1"
    assert "goes away with this edit" in adapted(base)
    base._control.value = "https://host.example/v1"
    assert base.value == STORED


def test_an_edit_of_what_is_all_shown_needs_no_word(base: BaseUrlField) -> None:
    base.fill("https://host/v1")
    base._control.value = "https://host/v2"
    assert "not shown" not in adapted(base)
    assert "goes away" not in adapted(base)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([STORED], id="pasted"),
        pytest.param([f"https://user:{PASSWORD}@", "https://h", f"https://{STORED.partition('@')[2]}"], id="typed"),
    ],
)
def test_a_password_that_is_typed_vanishes_and_is_kept(base: BaseUrlField, steps: list[str]) -> None:
    for text in steps:
        base._control.value = text
    assert base.value == STORED
    assert "@" not in base._control.value
    assert f"user:{PASSWORD}" not in states(base)
    assert "kept, and not shown" in adapted(base)


def test_a_password_without_a_scheme_is_kept_too(base: BaseUrlField) -> None:
    base._control.value = f"user:{PASSWORD}@host/v1"
    assert (base._control.value, base.value) == ("host/v1", f"user:{PASSWORD}@host/v1")


def test_an_emptied_input_forgets_the_password(base: BaseUrlField) -> None:
    for text in (STORED, "", "https://host/v1"):
        base._control.value = text
    assert base.value == "https://host/v1"


def test_filling_forgets_the_password(base: BaseUrlField) -> None:
    base._control.value = STORED
    base.fill(None)
    assert base.value is None


def test_what_is_typed_is_not_repeated_to_the_front_ends(base: BaseUrlField, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(type(base._control), "_send", lambda _, message, **__: sent.append(str(message)))
    base._control.set_state({"value": f"https://user:{PASSWORD}@host"})
    assert "https://host" in "".join(sent)
    assert PASSWORD not in "".join(sent)

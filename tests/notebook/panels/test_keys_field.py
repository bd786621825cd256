"""Several keys: the list, the one beside it, and what of it is on its way into the keyring."""

from __future__ import annotations

from typing import Any

import pytest
from fake_keyring import FakeKeyring
from panel_driver import all_states, press, type_secret

from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import Provider
from ccw_magics.config.problems import problems
from ccw_magics.notebook.panels.key_text import KeyPlace
from ccw_magics.notebook.panels.keys_field import KeysField

KEY = "sk-canary-0123456789abcdef"
STORED = [
    {"id": "ann", "key": "${ANNS_KEY}", "label": "Ann's", "weight": 3, "enabled": True, "note": "kept"},
    {"id": "key-3", "key": "sk-…def", "label": None, "weight": 1.5, "enabled": False},
]


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    return FakeKeyring(priority=0).install(monkeypatch)


@pytest.fixture
def keys() -> KeysField:
    made = KeysField(KeyPlace("openai", "/project/config.json"))
    made.fill(STORED)
    return made


def rows(keys: KeysField) -> list[str]:
    return [label for label, _ in keys._list.options]


def select(keys: KeysField, index: int) -> None:
    keys._list.value = index


def test_what_is_stored_is_listed_and_comes_back(keys: KeysField) -> None:
    assert rows(keys) == ["● Ann's · ${ANNS_KEY} · weight 3", "○ key-3 · sk-…def · weight 1.5"]
    assert keys.value == [STORED[0], {name: value for name, value in STORED[1].items() if value is not None}]
    assert keys._editor.layout.display == "none"


def test_looking_at_them_is_no_edit(keys: KeysField) -> None:
    before = keys.value
    for index in (0, 1, 0):
        select(keys, index)
    assert keys.value == before
    assert not keys.was_edited


@pytest.mark.parametrize(
    ("control", "typed", "name", "value"),
    [
        pytest.param("_label", "Bob's", "label", "Bob's", id="label"),
        pytest.param("_label", " ", "label", None, id="no label"),
        pytest.param("_weight", "2", "weight", 2.0, id="weight"),
        pytest.param("_weight", "", "weight", 1, id="the usual weight"),
        pytest.param("_weight", "much", "weight", "much", id="no number"),
        pytest.param("_enabled", False, "enabled", False, id="not used"),
    ],
)
def test_an_edit_goes_into_the_list(keys: KeysField, control: str, typed: Any, name: str, value: Any) -> None:
    select(keys, 0)
    getattr(keys, control).value = typed
    assert keys.was_edited
    assert keys.value is not None
    assert keys.value[0].get(name) == value
    assert keys.value[0]["note"] == "kept"
    assert keys._list.value == 0


@pytest.mark.parametrize("weight", ["much", "-1", "nan", "1e9"])
def test_the_model_judges_the_weight(keys: KeysField, weight: str) -> None:
    select(keys, 0)
    keys._weight.value = weight
    assert any(place.startswith("apiKeys") for place in problems(Provider, {"type": "openai", "apiKeys": keys.value}))


def test_add_and_remove(keys: KeysField) -> None:
    press(keys.widget, "Add a key")
    assert keys.problem == "key-2: say where the key comes from"
    keys._source._chosen.value = "variable"
    keys._source._variable.value = "THIRD_KEY"
    assert not keys.problem
    assert keys.value is not None
    assert [entry["id"] for entry in keys.value] == ["ann", "key-3", "key-2"]
    select(keys, 1)
    press(keys.widget, "Remove this key")
    assert [entry["id"] for entry in keys.value] == ["ann", "key-2"]
    assert keys._list.value == 1
    assert keys._source.value == "${THIRD_KEY}"
    press(keys.widget, "Remove this key")
    press(keys.widget, "Remove this key")
    assert keys.value is None
    assert keys._remove.disabled


def test_typed_keys_wait_while_others_are_edited(keys: KeysField, package: FakeKeyring) -> None:
    package.priority = 5
    for text in (KEY, f"{KEY}-2"):
        press(keys.widget, "Add a key")
        keys._source._chosen.value = "typed"
        type_secret(keys._source._secret, text)
    select(keys, 2)
    keys._label.value = "the first new one"
    select(keys, 0)
    assert keys.value is not None
    assert [keys.pending[str(entry["key"]).removeprefix("keyring:")] for entry in keys.value[2:]] == [
        Secret(KEY),
        Secret(f"{KEY}-2"),
    ]
    select(keys, 3)
    press(keys.widget, "Remove this key")
    assert list(keys.pending.values()) == [Secret(KEY)]
    keys.fill(STORED)
    assert not keys.pending


def test_what_nobody_touched_is_no_problem(keys: KeysField) -> None:
    keys.fill([{"id": "off", "key": "", "enabled": False}])
    select(keys, 0)
    keys._label.value = "later"
    assert not keys.problem
    keys._source._chosen.value = "variable"
    keys._source._variable.value = ""
    assert "name the variable" in keys.problem


def test_a_typed_key_that_no_entry_takes_is_a_problem(
    keys: KeysField, package: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.priority = 5
    monkeypatch.setattr("ccw_magics.config.keyring.new_name", lambda _: "two words")
    press(keys.widget, "Add a key")
    keys._source._chosen.value = "typed"
    type_secret(keys._source._secret, KEY)
    select(keys, 0)
    assert not keys.pending
    assert "cannot name an entry" in keys.problem


def test_the_file_may_hold_what_the_keyring_does_not_take(keys: KeysField, package: FakeKeyring) -> None:
    package.priority = 5
    press(keys.widget, "Add a key")
    keys._source._chosen.value = "typed"
    type_secret(keys._source._secret, KEY)
    keys.keep_in_file()
    assert keys.value is not None
    assert [entry["key"] for entry in keys.value] == ["${ANNS_KEY}", "sk-…def", Secret(KEY)]
    assert not keys.pending
    assert not keys.problem
    assert KEY not in all_states()


def test_a_typed_key_without_a_keyring(keys: KeysField) -> None:
    press(keys.widget, "Add a key")
    keys._source._chosen.value = "typed"
    type_secret(keys._source._secret, KEY)
    select(keys, 0)
    select(keys, 2)
    keys._label.value = "mine"
    assert keys.value is not None
    assert keys.value[2]["key"] == Secret(KEY)
    assert KEY not in all_states()

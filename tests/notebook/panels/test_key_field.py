"""Where a key comes from: names of variables, entries of the keyring, and keys that are typed."""

from __future__ import annotations

import pytest
from fake_keyring import FakeKeyring
from hypothesis import given
from hypothesis import strategies as st
from panel_driver import all_states, shown, type_secret

from ccw_magics.config import keyring
from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.key_field import KeyField
from ccw_magics.notebook.panels.key_text import KeyPlace, may_be_entry, may_be_name, suggested_names, variable_name

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKeyring(priority=0).install(monkeypatch)


@pytest.fixture
def edits() -> list[object]:
    return []


@pytest.fixture
def key(edits: list[object]) -> KeyField:
    made = KeyField(KeyPlace("openai", "/project/config.json"))
    made.on_edit(lambda: edits.append(made.value))
    made.fill(None)
    return made


def choose(key: KeyField, source: str) -> None:
    key._source._chosen.value = source


@pytest.mark.parametrize(
    ("name", "may_be"),
    [
        pytest.param("", True, id="nothing yet"),
        pytest.param("OPENAI_API_KEY", True, id="usual"),
        pytest.param("o", True, id="one letter"),
        pytest.param("openai_api_key", True, id="small letters"),
        pytest.param("KEY_2", True, id="with a digit"),
        pytest.param("MY_COMPANYS_2ND_API_KEY", True, id="long, with a digit"),
        pytest.param("sk-", False, id="a hyphen"),
        pytest.param(KEY, False, id="openai's key"),
        pytest.param("gsk_Zx81kLmQw92TtPqR", False, id="groq's key"),
        pytest.param("AIzaSyD4kQw92TtPqRZx81kLmXyz", False, id="google's key"),
        pytest.param("0123456789abcdef0123456789abcdef", False, id="begins with a digit"),
        pytest.param("ABCDEF0123456789ABCDEF0123456789", False, id="hexadecimal"),
        pytest.param("a0123456789abcdef0123456789abcde", False, id="hexadecimal, small"),
        pytest.param("hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh", False, id="letters alone"),
        pytest.param("ABCDEFGHIJKLMNOP", False, id="capitals alone"),
        pytest.param("A_" * 33, False, id="endless"),
        pytest.param("TWO NAMES", False, id="a space"),
        pytest.param("ÄPFEL", False, id="an umlaut"),
    ],
)
def test_what_may_be_a_name(name: str, may_be: bool) -> None:
    assert may_be_name(name) is may_be


def test_what_is_set_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("a0123456789abcdef0123456789abcde", "x")
    assert may_be_name("a0123456789abcdef0123456789abcde")


@given(st.from_regex(r"[A-Z]{1,15}(_[A-Z0-9]*){0,5}", fullmatch=True).filter(lambda name: len(name) <= 64))
def test_each_beginning_of_a_name_may_be_one(name: str) -> None:
    assert all(may_be_name(name[:end]) for end in range(len(name) + 1))


@pytest.mark.parametrize(
    ("name", "may_be"),
    [
        pytest.param("", True, id="nothing yet"),
        pytest.param("mine", True, id="one word"),
        pytest.param("two words", True, id="which is said beside it"),
        pytest.param("shared.account@example.com/openai", True, id="words"),
        pytest.param("Our-Organization-Production-2", True, id="long words, a number"),
        pytest.param("schlüssel-für-openai", True, id="umlauts"),
        pytest.param(KEY, False, id="openai's key"),
        pytest.param("gsk_Zx81kLmQw92TtPqR", False, id="groq's key"),
        pytest.param("hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh", False, id="letters alone"),
        pytest.param("0123456789abcdef0123456789abcdef", False, id="hexadecimal"),
        pytest.param("fcb52c91-7bd3-4a53-8e0f-12ab34cd56ef", False, id="a UUID"),
        pytest.param("abcd efgh ijkl mnop", False, id="in groups"),
        pytest.param("word-" * 13, False, id="endless"),
    ],
)
def test_what_may_be_an_entry(name: str, may_be: bool) -> None:
    assert may_be_entry(name) is may_be


@pytest.mark.parametrize("kind", ["openai", "anthropic", "fireworks_ai", "key"])
def test_the_names_given_to_entries_may_be_typed(kind: str) -> None:
    assert may_be_entry(keyring.new_name(kind))


@pytest.mark.parametrize("typed", ["NAME", "${NAME}", "$NAME", " NAME ", "{NAME}"])
def test_a_name_may_stand_in_its_brackets(typed: str) -> None:
    assert variable_name(typed) == "NAME"


def test_names_that_are_set_are_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEAM_API_KEY", "HF_TOKEN", "PATHS"):
        monkeypatch.setenv(name, "x")
    found = suggested_names("OPENAI_API_KEY")
    assert found[0] == "OPENAI_API_KEY"
    assert {"TEAM_API_KEY", "HF_TOKEN"} <= set(found)
    assert "PATHS" not in found


@pytest.mark.parametrize(
    ("stored", "source", "value"),
    [
        pytest.param(None, "none", "", id="nothing"),
        pytest.param("", "none", "", id="empty"),
        pytest.param("${OPENAI_API_KEY}", "variable", "${OPENAI_API_KEY}", id="variable"),
        pytest.param("keyring:mine", "entry", "keyring:mine", id="keyring"),
        pytest.param("sk-…def", "kept", "sk-…def", id="mask"),
        pytest.param("…", "kept", "…", id="short mask"),
        pytest.param("Bearer ${TOKEN}", "kept", "Bearer ${TOKEN}", id="with a scheme"),
        pytest.param("${A}${B}", "kept", "${A}${B}", id="two variables"),
        pytest.param("${not a name}", "kept", "${not a name}", id="odd"),
    ],
)
def test_what_is_stored_comes_back(key: KeyField, edits: list[object], stored: str, source: str, value: str) -> None:
    key.fill(stored)
    assert key._source._chosen.value == source
    assert key.value == value
    assert not key.problem
    assert not key.was_edited
    assert not edits


def test_a_kept_one_is_forgotten_with_its_entry(key: KeyField) -> None:
    key.fill("sk-…def")
    key.fill("${NAME}")
    assert "sk-…def" not in str(key._source._chosen.options)


def test_a_variable_is_ticked_as_it_is_typed(key: KeyField, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "x")
    choose(key, "variable")
    key._source._variable.value = "TEAM_KE"
    assert "✗ TEAM_KE is not set" in shown(key.widget)
    key._source._variable.value = "TEAM_KEY"
    assert "✓ TEAM_KEY is set" in shown(key.widget)
    assert key.value == "${TEAM_KEY}"


def test_the_usual_name_stands_there_at_once(key: KeyField, edits: list[object]) -> None:
    choose(key, "variable")
    assert key.value == "${OPENAI_API_KEY}"
    assert edits == ["${OPENAI_API_KEY}"]


@pytest.mark.parametrize("source", ["variable", "entry"])
@pytest.mark.parametrize("pasted", [KEY, f" {KEY}\n", f"Bearer {KEY}"])
def test_a_key_in_the_place_of_a_name_is_taken_out(key: KeyField, source: str, pasted: str) -> None:
    choose(key, source)
    typed = getattr(key._source, f"_{source}")
    typed.value = pasted
    assert key.value == ""
    assert key.problem
    assert "taken out" in shown(key.widget)
    assert KEY not in all_states()
    typed.value = "OPENAI_API_KEY"
    assert "taken out" not in shown(key.widget)


def test_what_was_taken_out_is_not_said_of_another_source(key: KeyField) -> None:
    choose(key, "variable")
    key._source._variable.value = KEY
    choose(key, "entry")
    assert "taken out" not in shown(key.widget)


@pytest.mark.parametrize("source", ["variable", "entry"])
def test_a_name_is_not_repeated_to_the_front_ends(key: KeyField, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    typed = getattr(key._source, f"_{source}")
    monkeypatch.setattr(type(typed), "_send", lambda _, message, **__: sent.append(str(message)))
    typed.set_state({"value": KEY})
    assert typed.value == ""
    assert sent
    assert KEY not in "".join(sent)


def test_typed_without_a_keyring(key: KeyField) -> None:
    choose(key, "typed")
    assert "/project/config.json" in shown(key.widget)
    assert "you alone can read" in shown(key.widget)
    assert key.problem
    type_secret(key._source._secret, KEY)
    assert key.value == Secret(KEY)
    assert not key.pending
    assert not key.problem
    assert "sk-…def was typed" in shown(key.widget)
    assert KEY not in all_states()


def test_typed_with_a_keyring(key: KeyField, monkeypatch: pytest.MonkeyPatch) -> None:
    package = FakeKeyring().install(monkeypatch)
    choose(key, "typed")
    type_secret(key._source._secret, KEY)
    value = str(key.value)
    assert value.startswith("keyring:openai-")
    assert value.removeprefix("keyring:") in shown(key.widget)
    assert key.pending == {value.removeprefix("keyring:"): Secret(KEY)}
    assert not package.entries, "only saving puts it there"


def test_a_typed_key_that_no_entry_takes_is_a_problem(key: KeyField, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKeyring().install(monkeypatch)
    monkeypatch.setattr(keyring, "new_name", lambda _: "two words")
    choose(key, "typed")
    type_secret(key._source._secret, KEY)
    assert not key.pending
    assert "'two words' cannot name an entry" in key.problem


@pytest.mark.parametrize("source", ["typed", "entry"])
def test_the_file_may_hold_what_the_keyring_does_not_take(
    key: KeyField, edits: list[object], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeKeyring().install(monkeypatch)
    choose(key, source)
    key._source._entry.value = "mine"
    type_secret(key._source._secret, KEY)
    key.keep_in_file()
    assert key.value == Secret(KEY) == edits[-1]
    assert not key.pending
    assert not key.problem
    assert "The keyring does not take it, so it will be kept in /project/config.json" in shown(key.widget)


def test_nothing_typed_leaves_nothing_for_the_file(key: KeyField, edits: list[object]) -> None:
    key.fill("keyring:mine")
    key.keep_in_file()
    assert key.value == "keyring:mine"
    assert not edits


def test_a_key_for_an_entry_of_the_users(key: KeyField, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKeyring().install(monkeypatch)
    choose(key, "entry")
    key._source._entry.value = "mine"
    assert key.value == "keyring:mine"
    assert not key.pending
    type_secret(key._source._secret, KEY)
    assert key.pending == {"mine": Secret(KEY)}


def test_an_entry_where_there_is_no_keyring(key: KeyField) -> None:
    choose(key, "entry")
    key._source._entry.value = "mine"
    assert key.value == "keyring:mine"
    assert "there is no keyring" in shown(key.widget)
    assert key._source._secret.layout.display == "none"


@pytest.mark.parametrize("name", ["", "two words"])
def test_an_entry_needs_a_name(key: KeyField, name: str) -> None:
    choose(key, "entry")
    key._source._entry.value = name
    assert key.problem


@pytest.mark.parametrize("source", ["variable", "entry", "none"])
def test_another_choice_forgets_the_key(key: KeyField, source: str) -> None:
    choose(key, "typed")
    type_secret(key._source._secret, KEY)
    choose(key, source)
    assert not key.pending
    choose(key, "typed")
    assert key.value == ""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import sys
import types
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ccw_magics.config.credentials import (
    REVEAL,
    Secret,
    is_mask,
    is_reference,
    mask,
    redact,
    references,
    resolve,
    shown_base,
)
from ccw_magics.errors import SecretMissing

KEY = "sk-canary-0123456789abcdef"
FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
ascii_keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=60)


class Holder(BaseModel):
    key: Secret
    other: Secret | None = None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("abc", "…", id="short"),
        pytest.param("123456789012345", "…", id="fifteen"),
        pytest.param("sk-3456789012abc", "sk-…abc", id="sixteen"),
        pytest.param("${OPENAI_API_KEY}", "${OPENAI_API_KEY}", id="variable"),
        pytest.param("Bearer ${TOKEN}", "Bearer ${TOKEN}", id="bearer variable"),
        pytest.param("keyring:openai", "keyring:openai", id="keyring"),
        pytest.param("${USER_NAME}:hunter2-and-more", "${USER_NAME}…", id="literal beside a variable"),
        pytest.param("sk-…abc", "sk-…abc", id="a mask"),
        pytest.param("${}", "${}", id="nameless"),
        pytest.param("a${", "…", id="no reference"),
    ],
)
def test_mask(text: str, shown: str) -> None:
    assert mask(text) == shown
    assert mask(shown) == shown
    assert str(Secret(text)) == f"{Secret(text)}" == shown
    assert repr(Secret(text)) == f"Secret({shown!r})"


@given(ascii_keys)
@settings(max_examples=100 * FUZZ)
def test_a_key_shows_at_most_six_of_its_characters(key: str) -> None:
    if not references(key) and not is_mask(key):
        assert len(mask(key).replace("…", "")) <= (6 if len(key) >= 16 else 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("…", True), ("sk-…abc", True), ("***", True), ("•••••", True), ("${A}…", True), ("…${A}", True),
        ("", False), ("sk-abc", False), ("${A}", False), ("a…", False), ("my key… is long", False), ("**", False),
    ],
)  # fmt: skip
def test_is_mask(text: str, expected: bool) -> None:
    assert is_mask(text) is expected


@given(ascii_keys)
@settings(max_examples=100 * FUZZ)
def test_a_mask_is_known_as_one(key: str) -> None:
    assert is_mask(mask(key)) or is_reference(key)


def test_equality_and_hash() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert Secret("\ud800") != Secret("ü")
    assert Secret(KEY)
    assert not Secret("")


def test_no_copy_or_dump_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(KEY)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").debug("%s %r %s", secret, secret, {"key": secret})
    holder = Holder(key=secret)
    written = [repr(holder), str(holder.model_dump()), holder.model_dump_json(), caplog.text, f"{secret!r:>40}"]
    assert all(KEY not in text for text in written)
    assert KEY.encode() not in pickle.dumps([secret, holder])
    assert not hasattr(secret, "__dict__")


def test_copies_keep_the_key_and_pickles_its_mask() -> None:
    assert copy.copy(Secret(KEY)).reveal() == copy.deepcopy([Secret(KEY)])[0].reveal() == KEY
    assert pickle.loads(pickle.dumps(Secret("${NAME}"))).reveal() == "${NAME}"
    unpickled = pickle.loads(pickle.dumps(Secret(KEY)))
    with pytest.raises(SecretMissing, match="mask"):
        resolve(unpickled, "provider x")


def test_pydantic_field() -> None:
    holder = Holder.model_validate({"key": KEY})
    assert holder.key == Secret(KEY)
    assert holder.model_dump() == {"key": "sk-…def", "other": None}
    assert json.loads(holder.model_dump_json())["key"] == "sk-…def"
    assert holder.model_dump(context={REVEAL: True})["key"] == KEY
    assert Holder.model_validate({"key": None}).key == Secret("")
    assert Holder.model_json_schema()["properties"]["key"]["type"] == "string"
    with pytest.raises(ValueError, match="should be a string") as caught:
        Holder.model_validate({"key": [KEY]})
    assert caught.value.__traceback__ is not None


@pytest.mark.parametrize(
    ("value", "environment", "expected"),
    [
        pytest.param("", {}, "", id="empty"),
        pytest.param(KEY, {}, KEY, id="literal"),
        pytest.param(f" {KEY}\n", {}, KEY, id="literal with a line break"),
        pytest.param("${A}", {"A": KEY}, KEY, id="variable"),
        pytest.param("${A}", {"A": f"{KEY}\r\n"}, KEY, id="variable with a line break"),
        pytest.param("Bearer ${A}", {"A": KEY}, f"Bearer {KEY}", id="embedded"),
        pytest.param("${A}:${B}", {"A": "x", "B": "y"}, "x:y", id="two"),
        pytest.param("${A}", {"A": "${B}", "B": "no"}, "${B}", id="not twice"),
        pytest.param("$A {A}", {"A": "no"}, "$A {A}", id="other spellings are literal"),
    ],
)
def test_resolve(value: str, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    assert resolve(Secret(value), "provider x").reveal() == expected


@pytest.mark.parametrize(
    ("value", "environment", "message"),
    [
        pytest.param("${CCWTEST_UNSET}", {}, "CCWTEST_UNSET", id="unset"),
        pytest.param("Bearer ${CCWTEST_UNSET}", {}, "CCWTEST_UNSET", id="embedded"),
        pytest.param("${CCWTEST_UNSET}", {"CCWTEST_UNSET": " "}, "CCWTEST_UNSET", id="blank"),
        pytest.param("${my-key}", {}, "my-key", id="odd name"),
        pytest.param("${}", {}, "provider x", id="no name"),
        pytest.param("sk-…abc", {}, "mask", id="mask"),
        pytest.param("${A}", {"A": f"a\n{KEY}"}, "control character", id="line break inside"),
    ],
)
def test_a_missing_key_names_variable_and_provider(
    value: str, environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SecretMissing, match=message) as caught:
        resolve(Secret(value), "provider x")
    assert "provider x" in caught.value.message
    assert caught.value.hint
    assert KEY not in str(caught.value)


class FakeKeyringError(Exception):
    pass


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    entries: dict[tuple[str, str], str] = {("ccw_magics", "mine"): KEY}

    def get_password(service: str, name: str) -> str | None:
        if name == "locked":
            raise FakeKeyringError(KEY)
        return entries.get((service, name))

    module, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
    module.__dict__["get_password"] = get_password
    errors.__dict__["KeyringError"] = FakeKeyringError
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return entries


def test_keyring(keyring: dict[tuple[str, str], str]) -> None:
    assert resolve(Secret("keyring:mine"), "provider x").reveal() == KEY
    for name, problem in [("absent", "no entry absent"), ("locked", "FakeKeyringError")]:
        with pytest.raises(SecretMissing, match=problem) as caught:
            resolve(Secret(f"keyring:{name}"), "provider x")
        assert f"keyring set ccw_magics {name}" in (caught.value.hint or "")
        assert KEY not in str(caught.value)


def test_without_keyring_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SecretMissing, match="not installed") as caught:
        resolve(Secret("keyring:mine"), "provider x")
    assert "pip install keyring" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "secret", "expected"),
    [
        pytest.param(f"bad key {KEY}!", KEY, "bad key sk-…def!", id="plain"),
        pytest.param("a b", "b", "a b", id="too short to look for"),
        pytest.param("key: test", "test", "key: …", id="four characters"),
        pytest.param("?k=a%2fb%2Bc-012345678", "a/b+c-012345678", "?k=…", id="URL, lower-case escapes"),
        pytest.param('{"k": "a\\"b\\\\c"}', 'a"b\\c', '{"k": "…"}', id="JSON"),
        pytest.param(f"wrong: {KEY}", f"Bearer {KEY}", "wrong: sk-…def", id="without its Bearer"),
        pytest.param("login hunter2 failed", "http://me:hunter2@proxy:80", "login … failed", id="a proxy's password"),
        pytest.param("set ${NAME}", "${NAME}", "set ${NAME}", id="a reference"),
    ],
)
def test_redact(text: str, secret: str, expected: str) -> None:
    assert redact(text, [Secret(secret)]) == expected


@given(st.text(max_size=40), st.lists(st.text(min_size=4, max_size=30), min_size=1, max_size=3), st.data())
@settings(max_examples=150 * FUZZ)
def test_redacted_text_never_holds_a_key(around: str, keys: list[str], data: st.DataObject) -> None:
    keys = [
        key for key in keys if not references(key) and "…" not in key and key.encode("utf-8", "ignore").decode() == key
    ]
    text = around
    for key in keys:
        spelled = data.draw(st.sampled_from([key, quote(key), quote_plus(key), quote(key, safe=""), json.dumps(key)]))
        text = text + spelled + around
    redacted = redact(text, [Secret(key) for key in keys])
    for key in keys:
        if not is_mask(key):
            assert key not in redacted
            assert quote(key, safe="") not in redacted
            assert json.dumps(key)[1:-1] not in redacted


@given(st.text(st.sampled_from("ab"), min_size=4, max_size=20), st.text(st.sampled_from("ab"), max_size=60))
@settings(max_examples=100 * FUZZ)
def test_masks_do_not_complete_a_key_with_their_surroundings(key: str, text: str) -> None:
    assert key not in redact(text + key + text, [Secret(key)])


def test_redact_without_secrets_is_the_text() -> None:
    assert redact("text", []) == redact("text", [Secret("")]) == "text"


@pytest.mark.parametrize(
    ("base", "shown"),
    [
        ("https://host/v1", "https://host/v1"),
        ("https://user:hunter2@host:8080/v1?k=hunter2#hunter2", "https://host:8080/v1"),
        ("https://user:hun/ter2@host/v1", "https://host/v1"),
        ("https://host:8080/@v1", "https://host:8080/@v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("http://[::1]/v1", "http://[::1]/v1"),
        ("https://${NAME}.example/v1", "https://${NAME}.example/v1"),
        ("user:hunter2@host", "host"),
    ],
)
def test_what_is_shown_of_a_base_url(base: str, shown: str) -> None:
    assert shown_base(base) == shown

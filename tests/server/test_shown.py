"""What an answer shows of the config, and that handing it back changes nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.config.models import Provider
from ccw_magics.server.shown import shown, with_what_was_shown

EXAMPLES = 100 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
KEY = "sk-canary-0123456789abcdef"
NAMES = st.sampled_from(["myToken", "password", "X-Api-Key", "port", "url", "nested", "secrets", "Cookie"])
SECRET_PLACES = st.recursive(
    st.sampled_from([1, True, "", "plain", KEY]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def provider(**more: Any) -> Provider:
    return Provider.model_validate({"id": "p", "type": "openai", "apiKey": KEY, **more})


def test_what_ccw_always_has_is_there() -> None:
    assert shown(Provider(id="p", type="openai")) == {
        "id": "p",
        "name": "",
        "type": "openai",
        "apiKey": "",
        "enabled": True,
    }


def test_a_users_name_in_an_address_is_not_shown() -> None:
    assert shown(provider(apiBase="https://me:secret@host/v1"))["apiBase"] == "https://…@host/v1"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (f"https://host/v1?api-key={KEY}&x=1", "https://host/v1?…"),
        (f"https://me:{KEY}@host/v1#{KEY}", "https://…@host/v1?…"),
        ("https://host:8080/v1", "https://host:8080/v1"),
        ("${BASE}/v1", "${BASE}/v1"),
    ],
)
def test_what_may_be_a_key_in_an_address_is_not_shown_and_stays(address: str, told: str) -> None:
    stored = provider(apiBase=address, webhook=address)
    assert (shown(stored)["apiBase"], shown(stored)["webhook"]) == (told, told)
    changes = with_what_was_shown(shown(stored), stored)
    assert (changes["apiBase"], changes["webhook"]) == (address, address)


@given(
    place=st.sampled_from(
        ["myToken", "passwd", "passphrase", "dbPwd", "bearer", "apiSecret", "Password", "credentials", "cookies"]
    ),
    value=SECRET_PLACES,
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_below_a_telling_name_is_shown(place: str, value: Any) -> None:
    assert KEY not in str(shown(provider(**{place: value})))


@given(more=st.dictionaries(NAMES, SECRET_PLACES, max_size=3))
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_handed_back_is_what_is_stored(more: dict[str, Any]) -> None:
    stored = provider(apiBase="https://me:secret@host/v1", **more)
    changes = with_what_was_shown({**shown(stored), "name": "New"}, stored)
    assert changes["apiBase"] == "https://me:secret@host/v1"
    assert {name: changes[name] for name in more} == more
    assert changes["name"] == "New"
    assert Provider.model_validate(changes).with_masked_keys_from(stored).api_key.reveal() == KEY

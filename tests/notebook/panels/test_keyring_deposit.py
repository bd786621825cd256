"""Keys on their way into the keyring: in it after the block, or it is as before."""

from __future__ import annotations

import pytest
from fake_keyring import FakeKeyring

from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import ApiKeyEntry, Provider
from ccw_magics.errors import ConfigError, ConfigUnsure
from ccw_magics.notebook.panels.keyring_deposit import deposited, with_keys

SERVICE = "ccw_magics"
KEYS = {"one": Secret("new-1"), "two": Secret("new-2")}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    return FakeKeyring().install(monkeypatch)


def test_stored(package: FakeKeyring) -> None:
    with deposited(KEYS):
        assert package.entries == {(SERVICE, "one"): "new-1", (SERVICE, "two"): "new-2"}
    assert len(package.entries) == 2


@pytest.mark.parametrize("error", [ConfigError("no"), KeyboardInterrupt()], ids=["refused", "interrupted"])
def test_as_before_where_the_block_fails(package: FakeKeyring, error: BaseException) -> None:
    package.entries[SERVICE, "one"] = "old"
    with pytest.raises(type(error)), deposited(KEYS):
        raise error
    assert package.entries == {(SERVICE, "one"): "old"}


def test_what_the_file_may_name_already_stays(package: FakeKeyring) -> None:
    package.entries[SERVICE, "one"] = "old"
    with pytest.raises(ConfigUnsure), deposited(KEYS):
        raise ConfigUnsure("written, and perhaps not for long")
    assert package.entries == {(SERVICE, "one"): "new-1", (SERVICE, "two"): "new-2"}


def test_as_before_where_the_keyring_refuses(package: FakeKeyring) -> None:
    package.entries[SERVICE, "one"] = "old"
    package.fails = {"set_password"}
    with pytest.raises(ConfigError), deposited(KEYS):
        pytest.fail("nothing was stored")
    assert package.entries == {(SERVICE, "one"): "old"}


def test_nothing_to_store_asks_nobody(package: FakeKeyring) -> None:
    package.fails = {"get_keyring", "get_password", "set_password"}
    with deposited({}):
        pass


def test_keys_in_the_place_of_entries_that_do_not_hold_them_yet() -> None:
    several = [ApiKeyEntry(id="2", key=Secret("keyring:two")), ApiKeyEntry(id="3", key=Secret("${THREE}"))]
    found = with_keys(Provider(type="openai", api_key=Secret("keyring:one"), api_keys=several), KEYS)
    assert [found.api_key, *(entry.key for entry in found.api_keys)] == [*KEYS.values(), Secret("${THREE}")]


def test_nothing_is_written_over_what_cannot_be_read(package: FakeKeyring) -> None:
    package.entries[SERVICE, "one"] = "old"
    package.fails = {"get_password"}
    with pytest.raises(ConfigError, match="cannot be read"), deposited(KEYS):
        pytest.fail("nothing was stored")
    assert package.entries == {(SERVICE, "one"): "old"}

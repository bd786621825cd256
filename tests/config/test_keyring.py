"""The system's keyring: what is stored, what is said where it fails, and that no failure carries the key."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import pytest
from fake_keyring import FakeKeyring

from ccw_magics.config import keyring
from ccw_magics.config.credentials import Secret, is_reference, resolve
from ccw_magics.errors import CcwError, ConfigError, SecretMissing

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    return FakeKeyring().install(monkeypatch)


def assert_discreet(error: BaseException) -> None:
    """Nothing of the error, nor of what it is chained to, nor of all their frames' variables, has the key."""
    seen: list[BaseException | None] = [error]
    while (last := seen[-1]) is not None:
        told = traceback.TracebackException.from_exception(last, capture_locals=True)
        assert KEY not in "".join(told.format())
        assert KEY not in repr(vars(last))
        seen.append(last.__cause__ or last.__context__)


def test_there_and_back(package: FakeKeyring) -> None:
    keyring.store("mine", Secret(KEY))
    assert package.entries == {("ccw_magics", "mine"): KEY}
    assert resolve(Secret(keyring.reference("mine")), "provider x") == Secret(KEY)
    assert keyring.delete("mine")
    assert not keyring.delete("mine")
    assert package.entries == {}


def test_a_store_takes_the_place_of_another(package: FakeKeyring) -> None:
    for key in ("one", KEY):
        keyring.store("mine", Secret(key))
    assert keyring.look_up("mine", "x") == KEY


@pytest.mark.parametrize("name", ["mine", "openai-1-ab12", "ä/b", "a:b"])
def test_references(name: str) -> None:
    assert keyring.reference(name) == f"keyring:{name}"
    assert keyring.name_in(keyring.reference(name)) == name
    assert is_reference(keyring.reference(name))


@pytest.mark.parametrize("text", ["", "keyring:", "keyring:a b", "a keyring:b", "${KEYRING}"])
def test_what_is_none(text: str) -> None:
    assert keyring.name_in(text) == ""


def test_new_names_differ() -> None:
    names = {keyring.new_name("openai") for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("openai-") for name in names)


@pytest.mark.parametrize(
    ("priority", "usable"), [(5, True), (0.5, True), (0, False), (-1, False)], ids=["real", "alt", "fail", "null"]
)
def test_what_is_usable(monkeypatch: pytest.MonkeyPatch, priority: float, usable: bool) -> None:
    package = FakeKeyring(priority).install(monkeypatch)
    package.fails = {"get_password", "set_password", "delete_password"}  # it is not asked for anything
    assert keyring.is_usable() is usable


def test_what_is_not_there_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert not keyring.is_usable()
    for work in (lambda: keyring.store("a", Secret(KEY)), lambda: keyring.delete("a")):
        with pytest.raises(ConfigError, match="not installed") as caught:
            work()
        assert caught.value.hint == "%pip install keyring"


def test_a_backend_that_cannot_be_loaded_is_not_usable(package: FakeKeyring) -> None:
    package.fails = {"get_keyring"}
    assert not keyring.is_usable()


FAILURES: dict[str, tuple[Callable[[FakeKeyring], None], Callable[[], object], str]] = {
    "nowhere to store": (
        lambda package: setattr(package, "priority", 0),
        lambda: keyring.store("mine", Secret(KEY)),
        "no keyring here",
    ),
    "locked": (
        lambda package: package.fails.update({"set_password", "get_password"}),
        lambda: keyring.store("mine", Secret(KEY)),
        "LockedError",
    ),
    "kept no key": (
        lambda package: setattr(package, "drops", True),
        lambda: keyring.store("mine", Secret(KEY)),
        "it is not there",
    ),
    "a name with a space": (lambda package: None, lambda: keyring.store("a b", Secret(KEY)), "cannot name"),
    "no name": (lambda package: None, lambda: keyring.store("", Secret(KEY)), "cannot name"),
    "not to be read": (
        lambda package: package.fails.add("get_password"),
        lambda: keyring.delete("there"),
        "keeps the entry there",
    ),
    "not to be deleted": (
        lambda package: package.fails.add("delete_password"),
        lambda: keyring.delete("there"),
        "keeps the entry there",
    ),
    "not to be looked up": (
        lambda package: package.fails.add("get_password"),
        lambda: resolve(Secret("keyring:there"), "provider x"),
        "LockedError",
    ),
    "an entry with a line break": (
        lambda package: package.entries.update({("ccw_magics", "there"): f"{KEY}\nx"}),
        lambda: resolve(Secret("keyring:there"), "provider x"),
        "control character",
    ),
}


@pytest.mark.parametrize(("fail", "work", "told"), FAILURES.values(), ids=FAILURES)
def test_a_failure_says_what_to_do_and_carries_no_key(
    package: FakeKeyring, fail: Callable[[FakeKeyring], None], work: Callable[[], object], told: str
) -> None:
    package.entries["ccw_magics", "there"] = KEY
    fail(package)
    with pytest.raises(CcwError, match=told) as caught:
        work()
    assert caught.value.hint
    # The test's own frame holds the key.
    assert_discreet(caught.value.with_traceback(caught.tb.tb_next and caught.tb.tb_next.tb_next))


def test_no_such_entry(package: FakeKeyring) -> None:
    with pytest.raises(SecretMissing, match="no entry absent") as caught:
        keyring.look_up("absent", "provider x")
    assert "keyring set ccw_magics absent" in (caught.value.hint or "")


def test_the_real_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")
    fail, null = pytest.importorskip("keyring.backends.fail"), pytest.importorskip("keyring.backends.null")
    before = real.core._keyring_backend

    class Memory(backend.KeyringBackend):  # type: ignore[name-defined,misc]  # the package is optional
        priority = 1

        def __init__(self) -> None:
            super().__init__()
            self.entries: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.entries[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.entries[service, username]

    try:
        for kind in (fail.Keyring, null.Keyring):
            real.set_keyring(kind())
            assert not keyring.is_usable()
        real.set_keyring(Memory())
        assert keyring.is_usable()
        keyring.store("mine", Secret(KEY))
        assert keyring.look_up("mine", "x") == KEY
        assert keyring.delete("mine")
    finally:
        real.core._keyring_backend = before
        backend.KeyringBackend._classes.discard(Memory)


def test_a_name_has_no_white_space_whatever_the_type() -> None:
    assert keyring.name_in(keyring.reference(keyring.new_name("foo bar/é"))).startswith("foo-bar-é-")


def test_an_interrupt_brings_no_frame_of_the_backend_along(
    package: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_service: str, _name: str, password: str) -> None:
        raise KeyboardInterrupt(len(password))

    monkeypatch.setattr(sys.modules["keyring"], "set_password", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        keyring.store("one", Secret(KEY))
    assert_discreet(caught.value)

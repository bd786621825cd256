"""Several keys of one provider, keys asked for unseen, and keys in the keyring; no key is ever shown."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import shlex
import stat
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from fake_keyring import FakeKeyring

from ccw_magics import Workspace
from ccw_magics.cli.shell.command import _run
from ccw_magics.config import keyring
from ccw_magics.config.models import Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError
from ccw_magics.notebook.door import NotebookDoor

KEY = "sk-canary-0123456789abcdef"
OTHER = "sk-before-0123456789abcdef"

Say = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def say(project: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Say]:
    """Run a line as a shell does: exit code, standard output, standard error; none of it has the key."""
    caplog.set_level(logging.DEBUG)

    def run(line: str) -> tuple[int, str, str]:
        status = _run(shlex.split(line))
        told = capsys.readouterr()
        assert KEY not in told.out + told.err
        return status, told.out, told.err

    yield run
    assert KEY not in caplog.text


@pytest.fixture
def store(project: Path) -> ConfigStore:
    config = Workspace(project).config
    config.add_provider({"id": "p", "type": "openai", "apiKey": "${A}", "apiKeys": [{"id": "one", "key": OTHER}]})
    return config


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    return FakeKeyring().install(monkeypatch)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who types the key where it is asked for."""
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"{KEY}\n" if prompt == "API key: " else "")


def stored(store: ConfigStore) -> Provider:
    found = store.get_provider("p")
    assert found is not None
    return found


def entries(store: ConfigStore) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(store.path.read_text())["providers"][0].get("apiKeys", [])
    return found


def test_add(say: Say, store: ConfigStore) -> None:
    status, out, err = say("provider key add p --key '${B}' --label Team --weight 2.5")
    assert (status, out) == (0, "added: key-1\n"), err
    assert "✗ B is not set" in err
    assert str(store.path) in err
    assert "Warning" not in err
    assert say(f"provider key add p --id mine --disable --key {KEY}")[1] == "added: mine\n"
    assert say("provider key add p --key '${C}'")[1] == "added: key-2\n"
    assert entries(store) == [
        {"id": "one", "key": OTHER},
        {"id": "key-1", "key": "${B}", "label": "Team", "weight": 2.5},
        {"id": "mine", "key": KEY, "enabled": False},
        {"id": "key-2", "key": "${C}"},
    ]


def test_edit(say: Say, store: ConfigStore) -> None:
    status, out, err = say("provider key edit p one --label First --weight 3")
    assert (status, out) == (0, "changed: one\n"), err
    assert entries(store) == [{"id": "one", "key": OTHER, "label": "First", "weight": 3}]
    assert say("provider key edit p one --label '' --weight '' --disable")[0] == 0
    assert entries(store) == [{"id": "one", "key": OTHER, "enabled": False}]
    assert "Warning" in say(f"provider key edit p one --key {KEY} --enable")[2]
    assert entries(store) == [{"id": "one", "key": KEY, "enabled": True}]
    assert stored(store).api_key.reveal() == "${A}"


def test_delete(say: Say, store: ConfigStore) -> None:
    say("provider key add p --key '${B}'")
    status, out, err = say("provider key delete p one")
    assert (status, out) == (1, "")
    assert "this would delete the key one (sk-…def) of p" in err
    assert say("provider key delete p one --yes")[:2] == (0, "deleted: one\n")
    assert [entry["id"] for entry in entries(store)] == ["key-1"]
    assert say("provider key delete p key-1 --yes")[0] == 0
    assert "apiKeys" not in store.path.read_text()


def test_list(say: Say, store: ConfigStore) -> None:
    say(f"provider key add p --key {KEY} --label Team --disable")
    rows = [line.split() for line in say("provider key list p")[1].splitlines()]
    assert rows == [
        ["id", "label", "key", "weight", "enabled"],
        ["apiKey", "${A}", "1", "yes"],
        ["one", "sk-…def", "1", "yes"],
        ["key-1", "Team", "sk-…def", "1", "no"],
    ]
    store.add_provider({"id": "bare", "type": "ollama"})
    assert "bare has no key yet" in say("provider key list bare")[1]


def test_the_users_own(say: Say, store: ConfigStore) -> None:
    store.user.add_provider({"id": "mine", "type": "openai"})
    status, _, err = say("provider key add mine --key '${B}'")
    assert status == 3
    assert "--user changes that file" in err
    assert say("provider key add mine --key '${B}' --user")[0] == 0
    assert "${B}" in say("provider key list mine")[1]
    assert "${B}" in say("provider key list mine --user")[1]
    assert "--user" in say("provider key delete p one --yes --user")[2]


REFUSED = {
    "no key": ("add p", 2, "a key is missing"),
    "an empty key": ("add p --key ''", 2, "a key is missing"),
    "an id that is taken": ("add p --id one --key '${B}'", 3, "p has a key one already"),
    "an id with a space": ("add p --id 'a b' --key '${B}'", 3, "white space"),
    "no provider": ("add nope --key '${B}'", 3, "provider not found: nope"),
    "no provider to list": ("list nope", 3, "provider not found: nope"),
    "a mask": ("add p --key sk-…abc", 3, "mask"),
    "a weight that is none": (f"add p --key {KEY} --weight much", 3, "apiKeys"),
    "a weight below zero": ("edit p one --weight -1", 3, "apiKeys"),
    "no such key": ("edit p two --label L", 3, "p has no key two"),
    "no such key to delete": ("delete p two --yes", 3, "p has no key two"),
    "nothing to change": ("edit p one", 2, "nothing says what to change"),
    "a key out of place": (f"add p {KEY}", 2, "1 words too many"),
    "a key for a verb": (KEY, 2, "no verb"),
    "a key for a verb, and more": (f"{KEY} p --id x", 2, "no verb"),
    "two keys": (f"add p --key {KEY} --ask-key", 2, "either asked for"),
    "a reference for the keyring": ("add p --key '${B}' --keyring", 2, "only says where one is"),
    "nothing for the keyring": ("edit p one --keyring", 2, "--keyring stores a key"),
    "a mask for the keyring": ("add p --key sk-…abc --keyring", 3, "mask"),
}


@pytest.mark.parametrize(("line", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(say: Say, store: ConfigStore, package: FakeKeyring, line: str, status: int, told: str) -> None:
    before = store.path.read_bytes()
    got, out, err = say(f"provider key {line}")
    assert (got, out) == (status, "")
    assert told in err
    assert store.path.read_bytes() == before
    assert package.entries == {}


@pytest.mark.parametrize(
    ("line", "strategy"),
    [("--routing weighted", "weighted"), ("--routing least-busy", "least-busy"), ("--name N", "cost-based")],
)
def test_routing(say: Say, store: ConfigStore, line: str, strategy: str) -> None:
    store.update_provider("p", {"routingStrategy": "cost-based"})
    assert say(f"provider edit p {line}")[0] == 0
    assert stored(store).routing_strategy == strategy
    assert say("provider edit p --routing ''")[0] == 0
    assert "routingStrategy" not in store.path.read_text()
    assert "'simple-shuffle'" in say("provider edit p --routing any")[2]
    assert say("provider add --type openai --routing simple-shuffle")[0] == 0
    assert store.get_all_providers()[-1].routing_strategy == "simple-shuffle"


# --- keys that stand in no line, and in no file --------------------------------------------------------------------

LINES = {
    "add": ("provider add --type openai --name new", "--api-key"),
    "edit": ("provider edit p", "--api-key"),
    "key add": ("provider key add p --id new", "--key"),
    "key edit": ("provider key edit p one", "--key"),
}


def value_of(store: ConfigStore, verb: str) -> str:
    """What the config holds of the key that a verb was given."""
    provider = store.get_all_providers()[-1]
    secret = provider.api_keys[-1].key if verb.startswith("key") else provider.api_key
    return secret.reveal()


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize(
    ("options", "in_keyring", "notes", "silent"),
    [
        ("{option} {key}", False, ["this line, in the history, and in the file", "--ask-key", "--keyring"], []),
        (
            "{option} {key} --keyring",
            True,
            ["this line and in the history", "--ask-key", "in the system's keyring"],
            ["the file"],
        ),
        ("--ask-key", False, ["The key stands in the file", "--keyring"], ["Warning"]),
        ("--ask-key --keyring", True, ["in the system's keyring, as openai-"], ["Warning", "the file"]),
    ],
    ids=["in the line", "in the line, for the keyring", "asked for", "asked for, for the keyring"],
)
@pytest.mark.usefixtures("typed")
def test_where_a_key_goes(
    say: Say,
    store: ConfigStore,
    package: FakeKeyring,
    verb: str,
    options: str,
    in_keyring: bool,
    notes: list[str],
    silent: list[str],
) -> None:
    line, option = LINES[verb]
    status, _, err = say(f"{line} {options.format(option=option, key=KEY)}")
    assert status == 0, err
    assert [note for note in notes if note not in err] == []
    assert [note for note in silent if note in err] == []
    value = value_of(store, verb)
    assert (KEY in store.path.read_text()) is not in_keyring
    if in_keyring:
        assert package.entries == {("ccw_magics", value.removeprefix("keyring:")): KEY}
    else:
        assert (value, package.entries) == (KEY, {})
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("verb", LINES)
def test_where_there_is_no_keyring(
    say: Say, store: ConfigStore, package: FakeKeyring, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    package.priority = 0
    monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("asked for nothing"))
    before = store.path.read_bytes()
    status, out, err = say(f"{LINES[verb][0]} --ask-key --keyring")
    assert (status, out) == (3, "")
    assert "no keyring here that could store a key" in err
    assert "${NAME}" in err
    assert store.path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("provider add --type openai --timeout soon", 3),
        ("provider edit p --timeout soon", 3),
        ("provider edit p --type ''", 3),
        ("provider key add p --weight much", 3),
        ("provider key add p --id one", 3),
    ],
)
def test_what_fails_leaves_nothing_in_the_keyring(
    say: Say, store: ConfigStore, package: FakeKeyring, typed: None, line: str, status: int
) -> None:
    before = store.path.read_bytes()
    assert say(f"{line} --ask-key --keyring")[0] == status
    assert package.entries == {}
    assert store.path.read_bytes() == before


def test_what_the_keyring_still_has_is_told(say: Say, store: ConfigStore) -> None:
    store.update_provider("p", {"apiKey": "keyring:a", "apiKeys": [{"id": "one", "key": "keyring:b"}]})
    assert "keyring still has" not in say("provider edit p --timeout 5")[2]
    assert "`keyring del ccw_magics a`" in say("provider edit p --api-key '${A}'")[2]
    assert "`keyring del ccw_magics b`" in say("provider key edit p one --key keyring:c")[2]
    assert "`keyring del ccw_magics c`" in say("provider key delete p one --yes")[2]
    store.update_provider("p", {"apiKey": "keyring:d"})
    assert "`keyring del ccw_magics d`" in say("provider delete p --yes")[2]


@pytest.mark.parametrize(("line", "status"), [(f"{KEY}\n", 0), (KEY, 0), ("\n", 1), ("", 1)])
def test_a_key_comes_from_a_pipe(
    say: Say, store: ConfigStore, monkeypatch: pytest.MonkeyPatch, line: str, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    got, _, err = say("provider edit p --ask-key")
    assert got == status, err
    assert "echo" not in err
    assert stored(store).api_key.reveal() == ("${A}" if status else KEY)


@pytest.mark.parametrize(
    ("answer", "told"),
    [(EOFError(), "nobody can be asked"), (NotImplementedError(), "nobody can be asked"), (" ", "no key was given")],
)
def test_where_nobody_answers(
    say: Say, store: ConfigStore, monkeypatch: pytest.MonkeyPatch, answer: str | Exception, told: str
) -> None:
    def ask(_: str) -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("getpass.getpass", ask)
    before = store.path.read_bytes()
    status, out, err = say("provider key add p --ask-key")
    assert (status, out) == (1, "")
    assert told in err
    assert store.path.read_bytes() == before


# --- trust ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("provider add --type openai --api-base https://gate.example/v1", "gate.example"),
        ("provider edit p --api-base https://gate.example/v1", "gate.example"),
        ("provider edit p --proxy http://proxy.example:3128", "proxy.example"),
        ("provider edit p --header 'X-Key: ${B}'", "openai"),
        ("provider key add g --key '${B}'", "gate.example"),
        ("provider key add g --ask-key --keyring", "gate.example"),
        ("provider key edit g none --key keyring:x", "gate.example"),
    ],
)
@pytest.mark.parametrize("user", ["", " --user"])
def test_what_is_typed_here_is_trusted_and_shown(
    say: Say, store: ConfigStore, package: FakeKeyring, typed: None, line: str, host: str, user: str
) -> None:
    target = store.user if user else store
    if user:
        target.add_provider({"id": "p", "type": "openai", "apiKey": "${A}"})
    keyless = [{"id": "none", "key": ""}]
    target.add_provider({"id": "g", "type": "custom", "apiBase": "https://gate.example/v1", "apiKeys": keyless})
    assert store.risks() == []
    status, _, err = say(f"{line}{user}")
    assert status == 0, err
    assert f"goes to {host}" in err
    assert "not trusted" not in err
    store.require_trust()
    assert bool(store.risks()) is not bool(user)


def test_what_was_not_trusted_does_not_become_so(say: Say, store: ConfigStore) -> None:
    say("provider edit p --api-base https://gate.example/v1")
    store.path.write_text(store.path.read_text().replace("gate.example", "evil.example"))
    for line in (
        "provider key add p --key '${B}'",
        "provider edit p --routing weighted",
        "provider key edit p one --label L",
    ):
        err = say(line)[2]
        assert "goes to evil.example" in err
        assert "not trusted yet" in err


# --- nothing of a key that is asked for is in any variable of any frame ----------------------------------------------


class Shell:
    """A stand-in for IPython's shell, as far as verbs use it."""

    display_formatter = None
    user_ns: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it


def frames(error: BaseException) -> Iterator[str]:
    """All that a trace with local variables would show, of all errors in the chain."""
    seen: BaseException | None = error
    while seen is not None:
        yield "".join(traceback.TracebackException.from_exception(seen, capture_locals=True).format())
        seen = seen.__cause__ or seen.__context__


FAILS = [
    "provider add --type openai --timeout soon",
    "provider edit p --timeout soon",
    "provider edit p --type ''",
    "provider key add p --weight much",
    "provider key add p --id one",
    "provider key edit p one --weight much",
]


@pytest.mark.parametrize("line", FAILS)
@pytest.mark.parametrize("options", ["--ask-key", "--ask-key --keyring"])
@pytest.mark.parametrize("broken", [(), ("set_password",), ("get_password",), ("delete_password",)])
def test_no_trace_has_it(
    store: ConfigStore, package: FakeKeyring, typed: None, line: str, options: str, broken: tuple[str, ...]
) -> None:
    package.fails.update(broken)
    with pytest.raises(CcwError) as caught:
        NotebookDoor(Shell()).verb(shlex.split(f"{line} {options}"))  # type: ignore[arg-type]  # a stand-in
    assert [text for text in frames(caught.value) if KEY in text] == []


@pytest.mark.parametrize("line", FAILS)
@pytest.mark.parametrize("more", ["", " --keyring"])
def test_a_typed_key_is_in_no_frame_behind_the_line(
    store: ConfigStore, package: FakeKeyring, line: str, more: str
) -> None:
    option = "--key" if " key " in line else "--api-key"
    words = shlex.split(f"{line} {option} {KEY}{more}")
    with pytest.raises(CcwError) as caught:
        NotebookDoor(Shell()).verb(words)  # type: ignore[arg-type]  # a stand-in
    for frame in _behind(caught.tb):
        assert KEY not in repr(frame.tb_frame.f_locals)


def _behind(trace: TracebackType | None) -> Iterator[TracebackType]:
    """The frames from the verb's own on."""
    is_behind = False
    while trace is not None:
        is_behind = is_behind or Path(trace.tb_frame.f_code.co_filename).name in {"providers.py", "provider_keys.py"}
        if is_behind:
            yield trace
        trace = trace.tb_next
    assert is_behind


def test_a_key_stays_in_the_keyring_where_the_file_that_names_it_was_written(
    say: Say, store: ConfigStore, package: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider_id = store.get_all_providers()[0].id
    sync = os.fsync

    def fails_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fails_for_folders)
    status, _, err = say(f"provider edit {provider_id} --api-key {KEY} --keyring")
    assert status == 3
    assert "may be the old one again" in err
    entry = keyring.name_in(store.get_all_providers()[0].api_key.reveal())
    assert package.entries == {(keyring.SERVICE, entry): KEY}

"""`provider add|edit|delete|test|list`, from a shell and in a notebook; no key is ever shown."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from wire_server import WireServer

from ccw_magics import Workspace
from ccw_magics.cli.shell.command import _run
from ccw_magics.config.models import Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError
from ccw_magics.notebook.door import NotebookDoor

KEY = "sk-canary-0123456789abcdef"

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
    return Workspace(project).config


def added(say: Say, line: str) -> str:
    status, out, err = say(f"provider add {line}")
    assert status == 0, err
    return out.strip()


def stored(store: ConfigStore, provider_id: str) -> Provider:
    found = store.get_provider(provider_id)
    assert found is not None
    return found


def test_the_key_is_the_types_variable(say: Say, store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = say("provider add --type openai --name 'My OpenAI'")
    assert status == 0
    provider = stored(store, out.strip())
    assert (provider.api_key.reveal(), provider.name) == ("${OPENAI_API_KEY}", "My OpenAI")
    assert "✗ OPENAI_API_KEY is not set" in err
    assert str(store.path) in err
    assert "Warning" not in err
    assert "advancedSettings" not in store.path.read_text()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert "✓ OPENAI_API_KEY is set." in say("provider add --type openai")[2]


@pytest.mark.parametrize("kind", ["ollama", "custom", "groq"])
def test_other_types_have_no_key_of_their_own(say: Say, store: ConfigStore, kind: str) -> None:
    provider_id = added(say, f"--type {kind} --api-base http://localhost:1234/v1")
    assert not stored(store, provider_id).api_key


def test_a_key_as_it_is_works_and_warns(say: Say, store: ConfigStore) -> None:
    status, out, err = say(f"provider add --type openai --api-key {KEY}")
    assert status == 0
    assert "Warning: the key now stands in this line" in err
    assert "'${OPENAI_API_KEY}'" in err
    assert "keyring:NAME" in err
    assert stored(store, out.strip()).api_key.reveal() == KEY
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert "sk-…def" in say("provider list")[1]


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ("--api-key '${MINE}'", False),
        ("--api-key keyring:mine", False),
        ("--api-key ''", False),
        ("--header 'X-Team: blue'", False),
        ("--header 'Authorization: Bearer ${MINE}'", False),
        (f"--header 'Authorization: Bearer {KEY}'", True),
        ("--proxy http://proxy:3128", False),
        (f"--proxy http://me:{KEY}@proxy:3128", True),
    ],
)
def test_what_is_warned_of(say: Say, options: str, warns: bool) -> None:
    assert ("Warning" in say(f"provider add --type openai {options}")[2]) is warns


def test_a_keyring_is_named_and_not_asked(say: Say) -> None:
    assert "`keyring set ccw_magics mine`" in say("provider add --type openai --api-key keyring:mine")[2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--type openai --api-base https://gate.example/v1", "goes to gate.example: this is not a host of openai"),
        (f"--type custom --api-base https://gate.example/v1 --api-key {KEY}", "goes to gate.example"),
        ("--type openai --proxy http://proxy.example", "goes to proxy.example: this is a proxy"),
        ("--type openai --api-base http://localhost:8000/v1", ""),
        ("--type openai --api-base https://api.openai.com/v1", ""),
        ("--type custom --api-base https://gate.example/v1", ""),
    ],
    ids=["a reference", "a key", "a proxy", "this machine", "its own", "no key"],
)
@pytest.mark.parametrize("user", ["", " --user"])
def test_where_a_key_goes_is_shown(say: Say, options: str, told: str, user: str) -> None:
    err = say(f"provider add {options}{user}")[2]
    assert told in err
    assert ("goes to" in err) is bool(told)


SETTINGS = (
    "--timeout 30.5 --connect-timeout 5 --max-retries 0 --organization org --api-version v1 --rpm 60 --tpm 9000"
    " --header 'X-Team: blue' --header 'X-Url: http://a:1/' --proxy http://localhost:3128"
)


def test_advanced_settings(say: Say, store: ConfigStore) -> None:
    provider_id = added(say, f"--type openai {SETTINGS}")
    assert json.loads(store.path.read_text())["providers"][0]["advancedSettings"] == {
        "timeout": 30.5,
        "connectTimeout": 5,
        "maxRetries": 0,
        "organization": "org",
        "apiVersion": "v1",
        "rpm": 60,
        "tpm": 9000,
        "proxy": "http://localhost:3128",
        "customHeaders": {"X-Team": "blue", "X-Url": "http://a:1/"},
    }
    assert say(f"provider edit {provider_id} --timeout 60 --header x-team: --rpm '' --header 'X-New: 1'")[0] == 0
    settings = stored(store, provider_id).advanced_settings
    assert (settings.timeout, settings.rpm, settings.tpm, settings.organization) == (60, None, 9000, "org")
    assert {name: value.reveal() for name, value in settings.custom_headers.items()} == {
        "X-Url": "http://a:1/",
        "X-New": "1",
    }
    assert say(f"provider edit {provider_id} --header ''")[0] == 0
    assert "customHeaders" not in store.path.read_text()
    assert stored(store, provider_id).advanced_settings.timeout == 60


def test_an_edit_keeps_keys_and_what_else_there_is(say: Say, store: ConfigStore) -> None:
    settings = {"customHeaders": {"X-Key": KEY, "X-Short": "abc"}, "proxy": f"http://me:{KEY}@p", "ours": [1]}
    given = {"type": "openai", "apiKey": KEY, "advancedSettings": settings, "mine": {"a": 1}}
    provider_id = store.add_provider(given).id
    assert say(f"provider edit {provider_id} --timeout 9 --name N --disable")[1] == f"changed: {provider_id}\n"
    (entry,) = json.loads(store.path.read_text())["providers"]
    assert entry["advancedSettings"] == {**settings, "timeout": 9}
    assert (entry["apiKey"], entry["mine"], entry["name"], entry["enabled"]) == (KEY, {"a": 1}, "N", False)


def test_an_empty_value_takes_one_away(say: Say, store: ConfigStore) -> None:
    provider_id = added(say, f"--type openai --api-key {KEY} --api-base http://localhost/v1 --timeout 5")
    assert say(f"provider edit {provider_id} --api-key '' --api-base '' --name '' --timeout ''")[0] == 0
    provider = stored(store, provider_id)
    assert (provider.api_key.reveal(), provider.api_base, provider.name) == ("", None, "")
    assert provider.advanced_settings.timeout == 300


REFUSED = {
    "no type": ("add", 2, "--type"),
    "a type with spaces": ("add --type 'a b'", 3, "type"),
    "no number": ("add --type openai --timeout soon", 3, "advancedSettings.timeout"),
    "a number too small": ("add --type openai --rpm 0", 3, "advancedSettings.rpm"),
    "a header without a colon": (f"add --type openai --header 'X {KEY}'", 2, "'Name: value'"),
    "a mask": ("add --type openai --api-key sk-…abc", 3, "mask"),
    "a key out of place": (f"add --type openai {KEY}", 2, "1 words too many"),
    "a key in two words": (f"add --type openai --api-key Bearer {KEY}", 2, "quotes"),
    "an unknown option": (f"add --type openai --apikey={KEY}", 2, "--apikey"),
    "edit none": ("edit nope --name N", 3, "provider not found: nope"),
    "edit nothing": ("edit p", 2, "nothing says what to change"),
    "edit to no type": ("edit p --type ''", 3, "type"),
    "delete none": ("delete nope --yes", 3, "provider not found: nope"),
    "test none": ("test nope", 3, "provider not found: nope"),
    "no such verb": ("frobnicate", 2, "frobnicate"),
}


@pytest.mark.parametrize(("line", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(say: Say, store: ConfigStore, line: str, status: int, told: str) -> None:
    store.add_provider({"id": "p", "type": "openai", "apiKey": "${A}"})
    before = store.path.read_bytes()
    got, out, err = say(f"provider {line}")
    assert (got, out) == (status, "")
    assert told in err
    assert store.path.read_bytes() == before


def test_deleting_says_what_goes_along(say: Say, store: ConfigStore) -> None:
    store.add_provider({"id": "p", "type": "openai"})
    for name in ("a", "b"):
        store.add_endpoint({"id": name, "providerId": "p", "model": "m"})
    store.set_default_endpoint("a")
    status, out, err = say("provider delete p")
    assert (status, out) == (1, "")
    assert "this would delete the provider p" in err
    assert "with it: a, b" in err
    assert "--yes" in err
    assert say("provider delete p --yes")[:2] == (0, "deleted: p, a, b\n")
    assert (store.get_all_providers(), store.get_all_endpoints(), store.get_default_endpoint()) == ([], [], None)


@pytest.mark.parametrize(("answer", "is_deleted"), [("y", True), ("n", False), ("", False)])
def test_a_terminal_asks(
    say: Say, store: ConfigStore, monkeypatch: pytest.MonkeyPatch, answer: str, is_deleted: bool
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    store.add_provider({"id": "p", "type": "openai"})
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    status, _, err = say("provider delete p")
    assert "Go on?" in err
    assert (status == 0, store.get_provider("p") is None) == (is_deleted, is_deleted)


def test_the_users_own(say: Say, store: ConfigStore) -> None:
    provider_id = added(say, "--type openai --user")
    assert not store.path.exists()
    assert stored(store, provider_id).api_key.reveal() == "${OPENAI_API_KEY}"
    store.add_endpoint({"id": "e", "providerId": provider_id, "model": "m"})
    for line in (f"edit {provider_id} --name N", f"edit {provider_id} --timeout 5", f"delete {provider_id} --yes"):
        status, _, err = say(f"provider {line}")
        assert status == 3
        assert "--user changes that file" in err
    assert say(f"provider edit {provider_id} --name N --timeout 5 --user")[0] == 0
    assert stored(store, provider_id).name == "N"
    status, out, err = say(f"provider delete {provider_id} --yes --user")
    assert (status, out) == (0, f"deleted: {provider_id}\n")
    assert "without a provider now: e" in err


def test_lists(say: Say, store: ConfigStore) -> None:
    store.add_provider({"id": "ours", "type": "openai"})
    store.user.add_provider({"id": "mine", "type": "openai"})
    for line in ("provider", "provider list", "providers"):
        assert ["ours" in say(line)[1], "mine" in say(line)[1]] == [True, True]
    for line in ("provider list --user", "providers --user"):
        assert ["ours" in say(line)[1], "mine" in say(line)[1]] == [False, True]
    store.user.delete_provider("mine")
    assert "none in your own config yet" in say("providers --user")[1]
    assert "without --user" in say("provider delete ours --yes --user")[2]


def test_a_test_says_what_came(say: Say, wire: WireServer) -> None:
    provider_id = added(say, f"--type openai --api-key {KEY} --api-base {wire.url}/v1 --disable")
    status, out, err = say(f"provider test {provider_id}")
    assert (status, out) == (1, "")
    assert "answers, but has no list of models (404)" in err
    assert wire.lookups[-1].path == "/v1/models"
    assert not wire.requests


def test_a_good_test(say: Say, monkeypatch: pytest.MonkeyPatch, store: ConfigStore) -> None:
    from ccw_magics.calls.probe import Probe

    seen: list[Provider] = []

    async def good(provider: Provider) -> Probe:
        seen.append(provider)
        return Probe(None, "perhaps", "Look.")

    monkeypatch.setattr("ccw_magics.calls.probe.probe", good)
    store.add_provider({"id": "p", "type": "openai", "enabled": False})
    status, out, err = say("provider test p")
    assert (status, out) == (0, "p: perhaps\n")
    assert "Look." in err
    assert "p is disabled" in err
    assert say("provider test local")[0] == 0
    assert [provider.id for provider in seen] == ["p", "local"]


def test_what_is_not_trusted_is_not_tested(say: Say, store: ConfigStore, wire: WireServer) -> None:
    provider_id = added(say, "--type openai --api-base https://gate.invalid/v1")
    store.path.write_text(store.path.read_text().replace("gate.invalid", "evil.invalid"))
    status, _, err = say(f"provider test {provider_id}")
    assert status == 3
    assert "is not trusted" in err
    assert "evil.invalid" in err
    err = say(f"provider edit {provider_id} --name N")[2]
    assert "goes to evil.invalid" in err
    assert "not trusted yet" in err


class Shell:
    """A stand-in for IPython's shell, as far as verbs use it."""

    display_formatter = None
    user_ns: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it


def test_in_a_notebook(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    door = NotebookDoor(Shell())  # type: ignore[arg-type]  # a stand-in
    assert door.verb(["provider", "add", "--type", "openai", "--api-key", KEY]) is None
    told = capsys.readouterr().out
    assert "Warning" in told
    assert KEY not in told
    provider_id = door.verb(["provider", "list"])["id"][0]
    assert provider_id in told
    with pytest.raises(CcwError, match="this would delete"):
        door.verb(["provider", "delete", provider_id])
    with pytest.raises(CcwError, match="too many") as caught:
        door.verb(["provider", "add", "--type", "openai", KEY])
    assert KEY not in str(caught.value)
    with pytest.raises(CcwError, match="takes no body"):
        door.cell(["provider", "list"], "x")


def test_in_a_kernel_with_verbose_traces(project: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    lines = (
        "%load_ext ccw_magics\n%xmode Verbose",
        f"%ccw provider add --type openai --api-base http://127.0.0.1:9 --api-key {KEY}",
        f"%ccw provider add --type openai --timeout soon --api-key {KEY}",
        "p = %ccw providers\nget_ipython().run_line_magic('ccw', f'provider test {p.id[0]}')",
        "%ccw provider edit $x ${HOME}",
    )
    notebook.cells = [nbformat.v4.new_code_cell(line) for line in lines]
    NotebookClient(notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(project)}}).execute()
    said = [json.dumps(cell.outputs) for cell in notebook.cells]
    assert [KEY in text for text in said] == [False] * len(lines)
    assert "Warning" in said[1]
    assert "advancedSettings.timeout" in said[2]
    assert "cannot be reached" in said[3]
    assert "words too many" in said[4]


def test_delete_user_takes_along_and_names_the_users_own_endpoints_alone(say: Say, store: ConfigStore) -> None:
    store.user.add_provider({"id": "mine", "type": "openai"})
    for place in (store, store.user):
        place.add_endpoint({"id": "e", "providerId": "mine"})
    status, out, err = say("provider delete mine --user --yes")
    assert (status, out.strip()) == (0, "deleted: mine, e")
    assert "without a provider now: e" in err
    assert [known.id for known in store.get_all_endpoints()] == ["e"]


@pytest.mark.parametrize("line", ["provider add --type openai --ask-key", "provider delete mine"])
def test_without_standard_input_nobody_is_asked(
    say: Say, store: ConfigStore, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    store.add_provider({"id": "mine", "type": "openai"})
    monkeypatch.setattr("sys.stdin", None)
    status, _, err = say(line)
    assert status == 1
    assert "Traceback" not in err
    assert [known.id for known in store.get_all_providers()] == ["mine"]


def test_a_base_urls_password_is_not_shown(say: Say, store: ConfigStore) -> None:
    store.add_provider(
        {"type": "custom", "name": "n", "apiBase": "https://user:hunter2secretpw@host/v1?k=hunter2secretpw"}
    )
    _, out, _ = say("providers")
    assert "https://host/v1" in out
    assert "hunter2" not in out


def test_half_a_character_in_a_name_is_no_error(say: Say, store: ConfigStore) -> None:
    store.add_provider({"id": "p", "type": "openai", "name": "a\ud800b"})
    status, out, _ = say("providers")
    assert (status, "a?b" in out) == (0, True)

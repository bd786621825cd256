"""What may stand for a parameter of the project at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from ccw_magics import Workspace
from ccw_magics.cli.completion.suggestion import Suggestions
from ccw_magics.cli.completion.values import ProjectValues
from ccw_magics.cli.completion.words import BashWord, PlainWord, Word
from ccw_magics.config.store import ConfigStore

FILE = click.Option(["-f", "--file"], type=click.Path(dir_okay=False))
FOLDER = click.Option(["--folder"], type=click.Path(file_okay=False))
PROMPT = click.Option(["-p", "--prompt"])


@pytest.fixture(autouse=True)
def filled(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two providers, two endpoints, and a few files."""
    monkeypatch.setattr("ccw_magics.backends.local_model.available", lambda: False)
    store = ConfigStore(project)
    key = {"id": "team", "key": "sk-canary-654321"}
    store.add_provider({"id": "openai-1", "type": "openai", "apiKey": "sk-canary-123456", "apiKeys": [key]})
    store.add_provider({"id": "mistral-2", "type": "mistral", "enabled": False})
    store.add_endpoint({"id": "my-gpt4o", "providerId": "openai-1", "model": "gpt-4o"})
    store.add_endpoint({"id": "my-mini", "providerId": "openai-1", "model": "gpt-4o-mini"})
    for name in ("src/main.py", "src/trace.log", "a b.md", ".hidden", "over there/x.txt"):
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (project / ".gitignore").write_text("*.log\n")
    return project


def values(words: Sequence[str] = ()) -> ProjectValues:
    return ProjectValues(Workspace, {}, words)


def texts(found: Suggestions) -> list[str]:
    return [one.text for one in found.found]


@pytest.mark.parametrize(
    ("path", "name", "texts"),
    [
        (("provider", "edit"), "provider_id", ["openai-1", "mistral-2"]),
        (("provider", "key", "add"), "provider_id", ["openai-1", "mistral-2"]),
        (("provider", "key", "add"), "new_id", []),
        (("provider", "key", "add"), "key", []),
        (("provider", "key", "edit"), "key_id", ["team"]),
        (("endpoint", "duplicate"), "endpoint_id", ["my-gpt4o", "my-mini"]),
        (("endpoint", "duplicate"), "new_id", []),
        (("endpoint", "add"), "provider", ["openai-1", "mistral-2"]),
        (("endpoint", "add"), "model", ["gpt-4o", "gpt-4o-mini"]),
        (("endpoint", "add"), "endpoint_id", []),
        (("endpoint", "delete"), "endpoint_id", ["my-gpt4o", "my-mini"]),
        (("cache", "read"), "session_id", []),
    ],
)
def test_values_by_what_a_parameter_stands_for(path: tuple[str, ...], name: str, texts: list[str]) -> None:
    found = values().of(path, click.Argument([name]), Word()).found
    assert [one.text for one in found] == texts
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("parameter", "typed", "expected"),
    [
        pytest.param(FILE, "", ["a b.md", "over there/", "src/"], id="files, and directories on the way"),
        pytest.param(FILE, "src/", ["main.py", "trace.log"], id="a file that git ignores may be read"),
        pytest.param(FILE, ".h", [".hidden"], id="hidden"),
        pytest.param(FILE, "nowhere/", [], id="no directory"),
        pytest.param(FOLDER, "s", ["src/"], id="directories alone"),
        pytest.param(click.Option(["--cd"], type=click.Path()), "", ["over there/", "src/"], id="--cd"),
        pytest.param(click.Option(["--tool"], type=click.Choice(["codex", "qwen"])), "c", ["codex"], id="choice"),
    ],
)
def test_values_by_the_kind_of_parameter(parameter: click.Parameter, typed: str, expected: list[str]) -> None:
    assert texts(values().of(("cli",), parameter, PlainWord(typed, typed))) == expected


@pytest.mark.parametrize(
    ("word", "words", "fragment", "expected"),
    [
        pytest.param(PlainWord("See @sr", "See @sr"), [], "sr", ["src/"], id="plain"),
        pytest.param(Word('"See @sr', "See @sr", '"'), [], "sr", ["src/"], id="quoted"),
        pytest.param(BashWord("@a", "@a"), [], "a", ["a\\\\\\ b.md"], id="escaped for the grammar and for bash"),
        pytest.param(BashWord('"@a', "@a", '"'), [], "a", ["a\\\\ b.md"], id="the same in quotes"),
        pytest.param(PlainWord("@m", "@m"), ["--cd", "src"], "m", ["main.py"], id="from --cd"),
        pytest.param(PlainWord("@x", "@x"), ["--include-dirs=over there"], "x", ["x.txt"], id="in --include-dirs"),
        pytest.param(PlainWord("prose", "prose"), [], "", [], id="no reference"),
    ],
)
def test_references_in_the_question(word: Word, words: list[str], fragment: str, expected: list[str]) -> None:
    found = values(words).of(("cli",), PROMPT, word)
    assert (found.fragment, texts(found)) == (fragment, expected)
    assert found.goes_on or not expected

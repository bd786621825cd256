"""The table of verbs against the verbs themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from ccw_magics.cli.groups import LazyGroup, Verb, briefs, first_sentence
from ccw_magics.cli.tree import tree
from ccw_magics.config.models import RESERVED_VERBS

COLUMNS = 80
NEVER = {"never": Verb("ccw_magics.cli.tree:no_such_name", "It is not there")}


def every_verb(group: click.Group = tree, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every verb, groups included."""
    for name, command in group.commands.items():
        yield (*above, name)
        if isinstance(command, click.Group):
            yield from every_verb(command, (*above, name))


@pytest.mark.parametrize("name", list(tree.commands))
def test_the_list_says_how_the_verbs_own_help_begins(name: str) -> None:
    command = tree.commands[name]
    brief = briefs(tree)[name]
    assert command.name == name
    assert not command.hidden
    assert re.match(rf"{re.escape(brief)}(\Z|[;:,])", first_sentence(command.help or ""))


def test_the_list_has_a_row_for_each_verb_and_fits() -> None:
    told = CliRunner().invoke(tree, ["--help"], terminal_width=COLUMNS).output
    listed = re.findall(r"^  (\w+)  +\S", told.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(tree.commands)


def test_no_endpoint_may_take_the_name_of_a_verb() -> None:
    # `local` is the embedded model's id as well; a cell has no use for `status`.
    assert set(tree.commands) - {"local", "status"} <= RESERVED_VERBS


@pytest.mark.parametrize("words", list(every_verb()), ids=" ".join)
def test_every_verb_tells_its_use_either_way(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    tree.main([*words, "--help"], prog_name="ccw", standalone_mode=False)
    asked = capsys.readouterr().out
    assert asked.startswith(f"Usage: ccw {' '.join(words)} ")
    assert max(map(len, asked.splitlines())) <= COLUMNS
    assert tree.main(["help", *words], prog_name="ccw", standalone_mode=False) == asked.removesuffix("\n")


def test_what_is_listed_is_not_imported() -> None:
    group = LazyGroup(verbs=NEVER)
    context = click.Context(group)
    assert "It is not there" in group.get_help(context)
    assert ("never" in group.commands, list(group.commands), len(group.commands)) == (True, ["never"], 1)
    assert briefs(group) == {"never": "It is not there"}
    assert group.commands.get("other") is None
    with pytest.raises(AttributeError):
        group.commands["never"]


def test_a_verb_may_be_added_and_taken_away() -> None:
    group = LazyGroup(verbs=NEVER)
    added = click.Command("added")
    group.add_command(added)
    assert group.commands["added"] is added
    del group.commands["never"], group.commands["added"]
    assert list(group.commands) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["cach"], "No such command 'cach'. Did you mean 'cache'?", id="near"),
        pytest.param(["qqq"], "No such command 'qqq'.", id="far"),
        pytest.param(["--nope"], "No such option", id="option"),
    ],
)
def test_what_is_not_there(words: list[str], said: str) -> None:
    told = CliRunner().invoke(tree, words)
    assert told.exit_code == 2
    assert said in told.output

"""Verbs and options, read off the command tree."""

from __future__ import annotations

import click
import pytest

from ccw_magics.cli.completion.command import continuations
from ccw_magics.cli.completion.suggestion import Suggestion, Suggestions
from ccw_magics.cli.completion.words import Word, words_of
from ccw_magics.cli.groups import HELP_NAMES
from ccw_magics.cli.tree import tree


def test_a_group_without_a_short_form_takes_no_argument() -> None:
    @click.group()
    def tree() -> None: ...

    tree.add_command(click.Command("hidden", hidden=True))
    found = continuations(tree, [], Word(), lambda *_: Suggestions("", (Suggestion("never", ""),)))
    assert [one.text for one in found.found] == ["--help"]


def test_what_was_completed_once_still_has_its_help() -> None:
    command = click.Command("verb")
    continuations(command, [], words_of("-")[1], lambda *_: Suggestions())
    option = command.get_help_option(click.Context(command, help_option_names=HELP_NAMES))
    assert option is not None
    assert option.opts == HELP_NAMES


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        pytest.param("help ca", ["cache"], id="a verb"),
        pytest.param("help cache re", ["read", "release", "replies"], id="a verb of a group"),
        pytest.param("help provider key ", ["add", "delete", "edit", "list"], id="deeper"),
        pytest.param("help status ", [], id="a verb that has none"),
        pytest.param("help bogus ", [], id="no verb"),
    ],
)
def test_help_is_followed_by_verbs(line: str, texts: list[str]) -> None:
    assert [one.text for one in continuations(tree, *words_of(line), lambda *_: Suggestions()).found] == texts

"""`ccw help VERB`."""

from __future__ import annotations

import click
import pytest

from ccw_magics.cli.tree import tree


def told(*words: str, prog_name: str = "ccw") -> str:
    return str(tree.main(["help", *words], prog_name=prog_name, standalone_mode=False))


def test_alone_it_is_the_list() -> None:
    assert told().startswith("Usage: ccw [OPTIONS] COMMAND")
    assert "completion" in told()


def test_a_notebook_reads_its_own_name() -> None:
    assert told("provider", "add", prog_name="%ccw").startswith("Usage: %ccw provider add ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["cach"], "No such command 'cach'. Did you mean 'cache'?", id="verb"),
        pytest.param(["provider", "ad"], "No such command 'ad'. Did you mean 'add'?", id="subverb"),
        pytest.param(["cache", "my-pack"], "No such command 'my-pack'.", id="what a short form would show"),
        pytest.param(["status", "x"], "`status` has no verbs of its own, and so no 'x'", id="no group"),
    ],
)
def test_an_unknown_verb_is_an_error_that_names_the_nearest(words: list[str], said: str) -> None:
    with pytest.raises(click.UsageError) as error:
        told(*words)
    assert error.value.format_message() == said

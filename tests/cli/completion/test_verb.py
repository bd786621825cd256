"""The verb `completion`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from ccw_magics.cli.completion import shells
from ccw_magics.cli.completion.verb import completion
from ccw_magics.cli.tree import tree


@pytest.mark.parametrize("shell", shells.NAMES)
def test_it_returns_the_script(shell: str) -> None:
    assert tree.main(["completion", shell], standalone_mode=False) == shells.script(shell)


def test_its_help_says_how_to_install_it() -> None:
    told = CliRunner().invoke(completion, ["--help"]).output
    assert [line for line in told.splitlines() if "\b" in line] == []
    for line in ('eval "$(ccw completion bash)"', 'eval "$(ccw completion zsh)"', "ccw completion fish | source"):
        assert line in told


def test_another_shell_is_refused_with_those_there_are() -> None:
    told = CliRunner().invoke(tree, ["completion", "powershell"])
    assert told.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in told.output

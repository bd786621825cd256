"""The verb `completion`."""

from __future__ import annotations

from typing import Final

import click

from ccw_magics.cli.completion import shells

_EPILOG: Final = """
\b
For good, at the end of the shell's own file:
  bash   eval "$(ccw completion bash)"          ~/.bashrc
  zsh    eval "$(ccw completion zsh)"           ~/.zshrc
  fish   ccw completion fish | source           ~/.config/fish/config.fish

\b
Where bash-completion, or zsh's compinit, loads such scripts by need:
  ccw completion bash > ~/.local/share/bash-completion/completions/ccw
  ccw completion zsh > DIRECTORY/_ccw           a DIRECTORY of $fpath
  ccw completion fish > ~/.config/fish/completions/ccw.fish
"""


@click.command("completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(shells.NAMES))
def completion(shell: str) -> str:
    """Print what completes `ccw` in bash, zsh or fish: verbs, options, ids, names, paths, and `@paths` in the question.

    The script asks `ccw` itself at each Tab, and needs no renewal after an update.
    """
    return shells.script(shell)

"""The verbs, written once: a door runs them and shows what they return, a `Table`, text, or a `Reply`.

A verb's module is imported when the verb is run, completed or explained: of a command line that lists the verbs, most
of the time would go into modules that it does not need.
"""

from __future__ import annotations

import os
from typing import Any, Final

import click

from ccw_magics.cli.groups import HELP_NAMES, LazyGroup, Verb

COMPLETE_VARIABLE: Final = "_CCW_COMPLETE"
"""What a shell's script sets when it asks for completions; click makes the name of the program's."""
_HERE: Final = "ccw_magics.cli"
_VERBS: Final = {
    "cli": Verb(f"{_HERE}.ask:ask", "Ask an endpoint, or a command-line agent"),
    "chat": Verb(f"{_HERE}.chats:chat", "List the conversations; `chat NAME` shows one"),
    "status": Verb(f"{_HERE}.start:status", "Show where things stand: project, config, endpoints, cache"),
    "init": Verb(f"{_HERE}.start:init", "Write an example config to edit"),
    "trust": Verb(f"{_HERE}.start:trust", "Accept this project's config as it is now"),
    "endpoint": Verb(f"{_HERE}.endpoints:endpoint", "List the endpoints; add, edit or delete one"),
    "endpoints": Verb(f"{_HERE}.endpoints:endpoints", "List the endpoints"),
    "default": Verb(f"{_HERE}.endpoints:default", "Make endpoint ID the one that is asked where none is named"),
    "provider": Verb(f"{_HERE}.providers:provider", "List the providers; add, edit, delete or test one"),
    "providers": Verb(f"{_HERE}.providers:providers", "List the providers"),
    "local": Verb(f"{_HERE}.local:local", "The embedded model, which needs no key"),
    "cache": Verb(f"{_HERE}.cache:cache", "List the packs in the cache"),
    "history": Verb(f"{_HERE}.account:history", "List the calls, newest first; `history ID` shows one"),
    "stats": Verb(f"{_HERE}.account:usage", "Sum calls, tokens and cost"),
    "budget": Verb(f"{_HERE}.account:budget", "Show what was spent, and what may be"),
    "panel": Verb(f"{_HERE}.start:panel", "Set everything up by clicking, in a notebook"),
    "serve": Verb(f"{_HERE}.start:serve", "Answer HTTP on this machine alone, until Ctrl-C"),
    "completion": Verb(f"{_HERE}.completion.verb:completion", "Print what completes `ccw` in bash, zsh or fish"),
    "help": Verb(f"{_HERE}.help:show_help", "Show this list, or a verb's help"),
}
"""In the order of the list; a test compares what it says with the verbs' own help."""


class _Tree(LazyGroup):
    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line, or tell a shell how it may go on."""
        if COMPLETE_VARIABLE in os.environ:
            from ccw_magics.cli.completion import shells

            shells.register()
        return super().main(*args, **extra)


@click.group(
    cls=_Tree,
    verbs=_VERBS,
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": 100},
    epilog="`help VERB` shows how a verb is used.",
)
@click.version_option(package_name="ccw_magics")
def tree() -> None:
    """Ask a language model about your project: @ references bring files along."""

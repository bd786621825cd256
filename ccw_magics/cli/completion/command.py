"""Verbs, options and their values, read off the command tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import click

from ccw_magics.cli.completion.suggestion import Suggestion, Suggestions
from ccw_magics.cli.completion.words import Word
from ccw_magics.cli.groups import HELP_NAMES, LazyGroup, ShowGroup, briefs

Values = Callable[[tuple[str, ...], click.Parameter, Word], Suggestions]
"""What may stand for a parameter of the command that these words name."""


@dataclass
class _Place:
    """Where in a command the cursor is.

    Attributes:
        command: The innermost command named so far.
        path: The words that name it.
        arguments: How many arguments stand before the cursor.
        given: The options that do.
        pending: The option whose value comes next.
        is_known: Whether all the words could be read.
    """

    command: click.Command
    path: tuple[str, ...] = ()
    arguments: int = 0
    given: set[str | None] = field(default_factory=set)
    pending: click.Option | None = None
    is_known: bool = True

    def read(self, text: str) -> None:
        """Go on by one word."""
        if self.pending is not None and not text.startswith("--"):
            self.pending = None
        elif text.startswith("-") and text != "-":
            self._read_option(text)
        elif isinstance(self.command, click.Group):
            self._enter(self.command, text)
        else:
            self.arguments += 1

    def _read_option(self, text: str) -> None:
        name, has_value, _ = text.partition("=")
        option = option_named(self.command, name)
        self.given.add(option.name if option else None)
        self.pending = option if option and not has_value and not _is_switch(option) else None

    def _enter(self, group: click.Group, text: str) -> None:
        shows = isinstance(group, ShowGroup) and text not in group.commands
        name = "show" if shows else text
        self.is_known = self.is_known and name in group.commands
        self.command = group.commands.get(name, group)
        self.path, self.arguments, self.given = (*self.path, name), int(shows), set()


def option_named(command: click.Command, name: str) -> click.Option | None:
    """The option of this name, such as `--chat`; None where there is none."""
    options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    return next((option for option in options if name in (*option.opts, *option.secondary_opts)), None)


def continuations(command: click.Command, before: list[str], word: Word, values: Values) -> Suggestions:
    """What may stand at the cursor in a line of a command.

    Args:
        command: What the line is read as.
        before: The words before the cursor's.
        word: The one at the cursor.
        values: Tells what may stand for a parameter.
    """
    asks_help = isinstance(command, LazyGroup) and before[:1] == ["help"]
    place = _Place(command)
    for text in before[asks_help:]:
        place.read(text)
    if not place.is_known:
        return Suggestions()
    if asks_help:
        return Suggestions(word.raw, tuple(_verbs(place.command, word.value)))
    if word.value.startswith("-"):
        return _option(place, word, values)
    if place.pending is not None:
        return values(place.path, place.pending, word)
    main = _main(place, word, values)
    if word.raw or (main.fragment and main.found):
        return main
    return Suggestions("", (*main.found, *_options(place, "")))


def _option(place: _Place, word: Word, values: Values) -> Suggestions:
    name, has_value, _ = word.value.partition("=")
    if not has_value:
        return Suggestions(word.raw, tuple(_options(place, name)))
    option = option_named(place.command, name)
    if option is None or _is_switch(option):
        return Suggestions()
    return values(place.path, option, word.behind_option())


def _main(place: _Place, word: Word, values: Values) -> Suggestions:
    """Verbs, or what may stand for the next argument; in a group that shows, both."""
    command = place.command
    if isinstance(command, click.Group):
        shown = command.commands.get("show") if isinstance(command, ShowGroup) else None
        others = _argument(shown, 0, (*place.path, "show"), word, values) if shown else Suggestions()
        return Suggestions(word.raw, (*_verbs(command, word.value), *others.found))
    return _argument(command, place.arguments, place.path, word, values)


def _verbs(command: click.Command, prefix: str) -> Iterator[Suggestion]:
    """The verbs of a group; a command that is none has none."""
    for name, brief in sorted(briefs(command).items()) if isinstance(command, click.Group) else ():
        if name.startswith(prefix):
            yield Suggestion(name, _brief(brief))


def _argument(command: click.Command, number: int, path: tuple[str, ...], word: Word, values: Values) -> Suggestions:
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    return values(path, arguments[number], word) if number < len(arguments) else Suggestions()


def _options(place: _Place, prefix: str) -> Iterator[Suggestion]:
    """The long options that were not given, in the order in which the help lists them."""
    # click keeps the help option that it makes here for all later calls of the command.
    for option in place.command.get_params(click.Context(place.command, help_option_names=HELP_NAMES)):
        if not isinstance(option, click.Option) or option.hidden:
            continue
        if option.name not in place.given or option.multiple:
            for name in (*option.opts, *option.secondary_opts):
                if name.startswith("--") and name.startswith(prefix):
                    yield Suggestion(name, _brief(option.help or ""))


def _is_switch(option: click.Option) -> bool:
    return option.is_flag or option.count


def _brief(text: str) -> str:
    """What a help text says first."""
    return re.split(r"[.;](?:\s|\Z)", text, maxsplit=1)[0]

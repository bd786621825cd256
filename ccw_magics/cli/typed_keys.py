"""Keys that verbs take: references, typed in the line, or asked for unseen; into the file, or the system's keyring."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics.cli.editing import is_terminal
from ccw_magics.config import keyring, trust
from ccw_magics.config.credentials import Secret, is_mask, is_reference, references
from ccw_magics.config.models import STANDARD_KEY_NAMES, Provider
from ccw_magics.errors import CcwError, ConfigError, ConfigUnsure

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.config.store import ConfigStore

ask_option: Final[Callable[[Any], Any]] = click.option(
    "--ask-key", "asks", is_flag=True, help="Ask for the key, unseen, so that it stands in no line."
)
keyring_option: Final[Callable[[Any], Any]] = click.option(
    "--keyring", "in_keyring", is_flag=True, help="Put the key into the system's keyring; the file names it only."
)


@dataclass(frozen=True)
class Placed:
    """What the config is to hold of a key.

    Attributes:
        value: The key, or the reference to it; None where the line says nothing of it, empty to take it away.
        is_in_line: Whether the key itself was typed in the line.
        entry: The name of the entry that the keyring has of it now; empty where it is not there.
    """

    value: Secret | None = None
    is_in_line: bool = False
    entry: str = ""

    @property
    def is_in_file(self) -> bool:
        """Whether the key itself goes into the file."""
        return _is_key(self.value)


@contextmanager
def placed(typed: Secret | None, *, asks: bool, in_keyring: bool, stem: str, option: str) -> Iterator[Placed]:
    """Ask for a key and put it into the keyring, where that is wanted; it is taken out again if the body raises.

    Args:
        typed: What the line says; None where it says nothing.
        asks: Whether to ask for it.
        in_keyring: Whether the keyring is to hold it.
        stem: What a name for an entry begins with.
        option: The option that takes the key, for errors.

    Raises:
        click.UsageError: The options contradict each other.
        CcwError: Nobody can be asked, or there is no keyring.
    """
    if asks and typed is not None:
        raise click.UsageError(f"the key is either asked for (--ask-key) or given ({option})")
    if in_keyring:
        _check_storable(typed, asks=asks, option=option)
    key = _asked() if asks else typed
    if not in_keyring or key is None:
        yield Placed(key, is_in_line=_is_key(typed))
        return
    entry = keyring.new_name(stem)
    keyring.store(entry, key)
    try:
        yield Placed(Secret(keyring.reference(entry)), is_in_line=not asks, entry=entry)
    except ConfigUnsure:  # the file names the entry
        raise
    except BaseException:
        with suppress(ConfigError):
            keyring.delete(entry)
        raise


def _is_key(value: Secret | None) -> bool:
    """Whether a value is a key, and not a reference to one, nor nothing."""
    return value is not None and bool(value) and not is_reference(value.reveal())


def _check_storable(typed: Secret | None, *, asks: bool, option: str) -> None:
    if not asks and not typed:
        raise click.UsageError(f"--keyring stores a key: give it with --ask-key, or with {option}")
    if typed is not None and is_reference(typed.reveal()):
        raise click.UsageError(f"--keyring stores a key, and {typed} only says where one is")
    if typed is not None and is_mask(typed.reveal()):
        raise ConfigError(f"{typed} is a mask, not a key", hint="Give the key itself, best with --ask-key.")
    if not keyring.is_usable():
        raise keyring.none_usable()


def _asked() -> Secret:
    """The key that somebody types unseen, in a notebook's field for passwords or at a terminal, or pipes in.

    Raises:
        CcwError: There is nobody, or the answer was empty.
    """
    try:
        key = _read_unseen()
    except (EOFError, NotImplementedError):  # the latter from a kernel whose front end takes no input
        key = None
    if key is None:
        hint = "Run it where somebody can type, or name an environment variable: '${NAME}'."
        raise CcwError("nobody can be asked for the key here", hint=hint)
    if not key:
        raise CcwError("no key was given", hint="Nothing was changed.")
    return key


def _read_unseen() -> Secret:
    # A kernel puts its own function in the place of the library's, which would warn of an echo that a pipe has not.
    is_piped = getpass.getpass.__module__ == "getpass" and not is_terminal()
    if is_piped and (sys.stdin is None or sys.stdin.isatty()):
        raise EOFError
    return Secret((sys.stdin.readline() if is_piped else getpass.getpass("API key: ")).strip())


def tell_key(door: Door, made: Provider, key: Placed, *, option: str, others_in_line: bool = False) -> None:
    """Beside the result: where the key stands, whether it is there, and what was typed in the open.

    Args:
        door: Where to say it.
        made: The provider as it is now.
        key: What became of the key.
        option: The option that takes it.
        others_in_line: Whether something else in the line holds a key too.
    """
    if key.entry:
        door.note(f"The key is in the system's keyring, as {key.entry}.")
    elif key.value is not None:
        for line in _on_references(key.value):
            door.note(line)
    if key.is_in_line or others_in_line:
        door.note(_warning(made, key, option, is_in_file=key.is_in_file or others_in_line))
    elif key.is_in_file:
        door.note("The key stands in the file, which only you can read. --keyring puts it into the system's keyring.")


def _warning(made: Provider, key: Placed, option: str, *, is_in_file: bool) -> str:
    places = ", in the history, and in the file, which only you can read" if is_in_file else " and in the history"
    variable = STANDARD_KEY_NAMES.get(made.type, "NAME")
    other = "" if key.entry else " --keyring puts it into the system's keyring;"
    return (
        f"Warning: the key now stands in this line{places}. Without that: --ask-key asks for it unseen;{other} "
        f"{option} '${{{variable}}}' names an environment variable, {option} keyring:NAME an entry of the keyring."
    )


def _on_references(value: Secret) -> Iterator[str]:
    """Whether what the key refers to is there; a keyring is not asked, since it may want a password."""
    for name in references(value.reveal()):
        if entry := keyring.name_in(name):
            yield f"The key is looked up in the keyring: `keyring set {keyring.SERVICE} {entry}` puts it there."
        elif os.environ.get(name):
            yield f"✓ {name} is set."
        else:
            yield f"✗ {name} is not set: set it before Jupyter starts, or in a cell with os.environ and getpass."


def tell_where_keys_go(door: Door, store: ConfigStore, made: Provider) -> None:
    """Say where keys go that is not their type's own place, and whether the config is trusted to send them."""
    going = trust.risks_of(made)
    for risk in going:
        door.note(f"Its key goes to {risk.target}: {risk.why}.")
    if not going:
        return
    try:
        store.require_trust()
    except ConfigError as error:
        door.note(f"The config is not trusted yet. {error.hint}")


def tell_left_entry(door: Door, before: Secret, after: Secret | None) -> None:
    """Say that the keyring still has an entry which the config no longer names: other projects may name it."""
    entry = keyring.name_in(before.reveal())
    if entry and (after is None or after != before):
        door.note(f"The keyring still has {entry}: `keyring del {keyring.SERVICE} {entry}` takes it out.")

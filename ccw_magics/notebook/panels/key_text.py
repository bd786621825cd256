"""What is told of keys while they are being set up: names of variables, where a key will stand, what is amiss."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ccw_magics.config import keyring
from ccw_magics.notebook.panels import style

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_A_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]*_(KEY|TOKEN|PAT)")
_LONGEST_NAME: Final = 64
_SHORTEST_KEY: Final = 16
"""Characters: keys are longer, and names that are have their words apart."""
_LONGEST_MIXED: Final = 8
"""Characters of a word that mixes letters, digits and cases, such as those at the end of `keyring.new_name`."""


@dataclass
class KeyPlace:
    """To whom a key that is being typed will belong, and where it will stand; the tab keeps it up to date.

    Attributes:
        provider_type: The provider's type as the form has it now.
        file: The config file that the provider stands in, or will.
    """

    provider_type: str = ""
    file: str = ""


def variable_name(typed: str) -> str:
    """The name in what was typed for one, which may stand in `${}`."""
    return typed.strip().removeprefix("$").strip("{}")


def may_be_name(name: str) -> bool:
    """Whether this may be, or become, the name of a variable, and is not rather a key.

    A long name has capitals and underscores: `gsk_…`, `hf_…`, or 32 digits in hexadecimal would pass otherwise.
    """
    if not name or name in os.environ:
        return True
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        return False
    return len(name) < _SHORTEST_KEY or (name.isupper() and "_" in name)


def may_be_entry(name: str) -> bool:
    """Whether this may be, or become, the name of an entry in the keyring, and is not rather a key.

    A long name is made of words and of short numbers; in a key there is a long run of anything.
    """
    if len(name) < _SHORTEST_KEY:
        return True
    is_one = len(name) <= _LONGEST_NAME and not any(map(str.isspace, name))
    return is_one and all(map(_is_word, re.split(r"[\W_]+", name)))


def _is_word(text: str) -> bool:
    is_in_one_case = text.isalpha() and (text.isupper() or text[1:].islower())
    return len(text) <= _LONGEST_MIXED or (is_in_one_case and len(text) < _SHORTEST_KEY)


def suggested_names(first: str) -> list[str]:
    """Variables that a key may stand in: the usual one, then those set here that are called so."""
    return list(dict.fromkeys([first, *sorted(filter(_OF_A_KEY.fullmatch, os.environ))]))


def on_variable(name: str) -> str:
    """Whether a variable is set, as HTML."""
    if not name:
        return style.said("Name the variable that holds the key, such as OPENAI_API_KEY.", "faint")
    if os.environ.get(name, "").strip():
        return style.said(f"✓ {name} is set", "right")
    how = f'Set it before Jupyter starts, or in a cell: os.environ["{name}"] = getpass.getpass()'
    return f"{style.said(f'✗ {name} is not set', 'doubt')}<br>{style.said(how, 'faint')}"


def on_entry(name: str) -> str:
    """What becomes of a key that is typed for an entry of the keyring, as HTML."""
    if not keyring.is_usable():
        return no_keyring()
    into = f"the entry {name} of {keyring.SERVICE}" if name else "the entry named above"
    return style.said(f"A key typed here goes into {into} when you save; else the entry stays as it is.", "faint")


def no_keyring() -> str:
    """That there is no keyring to put a key in, and what to do, as HTML."""
    error = keyring.none_usable()
    return style.said("\n".join(filter(None, [error.message, error.hint])), "doubt")


_READ_BY: Final = (
    ", which you alone can read (0600)" if os.name == "posix" else ", which has its folder's access rights"
)


def on_typing(new_entry: str, file: str) -> str:
    """Where a key will be kept that is about to be typed, as HTML.

    Args:
        new_entry: The name of its entry in the keyring; empty where no keyring is to hold it.
        file: The config file.
    """
    if new_entry:
        return style.said(f"It will be kept in the system keyring as {new_entry}; the file names only that.", "faint")
    why = "The keyring does not take it" if keyring.is_usable() else "There is no keyring here"
    return style.said(
        f"{why}, so it will be kept in {file}{_READ_BY}. An environment variable keeps it out of files.",
        "doubt",
    )


def entries_named(texts: Iterable[str]) -> list[str]:
    """The keyring entries that values of a provider refer to."""
    return list(dict.fromkeys(name for text in texts if (name := keyring.name_in(text))))

"""The system's keyring: keys that stand in no file; the config holds `keyring:NAME`.

The package `keyring` is optional, and where it is there, it may have nowhere to store anything (a server without a
desktop). Its backends raise whatever the system's libraries raise, and their frames hold the key in plain text: every
failure is told by the name of its class alone, by an error to which no other is chained.
"""

from __future__ import annotations

import importlib
import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ccw_magics.errors import ConfigError, SecretMissing

if TYPE_CHECKING:
    from ccw_magics.config.credentials import Secret

_NOT_IN_NAMES: Final = re.compile(r"[^\w.-]")
SERVICE: Final = "ccw_magics"
"""The service name under which keys stand in the keyring; the user name there is the reference's name."""
INSTALL_HINT: Final = "%pip install keyring"
_REFERENCE: Final = re.compile(r"keyring:(\S+)")
_ABSENT: Final = "ModuleNotFoundError"


def reference(name: str) -> str:
    """What the config holds of a key that is in the keyring: `keyring:NAME`."""
    return f"keyring:{name}"


def name_in(text: str) -> str:
    """The entry's name in such a reference; empty where the text is none."""
    found = _REFERENCE.fullmatch(text)
    return found[1] if found else ""


def new_name(provider_type: str) -> str:
    """A name that no other entry has: all projects share the keyring."""
    return f"{_NOT_IN_NAMES.sub('-', provider_type)}-{secrets.token_hex(4)}"


def is_usable() -> bool:
    """Whether there is a keyring that can store keys.

    Looks at which backend the package has chosen, and asks that for nothing: so nobody is asked for a password.
    """
    try:
        return bool(_package().get_keyring().priority > 0)  # its two that store nothing have 0 and -1
    except Exception:  # noqa: BLE001 - a backend that the user's settings name may fail to load in any way
        return False


def store(name: str, key: Secret) -> None:
    """Put a key into the keyring, in the place of one of the same name; the system may ask for a password.

    Args:
        name: The entry's name, without white space.
        key: The key itself.

    Raises:
        ConfigError: There is no keyring, or it refused, or does not have the key afterwards.
    """
    if not name_in(reference(name)):
        raise ConfigError(f"{name!r} cannot name an entry in the keyring", hint="A name has no white space.")
    if not is_usable():
        raise none_usable()
    _, problem = _tried(lambda: _package().set_password(SERVICE, name, key.reveal()))
    # A chain of backends, or one that is read-only, may drop a key without a word.
    is_there, trouble = _tried(lambda: _package().get_password(SERVICE, name) == key.reveal())
    if not is_there:
        why = problem or trouble or "it is not there"
        hint = "Unlock the keyring, or use an environment variable: ${NAME}."
        raise ConfigError(f"the keyring did not take the key ({why})", hint=hint)


def delete(name: str) -> bool:
    """Take an entry out of the keyring; False where it has none of this name.

    Raises:
        ConfigError: There is no keyring, or it refused.
    """
    if not is_usable():
        raise none_usable()
    is_there, problem = _tried(lambda: _package().get_password(SERVICE, name) is not None)
    if is_there:
        _, problem = _tried(lambda: _package().delete_password(SERVICE, name))
    if problem:
        hint = f"Unlock the keyring, or run `keyring del {SERVICE} {name}`."
        raise ConfigError(f"the keyring keeps the entry {name} ({problem})", hint=hint)
    return bool(is_there)


def look_up(name: str, what: str) -> str:
    """The key that an entry holds.

    Args:
        name: The entry's name.
        what: What the key belongs to, for the error: `provider openai-1`.

    Raises:
        SecretMissing: The package is absent, or the keyring cannot be read or has no such entry.
    """
    found, problem = _tried(lambda: _package().get_password(SERVICE, name))
    if found:
        return str(found)
    if problem == _ABSENT:
        why, hint = "it is in the keyring, and the package `keyring` is not installed", INSTALL_HINT
    else:
        why = f"the keyring cannot be read ({problem})" if problem else f"the keyring has no entry {name}"
        hint = f"Run `keyring set {SERVICE} {name}`, or use ${{NAME}} instead."
    raise SecretMissing(f"API key not configured for {what}: {why}", hint=hint)


def held(name: str) -> str | None:
    """The key that an entry holds, or None where there is none of this name.

    Raises:
        ConfigError: The keyring cannot be read: what it holds, nobody knows.
    """
    found, problem = _tried(lambda: _package().get_password(SERVICE, name))
    if problem:
        hint = "Unlock the keyring, or use an environment variable: ${NAME}."
        raise ConfigError(f"the keyring cannot be read ({problem})", hint=hint)
    return str(found) if found else None


def none_usable() -> ConfigError:
    """The error where no key can be stored: the package is not installed, or knows of no keyring here."""
    _, problem = _tried(_package)
    if problem:
        return ConfigError("there is no keyring: the package `keyring` is not installed", hint=INSTALL_HINT)
    return ConfigError(
        "there is no keyring here that could store a key",
        hint="Use an environment variable, ${NAME}; `keyring --list-backends` shows what there is.",
    )


def _package() -> Any:
    return importlib.import_module("keyring")


def _tried(work: Callable[[], Any]) -> tuple[Any, str]:
    """What the work returned, or None and the name of what it raised, whose message and frames may hold a key."""
    try:
        return work(), ""
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001 - backends raise the errors of every system's libraries
        return None, type(error).__name__
    raise KeyboardInterrupt  # a new one: the frames of the other hold the key

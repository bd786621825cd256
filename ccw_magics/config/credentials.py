"""Keys: an object that masks itself, references to keys, and the removal of keys from text.

A key in the config is one of three things:

* a reference to the environment, `${NAME}`, also inside a longer value (`Bearer ${NAME}`);
* a reference to the system's keyring, `keyring:NAME` (the whole value; needs the `keyring` package);
* the key itself.

References are not secret and are shown as they are. They are resolved when a call is made, never before.
"""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from ccw_magics.config import keyring
from ccw_magics.errors import SecretMissing

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema
    from pydantic_core.core_schema import SerializationInfo

REVEAL = "ccw_magics.reveal"
"""Key of the serialization context under which a `Secret` is written in plain text: the store's alone."""

_ELLIPSIS = "…"
_SHOWN_AT_EACH_END = 3
_SHORTEST_SHOWN = 16  # six characters of a shorter key would be too much of it
_SHORTEST_REDACTED = 4  # a header value such as "1" would otherwise eat every 1 of a message

_VARIABLE = re.compile(r"\$\{([^${}\s]*)\}")
_SCHEME_WORDS = frozenset({"", "bearer", "basic", "token", "key", "apikey", "api-key"})
_MASK = re.compile(r"(?:.{3})?…(?:.{3})?|[*•]{3,}", re.DOTALL)
_NO_PORT = re.compile(r":(?!\d*$)[^\]@]*$")  # behind a host's colon: the half of a password that has a slash in it
_ESCAPE = re.compile(r"(%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Secret:
    """A key, or a reference to one, that never shows itself by accident.

    `repr`, `str` and `format` give the mask, so that tracebacks with local variables, log records and widgets are
    safe. Only `reveal` gives the text. Copies are the object itself. Pickling keeps a reference but replaces a key
    by its mask: a pickle is a file like any other, and `resolve` refuses a mask with a clear error.

    In a pydantic model it takes a string, and is written as its mask, unless the serialization context says
    `{REVEAL: True}`.

    Args:
        text: The key or the reference as the config holds it; may be empty.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself: for the request's header and the config file, nothing else."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({mask(self._text)!r})"

    def __str__(self) -> str:
        return mask(self._text)

    def __format__(self, format_spec: str) -> str:
        return format(mask(self._text), format_spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        ours, theirs = (text.encode("utf-8", "surrogatepass") for text in (self._text, other._text))
        return hmac.compare_digest(ours, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, (mask(self._text),))

    def __getstate__(self) -> None:
        # Some libraries take an object apart through this instead of `__reduce__`.
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            _to_secret,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _to_text, info_arg=True, return_schema=core_schema.str_schema()
            ),
        )


def _to_secret(value: object) -> Secret:
    """Pydantic's validator; its message must not hold the value."""
    if isinstance(value, Secret):
        return value
    if value is None:
        return Secret("")
    if isinstance(value, str):
        return Secret(value)
    from pydantic_core import PydanticCustomError

    raise PydanticCustomError("string_type", "Input should be a string")


def _to_text(secret: Secret, info: SerializationInfo) -> str:
    revealed = isinstance(info.context, dict) and info.context.get(REVEAL) is True
    return secret.reveal() if revealed else mask(secret.reveal())


def references(text: str) -> tuple[str, ...]:
    """Name what a value takes from outside the config, in order: `NAME` for `${NAME}`, `keyring:NAME` as it is."""
    if keyring.name_in(text):
        return (text,)
    return tuple(_VARIABLE.findall(text))


def is_reference(text: str) -> bool:
    """Tell whether a value is only references, apart from a scheme word such as `Bearer`: nothing to hide."""
    return bool(references(text)) and _literal(text).strip().lower() in _SCHEME_WORDS


def _literal(text: str) -> str:
    return "" if keyring.name_in(text) else _VARIABLE.sub("", text)


def mask(text: str) -> str:
    """Return what may be shown of a key: `sk-…abc`, or `…` for a short one. References and masks stay as they are."""
    if not text or is_reference(text) or is_mask(text):
        return text
    if references(text):
        return _mask_literals(text)
    if len(text) < _SHORTEST_SHOWN:
        return _ELLIPSIS
    return f"{text[:_SHOWN_AT_EACH_END]}{_ELLIPSIS}{text[-_SHOWN_AT_EACH_END:]}"


def _mask_literals(text: str) -> str:
    # `split` on a pattern with one group alternates literal, name, literal, ...
    parts = _VARIABLE.split(text)
    return "".join(f"${{{part}}}" if index % 2 else (_ELLIPSIS if part else "") for index, part in enumerate(parts))


def shown_base(base: str) -> str:
    """What may be shown of a base URL: without user name and password, query or fragment; variables stay variables."""
    scheme, mark, rest = base.partition("://")
    if not mark:
        return base.rpartition("@")[2]
    place = rest.partition("?")[0].partition("#")[0]
    if _NO_PORT.search(place.partition("/")[0]):
        place = place.rpartition("@")[2]
    authority, slash, path = place.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def is_mask(text: str) -> bool:
    """Tell whether a value is what `mask` shows of a key, or a row of asterisks: nothing to store or send."""
    if _MASK.fullmatch(text):
        return True
    return bool(references(text)) and _ELLIPSIS in text and set(_literal(text)) == {_ELLIPSIS}


def resolve(value: Secret, what: str) -> Secret:
    """Turn references into the key they stand for; a literal or empty value comes back as it is, trimmed.

    Args:
        value: The value as the config holds it.
        what: What the key belongs to, for the error: `provider openai-1`.

    Raises:
        SecretMissing: A variable is not set or empty, the keyring is absent or does not have the entry, the value
            is a mask, or the key holds a control character (which no header may carry).
    """
    # The key is in no variable here, since the frame goes along with the error.
    if is_mask(value.reveal()):
        raise SecretMissing(
            f"the key of {what} is a mask ({value}), not a key", hint="Set the key again, best as ${NAME}."
        )
    key = Secret(_dereferenced(value, what).strip())
    if _CONTROL.search(key.reveal()):
        raise SecretMissing(
            f"the key of {what} ({value}) holds a line break or another control character",
            hint="Set it again, without the line break.",
        )
    return key


def _dereferenced(value: Secret, what: str) -> str:
    if name := keyring.name_in(value.reveal()):
        return keyring.look_up(name, what)
    return _VARIABLE.sub(lambda found: _from_environment(found[1], what), value.reveal())


def _from_environment(name: str, what: str) -> str:
    text = os.environ.get(name, "").strip() if name else ""
    if text:
        return text
    raise SecretMissing(
        f"API key not configured for {what}: the environment variable {name or '${}'} is not set",
        hint=f"Run `export {name}=…` before you start Jupyter or ccw; in a cell: "
        f'import os, getpass; os.environ["{name}"] = getpass.getpass()',
    )


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Replace every key in a text by its mask, also where it stands URL-encoded or JSON-escaped.

    Of `Bearer KEY` the key alone is replaced as well, and so is a proxy URL's password. Values below four
    characters are left alone.

    Args:
        text: Anything that may echo a key: a server's error, an exception's message.
        secrets: Resolved keys; references and masks among them are passed over.
    """
    masks: dict[str, str] = {}
    for secret in secrets:
        for part in _parts(secret.reveal()):
            masks |= dict.fromkeys(map(_fold, _spellings_of(part)), mask(part))
    if not masks:
        return text
    pattern = re.compile("|".join(map(_pattern, sorted(masks, key=len, reverse=True))))
    masked = pattern.sub(lambda found: masks[_fold(found[0])], text)
    # The ends that a mask shows can complete a key together with the text around it (a key such as "aaaa…").
    return pattern.sub(_ELLIPSIS, masked)


def _parts(text: str) -> list[str]:
    """The value itself, the words of `Bearer KEY`, the password of a URL."""
    if is_reference(text) or is_mask(text):
        return []
    parts = [text, text.strip()]
    parts += [word for word in text.split() if word.lower() not in _SCHEME_WORDS]
    if password := re.search(r"://[^/@:]*:([^/@]+)@", text):
        parts += [password[1], unquote(password[1])]
    return [part for part in parts if len(part) >= _SHORTEST_REDACTED]


def spellings(secret: Secret) -> set[str]:
    """Every form in which `redact` finds a secret in a text: it, its parts, and as URLs, JSON and Python write them."""
    return {spelling for part in _parts(secret.reveal()) for spelling in _spellings_of(part)}


def _spellings_of(text: str) -> set[str]:
    """The text as it is, and as URLs, JSON and Python's `repr` write it."""
    safe = text.encode("utf-8", "replace").decode("utf-8")
    encoded = {quote(safe, safe=""), quote(safe), quote_plus(safe)}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], text.replace("\\", "\\\\")}
    escaped |= {spelling.replace("/", "\\/") for spelling in escaped}
    return {text} | encoded | escaped


def _fold(text: str) -> str:
    """Write escapes in one case: `%2F` and `%2f` are the same."""
    return _ESCAPE.sub(lambda found: found[0].lower(), text)


def _pattern(spelling: str) -> str:
    """A regular expression for a spelling, with its escapes in either case."""
    parts = _ESCAPE.split(spelling)  # one group: literal, escape, literal, ...
    return "".join(f"(?i:{re.escape(part)})" if index % 2 else re.escape(part) for index, part in enumerate(parts))

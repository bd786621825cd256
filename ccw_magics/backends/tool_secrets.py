"""Keeps the keys of the environment, which an agent knows and its commands can print, out of what it says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

from ccw_magics.config.credentials import Secret, mask, redact

SHORTEST_CHARS: Final = 8
"""A shorter value of such a variable is no key; masking it would spoil the text."""

_KEY_VARIABLE: Final = re.compile(r"\w*(APIKEY|_KEY|TOKEN|SECRET|PASSWORD|PASSWD|_PAT)(_?\d+)?", re.IGNORECASE)
_LIKE_A_KEY: Final = re.compile(
    r"\b(sk-[\w-]{12,}|AIza[\w-]{20,}|gh[pousr]_\w{20,}"
    r"|(?<![\w-])eyJ[\w-]{16,}\.[\w-]+\.[\w-]+)"  # looked for once in a word: it may be millions long without a dot
)
_CONTROL: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b.|[\x00-\x1f\x7f-\x9f]")


def environment_secrets(environment: Mapping[str, str] = os.environ) -> tuple[Secret, ...]:
    """The values of the variables that are named as keys are: `OPENAI_API_KEY`, `GITHUB_TOKEN`."""
    values = {text for name, text in environment.items() if _KEY_VARIABLE.fullmatch(name)}
    return tuple(Secret(text) for text in sorted(values) if len(text) >= SHORTEST_CHARS)


def line(text: str, secrets: Iterable[Secret], longest_chars: int = 160) -> str:
    """A text in one line for a note or an error: keys masked, what steers a terminal left out, not too long."""
    plain = " ".join(_CONTROL.sub(" ", text).split())
    shown = _LIKE_A_KEY.sub(lambda found: mask(found[0]), redact(plain, secrets))
    return shown if len(shown) <= longest_chars else f"{shown[: longest_chars - 1]}…"

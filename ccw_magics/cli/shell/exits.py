"""The exit codes of `ccw`: scripts rely on them."""

from __future__ import annotations

import signal
from typing import Final

from ccw_magics.errors import (
    BudgetExceeded,
    CcwError,
    ConfigError,
    ContextTooLarge,
    NotAgreed,
    PatternError,
    ProviderError,
    ToolNotReady,
)

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
MISCONFIGURED: Final = 3
REFUSED: Final = 4
TRY_LATER: Final = 75
"""EX_TEMPFAIL of sysexits.h."""
INTERRUPTED: Final = 128 + signal.SIGINT
UNREAD: Final = 141
"""128 + SIGPIPE, as a shell tells of a command that the signal ended; not every system has the signal."""

MEANINGS: Final = {
    DONE: "the whole answer is there, or the verb has done its work",
    FAILED: "it failed; with an answer, as much of it as came",
    MISUSED: "the line was not understood",
    MISCONFIGURED: "the set-up is wrong: config, endpoint, key, trust or agent",
    REFUSED: "refused unsent: too large, too dear, out of reach, or not agreed to",
    TRY_LATER: "the provider may answer the same line later",
    INTERRUPTED: "interrupted, by Ctrl-C; 143 by SIGTERM, 129 by SIGHUP",
    UNREAD: "nobody reads standard output any more",
}
"""Code to what it says; the help shows them."""


_REFUSALS: Final = (BudgetExceeded, ContextTooLarge, NotAgreed, PatternError)


def exit_code(error: CcwError) -> int:
    """The code for an error."""
    if isinstance(error, (ConfigError, ToolNotReady)):
        return MISCONFIGURED
    if isinstance(error, _REFUSALS):
        return REFUSED
    return TRY_LATER if isinstance(error, ProviderError) and error.retryable else FAILED


def table() -> str:
    """The codes and what they say, a line each, for the end of a help text."""
    lines = [f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["\b", "Exit codes:", *lines])

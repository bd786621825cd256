"""Every error the package raises, in one tree.

::

    CcwError                  message and hint; shown in a notebook as two lines
    ├── ConfigError           the config file cannot be read, understood, or trusted
    │   ├── ConfigConflict    somebody else changed it meanwhile
    │   ├── ConfigUnwritable      its file, or the lock beside it, cannot be written
    │   ├── ConfigUnsure      it was written, and a power cut may undo that
    │   ├── EndpointNotFound
    │   ├── ProviderNotFound
    │   ├── AlreadyExists     an id that is taken
    │   ├── NotTrusted        the config would send keys or files where its user did not agree to
    │   └── SecretMissing     a key is not configured, or its variable is not set
    ├── PatternError          an @ reference that cannot be followed
    ├── NotAgreed             what was to be done was not agreed to
    ├── ContextTooLarge       over maxSizeKB, or over the model's context window
    ├── BudgetExceeded        the call would pass a spending limit
    ├── ProviderError         the provider refused, failed or could not be reached
    ├── SchemaError           a schema cannot be understood, or an answer does not fit it
    ├── ToolError             a command-line tool or the embedded model's process failed
    │   └── ToolNotReady      a command-line agent is missing, not logged in, or too old
    └── CallInterrupted       the user interrupted the call; in its reply, never raised

Messages are written for the person at the keyboard: one line on what happened, and a hint that is the next step.
They never hold a key.
"""

from __future__ import annotations

import os
import traceback
from typing import Any


class CcwError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: What happened, in one line.
        hint: The next step, in one line.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # The default passes only `args` to the constructor, which loses the keyword-only fields.
        return (type(self), (self.message,), self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: the lines shown under a cell. `CCW_DEBUG=1` shows the whole trace instead.

        The trace is the standard library's, never IPython's verbose one, which prints local variables.
        """
        if os.environ.get("CCW_DEBUG") == "1":
            return "".join(traceback.format_exception(self)).rstrip().split("\n")
        lines = [f"{type(self).__name__}: {self.message}"]
        return [*lines, self.hint] if self.hint else lines


class ConfigError(CcwError):
    """The config file cannot be read, is not of the right shape, or is not trusted."""


class ConfigConflict(ConfigError):
    """What was to be changed is no longer what the caller had seen; nothing was written."""


class ConfigUnwritable(ConfigError):
    """The config file, or the lock beside it, cannot be written now; nothing was changed."""


class ConfigUnsure(ConfigError):
    """The config file was replaced, and whether that outlasts a power cut is not known."""


class EndpointNotFound(ConfigError):
    """No endpoint has this id, or none is configured."""


class ProviderNotFound(ConfigError):
    """No provider has this id."""


class AlreadyExists(ConfigError):
    """A provider or an endpoint of this id is there already."""


class NotTrusted(ConfigError):
    """The config would send keys or files elsewhere, and its user has not accepted that."""


class SecretMissing(ConfigError):
    """A key is not configured, or the environment variable it names is not set."""


class PatternError(CcwError):
    """An @ reference that cannot be followed: outside the root, or not a valid pattern."""


class NotAgreed(CcwError):
    """What was to be done needs the user's leave, and has it not; nothing was done."""


class ContextTooLarge(CcwError):
    """The pack is over its size limit, or pack and prompt do not fit the model's context window."""


class BudgetExceeded(CcwError):
    """The call would pass a spending limit."""


class SchemaError(CcwError):
    """A schema cannot be understood, or the answer does not fit it; the reply keeps its text."""


class ProviderError(CcwError):
    """The provider refused, failed, or could not be reached.

    Args:
        message: What happened, in one line.
        hint: The next step, in one line.
        status: The HTTP status code, or None where no answer came.
        retryable: True where the same request may succeed later.
        retry_after_s: Seconds after which the provider asks to be asked again; None where it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ToolError(CcwError):
    """A command-line tool, or the embedded model's process, is missing, failed, or ended early."""


class ToolNotReady(ToolError):
    """A command-line agent, or the Node.js it runs on, is missing or too old, or the agent is not logged in."""


class CallInterrupted(CcwError):
    """The user interrupted the call: the error of its reply. What is raised is Python's KeyboardInterrupt."""

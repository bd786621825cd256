"""Why a command-line agent failed, in words, from its exit status and its last words."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from typing import Final

from ccw_magics.backends.base import AgentTask
from ccw_magics.backends.tool_commands import ToolFacts
from ccw_magics.backends.tool_guard import NOT_STARTED
from ccw_magics.backends.tool_secrets import line
from ccw_magics.config.credentials import Secret
from ccw_magics.errors import ToolError, ToolNotReady

GEMINI_UNTRUSTED: Final = 55
"""Exit code of gemini's `FatalUntrustedWorkspaceError`."""

GEMINI_NO_LOGIN: Final = 41
"""Exit code of gemini's `FatalAuthenticationError`."""

_OPTIONS: Final = re.compile(
    r"unexpected argument|unrecognized subcommand|invalid value '.*' for '--|Unknown arguments?:|Invalid values:"
    r"|(?i:unknown|unrecognized|invalid|no such) (?i:option)"
    r"|-h, --help +Show help +\[boolean\]\s*\Z"  # the end of the help, whose beginning says what was not understood
)
_NO_LOGIN: Final = re.compile(
    r"\b401\b(?!:\d)|unauthorized|not logged in|codex login|auth type is selected|set an auth method"
    r"|auth method selected|api.?key (not (valid|found)|is missing|is required)|invalid.api.key|incorrect api key"
    r"|missing api key",
    re.IGNORECASE,
)
_OLD_NODE: Final = re.compile(
    r"SyntaxError: |ERR_REQUIRE_ESM|ERR_UNKNOWN_BUILTIN|Unsupported engine|requires Node", re.IGNORECASE
)
_NO_NODE: Final = re.compile(r"env: .?node.?: No such file|node: not found|node: command not found")
_NOISE: Final = re.compile(r"^\s*(at |Node\.js v|Warning:|\[STARTUP\]|\d{4}-\d\d-\d\dT\S+ +WARN)|^\W*$")


def refuses_options(stderr: str) -> bool:
    """Whether it did not understand how it was called, as an old release does not."""
    return bool(_OPTIONS.search(stderr))


def too_old(tool: ToolFacts, found: str) -> ToolNotReady:
    """It lacks what is used here.

    Args:
        tool: Which.
        found: What it says its version is; empty where it says nothing.
    """
    needed = ".".join(map(str, tool.version))
    told = f"{tool.name} {found}" if found else f"this {tool.name}"
    return ToolNotReady(
        f"{told} does not know an option that is needed; {needed} does", hint=f"Update it: `{tool.install}`."
    )


def incomplete(tool: ToolFacts, timeout_s: float) -> ToolError:
    """It was still at work when its time was over."""
    return ToolError(
        f"{tool.name} was not done after {timeout_s:g} s, and was ended",
        hint="Ask for less at once, or allow more time; look at what it changed, where it could write.",
    )


def failed(
    tool: ToolFacts, task: AgentTask, status: int | None, told: str, stderr: str, secrets: Iterable[Secret]
) -> ToolError:
    """The error for an agent that did not come to its end.

    Args:
        tool: Which.
        task: What it was to do.
        status: Its exit code, negative for a signal, or None where it had to be ended.
        told: What it said itself went wrong, or an empty string.
        stderr: The end of its standard error.
        secrets: What must not be shown.
    """
    words = f"{told}\n{stderr}"
    if _NO_NODE.search(words):
        return ToolNotReady(f"{tool.name} needs Node.js, which is not on PATH", hint="Install Node.js 20 or later.")
    if _OLD_NODE.search(stderr):
        return ToolNotReady(f"the Node.js on PATH is too old for {tool.name}", hint="Install Node.js 20 or later.")
    if tool.name == "gemini" and status == GEMINI_UNTRUSTED:
        return ToolNotReady(
            f"gemini does not work in {task.directory}: it does not trust the folder",
            hint="Run `gemini` there once and trust it, if you do: its settings in `.gemini` then count too.",
        )
    reason = line(told or _last_line(stderr), secrets, longest_chars=300)
    if _NO_LOGIN.search(words) or (tool.name == "gemini" and status == GEMINI_NO_LOGIN):
        return ToolNotReady(f"{tool.name} is not logged in: {reason}", hint=f"Log in: {tool.login}.")
    end = _end(status)
    return ToolError(f"{tool.name} {end}: {reason}" if reason else f"{tool.name} {end}", hint=_hint(tool, status))


def _end(status: int | None) -> str:
    if status is None:
        return "did not end by itself"
    if status < 0:
        return f"was ended by {_signal(-status)}"
    return f"failed with exit status {status}" if status else "failed"


def _hint(tool: ToolFacts, status: int | None) -> str:
    if status == NOT_STARTED:
        return f"Try `{tool.name} --version` in a terminal."
    return f"Try the same with `{tool.name}` in a terminal; it may say more."


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(stderr: str) -> str:
    lines = [text for text in stderr.splitlines() if not _NOISE.search(text)]
    return lines[-1] if lines else ""

"""litellm at work on one request, and its answer as it is heard."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any, Final

from ccw_magics.backends.base import Event, Note, Text
from ccw_magics.backends.litellm_formats import Seen
from ccw_magics.errors import ProviderError

THINKING: Final = "thinking…"
NOTE_S: Final = 0.5
"""Seconds between two signs that a model thinks."""


class Asking:
    """litellm at work on a request, and the moment at which that leaves: its first call spends seconds before.

    Args:
        work: What gives the answer.
        seen: Whose wire tells that the request leaves.

    Attributes:
        leaves: Done when the request leaves, or will not.
        answer: litellm's answer.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], seen: Seen) -> None:
        self.leaves: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer = asyncio.create_task(work)
        self.answer.add_done_callback(self._ended)
        self._seen = seen
        seen.on_request = self._left

    def give_up(self) -> None:
        """Nobody waits any more: stop it at once, or before its request leaves.

        litellm prepares a request in a thread, which makes a coroutine; cancelled meanwhile, nobody would await that,
        and Python would warn of it.
        """
        if self.leaves.done() and not self.leaves.cancelled():
            self.answer.cancel()
        else:
            self._seen.is_given_up = True

    def _left(self) -> None:
        if not self.leaves.done():
            self.leaves.set_result(None)

    def _ended(self, answer: asyncio.Task[Any]) -> None:
        self._left()
        if not answer.cancelled():
            answer.exception()  # asked for, or asyncio logs one that nobody waited for


class Heard:
    """What has come of an answer.

    Args:
        takes_tool: Whether the answer is what the model calls a tool with.
    """

    def __init__(self, *, takes_tool: bool = False) -> None:
        self.has_text = False
        self._takes_tool = takes_tool
        self.reason: str | None = None
        self.usage_chunk: Any = None
        self._noted_at_s = -math.inf

    def whole(self, answer: Any) -> Event | None:
        """The text of an answer that came in one."""
        self.usage_chunk, choice = answer, answer.choices[0]
        self.reason = choice.finish_reason
        return self._said(choice.message)

    def event(self, chunk: Any) -> Event | None:
        """The chunk's text, or now and then a sign that the model is thinking."""
        if getattr(chunk, "usage", None) is not None:
            self.usage_chunk = chunk
        if not chunk.choices:
            return None
        self.reason = chunk.choices[0].finish_reason or self.reason
        delta = chunk.choices[0].delta
        if (said := self._said(delta)) is not None:
            return said
        now_s = time.monotonic()
        if getattr(delta, "reasoning_content", None) and now_s - self._noted_at_s >= NOTE_S:
            self._noted_at_s = now_s
            return Note(THINKING)
        return None

    def _said(self, message: Any) -> Text | None:
        """The text of a message, or of a piece of one."""
        calls = message.tool_calls if self._takes_tool else None
        text = "".join(call.function.arguments or "" for call in calls or ()) or message.content
        self.has_text = self.has_text or bool(text)
        return Text(text) if text else None


def no_text(provider: str, reason: str | None) -> ProviderError:
    """The error for an answer without any text; asking again helps only where it did not end so by a rule.

    Args:
        provider: Who answered.
        reason: Why the answer ended, in OpenAI's words.
    """
    why, hint = ENDS.get(reason or "", ("", "Ask again."))
    return ProviderError(f"{provider} answered without any text{why}", hint=hint, retryable=reason not in ENDS)


ENDS: Final = {
    "length": (" within its limit of tokens", "Raise --max-tokens: what a model thinks counts too."),
    "content_filter": (
        ": its content filter withheld it",
        "Change the prompt, or leave out the files that the filter may object to; asking again does not help.",
    ),
}
"""Ends that come again with the same request: what to say of each, and the next step."""

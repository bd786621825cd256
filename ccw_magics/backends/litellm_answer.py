"""litellm at work on one request, and its answer as it is heard."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any, Final

from ccw_magics.backends.base import Event, Note, Text
from ccw_magics.backends.litellm_formats import Seen

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
        seen.on_request = self._left

    def _left(self) -> None:
        if not self.leaves.done():
            self.leaves.set_result(None)

    def _ended(self, answer: asyncio.Task[Any]) -> None:
        self._left()
        if not answer.cancelled():
            answer.exception()  # asked for, or asyncio logs one that nobody waited for


class Heard:
    """What has come of a streamed answer."""

    def __init__(self) -> None:
        self.has_text = False
        self.reason: str | None = None
        self.usage_chunk: Any = None
        self._noted_at_s = -math.inf

    def event(self, chunk: Any) -> Event | None:
        """The chunk's text, or now and then a sign that the model is thinking."""
        if getattr(chunk, "usage", None) is not None:
            self.usage_chunk = chunk
        if not chunk.choices:
            return None
        self.reason = chunk.choices[0].finish_reason or self.reason
        delta = chunk.choices[0].delta
        if delta.content:
            self.has_text = True
            return Text(delta.content)
        now_s = time.monotonic()
        if getattr(delta, "reasoning_content", None) and now_s - self._noted_at_s >= NOTE_S:
            self._noted_at_s = now_s
            return Note(THINKING)
        return None

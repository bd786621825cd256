"""What has come of one request so far: written by the worker, read by whoever waits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ccw_magics.backends.base import Done
from ccw_magics.calls.reply import Attempt


@dataclass
class Progress:
    """The answer as far as it has come, and the tries it took.

    Attributes:
        started: When the request began, on `time.perf_counter`'s clock.
        pieces: The answer until now.
        first_token_s: Seconds until the first piece; None before it.
        done: The account at the end of the answer.
        attempts: The tries that ended, whatever their outcome.
    """

    started: float = field(default_factory=time.perf_counter)
    pieces: list[str] = field(default_factory=list)
    first_token_s: float | None = None
    done: Done = field(default_factory=Done)
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.started

    def add(self, text: str) -> None:
        """Take a piece of the answer."""
        if self.first_token_s is None:
            self.first_token_s = self.elapsed_s
        self.pieces.append(text)

    def begin_anew(self) -> None:
        """Drop what came of an answer that broke off, before it is asked for again."""
        self.pieces.clear()
        self.first_token_s = None

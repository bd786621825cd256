"""What ends a command from outside: Ctrl-C, SIGTERM, and SIGHUP when its terminal is closed."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Final

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")
HURRY_S: Final = 1.0
"""A second signal sooner than this is the same impatient hand, and what came is still being recorded."""


class Stopped(KeyboardInterrupt):
    """A signal ended the command: an interrupt, whichever it was, since what came is to be kept.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Ender:
    """Handles the signals: the first one in order, a later one at once."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._stopped_at_s = 0.0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._first is None:
            self._first, self._stopped_at_s = number, now_s
            raise Stopped(number)
        if now_s - self._stopped_at_s > HURRY_S:
            os._exit(128 + self._first)


def watch() -> None:
    """Handle the signals from now on, but for those that whoever started the process has it ignore, as `nohup` does."""
    ender = _Ender()
    for name in _NAMES:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, ender)


def stopped_by(error: BaseException) -> int | None:
    """The signal behind an error, or behind what click made of it; None where there was none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return getattr(seen, "number", signal.SIGINT)
        seen = seen.__cause__ or seen.__context__
    return None

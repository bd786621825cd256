"""One try: the backend's events as they come, each within its time, keys taken out of the text."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from ccw_magics.backends.base import Backend, Done, Event, ModelCall, Note, Sent, Text
from ccw_magics.calls.progress import Progress
from ccw_magics.calls.worker import OnOutput
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import AdvancedSettings
from ccw_magics.config.redactor import Redactor
from ccw_magics.errors import ProviderError


@dataclass(frozen=True)
class _Wait:
    """How long the next event may take; None for as long as it likes."""

    seconds: float | None = None
    missed: str = ""
    setting: str = ""


async def hear(
    backend: Backend,
    call: ModelCall,
    settings: AdvancedSettings,
    secrets: Iterable[Secret],
    progress: Progress,
    emit: OnOutput,
    on_sent: Callable[[], None],
) -> None:
    """Take in one answer.

    Args:
        backend: Who answers.
        call: What is asked.
        settings: The provider's time limits.
        secrets: What must not be shown, whoever says it.
        progress: Where the answer goes.
        emit: Told of each piece and each note.
        on_sent: Called when the request leaves.

    Raises:
        CcwError: The backend's failure, or a `ProviderError` for an answer that is late.
    """
    redactor, patience = Redactor(secrets), _Patience()
    try:
        async with patience.timeout, aclosing(backend.stream(call)) as events:
            async for event in events:
                match event:
                    case Sent():
                        on_sent()
                    case Text(text):
                        _pass_on(redactor.feed(text), progress, emit)
                    case Note(text):
                        emit("stderr", text)
                    case Done():
                        progress.ends.append(event)
                patience.expect(_wait_after(event, call, settings))
    except TimeoutError:
        pass
    else:
        return
    finally:
        patience.end()
        _pass_on(redactor.flush(), progress, emit)
    raise late_error(call, patience.wait.missed, patience.wait.seconds or 0.0, patience.wait.setting)


class _Patience:
    """How long the next event may take. One timer watches a whole answer: one for each piece would cost more than it.

    Attributes:
        timeout: What is around the answer, and ends it.
        wait: What is waited for.
    """

    def __init__(self) -> None:
        self.timeout = asyncio.timeout(None)
        self.wait = _Wait()
        self._loop = asyncio.get_running_loop()
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, wait: _Wait) -> None:
        """Begin to wait for the next event."""
        self.wait = wait
        self._due = math.inf if wait.seconds is None else self._loop.time() + wait.seconds
        if self._timer is None or self._due < self._timer.when():
            self.end()
            self._watch()

    def end(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        """Look again when the time is over, which events since then have put off."""
        if self._loop.time() >= self._due:
            self.timeout.reschedule(self._due)
        elif self._due < math.inf:
            self._timer = self._loop.call_at(self._due, self._watch)
        else:
            self._timer = None


def _wait_after(event: Event, call: ModelCall, settings: AdvancedSettings) -> _Wait:
    if not call.stream:
        return _Wait()
    if isinstance(event, Sent):
        return _Wait(settings.first_token_timeout, "did not begin to answer", "firstTokenTimeout")
    return _Wait(settings.between_tokens_timeout, "fell silent: nothing came", "betweenTokensTimeout")


def late_error(call: ModelCall, missed: str, seconds: float, setting: str) -> ProviderError:
    """The error for an answer that is late; `setting` is what the user may raise."""
    return ProviderError(
        f"{call.provider_type} {missed} within {seconds:g} s",
        hint="Ask for less at once." if call.agent else f"Ask again, or raise advancedSettings.{setting}.",
        retryable=True,
    )


def _pass_on(text: str, progress: Progress, emit: OnOutput) -> None:
    if text:
        progress.add(text)
        emit("stdout", text)

"""One try: the backend's events as they come, each within its time, keys taken out of the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from ccw_magics.backends.base import Backend, Done, Event, ModelCall, Note, Sent, Text
from ccw_magics.calls.progress import Progress
from ccw_magics.calls.redactor import Redactor
from ccw_magics.calls.worker import OnOutput
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import AdvancedSettings
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
    redactor, wait = Redactor(secrets), _Wait()
    try:
        async with aclosing(backend.stream(call)) as events:
            while (event := await _next(events, wait, call)) is not None:
                match event:
                    case Sent():
                        on_sent()
                    case Text(text):
                        _pass_on(redactor.feed(text), progress, emit)
                    case Note(text):
                        emit("stderr", text)
                    case Done():
                        progress.ends.append(event)
                wait = _wait_after(event, call, settings)
    finally:
        _pass_on(redactor.flush(), progress, emit)


async def _next(events: AsyncGenerator[Event, None], wait: _Wait, call: ModelCall) -> Event | None:
    try:
        async with asyncio.timeout(wait.seconds):
            return await anext(events, None)
    except TimeoutError:
        pass
    raise late_error(call, wait.missed, wait.seconds or 0.0, wait.setting)


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
        hint=f"Ask again, or raise advancedSettings.{setting}.",
        retryable=True,
    )


def _pass_on(text: str, progress: Progress, emit: OnOutput) -> None:
    if text:
        progress.add(text)
        emit("stdout", text)

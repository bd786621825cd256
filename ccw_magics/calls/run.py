"""One request from its begin to its reply, over all the endpoints that are asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ccw_magics.calls.preparation import Prepared
from ccw_magics.calls.progress import Progress
from ccw_magics.calls.replay import done_again
from ccw_magics.calls.reply import Attempt, Reply
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route
from ccw_magics.calls.spending import Allowance
from ccw_magics.calls.worker import OnOutput
from ccw_magics.errors import CallInterrupted, CcwError, ContextTooLarge, ProviderError, SecretMissing, ToolError
from ccw_magics.journal import Recorded

FALLS_BACK: Final = (ProviderError, ToolError, SecretMissing, ContextTooLarge)
"""Failures that another endpoint need not have."""


@dataclass
class _Asked:
    """An endpoint that was asked, and how far that went."""

    endpoint_id: str
    route: Route | None = None
    prepared: Prepared | None = None
    error: CcwError | None = None
    tries_before: int = 0


@dataclass
class Run:
    """What is known of a request while it is under way.

    Attributes:
        request: What was asked.
        allowance: What it may spend.
        progress: What has come.
        asked_at: When, in UTC.
        recording: Held by whoever records it.
        recorded: Its reply, once that is in the journal.
        is_answered: Whether the answer is complete.
        data: The answer as an object, where one was asked for.
        warnings: What the user should know beside the answer.
    """

    request: Request
    allowance: Allowance
    progress: Progress = field(default_factory=Progress)
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    recording: threading.Lock = field(default_factory=threading.Lock)
    recorded: Reply | None = None
    data: Any = None
    warnings: list[str] = field(default_factory=list)
    _asked: list[_Asked] = field(default_factory=list)
    is_answered: bool = False
    _replayed: Recorded | None = None

    def endpoint_ids(self, emit: OnOutput) -> Iterator[str | None]:
        """Whom to ask, one after the other, until one answers; None is the default endpoint."""
        self._asked.append(_Asked(self.request.endpoint_id or ""))
        yield self.request.endpoint_id
        first = self._asked[0]
        for endpoint_id in first.route.endpoint.fallback if first.route is not None else ():
            if any(endpoint_id == asked.endpoint_id for asked in self._asked):
                continue
            failed = self._asked[-1].error
            if failed is None or self.progress.pieces or not isinstance(first.error, FALLS_BACK):
                return
            emit("stderr", f"{failed.message}; asking {endpoint_id} instead")
            self._asked.append(_Asked(endpoint_id, tries_before=len(self.progress.attempts)))
            yield endpoint_id

    def goes_to(self, route: Route) -> None:
        """The endpoint at hand was found."""
        self._asked[-1].route, self._asked[-1].endpoint_id = route, route.endpoint.id

    def is_ready(self, prepared: Prepared) -> None:
        """The call to the endpoint at hand is complete."""
        self._asked[-1].prepared = prepared
        self.warnings.extend(prepared.remarks)

    def is_replayed(self, answer: Recorded) -> None:
        """The answer is a recorded one; perhaps of an endpoint that answered instead of the one that is asked now."""
        asked = self._asked[-1]
        if answer.endpoint != asked.endpoint_id:
            self.progress.attempts.append(Attempt(asked.endpoint_id))
            asked.endpoint_id = answer.endpoint
        self.progress.ends.append(done_again(answer))
        self.progress.add(answer.output)
        self.data = asked.prepared.data if asked.prepared is not None else None
        self._replayed = answer
        self.answered()

    def answered(self) -> None:
        """The answer is complete; what breaks off after that is no longer the request."""
        self.is_answered = True

    def failed(self, error: CcwError) -> None:
        """The endpoint at hand could not be asked, or did not answer."""
        asked = self._asked[-1]
        # Without its frames, which would keep the pack's text alive as long as the reply.
        asked.error = error.with_traceback(None)
        if len(self.progress.attempts) == asked.tries_before:
            self.progress.attempts.append(Attempt(asked.endpoint_id, error=error.message))

    def broken_off(self, reason: BaseException) -> None:
        """The caller was interrupted, or what it called with the output raised something."""
        if self.is_answered:
            return
        is_interrupt = isinstance(reason, (KeyboardInterrupt, asyncio.CancelledError))
        at_hand = self._asked[-1] if self._asked else _Asked(self.request.endpoint_id or "")
        at_hand.error = self._interrupted() if is_interrupt else CcwError(f"broken off: {reason}")
        self._asked = [at_hand]

    def _interrupted(self) -> CallInterrupted:
        return CallInterrupted("interrupted; what had come is kept" if self.progress.pieces else "interrupted")

    @property
    def prepared(self) -> Prepared | None:
        """The call that the reply is about."""
        return self._subject.prepared

    @property
    def _subject(self) -> _Asked:
        """Who answered, or began to; where nobody did, who was asked first."""
        last = self._asked[-1]
        return last if last.error is None or self.progress.pieces else self._asked[0]

    @property
    def all_prepared(self) -> list[Prepared]:
        """The calls to all who were asked, in order."""
        return [asked.prepared for asked in self._asked if asked.prepared is not None]

    def reply(self) -> Reply:
        """What came of it; with an error that names what each fallback failed of, where all failed."""
        asked, progress, done = self._subject, self.progress, self.progress.total()
        pack = asked.prepared.pack if asked.prepared is not None else None
        return Reply(
            success=asked.error is None,
            output="".join(progress.pieces),
            model=done.model or (asked.route.endpoint.model if asked.route is not None else ""),
            provider=self._provider(asked),
            endpoint=asked.endpoint_id,
            cache_used=pack is not None and bool(pack.files),
            cached_files=pack.files if pack is not None else (),
            usage=done.usage,
            cost_usd=done.cost_usd,
            uncached_cost_usd=done.uncached_cost_usd,
            is_cut=done.is_cut,
            cut_by="--max-cost" if self.allowance.has_lowered else "--max-tokens",
            duration_s=progress.elapsed_s,
            first_token_s=progress.first_token_s,
            pack=pack.handle() if pack is not None else None,
            attempts=tuple(progress.attempts),
            has_several_keys=asked.prepared is not None and len(asked.prepared.keys) > 1,
            replayed_at=self._replayed.at if self._replayed is not None else None,
            chat=self.request.chat or "",
            data=self.data if asked.error is None else None,
            warnings=tuple(self.warnings),
            failure=self._failure(asked),
        )

    def _provider(self, asked: _Asked) -> str:
        if self._replayed is not None:
            return self._replayed.provider
        return asked.route.provider.type if asked.route is not None else ""

    def _failure(self, asked: _Asked) -> CcwError | None:
        """The subject's error; its hint says why those that were asked instead did not answer either."""
        others = "; ".join(f"{other.endpoint_id}: {other.error.message}" for other in self._asked if other.error)
        if asked.error is None or len(self._asked) == 1:
            return asked.error
        told = copy(asked.error)
        told.__cause__ = asked.error.__cause__
        told.hint = f"{told.hint or ''} All that were asked: {others}".strip()
        return told

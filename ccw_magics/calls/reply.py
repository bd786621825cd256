"""The answer to one call, with the account of it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, ClassVar, Self

from ccw_magics.backends.base import Usage
from ccw_magics.context.pack import PackHandle
from ccw_magics.errors import CallInterrupted, CcwError
from ccw_magics.journal import readable_usd


@dataclass(frozen=True)
class Attempt:
    """One try to get the answer.

    Attributes:
        endpoint: The endpoint's id.
        key: The key that was used, masked; empty where there is none.
        error: What went wrong, in one line; empty for success.
        waited_s: Seconds waited before this try, for a retry or for a limit.
    """

    BROKEN_OFF: ClassVar = "broken off"
    """The error of a try that was interrupted, or ran out of time."""

    endpoint: str
    key: str = ""
    error: str = ""
    waited_s: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What came back, and what it took.

    A reply holds no pack text and no open resource: a notebook's `Out` keeps every one of them alive.

    Attributes:
        success: Whether the whole answer arrived.
        output: The answer, or as much of it as came before a failure or an interrupt.
        model: The model that answered, as its provider names it.
        provider: The provider's type, such as `openai`.
        endpoint: The endpoint's id.
        cache_used: Whether a pack of files was sent along (CCW's meaning of the word).
        cached_files: The files in that pack, relative to the project root, sorted.
        usage: Tokens as the provider counted them; None where it did not say.
        cost_usd: US dollars; None where the price is unknown, never 0 for unknown.
        uncached_cost_usd: What it would have cost without the provider's cache; None likewise.
        is_cut: Whether the answer ends at its limit of tokens.
        cut_by: The option that set the limit where it ends, `--max-tokens` or `--max-cost`.
        duration_s: Seconds from the request to the end of the answer.
        first_token_s: Seconds until the first text; None where none came.
        pack: What was sent along, without its text; None where nothing was.
        attempts: The tries it took, in order, the last one included.
        has_several_keys: Whether the provider has more than one key.
        replayed_at: When the answer was first given, in UTC, where it is a recorded one; None for a new one.
        chat: The conversation that it is a turn of; empty for none.
        data: The answer as an object of the schema that was asked for; None without one, or where it does not fit.
        warnings: What went wrong beside the call, such as a journal that cannot be written.
        failure: The typed error of a call that failed; None for success.
    """

    success: bool
    output: str = ""
    model: str = ""
    provider: str = ""
    endpoint: str = ""
    cache_used: bool = False
    cached_files: tuple[str, ...] = ()
    usage: Usage | None = None
    cost_usd: float | None = None
    uncached_cost_usd: float | None = None
    is_cut: bool = False
    cut_by: str = "--max-tokens"
    duration_s: float = 0.0
    first_token_s: float | None = None
    pack: PackHandle | None = None
    attempts: tuple[Attempt, ...] = ()
    has_several_keys: bool = False
    replayed_at: datetime | None = None
    chat: str = ""
    data: Any = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    failure: CcwError | None = field(default=None, repr=False)

    @property
    def error(self) -> str | None:
        """The failure's message and hint as text; None for success."""
        return None if self.failure is None else str(self.failure)

    @property
    def key(self) -> str:
        """The key of the last try at this endpoint, masked; empty where there was none."""
        return next((tried.key for tried in reversed(self.attempts) if tried.endpoint == self.endpoint), "")

    @property
    def retries(self) -> int:
        """How often the endpoint was asked again."""
        return max(0, sum(tried.endpoint == self.endpoint for tried in self.attempts) - 1)

    @property
    def fallback_from(self) -> str:
        """The endpoint that was asked first, where another one answered; else empty."""
        first = self.attempts[0].endpoint if self.attempts else self.endpoint
        return first if first != self.endpoint else ""

    def raise_for_error(self) -> Self:
        """Return this reply, or raise the typed error of a call that failed."""
        if self.failure is not None:
            # A copy: raising hangs frames on an error, and the reply would keep them, and all in them, alive.
            raise copy(self.failure) from self.failure.__cause__
        return self

    def __repr__(self) -> str:
        return f"<Reply {self.summary()}>"

    def summary(self) -> str:
        """One line: endpoint, model, seconds, tokens, cost, files. The footer under an answer."""
        parts = [self.endpoint, self.model, *self._account(), f"chat {self.chat}" if self.chat else ""]
        if self.has_several_keys and self.key:
            parts.append(f"key {self.key}")
        if self.retries:
            parts.append(f"{self.retries} {'retry' if self.retries == 1 else 'retries'}")
        if self.cached_files:
            parts.append(f"{len(self.cached_files)} file{'s' if len(self.cached_files) != 1 else ''}")
        if not self.success:
            is_interrupted = isinstance(self.failure, CallInterrupted)
            parts.append("interrupted" if is_interrupted else "incomplete" if self.output else "failed")
        return " · ".join(part for part in parts if part)

    def remarks(self) -> list[str]:
        """What the user should know: tries that failed, an answer that was cut, references that matched nothing."""
        said = [*self._failed_tries()]
        if self.fallback_from:
            said.append(f"{self.endpoint} was asked instead of {self.fallback_from}")
        if self.is_cut:
            said.append(f"the answer ends at its limit of tokens; {self.cut_by} sets it")
        if self.pack is not None:
            said += [f"{reference} matched no file; it was sent as text only" for reference in self.pack.unmatched]
            said += self.pack.warnings
        return [*said, *self.warnings]

    def _failed_tries(self) -> Iterator[str]:
        """What went wrong before the outcome, in order; the same thing several times in one line."""
        no_news = {"", Attempt.BROKEN_OFF, self.failure.message if self.failure is not None else ""}
        failed = ((self._named(tried), tried.error) for tried in self.attempts if tried.error not in no_news)
        for (who, error), times in groupby(failed):
            count = len([*times])
            yield f"{who}: {error.rstrip('.')} ({count} times)" if count > 1 else f"{who}: {error}"

    def _named(self, tried: Attempt) -> str:
        has_key = self.has_several_keys and tried.key and tried.endpoint == self.endpoint
        return f"{tried.endpoint}, key {tried.key}" if has_key else tried.endpoint

    def _account(self) -> list[str]:
        """Seconds, tokens and cost; of a recorded answer, when it was given."""
        if self.replayed_at is not None:
            return [f"replayed from {self.replayed_at.astimezone():%Y-%m-%d %H:%M}", "free"]
        return [f"{self.duration_s:.1f} s", *self._tokens(), self._cost()]

    def _tokens(self) -> list[str]:
        if self.usage is None:
            return ["tokens unknown"]
        usage = self.usage
        return [
            f"{usage.input_tokens:,} tokens in ({usage.cached_input_tokens:,} cached)",
            f"{usage.output_tokens:,} out",
        ]

    def _cost(self) -> str:
        if self.cost_usd is None:
            return "cost unknown"
        return "free" if self.cost_usd == 0 else readable_usd(self.cost_usd)

"""The answer to one call, with the account of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from ccw_magics.backends.base import Usage
from ccw_magics.context.pack import PackHandle
from ccw_magics.errors import CcwError


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
        is_cut: Whether the answer ends at its limit of tokens.
        duration_s: Seconds from the request to the end of the answer.
        first_token_s: Seconds until the first text; None where none came.
        pack: What was sent along, without its text; None where nothing was.
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
    is_cut: bool = False
    duration_s: float = 0.0
    first_token_s: float | None = None
    pack: PackHandle | None = None
    failure: CcwError | None = field(default=None, repr=False)

    @property
    def error(self) -> str | None:
        """The failure's message and hint as text; None for success."""
        return None if self.failure is None else str(self.failure)

    def raise_for_error(self) -> Self:
        """Return this reply, or raise the typed error of a call that failed."""
        if self.failure is not None:
            raise self.failure
        return self

    def __repr__(self) -> str:
        return f"<Reply {self.summary()}>"

    def summary(self) -> str:
        """One line: endpoint, model, seconds, tokens, cost, files. The footer under an answer."""
        parts = [self.endpoint, self.model, f"{self.duration_s:.1f} s", *self._tokens(), self._cost()]
        if self.cached_files:
            parts.append(f"{len(self.cached_files)} file{'s' if len(self.cached_files) != 1 else ''}")
        if not self.success:
            parts.append("incomplete" if self.output else "failed")
        return " · ".join(part for part in parts if part)

    def remarks(self) -> list[str]:
        """What the user should know: an answer that was cut, references that matched nothing, warnings on files."""
        cut = ["the answer ends at its limit of tokens; --max-tokens sets it"] if self.is_cut else []
        if self.pack is None:
            return cut
        unmatched = [f"{reference} matched no file; it was sent as text only" for reference in self.pack.unmatched]
        return [*cut, *unmatched, *self.pack.warnings]

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
        return "free" if self.cost_usd == 0 else f"${self.cost_usd:.4f}"

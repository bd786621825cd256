"""What was asked, and what it cost: the journal as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from ccw_magics.stats.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from ccw_magics.journal import Call, Entry, Sums
    from ccw_magics.workspace import Workspace

_TEXT: Final = "str"
_TOKENS: Final = "Int64"
_MONEY: Final = "float64"
_HISTORY: Final = {
    "id": "int64",
    "at": "datetime64[us, UTC]",
    "endpoint": _TEXT,
    "provider": _TEXT,
    "model": _TEXT,
    "mode": _TEXT,
    "outcome": _TEXT,
    "input_tokens": _TOKENS,
    "cached_tokens": _TOKENS,
    "written_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "cost_usd": _MONEY,
    "saved_usd": _MONEY,
    "duration_s": "float64",
    "first_token_s": "float64",
    "retries": "int64",
    "fallback_from": _TEXT,
    "key": _TEXT,
    "chat": _TEXT,
    "files": "int64",
    "prompt": _TEXT,
    "prompt_hash": _TEXT,
    "pack_hash": _TEXT,
}
_BRIEF_HISTORY: Final = (
    "id",
    "at",
    "endpoint",
    "model",
    "outcome",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_usd",
    "duration_s",
    "prompt",
)
_KEYS: Final = {"day": "datetime64[s]", "endpoint": _TEXT, "model": _TEXT}
_SUMS: Final = {
    "calls": "int64",
    "failed": "int64",
    "replayed": "int64",
    "input_tokens": _TOKENS,
    "cached_tokens": _TOKENS,
    "written_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "cached_share": "float64",
    "cost_usd": _MONEY,
    "unpriced": "int64",
    "saved_usd": _MONEY,
}
HISTORY_COLUMNS: Final = tuple(_HISTORY)
USAGE_KEYS: Final = tuple(_KEYS)
"""What `usage` can sum by."""
USAGE_SUMS: Final = tuple(_SUMS)
_NO_CALLS: Final = "no calls recorded yet: a cell that begins with %%ccw makes one"


def history(
    workspace: Workspace, *, limit: int | None = 100, since: datetime | None = None, endpoint: str | None = None
) -> Table:
    """One row per recorded call, newest first.

    Columns: id, at (UTC), endpoint, provider, model, mode, outcome (`ok`, `cut`, `replayed`, `interrupted`, or an
    error's name), input_tokens (cached and written ones included), cached_tokens, written_tokens, output_tokens,
    cost_usd, saved_usd (by the provider's cache; below 0 where writing to it cost more), duration_s, first_token_s,
    retries, fallback_from, key (masked), chat (the conversation), files (how many), prompt (its first 60 characters),
    prompt_hash, pack_hash. None for what is not known.

    Args:
        workspace: The project.
        limit: At most so many; None for all.
        since: Calls asked at this time or later; local where it has no time zone.
        endpoint: Calls of this endpoint.

    Raises:
        CcwError: The journal cannot be read.
    """
    entries = workspace.journal.calls(limit=limit, since=since, endpoint=endpoint)
    rows = [_history_row(entry) for entry in entries]
    return Table(HISTORY_COLUMNS, rows, empty=_NO_CALLS, dtypes=_HISTORY, brief=_BRIEF_HISTORY)


def usage(workspace: Workspace, *, since: datetime | None = None, by: Sequence[str] = USAGE_KEYS) -> Table:
    """One row per day, endpoint and model, or per those of them that `by` names; newest day first, then by name.

    Columns: those of `by` (day is the local date), calls, failed (ended in an error; an interrupt is none),
    replayed (recorded answers, given again at no cost),
    input_tokens, cached_tokens, written_tokens, output_tokens, cached_share (cached to input tokens), cost_usd,
    unpriced (calls whose cost is not known, and not in the sum, though there was something to pay for: they succeeded,
    or used tokens, or text came), saved_usd. A sum of which nothing is known is None.

    Args:
        workspace: The project.
        since: Calls asked at this time or later; local where it has no time zone.
        by: Some of `USAGE_KEYS`, in the order of the columns.

    Raises:
        ValueError: `by` names something else.
        CcwError: The journal cannot be read.
    """
    names = tuple(dict.fromkeys(by))
    if not set(names) <= set(USAGE_KEYS):
        raise ValueError(f"calls are summed by {', '.join(USAGE_KEYS)}, not by {', '.join(names)}")
    rows = [_usage_row(sums) for sums in sorted(workspace.journal.sums(by=names, since=since), key=_place)]
    dtypes = {**{name: _KEYS[name] for name in names}, **_SUMS}
    return Table(tuple(dtypes), rows, empty=_NO_CALLS, dtypes=dtypes, brief=tuple(dtypes))


def history_frame(
    workspace: Workspace, *, limit: int | None = 100, since: datetime | None = None, endpoint: str | None = None
) -> pd.DataFrame:
    """`history` as a DataFrame, one row per call, newest first.

    `at` is datetime64[us, UTC]; tokens are Int64, missing where nobody said; money and seconds float64, NaN where
    not known; id, retries and files int64; the rest is str.
    """
    return history(workspace, limit=limit, since=since, endpoint=endpoint).frame()


def usage_frame(workspace: Workspace, *, since: datetime | None = None, by: Sequence[str] = USAGE_KEYS) -> pd.DataFrame:
    """`usage` as a DataFrame, one row per combination of `by`.

    `day` is datetime64[s] without a zone (the local date); calls, failed, replayed and unpriced are int64, tokens
    Int64, cached_share, cost_usd and saved_usd float64.
    """
    return usage(workspace, since=since, by=by).frame()


def _history_row(entry: Entry) -> tuple[object, ...]:
    call = entry.call
    known = {"id": entry.id, "saved_usd": _saved(call), "files": len(call.files), "prompt": entry.opening}
    return tuple(known[name] if name in known else getattr(call, name) for name in HISTORY_COLUMNS)


def _place(sums: Sums) -> tuple[object, ...]:
    return tuple(-part.toordinal() if isinstance(part, date) else part for part in sums.key)


def _usage_row(sums: Sums) -> tuple[object, ...]:
    return (*sums.key, *(getattr(sums, name) for name in USAGE_SUMS))


def _saved(call: Call) -> float | None:
    if call.cost_usd is None or call.uncached_cost_usd is None:
        return None
    return call.uncached_cost_usd - call.cost_usd

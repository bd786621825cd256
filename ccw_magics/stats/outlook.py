"""What a call would send, what was said in conversations, what was spent and may be: as tables and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccw_magics.stats.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from ccw_magics.calls.plan import Plan
    from ccw_magics.workspace import Workspace

_PLAN: Final = {
    "part": "str",
    "files": "int64",
    "size_bytes": "int64",
    "tokens": "Int64",
    "cold_usd": "float64",
    "cached_usd": "float64",
    "window_share": "float64",
}
PLAN_COLUMNS: Final = tuple(_PLAN)
_SENT_COLUMNS: Final = PLAN_COLUMNS[:3]
_CHATS: Final = {
    "name": "str",
    "turns": "int64",
    "endpoint": "str",
    "size_bytes": "int64",
    "updated_at": "datetime64[us, UTC]",
    "opening": "str",
}


def plan(wanted: Plan) -> Table:
    """One row per part of what would be sent: each reference, the prompt, the expected answer, and the total last.

    Columns: part, files, size_bytes (as sent), tokens (about), cold_usd (US dollars where nothing is cached),
    cached_usd (where the prefix that stays the same is read from the provider's cache), window_share (of the model's
    context window). What is not known is missing. Of an agent, of which nobody knows how it reads and bills, there are
    only part, files and size_bytes, and no answer.
    """
    rows = [tuple(vars(part).values()) for part in wanted.parts]
    width = len(_SENT_COLUMNS)
    is_known = any(cell is not None for row in rows for cell in row[width:])
    columns = PLAN_COLUMNS if is_known else _SENT_COLUMNS
    dtypes = {name: _PLAN[name] for name in columns}
    return Table(columns, [row[: len(columns)] for row in rows], dtypes=dtypes, brief=columns)


def plan_frame(wanted: Plan) -> pd.DataFrame:
    """`plan` as a DataFrame."""
    return plan(wanted).frame()


def plan_notes(wanted: Plan) -> list[str]:
    """Who would be asked, and what the user should know before sending."""
    window = f", window {wanted.window_tokens:,} tokens" if wanted.window_tokens else ""
    lines = [f"{wanted.endpoint} ({wanted.model or 'the model of its own choice'}{window}); nothing was sent"]
    if wanted.replayed_at is not None:
        lines.append(f"the answer of {wanted.replayed_at.astimezone():%Y-%m-%d %H:%M} would be replayed, at no cost")
    return [*lines, *wanted.remarks]


def chats(workspace: Workspace) -> Table:
    """One row per conversation, the last used first: name, turns, endpoint, size_bytes, updated_at (UTC), opening."""
    rows = [
        (row.name, row.turns, row.endpoint, row.size_bytes, row.updated_at, row.opening)
        for row in workspace.journal.chats.names()
    ]
    return Table(
        tuple(_CHATS),
        rows,
        empty="no conversations yet: --chat begins one",
        dtypes=_CHATS,
        brief=tuple(_CHATS),
    )


def chats_frame(workspace: Workspace) -> pd.DataFrame:
    """`chats` as a DataFrame."""
    return chats(workspace).frame()


def spending(workspace: Workspace) -> list[str]:
    """What was spent today and in this kernel, and what the limits leave, in words.

    What a killed kernel had reserved counts as reserved for the rest of the day: its calls may have been billed.
    """
    from ccw_magics.calls.spending import midnight, purse_of  # it brings asyncio, which a table of packs needs not

    limits = workspace.config.load().budget
    today, purse = workspace.journal.ledger.spent(midnight()), purse_of(workspace.root)
    lines = [
        _line("today", today.calls_usd, today.reserved_usd, limits.per_day_usd),
        _line("this kernel", purse.spent_usd, purse.reserved_usd, limits.per_kernel_usd),
    ]
    if today.unpriced_calls:
        calls = "1 call" if today.unpriced_calls == 1 else f"{today.unpriced_calls:,} calls"
        lines.append(f"{'not counted':<12} {calls} today whose cost nobody knows")
    if limits.per_day_usd is None and limits.per_kernel_usd is None:
        lines.append("`budget --per-day 5 --per-kernel 1` sets limits, in US dollars.")
    return lines


def _line(when: str, spent_usd: float, reserved_usd: float, limit_usd: float | None) -> str:
    from ccw_magics.calls.spending import TOLERANCE_USD
    from ccw_magics.journal import readable_usd

    held = f" and {readable_usd(reserved_usd)} reserved for calls under way" if reserved_usd > TOLERANCE_USD else ""
    return f"{when:<12} {readable_usd(spent_usd)} spent{held}{_limit(spent_usd + reserved_usd, limit_usd)}"


def _limit(taken_usd: float, limit_usd: float | None) -> str:
    if limit_usd is None:
        return ", no limit"
    left_usd = limit_usd - taken_usd
    from ccw_magics.journal import readable_usd

    rest = f"{readable_usd(left_usd)} left" if left_usd >= 0 else f"passed by {readable_usd(-left_usd)}"
    return f" of {readable_usd(limit_usd)}, {rest}"

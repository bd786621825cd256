"""Endpoints, providers, packs and calls as tables: plain rows for a shell, pandas DataFrames for a notebook.

pandas is imported when a frame is asked for, never before.
"""

from __future__ import annotations

from ccw_magics.stats.account import (
    HISTORY_COLUMNS,
    USAGE_KEYS,
    USAGE_SUMS,
    history,
    history_frame,
    usage,
    usage_frame,
)
from ccw_magics.stats.answers import answers, answers_frame
from ccw_magics.stats.outlook import PLAN_COLUMNS, chats, chats_frame, plan, plan_frame, plan_notes, spending
from ccw_magics.stats.project import (
    BYTES_PER_TOKEN,
    CACHE_COLUMNS,
    cache,
    cache_frame,
    endpoints,
    endpoints_frame,
    pack_files,
    pack_frame,
    providers,
    providers_frame,
)
from ccw_magics.stats.table import Table, readable, shown

__all__ = [
    "BYTES_PER_TOKEN",
    "CACHE_COLUMNS",
    "HISTORY_COLUMNS",
    "PLAN_COLUMNS",
    "USAGE_KEYS",
    "USAGE_SUMS",
    "Table",
    "answers",
    "answers_frame",
    "cache",
    "cache_frame",
    "chats",
    "chats_frame",
    "endpoints",
    "endpoints_frame",
    "history",
    "history_frame",
    "pack_files",
    "pack_frame",
    "plan",
    "plan_frame",
    "plan_notes",
    "providers",
    "providers_frame",
    "readable",
    "shown",
    "spending",
    "usage",
    "usage_frame",
]

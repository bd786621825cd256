"""The record of a project's calls."""

from __future__ import annotations

from ccw_magics.journal.call import Call, Entry, JournalStatus
from ccw_magics.journal.money import readable_usd
from ccw_magics.journal.record import Journal
from ccw_magics.journal.rows import OPENING_CHARS
from ccw_magics.journal.sums import SUM_KEYS, Sums

__all__ = ["OPENING_CHARS", "SUM_KEYS", "Call", "Entry", "Journal", "JournalStatus", "Sums", "readable_usd"]

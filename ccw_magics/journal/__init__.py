"""The record of a project's calls."""

from __future__ import annotations

from ccw_magics.journal.call import Call, Entry, JournalStatus
from ccw_magics.journal.record import Journal
from ccw_magics.journal.rows import OPENING_CHARS

__all__ = ["OPENING_CHARS", "Call", "Entry", "Journal", "JournalStatus"]

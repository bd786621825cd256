"""The record of a project's calls, conversations and spending, and of replies that can be given again."""

from __future__ import annotations

from ccw_magics.journal.call import Call, Entry, JournalStatus
from ccw_magics.journal.chats import Chats, check_name
from ccw_magics.journal.ledger import Ledger, Overspent, Spent
from ccw_magics.journal.money import readable_usd
from ccw_magics.journal.record import Journal
from ccw_magics.journal.replies import Recorded, Replies, RepliesStatus
from ccw_magics.journal.rows import OPENING_CHARS
from ccw_magics.journal.sums import SUM_KEYS, Sums
from ccw_magics.journal.turn import ChatRow, Kept, StoredTurn, Turn

__all__ = [
    "OPENING_CHARS",
    "SUM_KEYS",
    "Call",
    "ChatRow",
    "Chats",
    "Entry",
    "Journal",
    "JournalStatus",
    "Kept",
    "Ledger",
    "Overspent",
    "Recorded",
    "Replies",
    "RepliesStatus",
    "Spent",
    "StoredTurn",
    "Sums",
    "Turn",
    "check_name",
    "readable_usd",
]

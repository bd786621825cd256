"""The journal's tables: calls, the turns of conversations, and what calls may cost."""

from __future__ import annotations

from typing import Final

_FIRST_VERSION: Final = (
    # AUTOINCREMENT: the id of a call that was pruned never comes to mean another one.
    # `at` is in microseconds since 1970, in UTC.
    """
    CREATE TABLE call (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, endpoint TEXT NOT NULL, provider TEXT NOT NULL,
        model TEXT NOT NULL, mode TEXT NOT NULL, prompt_hash TEXT NOT NULL, pack_hash TEXT NOT NULL,
        files TEXT NOT NULL, input_tokens INTEGER, cached_tokens INTEGER, written_tokens INTEGER, output_tokens INTEGER,
        cost_usd REAL, uncached_cost_usd REAL, duration_s REAL NOT NULL, first_token_s REAL, retries INTEGER NOT NULL,
        fallback_from TEXT NOT NULL, key TEXT NOT NULL, outcome TEXT NOT NULL, error TEXT NOT NULL,
        opening TEXT NOT NULL
    )
    """,
    "CREATE INDEX call_at ON call (at)",
    "CREATE TABLE call_text (call_id INTEGER PRIMARY KEY, prompt TEXT, answer TEXT)",
    """
    CREATE TRIGGER call_is_final BEFORE UPDATE ON call
    BEGIN SELECT RAISE(ABORT, 'a recorded call is never changed'); END
    """,
    """
    CREATE TRIGGER call_text_is_final BEFORE UPDATE ON call_text
    BEGIN SELECT RAISE(ABORT, 'a recorded call is never changed'); END
    """,
)
_SECOND_VERSION: Final = (
    # A turn's id is higher than its parent's, and never comes to mean another turn. `seal` shows that this user wrote
    # it. The texts are last: what is before them is read without them.
    """
    CREATE TABLE turn (
        id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER, size_bytes INTEGER NOT NULL, opening TEXT NOT NULL,
        at INTEGER NOT NULL, endpoint TEXT NOT NULL, key TEXT NOT NULL, seal TEXT NOT NULL, "references" TEXT NOT NULL,
        prompt TEXT NOT NULL, asked TEXT NOT NULL, answer TEXT NOT NULL, sections TEXT NOT NULL, context BLOB NOT NULL
    )
    """,
    # A chat is a name for a turn: its newest.
    "CREATE TABLE chat (name TEXT PRIMARY KEY, turn_id INTEGER NOT NULL, used_at INTEGER NOT NULL)",
    """
    CREATE TRIGGER turn_is_final BEFORE UPDATE ON turn
    BEGIN SELECT RAISE(ABORT, 'a turn is never changed'); END
    """,
    # `reserved`: of a call under way. `settled`: spent, and in no row of `call`. `pruned`: likewise, an hour together.
    """
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, usd REAL NOT NULL CHECK (usd >= 0),
        kind TEXT NOT NULL CHECK (kind IN ('reserved', 'settled', 'pruned'))
    )
    """,
    "CREATE INDEX ledger_at ON ledger (at)",
    "ALTER TABLE call ADD COLUMN chat TEXT NOT NULL DEFAULT ''",
    "CREATE UNIQUE INDEX ledger_pruned ON ledger (at) WHERE kind = 'pruned'",
    # The files set aside as damaged of which a limit of spending has told: what was spent in them is not known.
    "CREATE TABLE lost (name TEXT PRIMARY KEY)",
)
VERSIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST_VERSION, _SECOND_VERSION)
"""The file's schema, a version after the other: what comes later is added below, and nothing above is changed."""

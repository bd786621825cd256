"""The operations on the cache of packs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from ccw_magics.server.answers import CacheUse, Cleared, PackPage
from ccw_magics.server.operation import LARGEST, Call, Number, Operation
from ccw_magics.server.refusal import Refusal

_PAGE_BYTES: Final = 65_536
"""CCW's."""
_LARGEST_PAGE_BYTES: Final = 1 << 20


def cache_stats(call: Call) -> dict[str, Any]:
    """Show how full the cache is, which all projects share."""
    status, rows = call.workspace.cache.status(), call.workspace.cache.rows()
    by_age = [row.session_id for row in sorted(rows, key=lambda row: row.created_at)]
    return {
        "entries": status.packs,
        "total_bytes": status.size_bytes,
        "oldest_session": by_age[0] if by_age else None,
        "newest_session": by_age[-1] if by_age else None,
        "max_bytes": status.max_bytes,
        "directory": None if status.directory is None else str(status.directory),
    }


def clear_cache(call: Call) -> dict[str, Any]:
    """Forget all packs, of all projects."""
    return {"success": True, "removed": call.workspace.cache.clear()}


def read_pack(call: Call) -> dict[str, Any]:
    """Read a pack of this project, piece by piece, as it is sent."""
    cache, root = call.workspace.cache, str(call.workspace.root)
    is_ours = any(row.session_id == call.id and row.key.root == root for row in cache.rows())
    page = cache.read(call.id, call.numbers["offset"], call.numbers["limit"]) if is_ours else None
    if page is None:
        hint = "A reply says which pack was sent along: pack.sessionId."
        raise Refusal(f"no such pack: {call.id}", hint=hint, status=HTTPStatus.NOT_FOUND)
    return {
        "content": page.text,
        "offset": page.offset,
        "limit": call.numbers["limit"],
        "total_bytes": page.total_bytes,
        "has_more": page.next_offset is not None,
        "next_offset": page.next_offset,
    }


OPERATIONS = (
    Operation("get", "/cache/stats", cache_stats, CacheUse),
    Operation("post", "/cache/clear", clear_cache, Cleared),
    Operation(
        "get",
        "/cache/{id}",
        read_pack,
        PackPage,
        numbers=(
            Number("offset", "Where to begin, in bytes.", 0, 0, LARGEST),
            Number("limit", "At most so many bytes, but one character at least.", _PAGE_BYTES, 1, _LARGEST_PAGE_BYTES),
        ),
    ),
)

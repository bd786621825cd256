"""What `--json` writes: one document, ASCII, so that any pipe carries it and no terminal obeys it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccw_magics.calls.plan import Plan
    from ccw_magics.calls.reply import Reply
    from ccw_magics.errors import CcwError


def reply_document(reply: Reply) -> str:
    """A reply, in the shape that the HTTP route gives it."""
    from ccw_magics.calls.reply_json import reply_json

    return _document(reply_json(reply))


def failure_document(error: CcwError) -> str:
    """A failure before there was a reply, in the shape of one that has nothing but its error."""
    from ccw_magics.calls.reply import Reply

    return reply_document(Reply(success=False, failure=error))


def plan_document(plan: Plan) -> str:
    """What a dry run found; what is not known is null."""
    from ccw_magics.config.models import camel

    parts = [{camel(name): value for name, value in vars(part).items()} for part in plan.parts]
    replayed_at = plan.replayed_at.isoformat() if plan.replayed_at is not None else None
    return _document({
        "endpoint": plan.endpoint,
        "model": plan.model,
        "windowTokens": plan.window_tokens,
        "replayedAt": replayed_at,
        "parts": parts,
        "remarks": list(plan.remarks),
    })  # fmt: skip


def _document(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2)

"""A reply as JSON, for programs: camelCase, CCW's names where CCW has one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from ccw_magics.calls.reply import Reply
from ccw_magics.config.models import camel


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=camel, populate_by_name=True, from_attributes=True)


class UsageJson(_Shape):
    """Tokens; see `Usage`."""

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int


class SkippedJson(_Shape):
    """What was not sent, and why."""

    path: str
    reason: str


class PackJson(_Shape):
    """What was sent along; see `PackHandle`."""

    session_id: str
    revision: int
    references: list[str]
    files: list[str]
    skipped: list[SkippedJson]
    unmatched: list[str]
    warnings: list[str]
    size_bytes: int
    reused_bytes: int
    created_at: datetime
    expires_at: datetime
    status: str


class AttemptJson(_Shape):
    """One try; see `Attempt`."""

    endpoint: str
    key: str
    error: str
    waited_s: float


class ReplyJson(_Shape):
    """A reply; see `Reply`. What is not known is null: a cost that is, is never 0 for unknown."""

    success: bool
    output: str
    model: str
    provider: str
    endpoint: str
    cache_used: bool
    cached_files: list[str]
    error: str | None
    usage: UsageJson | None
    cost_usd: float | None
    uncached_cost_usd: float | None
    is_cut: bool
    duration_s: float
    first_token_s: float | None
    pack: PackJson | None
    attempts: list[AttemptJson]
    replayed_at: datetime | None
    chat: str
    data: Any
    remarks: list[str] = Field(default_factory=list)


def reply_json(reply: Reply) -> dict[str, Any]:
    """A reply as JSON can hold it; `remarks` are what the user should know, in lines."""
    fields: dict[str, Any] = {name: getattr(reply, name) for name in ReplyJson.model_fields if name != "remarks"}
    fields["data"] = to_jsonable_python(reply.data, by_alias=True, serialize_unknown=True)
    shaped = ReplyJson.model_validate({**fields, "remarks": reply.remarks()})
    return shaped.model_dump(mode="json", by_alias=True)

"""A conversation as litellm takes it, and where Anthropic is told to keep what it has read."""

from __future__ import annotations

from typing import Any, Final

from ccw_magics.backends.base import ModelCall

CLAUDE_HOSTS: Final = frozenset({"bedrock", "vertex_ai"})
"""Where Anthropic's models are served too, and cache in the same way."""


def messages(call: ModelCall) -> list[dict[str, Any]]:
    """What to send: the system prompt, then the user's messages and the answers in turn."""
    said: list[dict[str, Any]] = [dict(message) for message in call.messages()]
    if takes_breakpoints(call) and (call.blocks or call.is_kept):
        _cut_into_parts(call, said)
    return [*([{"role": "system", "content": call.system}] if call.system else []), *said]


def takes_breakpoints(call: ModelCall) -> bool:
    """Whether the provider caches what it is told to; the others find prefixes by themselves, and may be strict."""
    return call.provider_type == "anthropic" or (call.provider_type in CLAUDE_HOSTS and "claude" in call.model)


def _cut_into_parts(call: ModelCall, said: list[dict[str, Any]]) -> None:
    """The user's messages in parts, and breakpoints in them: at most four, which is all that Anthropic takes.

    Anthropic matches whole parts, so each block is one, and the rest of a message another: a turn is cut in the same
    way when it is the newest and when it is an earlier one. Breakpoints stand where the kept text ends now and where it
    ended last time, so that what was cached then is found however much was added since (by itself it looks back 20
    parts): of the blocks, and of the conversation.
    """
    parts = [_parts(call, message["content"], is_first=place == 0) for place, message in enumerate(said[::2])]
    ends = [parts[0][end - 1] for end in sorted({call.blocks_before, len(call.blocks)} - {0})]
    ends += [parts[-2][-1]] if call.turns else []
    ends += [parts[-1][-1]] if call.is_kept else []
    lasting = {"ttl": call.provider_ttl} if call.provider_ttl != "5m" else {}
    for part in ends:
        part["cache_control"] = {"type": "ephemeral", **lasting}
    for message, content in zip(said[::2], parts, strict=True):
        message["content"] = content


def _parts(call: ModelCall, text: str, *, is_first: bool) -> list[dict[str, Any]]:
    """A user's message: the blocks, which only the first one has, and the rest."""
    blocks = call.blocks if is_first else ()
    rest = text.removeprefix("".join(blocks))
    return [{"type": "text", "text": part} for part in (*blocks, rest)]

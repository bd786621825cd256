"""The conversation that a request carries, whatever its format calls roles and parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wire_formats import Received


@dataclass(frozen=True)
class Message:
    """A message as it came.

    Attributes:
        role: `system`, `user` or `assistant`.
        parts: Its texts; one where it came as a string.
        marked: The places of those parts that carry a breakpoint.
        is_string: Whether it came as a string, as strict servers want it.
    """

    role: str
    parts: tuple[str, ...]
    marked: tuple[int, ...] = ()
    is_string: bool = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)


def conversation(received: Received) -> list[Message]:
    """The request's messages in order, the system prompt first, where there is one."""
    body = received.json
    system = body.get("system") or body.get("system_instruction") or body.get("systemInstruction")
    if isinstance(system, dict):
        system = system["parts"]
    said = [_message(message["role"], _content(message)) for message in body.get("messages") or body["contents"]]
    return [*([_message("system", system)] if system else []), *said]


def breakpoints(received: Received) -> list[tuple[int, int]]:
    """Where the breakpoints stand: number of the message, the system prompt not counted, and of its part."""
    spoken = [message for message in conversation(received) if message.role != "system"]
    return [(place, part) for place, message in enumerate(spoken) for part in message.marked]


def _content(message: Any) -> Any:
    return message["parts"] if "parts" in message else message["content"]


def _message(role: str, content: Any) -> Message:
    if isinstance(content, str):
        return Message(role, (content,), is_string=True)
    marked = tuple(place for place, part in enumerate(content) if "cache_control" in part)
    return Message({"model": "assistant"}.get(role, role), tuple(part["text"] for part in content), marked)

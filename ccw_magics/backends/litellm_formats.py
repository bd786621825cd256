"""What the providers' wire formats say beside the text: that the answer is whole, its usage, and errors on the way.

litellm reads the text, drops what it cannot parse, and takes a stream's end for the answer's; so we look ourselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

Event = Mapping[str, Any]
"""One JSON object of an answer: an event of a stream, a line, or a whole body."""


class Fault(Enum):
    """What was wrong with an answer that came with a good status."""

    CUT = auto()
    UNREADABLE = auto()
    REDIRECTED = auto()


class NoAnswerError(Exception):
    """litellm made an answer of what is none; what it is stands in `Seen`."""


async def _nothing() -> None:
    """Where there is nothing to close."""


def _nobody() -> None:
    """Where nobody wants to know."""


def _no_refusal(_: Event) -> None:
    """Where a refusal is a text like any other."""


@dataclass
class Seen:
    """One call as its wire sees it: what holds for it, and what came.

    Attributes:
        connect_timeout_s: Seconds until there must be a connection, the TLS handshake included.
        is_streamed: Whether the answer is asked for piece by piece.
        on_request: Called when the request leaves.
        requests: How many were sent.
        status: The HTTP status of the last answer, or what an error event amounts to; None before there is one.
        retry_after_s: Seconds that the provider asks to be left alone for.
        error_body: The beginning of an error's body, or the error event.
        failure: What the transport raised.
        fault: What is wrong with an answer whose status is good.
        format: How the answer is written; None where we do not know the format, and check nothing.
        is_whole: Whether the answer came to its own end.
        events: How many events, or whole bodies, could be read.
        usage: The provider's own usage, its parts merged; None where it told none.
        refusal: What the provider says beside the text, of the model's refusal; None where it tells of none.
        hang_up: Closes the answer's connection, if it is still coming.
        is_over: Set when the call has ended: what litellm still does in its name is no longer watched.
        is_given_up: Set when nobody waits any more for a request that has not left: it must not.
        is_blind: Whether litellm may go other ways than over the wire, so that `requests` says nothing.
        own_headers: The headers that the config sets, in lower case.
    """

    connect_timeout_s: float = 10.0
    is_streamed: bool = True
    on_request: Callable[[], None] = _nobody
    requests: int = 0
    status: int | None = None
    retry_after_s: float | None = None
    error_body: str = ""
    failure: Exception | None = None
    fault: Fault | None = None
    format: Format | None = None
    events: int = 0
    is_whole: bool = False
    usage: dict[str, Any] | None = None
    refusal: str | None = None
    hang_up: Callable[[], Awaitable[None]] = _nothing
    is_over: bool = False
    is_given_up: bool = False
    is_blind: bool = False
    own_headers: frozenset[str] = frozenset()

    async def end(self) -> None:
        """Hang up, and hold on to nothing: timers of the connections keep the context that this stands in."""
        self.is_over, self.failure, self.on_request = True, None, _nobody
        hang_up, self.hang_up = self.hang_up, _nothing
        await hang_up()

    @property
    def is_error(self) -> bool:
        """Whether the provider answered with an error."""
        return self.status is not None and self.status >= 400  # noqa: PLR2004 - the first of HTTP's error statuses

    @property
    def is_bad(self) -> bool:
        """Whether what came must not pass for an answer; nothing at all is left to whoever misses the text."""
        return self.is_error or self.fault is not None or (self.events > 0 and not self.is_whole)

    def look_at(self, event: object) -> None:
        """Take note of what an event says beside its text."""
        self.events += 1
        if not isinstance(event, dict) or self.format is None:
            return
        if error := _error(event):
            self.status, self.error_body = error_status(error), json.dumps(event)
        if usage := self.format.usage(event):
            known = {name: value for name, value in usage.items() if value is not None}
            self.usage = {**(self.usage or {}), **known}
        if (refusal := self.format.refusal(event)) is not None:
            self.refusal = (self.refusal or "") + refusal
        self.is_whole = self.is_whole or self.format.ends(event)


@dataclass(frozen=True)
class Format:
    """How one family of providers writes an answer.

    Attributes:
        path: Matches the path of a request that is answered so.
        ends: Whether an event is the last that the text may need.
        usage: The usage that an event tells.
        refusal: What an event tells of the model's refusal, which litellm does not hand over.
        is_lines: A JSON object a line, where the others send server-sent events.
    """

    path: re.Pattern[str]
    ends: Callable[[Event], bool]
    usage: Callable[[Event], Event | None]
    refusal: Callable[[Event], str | None] = _no_refusal
    is_lines: bool = False


def format_of(path: str) -> Format | None:
    """The format of the answer to a request for this path; None where we do not know it."""
    return next((known for known in FORMATS if known.path.search(path)), None)


def error_status(error: object) -> int:
    """The HTTP status that an error inside an answer amounts to; 500 where it does not say."""
    if not isinstance(error, Mapping):
        return 500
    for said in (error.get("code"), error.get("type"), error.get("status")):
        word = str(said)
        if word in ERROR_STATUSES or re.fullmatch(r"[45]\d\d", word):
            return ERROR_STATUSES.get(word) or int(word)
    return 500


ERROR_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
}
"""What Anthropic, Google and OpenAI call an error, and the status they send it with where nothing was sent before.

https://docs.anthropic.com/en/api/errors, https://ai.google.dev/gemini-api/docs/troubleshooting,
https://platform.openai.com/docs/guides/error-codes
"""


def _error(event: Event) -> object:
    """The error that an event tells; OpenAI's Responses wrap it, and servers send `"error": null` with each chunk."""
    return event.get("error") or _within(event, "response").get("error")


NOTHING: Final[Event] = {}


def _within(event: Event, name: str) -> Event:
    inner = event.get(name)
    return inner if isinstance(inner, dict) else NOTHING


def _listed(event: Event, name: str) -> Sequence[Event]:
    items = event.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _usage(event: Event) -> Event:
    """`usage`, in the event or in the message it opens or closes."""
    return _within(event, "usage") or _within(_within(event, "message"), "usage") or _within(event, "x_groq")


def _gemini_ends(event: Event) -> bool:
    blocked = _within(event, "promptFeedback").get("blockReason")
    return bool(blocked) or any(candidate.get("finishReason") for candidate in _listed(event, "candidates"))


def _anthropic_ends(event: Event) -> bool:
    """At the reason to stop: text and usage precede it or come with it, and litellm may not read `message_stop`."""
    return event.get("type") == "message_stop" or bool(_within(event, "delta").get("stop_reason"))


def _openai_ends(event: Event) -> bool:
    return any(choice.get("finish_reason") for choice in _listed(event, "choices"))


def _anthropic_refusal(event: Event) -> str | None:
    """Any text precedes it; newer answers explain."""
    end = event if "stop_reason" in event else _within(event, "delta")
    return str(_within(end, "stop_details").get("explanation") or "") if end.get("stop_reason") == "refusal" else None


def _openai_refusal(event: Event) -> str | None:
    """A message, or a stream's piece of one, has either text or refusal."""
    messages = [_within(choice, name) for choice in _listed(event, "choices") for name in ("message", "delta")]
    refusals = [message["refusal"] for message in messages if isinstance(message.get("refusal"), str)]
    return "".join(refusals) if refusals else None


FORMATS: Final = (
    Format(path=re.compile(r"/chat/completions$"), ends=_openai_ends, usage=_usage, refusal=_openai_refusal),
    Format(
        path=re.compile(r"/messages$|/anthropic/models/[^/]+:(streamR|r)awPredict$"),
        ends=_anthropic_ends,
        usage=_usage,
        refusal=_anthropic_refusal,
    ),
    Format(
        path=re.compile(r":(streamG|g)enerateContent$"),
        ends=_gemini_ends,
        usage=lambda event: _within(event, "usageMetadata"),
    ),
    Format(
        path=re.compile(r"/api/(chat|generate)$"),
        ends=lambda event: bool(event.get("done")),
        usage=lambda event: event if "prompt_eval_count" in event else None,
        is_lines=True,
    ),
    Format(
        path=re.compile(r"/responses$"),
        ends=lambda event: event.get("type") in {"response.completed", "response.incomplete"},
        usage=lambda event: _within(event, "usage") or _within(_within(event, "response"), "usage"),
    ),
)
"""OpenAI and those like it, Anthropic (Vertex AI serves it too), Gemini, Ollama, and OpenAI's Responses."""

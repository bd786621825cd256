"""What goes over the wire: a request as it came, the answer to give, and the providers' formats for it.

Written from the providers' public references; what litellm reads of them is checked in test_wire_server.py.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_CREDENTIAL_HEADERS = ("Authorization", "x-api-key", "x-goog-api-key", "api-key")
_MISTRAL_FAMILIES = ("mistral", "ministral", "magistral", "codestral", "devstral", "pixtral", "open-mi")


class Log(list[T], Generic[T]):
    """A list that one thread fills and another waits on."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = threading.Condition()

    def append(self, item: T) -> None:
        """Add an item and wake whoever waits."""
        with self._grown:
            super().append(item)
            self._grown.notify_all()

    def wait(self, count: int = 1, timeout_s: float = 10.0) -> bool:
        """Block until there are `count` items; False where that takes longer than `timeout_s` seconds."""
        with self._grown:
            return self._grown.wait_for(lambda: len(self) >= count, timeout_s)


@dataclass(frozen=True)
class Received:
    """A request as it came off the wire.

    Attributes:
        headers: Under any capitalisation.
        json: The body parsed, or None where it is no JSON.
        at_s: When it had come, on `time.monotonic`'s clock.
        sent_s: When each piece of the answer went out, and last its end, on the same clock.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    json: Any
    at_s: float
    sent_s: Log[float] = field(default_factory=Log)

    @property
    def credentials(self) -> list[str]:
        """The keys that came along, as they came: `Bearer` is part of it."""
        sent = [self.headers[name] for name in _CREDENTIAL_HEADERS if name in self.headers]
        return [*sent, self.query["key"]] if "key" in self.query else sent

    @property
    def model(self) -> str:
        """The model asked for: in the body, or for Gemini and Azure in the path."""
        last = self.path.rpartition("/")[2].partition(":")[0]
        return str((self.json or {}).get("model") or last)


@dataclass(frozen=True)
class Answer:
    """How one request is answered: a text, or a fault.

    Faults count streamed pieces, thoughts among them. More than there are means all of them, the end not; in an answer
    that is not streamed, one or more means the middle of the body.

    Attributes:
        text: What the model says.
        pieces: The streamed pieces themselves, or the characters in each.
        refusal: What the model says instead of the text, told in the format's own way where it has one.
        is_cut: The answer ends at its limit of tokens.
        thinking: What the model thinks before it speaks, told in the format's own way; streamed in one piece, or in
            these.
        delay_s: Seconds before the first piece.
        gap_s: Seconds between pieces.
        drip_bytes: Send no more than so many bytes at once, with `gap_s` before each further lot.
        input_tokens: All tokens of the prompt; `cached_tokens` of them read from a cache, `written_tokens` written.
        output_tokens: Tokens of the answer.
        reports_usage: False for a provider that does not say how many tokens there were.
        status: The HTTP status; from 400 on the format's own error body goes with it.
        headers: Further headers of the response.
        body: Sent as it is instead of all else, as text, bytes or something to write as JSON.
        content_type: Instead of the format's own.
        echo_key: The error repeats the key it got; the status is 401 where none is given.
        cut_after: Close the connection after so many pieces; 0 before the status line.
        reset_after: The same by a reset (RST), `gap_s` after the last piece: a reset overtakes what is not yet read.
        end_after: End the stream after so many pieces as HTTP has it, without the format's own end.
        stall_after: Send nothing more after so many pieces; 0 before the status line.
        error_after: An error event after so many pieces, in a stream that began with status 200; status 500
            where the answer is not streamed.
        empty: Status 200 and an empty body.
        malformed: The JSON of the last piece, or of the body, lacks its end.
        malformed_at: Likewise the piece of this number, the first being 0; whole ones follow.
    """

    text: str = "Hello from the wire."
    pieces: int | Sequence[str] = 4
    refusal: str = ""
    is_cut: bool = False
    thinking: str | Sequence[str] = ()
    delay_s: float = 0.0
    gap_s: float = 0.0
    drip_bytes: int | None = None
    input_tokens: int = 12
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 5
    reports_usage: bool = True
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str | None = None
    echo_key: bool = False
    cut_after: int | None = None
    reset_after: int | None = None
    end_after: int | None = None
    stall_after: int | None = None
    error_after: int | None = None
    empty: bool = False
    malformed: bool = False
    malformed_at: int | None = None

    def cut(self) -> list[str]:
        """The text in pieces."""
        if isinstance(self.pieces, int):
            text = self.refusal or self.text
            return [text[start : start + self.pieces] for start in range(0, len(text), self.pieces)]
        return list(self.pieces)

    @property
    def whole(self) -> str:
        """The text in one."""
        return "".join(self.cut())

    @property
    def thoughts(self) -> list[str]:
        """What is thought, in pieces."""
        return [self.thinking] * bool(self.thinking) if isinstance(self.thinking, str) else list(self.thinking)


class WireFormat(ABC):
    """How one family of providers says an answer; stateless."""

    stream_type = "text/event-stream"

    def streams(self, request: Received) -> bool:
        """Whether the request asks for a stream."""
        return bool((request.json or {}).get("stream"))

    def frame(self, event: Mapping[str, Any]) -> bytes:
        """An event as it goes over the wire."""
        return f"data: {json.dumps(event)}\n\n".encode()

    def opening(self, answer: Answer, request: Received) -> bytes:
        """What precedes the pieces of a stream."""
        return b""

    @abstractmethod
    def thought(self, text: str, request: Received) -> bytes:
        """One piece of what is thought before the text."""

    @abstractmethod
    def piece(self, text: str, answer: Answer, request: Received) -> bytes:
        """One piece of the text."""

    def turning(self, answer: Answer, request: Received) -> bytes:
        """What stands between the thoughts and the text."""
        return b""

    @abstractmethod
    def closing(self, answer: Answer, request: Received) -> bytes:
        """What follows the pieces: the reason of the end, and the usage."""

    @abstractmethod
    def whole(self, answer: Answer, request: Received) -> dict[str, Any]:
        """The answer in one body."""

    @abstractmethod
    def error(self, status: int, message: str) -> dict[str, Any]:
        """An error's body, and its event in the middle of a stream."""


class OpenAI(WireFormat):
    """`/chat/completions`, as OpenAI, Azure, Mistral, DeepSeek and many servers speak it.

    A stream ends with the usage where it was asked for; Mistral's models tell it unasked, with the last piece.
    DeepSeek's name what came from the cache in their own way, and theirs is the field for thoughts.

    A tool that the request forces is called with the text.
    """

    def _usage(self, answer: Answer, request: Received) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
        }
        if request.model.startswith("deepseek"):
            miss = answer.input_tokens - answer.cached_tokens
            return usage | {"prompt_cache_hit_tokens": answer.cached_tokens, "prompt_cache_miss_tokens": miss}
        return usage | {"prompt_tokens_details": {"cached_tokens": answer.cached_tokens}}

    def _chunk(self, request: Received, choices: list[dict[str, Any]], **more: object) -> bytes:
        head = {"id": "chatcmpl-wire", "object": "chat.completion.chunk", "created": 1_700_000_000}
        return self.frame(head | {"model": request.model, "choices": choices} | more)

    def opening(self, answer: Answer, request: Received) -> bytes:
        delta: dict[str, Any] = {"role": "assistant", "content": None if answer.refusal else "", "refusal": None}
        if tool := _forced_tool(request):
            call = {"index": 0, "id": "call_wire", "type": "function", "function": {"name": tool, "arguments": ""}}
            delta |= {"content": None, "tool_calls": [call]}
        return self._chunk(request, [{"index": 0, "delta": delta, "finish_reason": None}])

    def thought(self, text: str, request: Received) -> bytes:
        return self._chunk(request, [{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}])

    def piece(self, text: str, answer: Answer, request: Received) -> bytes:
        delta: dict[str, Any] = {"refusal" if answer.refusal else "content": text}
        if _forced_tool(request) and not answer.refusal:
            delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        return self._chunk(request, [{"index": 0, "delta": delta, "finish_reason": None}])

    def _reason(self, answer: Answer) -> str:
        return "length" if answer.is_cut else "stop"  # as well where a tool was forced

    def closing(self, answer: Answer, request: Received) -> bytes:
        last = [{"index": 0, "delta": {}, "finish_reason": self._reason(answer)}]
        usage = {"usage": self._usage(answer, request)} if answer.reports_usage else {}
        if request.model.startswith(_MISTRAL_FAMILIES):
            end = self._chunk(request, last, **usage)
        else:
            asked = (request.json.get("stream_options") or {}).get("include_usage")
            end = self._chunk(request, last) + (self._chunk(request, [], **usage) if usage and asked else b"")
        return end + b"data: [DONE]\n\n"

    def whole(self, answer: Answer, request: Received) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.whole}
        if answer.refusal:
            message |= {"content": None, "refusal": answer.whole}
        elif tool := _forced_tool(request):
            call = {"id": "call_wire", "type": "function", "function": {"name": tool, "arguments": answer.whole}}
            message |= {"content": None, "tool_calls": [call]}
        message |= {"reasoning_content": "".join(answer.thoughts)} if answer.thinking else {}
        body = {
            "id": "chatcmpl-wire",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": request.model,
            "choices": [{"index": 0, "message": message, "finish_reason": self._reason(answer)}],
        }
        return body | ({"usage": self._usage(answer, request)} if answer.reports_usage else {})

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "wire_error", "param": None, "code": str(status)}}


class Anthropic(WireFormat):
    """`/v1/messages`: named events; cached and written tokens are not among the input tokens.

    What is written is told by how long it lasts; here all of it for an hour where a breakpoint asks for one.

    A tool that the request forces is called with the text; what is cut is no JSON, and not told where not streamed.
    """

    _ERROR_TYPES: Mapping[int, str] = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }

    def frame(self, event: Mapping[str, Any]) -> bytes:
        return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

    def _usage(self, answer: Answer, request: Received) -> dict[str, Any]:
        lasts = any(breakpoint_.get("ttl") == "1h" for breakpoint_ in _breakpoints(request.json))
        return {
            "input_tokens": answer.input_tokens - answer.cached_tokens - answer.written_tokens,
            "cache_read_input_tokens": answer.cached_tokens,
            "cache_creation_input_tokens": answer.written_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 0 if lasts else answer.written_tokens,
                "ephemeral_1h_input_tokens": answer.written_tokens if lasts else 0,
            },
            "output_tokens": answer.output_tokens,
        }

    def _message(self, answer: Answer, request: Received) -> dict[str, Any]:
        head = {"id": "msg_wire", "type": "message", "role": "assistant", "model": request.model}
        return head | ({"usage": self._usage(answer, request)} if answer.reports_usage else {})

    def opening(self, answer: Answer, request: Received) -> bytes:
        message = self._message(answer, request) | {"content": [], "stop_reason": None, "stop_sequence": None}
        if answer.reports_usage:
            message["usage"]["output_tokens"] = 1
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        block = thought if answer.thinking else self._block(answer, request)
        return (
            self.frame({"type": "message_start", "message": message})
            + self.frame({"type": "content_block_start", "index": 0, "content_block": block})
            + self.frame({"type": "ping"})
        )

    def _block(self, answer: Answer, request: Received, text: str = "") -> dict[str, Any]:
        tool = "" if answer.refusal else _forced_tool(request)
        if not tool:
            return {"type": "text", "text": text}
        called = {} if answer.is_cut or not text else json.loads(text)
        return {"type": "tool_use", "id": "toolu_wire", "name": tool, "input": called}

    def thought(self, text: str, request: Received) -> bytes:
        return self._delta(0, {"type": "thinking_delta", "thinking": text})

    def turning(self, answer: Answer, request: Received) -> bytes:
        block = self._block(answer, request)
        return (
            self._delta(0, {"type": "signature_delta", "signature": "d2lyZQ=="})
            + self.frame({"type": "content_block_stop", "index": 0})
            + self.frame({"type": "content_block_start", "index": 1, "content_block": block})
        )

    def piece(self, text: str, answer: Answer, request: Received) -> bytes:
        is_tool = _forced_tool(request) and not answer.refusal
        delta = {"type": "input_json_delta", "partial_json": text} if is_tool else {"type": "text_delta", "text": text}
        return self._delta(int(bool(answer.thinking)), delta)

    def _delta(self, block: int, delta: Mapping[str, Any]) -> bytes:
        return self.frame({"type": "content_block_delta", "index": block, "delta": delta})

    def _reason(self, answer: Answer, request: Received) -> str:
        if answer.refusal:
            return "refusal"
        return "max_tokens" if answer.is_cut else "tool_use" if _forced_tool(request) else "end_turn"

    def closing(self, answer: Answer, request: Received) -> bytes:
        reason = self._reason(answer, request)
        end = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}}
        usage = {"usage": {"output_tokens": answer.output_tokens}} if answer.reports_usage else {}
        return (
            self.frame({"type": "content_block_stop", "index": int(bool(answer.thinking))})
            + self.frame(end | usage)
            + self.frame({"type": "message_stop"})
        )

    def whole(self, answer: Answer, request: Received) -> dict[str, Any]:
        content = [self._block(answer, request, answer.whole)]
        if answer.thinking:
            thought = {"type": "thinking", "thinking": "".join(answer.thoughts), "signature": "d2lyZQ=="}
            content = [thought, *content]
        end = {"stop_reason": self._reason(answer, request), "stop_sequence": None}
        return self._message(answer, request) | {"content": content} | end

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = self._ERROR_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}


class Gemini(WireFormat):
    """`:generateContent` and `:streamGenerateContent?alt=sse`: every event is a whole response."""

    _ERROR_STATUSES: Mapping[int, str] = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }

    def streams(self, request: Received) -> bool:
        return request.path.endswith(":streamGenerateContent")

    def _usage(self, answer: Answer, request: Received) -> dict[str, Any]:
        usage = {
            "promptTokenCount": answer.input_tokens,
            "candidatesTokenCount": answer.output_tokens,
            "totalTokenCount": answer.input_tokens + answer.output_tokens,
        }
        return usage | ({"cachedContentTokenCount": answer.cached_tokens} if answer.cached_tokens else {})

    def _response(
        self, text: str, request: Received, *, thoughts: Sequence[str] = (), finish: str | None = None
    ) -> dict[str, Any]:
        parts = [*({"text": thought, "thought": True} for thought in thoughts), *([{"text": text}] if text else [])]
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts or [{"text": ""}]}}
        candidate |= {"finishReason": finish} if finish else {}
        return {"candidates": [candidate], "modelVersion": request.model, "responseId": "wire"}

    def thought(self, text: str, request: Received) -> bytes:
        return self.frame(self._response("", request, thoughts=[text]))

    def piece(self, text: str, answer: Answer, request: Received) -> bytes:
        return self.frame(self._response(text, request))

    def closing(self, answer: Answer, request: Received) -> bytes:
        return self.frame(self._finished("", answer, request))

    def _finished(
        self, text: str, answer: Answer, request: Received, *, thoughts: Sequence[str] = ()
    ) -> dict[str, Any]:
        response = self._response(text, request, thoughts=thoughts, finish="MAX_TOKENS" if answer.is_cut else "STOP")
        return response | ({"usageMetadata": self._usage(answer, request)} if answer.reports_usage else {})

    def whole(self, answer: Answer, request: Received) -> dict[str, Any]:
        return self._finished(answer.whole, answer, request, thoughts=answer.thoughts)

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"code": status, "message": message, "status": self._ERROR_STATUSES.get(status, "INTERNAL")}}


class Ollama(WireFormat):
    """`/api/chat` and `/api/generate`: a JSON object a line, streamed unless the request says not to."""

    stream_type = "application/x-ndjson"

    def streams(self, request: Received) -> bool:
        return bool((request.json or {}).get("stream", True))

    def frame(self, event: Mapping[str, Any]) -> bytes:
        return f"{json.dumps(event)}\n".encode()

    def _line(self, text: str, request: Received, *, done: bool, thought: str = "") -> dict[str, Any]:
        chat = request.path.endswith("/chat")
        thinking = {"thinking": thought} if thought else {}
        said = {"message": {"role": "assistant", "content": text} | thinking} if chat else {"response": text} | thinking
        return {"model": request.model, "created_at": "2025-01-01T00:00:00.000Z", **said, "done": done}

    def _usage(self, answer: Answer, request: Received) -> dict[str, Any]:
        return {"prompt_eval_count": answer.input_tokens, "eval_count": answer.output_tokens}

    def thought(self, text: str, request: Received) -> bytes:
        return self.frame(self._line("", request, done=False, thought=text))

    def piece(self, text: str, answer: Answer, request: Received) -> bytes:
        return self.frame(self._line(text, request, done=False))

    def closing(self, answer: Answer, request: Received) -> bytes:
        return self.frame(self._finished("", answer, request))

    def _finished(self, text: str, answer: Answer, request: Received, *, thought: str = "") -> dict[str, Any]:
        reason = {"done_reason": "length" if answer.is_cut else "stop"}
        end = self._line(text, request, done=True, thought=thought) | reason
        return end | (self._usage(answer, request) if answer.reports_usage else {})

    def whole(self, answer: Answer, request: Received) -> dict[str, Any]:
        return self._finished(answer.whole, answer, request, thought="".join(answer.thoughts))

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": message}


def _forced_tool(request: Received) -> str:
    """The name of the tool that the request has the model call; empty where it leaves it free."""
    choice = (request.json or {}).get("tool_choice")
    return str(choice.get("name") or choice["function"]["name"]) if isinstance(choice, dict) and len(choice) > 1 else ""


def _breakpoints(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every `cache_control` in a request's body, wherever it stands."""
    if isinstance(value, dict):
        yield from ([value["cache_control"]] if value.get("cache_control") else [])
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _breakpoints(part)


FORMATS: Mapping[str, WireFormat] = {
    "/chat/completions": OpenAI(),
    "/messages": Anthropic(),
    ":generateContent": Gemini(),
    ":streamGenerateContent": Gemini(),
    "/api/chat": Ollama(),
    "/api/generate": Ollama(),
}
"""The end of a path, and what is spoken there."""

"""The streams of JSON lines in which the command-line agents tell what they say and do.

Kinds of events that are not known are passed over: each release adds some. Formats: gemini-cli's
`packages/core/src/output/types.ts`, qwen-code's `StreamJsonOutputAdapter`, codex's `exec/src/exec_events.rs`.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ccw_magics.backends.base import Note, Text, Tool, Usage

THOUGHT_CHARS: Final = 400
"""So many characters of thinking make a note: a sign that the agent lives."""
PATIENCE_S: Final = 30.0
"""Seconds of reconnecting after which codex, which never gives up, gets a word of what may be wrong."""
_NO_SERVICE: Final = "codex cannot reach its service: check the network, or log in with `codex login`"

_TELLING = ("command", "file_path", "absolute_path", "path", "pattern", "query", "url", "prompt", "description")
_SHELLS = ("/bin/bash -lc ", "bash -lc ", "/bin/sh -c ", "/bin/zsh -lc ")

Json = Mapping[str, Any]


class Reader(ABC):
    """Reads one agent's stream.

    Attributes:
        usage: Tokens of all its requests together, once it has told.
        model: The model, where it tells.
        failure: What it says went wrong; empty where nothing did.
        is_complete: Whether it said that it is done.
        has_begun: Whether it said anything in its format.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.failure = ""
        self.is_complete = False
        self.has_begun = False
        self._has_text = False
        self._is_new_paragraph = False

    def read(self, line: bytes) -> Iterator[Text | Note]:
        """The answer's text and the notes that a line of standard output holds; none where it is not of the format."""
        try:
            event = json.loads(line.decode(errors="replace")) if line.lstrip().startswith(b"{") else None
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict) and isinstance(kind := event.get("type"), str):
            self.has_begun = True
            yield from self._events(kind, event)

    @abstractmethod
    def _events(self, kind: str, event: Json) -> Iterator[Text | Note]:
        """What an event holds."""

    def _text(self, text: Any) -> Iterator[Text]:
        """A piece of the answer; what comes after something else was done is a new paragraph."""
        if isinstance(text, str) and text:
            if self._is_new_paragraph and self._has_text:
                yield Text("\n\n")
            self._has_text, self._is_new_paragraph = True, False
            yield Text(text)

    def _did(self, *words: Any) -> Iterator[Note]:
        self._is_new_paragraph = True
        yield Note(" ".join(str(word) for word in words if word))

    def _used(self, name: Any, arguments: Any) -> Iterator[Note]:
        """A tool of the agent's, and the argument that tells most."""
        known = _dict(arguments)
        yield from self._did(name, next((known[key] for key in _TELLING if isinstance(known.get(key), str)), ""))


class CodexReader(Reader):
    """`codex exec --json`: whole messages, not pieces of them.

    Args:
        clock: Seconds, of any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._advice_due_s: float | None = None  # None unless it reconnects; infinite once it was given

    def _events(self, kind: str, event: Json) -> Iterator[Text | Note]:
        item = _dict(event.get("item"))
        if kind == "turn.completed" or (kind.startswith("item.") and item.get("type") != "error"):
            self._advice_due_s = None
        if kind == "item.completed" and item.get("type") == "agent_message":
            self._is_new_paragraph = True
            yield from self._text(item.get("text"))
        elif kind in ("item.started", "item.completed"):
            yield from self._item(item, has_ended=kind == "item.completed")
        elif kind == "turn.completed":
            self.usage, self.is_complete, self.failure = _usage(event.get("usage"), "cached_input_tokens"), True, ""
        elif kind == "turn.failed":
            self.failure = _message(event.get("error"))
        elif kind == "error":
            self.failure = _message(event)  # until the turn is completed: it tries again
            yield from self._trouble(self.failure)

    def _item(self, item: Json, *, has_ended: bool) -> Iterator[Note]:
        kind = item.get("type")
        if kind == "command_execution" and not has_ended:
            yield from self._did("runs", _without_shell(str(item.get("command", ""))))
        elif kind == "file_change" and has_ended:
            changes = (_dict(change) for change in _list(item.get("changes")))
            yield from self._did("changes", ", ".join(str(change.get("path", "")) for change in changes))
        elif kind == "reasoning" and has_ended:
            yield from self._did("thinks:", item.get("text"))
        elif kind == "web_search" and has_ended:
            yield from self._did("searches the web:", item.get("query"))
        elif kind == "mcp_tool_call" and not has_ended:
            yield from self._did("uses", item.get("server"), item.get("tool"))
        elif kind == "error" and has_ended:
            yield from self._trouble(_message(item))

    def _trouble(self, message: str) -> Iterator[Note]:
        """The message, and once it has said for long that it reconnects, what may be wrong."""
        yield Note(message)
        if not message.startswith("Reconnecting"):
            return
        now_s = self._clock()
        if self._advice_due_s is None:
            self._advice_due_s = now_s + PATIENCE_S
        elif now_s >= self._advice_due_s:
            self._advice_due_s = math.inf
            yield Note(_NO_SERVICE)


class GeminiReader(Reader):
    """`gemini --output-format stream-json`."""

    def _events(self, kind: str, event: Json) -> Iterator[Text | Note]:
        if kind == "init":
            self.model = str(event.get("model") or "")
        elif kind == "message" and event.get("role") == "assistant":
            yield from self._text(event.get("content"))
        elif kind == "tool_use":
            yield from self._used(event.get("tool_name"), event.get("parameters"))
        elif kind == "error":
            if event.get("severity") == "error":
                self.failure = _message(event)
            yield Note(_message(event))
        elif kind == "result":
            self._result(event)

    def _result(self, event: Json) -> None:
        self.is_complete = True
        stats = _dict(event.get("stats"))
        self.usage = _usage(stats, "cached")
        models = {name: _number(_dict(told), "output_tokens") for name, told in _dict(stats.get("models")).items()}
        self.model = max(models, key=lambda name: models[name], default=self.model)
        if event.get("status") == "error":
            self.failure = _message(event.get("error")) or self.failure or "it failed without a reason"


class QwenReader(Reader):
    """`qwen --output-format stream-json --include-partial-messages`; what its own agents say is not the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._thought_chars = 0

    def _events(self, kind: str, event: Json) -> Iterator[Text | Note]:
        is_main = not event.get("parent_tool_use_id")
        if kind == "system":
            self.model = str(event.get("model") or self.model)
        elif kind == "stream_event" and is_main:
            yield from self._piece(_dict(_dict(event.get("event")).get("delta")))
        elif kind == "assistant":
            for block in map(_dict, _list(_dict(event.get("message")).get("content"))):
                if block.get("type") == "tool_use":
                    yield from self._used(block.get("name"), block.get("input"))
        elif kind == "result":
            yield from self._result(event)

    def _piece(self, delta: Json) -> Iterator[Text | Note]:
        if delta.get("type") == "text_delta":
            yield from self._text(delta.get("text"))
        elif delta.get("type") == "thinking_delta":
            before = self._thought_chars // THOUGHT_CHARS
            self._thought_chars += len(str(delta.get("thinking", "")))
            if self._thought_chars // THOUGHT_CHARS > before:
                yield Note(f"thinks: {self._thought_chars:,} characters")

    def _result(self, event: Json) -> Iterator[Text]:
        self.is_complete = True
        usage = _dict(event.get("usage"))
        self.usage = _usage(usage, "cache_read_input_tokens") if usage.get("input_tokens") else None
        if event.get("is_error"):
            self.failure = _message(event.get("error")) or "it failed without a reason"
        elif not self._has_text:
            yield from self._text(event.get("result"))


READERS: Final[Mapping[Tool, type[Reader]]] = {"codex": CodexReader, "gemini": GeminiReader, "qwen": QwenReader}


def _usage(told: Any, cached: str) -> Usage | None:
    known = _dict(told)
    if not known:
        return None
    input_tokens, output_tokens = _number(known, "input_tokens"), _number(known, "output_tokens")
    return Usage(
        input_tokens,
        cached_input_tokens=_number(known, cached),
        cache_write_tokens=_number(known, "cache_write_input_tokens"),
        # gemini's do not have the tokens of thinking, which are billed alike; its total does.
        output_tokens=max(output_tokens, _number(known, "total_tokens") - input_tokens),
    )


def _number(known: Json, name: str) -> int:
    number = known.get(name)
    return number if isinstance(number, int) and number >= 0 else 0


def _message(told: Any) -> str:
    return told if isinstance(told, str) else str(_dict(told).get("message") or "")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _without_shell(command: str) -> str:
    shell = next((shell for shell in _SHELLS if command.startswith(shell)), "")
    return command.removeprefix(shell).strip("'") if shell else command

"""What a backend is asked, and what it hands back while it answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from ccw_magics.config.credentials import Secret

SEPARATOR: Final = "\n\n---\n\n"
"""Stands between the context and the prompt."""

Tool = Literal["codex", "gemini", "qwen"]
"""A command-line agent."""
Mode = Literal["analysis", "write", "auto"]
"""What an agent may do: read; also change files in its directory; anything, without being asked."""


@dataclass(frozen=True)
class Exchange:
    """An earlier turn of a conversation, as it was sent and answered.

    Attributes:
        asked: The user's message: what it brought of context, the separator, the prompt; of the first turn without its
            context, which is the call's `blocks`.
        answered: The answer.
    """

    asked: str
    answered: str


@dataclass(frozen=True)
class AnswerSchema:
    """The shape that an answer must have, for a provider that can hold its model to one.

    Attributes:
        name: Letters, digits, `_` and `-`.
        json_schema: A JSON Schema whose root is an object.
        is_strict: Whether it keeps to what OpenAI calls strict: every property required, none beside them.
    """

    name: str
    json_schema: Mapping[str, Any]
    is_strict: bool


@dataclass(frozen=True)
class AgentTask:
    """What a command-line agent is told beside the prompt.

    Attributes:
        mode: What it may do.
        directory: Where it works, and where relative paths start.
        include_dirs: Further directories that it may look into, or, where it may write, write to.
        secrets: What must not be shown, whoever says it, beside the keys in its environment: it may read the config.
    """

    mode: Mode
    directory: Path
    include_dirs: tuple[Path, ...] = ()
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True)
class ModelCall:
    """One request to one model, complete: nothing is looked up in the environment after this.

    Attributes:
        provider_type: The config's provider type (`openai`, `anthropic`, ..., or any name litellm knows).
        model: The model as the provider names it; for `local`, empty or the path of a GGUF file.
        prompt: What the user typed.
        blocks: What of the context is kept from call to call; sent before the prompt.
        tail: What of the context is not, behind the blocks.
        blocks_before: How many of the blocks the call before had sent, unchanged.
        provider_ttl: How long the provider is asked to keep the blocks: `5m` or `1h`.
        system: The system prompt, or an empty string.
        api_key: The resolved key, or None where the provider has none.
        api_base: The base URL, or None for the provider's own.
        headers: Extra HTTP headers, resolved.
        organization: OpenAI's organization, or None.
        api_version: Azure's API version, or None.
        proxy: An HTTP proxy's URL, or None.
        timeout_s: Seconds until the whole call is given up.
        connect_timeout_s: Seconds until there must be a connection.
        stream: Whether to ask for the answer piece by piece.
        params: Further model parameters under their OpenAI names: `temperature`, `max_tokens`.
        slots_dir: Where the embedded model may keep what it has read; None for nowhere.
        turns: The conversation before the prompt, the first turn first. The blocks then stand in the first turn's
            message, and the tail, what changed since, in the last one before the prompt.
        is_kept: Whether the prompt will be sent again, as a turn: the provider is then asked to keep it too.
        schema: The shape of the answer, where the provider is to hold the model to it.
        agent: For a command-line agent, what it may do, and where; None for a model.
    """

    provider_type: str
    model: str
    prompt: str
    blocks: tuple[str, ...] = ()
    tail: str = ""
    blocks_before: int = 0
    provider_ttl: str = "5m"
    system: str = ""
    api_key: Secret | None = None
    api_base: str | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
    organization: str | None = None
    api_version: str | None = None
    proxy: Secret | None = None
    timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    stream: bool = True
    params: Mapping[str, Any] = field(default_factory=dict)
    slots_dir: Path | None = None
    turns: tuple[Exchange, ...] = ()
    is_kept: bool = False
    schema: AnswerSchema | None = None
    agent: AgentTask | None = None

    @property
    def text(self) -> str:
        """Everything but the system prompt as one text, whose beginning stays the same from call to call."""
        earlier = [part for turn in self._exchanges() for part in (turn.asked, turn.answered)]
        return "\n\n".join((*earlier, self.asked))

    @property
    def asked(self) -> str:
        """The last message: context, separator and prompt, or the prompt alone."""
        return joined(self.tail if self.turns else f"{''.join(self.blocks)}{self.tail}", self.prompt)

    def messages(self) -> list[dict[str, str]]:
        """Everything but the system prompt, as messages of `role` and `content`; users and answers take turns."""
        earlier = [
            {"role": role, "content": content}
            for turn in self._exchanges()
            for role, content in (("user", turn.asked), ("assistant", turn.answered))
        ]
        return [*earlier, {"role": "user", "content": self.asked}]

    def _exchanges(self) -> tuple[Exchange, ...]:
        """The turns with the blocks at the beginning of the first one's message."""
        if not self.turns:
            return ()
        first = Exchange(joined("".join(self.blocks), self.turns[0].asked), self.turns[0].answered)
        return (first, *self.turns[1:])


def joined(context: str, prompt: str) -> str:
    """Context, separator and prompt; the prompt alone where there is no context."""
    return f"{context}{SEPARATOR}{prompt}" if context else prompt


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Note:
    """A word to the user that is not part of the answer, such as how far the reading of the prompt has come."""

    text: str


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as the provider counted them.

    Attributes:
        input_tokens: All tokens of the prompt, those from or for the provider's cache included.
        cached_input_tokens: Those of them read from the provider's cache.
        cache_write_tokens: Those of them written to the provider's cache (Anthropic bills these).
        output_tokens: Tokens of the answer.
    """

    input_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Done:
    """The last event of a call.

    Attributes:
        usage: None where the provider did not say.
        cost_usd: None where the price is unknown; 0.0 only where the model is known to be free.
        uncached_cost_usd: What the same tokens would have cost without the provider's cache; None likewise.
        model: The model that answered, as the provider names it; empty where it did not say.
        is_cut: Whether the answer ends at its limit of tokens.
        is_refused: Whether the provider says that the model refused; the answer is then its words, if there are any.
    """

    usage: Usage | None = None
    cost_usd: float | None = None
    uncached_cost_usd: float | None = None
    model: str = ""
    is_cut: bool = False
    is_refused: bool = False


@dataclass(frozen=True)
class Sent:
    """The request leaves now: time limits and rate limits count from here, not from a slow import or download."""


Event = Sent | Text | Note | Done


class Backend(Protocol):
    """Something that answers a call with a stream of events.

    Implementations raise `ccw_magics.errors.ProviderError` or `ToolError` for every failure that the outside
    world can cause, with no key in the message and no live exception of another library chained to it: such an
    exception's frames hold the key in local variables.
    """

    def stream(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        """Yield `Sent`, `Text` and `Note` events as they come, then exactly one `Done`; closing it closes the socket.

        An error may follow the `Done`: an answer without text was paid for too.

        A model that thinks or reads without saying anything yields a `Note` now and then, as a sign that it lives.
        """
        ...

    async def context_window_tokens(self, call: ModelCall) -> int | None:
        """Tokens that prompt and answer together may have; None where unknown."""
        ...

    async def count_tokens(self, call: ModelCall, text: str) -> int | None:
        """Tokens of `text` for the call's model, or the best estimate; None where there is none."""
        ...

    async def max_output_tokens(self, call: ModelCall) -> int | None:
        """The longest answer that the model gives; None where unknown."""
        ...

    async def price_usd(self, call: ModelCall, usage: Usage) -> float | None:
        """What a call with this usage costs, in US dollars; None where the price is unknown, 0.0 where it is free."""
        ...

    async def has_schema_mode(self, call: ModelCall) -> bool:
        """Whether the call's provider is known to hold its model to a schema: to the call's own, where it has one."""
        ...

    async def warm(self, call: ModelCall) -> None:
        """Begin what the first call would wait for, such as a slow import; runs while files are packed.

        What it raises is dropped: `stream` meets the same failure and reports it.
        """
        ...

"""Every hosted or self-hosted model, through litellm.

litellm's import takes seconds and logs; it happens in a thread when the first call is under way, never before. Its own
retries are off: `calls/` has the one retry layer.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from ccw_magics.backends.base import SEPARATOR, Done, Event, ModelCall, Text, Usage
from ccw_magics.backends.litellm_errors import clean_error
from ccw_magics.config.credentials import Secret, redact
from ccw_magics.errors import ProviderError

PREFIXES: Final = {"google": "gemini", "ollama": "ollama_chat", "custom": "openai"}
"""Config types whose litellm name differs; every other type is litellm's own name."""
CLAUDE_HOSTS: Final = frozenset({"bedrock", "vertex_ai"})
"""Where Anthropic's models are served too, and cache in the same way."""
NO_KEY: Final = "no-key"
"""Passed where there is no key: left out, litellm would take one from the environment for any base."""
LOGGERS: Final = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai._base_client", "httpx", "httpcore.http11")

PIECE_CHARS: Final = 8
"""So much of a key counts as a piece of it in a log; its well-known prefix is shorter, or no loss there."""


class LiteLLMBackend:
    """Calls models by way of `litellm.acompletion`; implements `backends.base.Backend`."""

    def __init__(self) -> None:
        self._litellm: Any = None
        self._proxied: dict[tuple[str, str], Any] = {}

    async def warm(self, call: ModelCall) -> None:  # noqa: ARG002 - every model needs the same import
        """Import litellm, in a thread, so that an interrupt is not kept waiting for it."""
        await self._load()

    async def _load(self) -> None:
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(_import_litellm)

    async def stream(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        """Yield the answer's pieces, then usage and cost.

        Raises:
            ProviderError: For every failure of the provider or the way to it.
            ContextTooLarge: The provider says that the prompt does not fit.
        """
        await self._load()
        self._redact_logs(call)
        try:
            async with asyncio.timeout(call.timeout_s):
                async for event in self._events(call):
                    yield event
        except Exception as error:  # noqa: BLE001 - litellm raises classes of five libraries; `clean_error` sorts them
            raised = clean_error(error, call)
        else:
            return
        # Outside the handler, or Python would chain the original, whose frames hold the key, as `__context__`.
        raise raised

    async def context_window_tokens(self, call: ModelCall) -> int | None:
        """The window that litellm's price map gives for the model; None where it does not know the model."""
        await self._load()
        try:
            info = self._litellm.get_model_info(call.model, custom_llm_provider=_provider(call))
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a model it does not know
            return None
        window = info.get("max_input_tokens") or info.get("max_tokens")
        return int(window) if window else None

    async def count_tokens(self, call: ModelCall, text: str) -> int | None:
        """Tokens by litellm's tokenizer for the model, or its nearest one."""
        await self._load()
        return int(await asyncio.to_thread(self._litellm.token_counter, model=call.model, text=text))

    async def _events(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        answer = await self._litellm.acompletion(**self._arguments(call))
        if not call.stream:
            choice = answer.choices[0]
            yield Text(_said(choice.message.content, call))
            yield self._done(call, answer, choice.finish_reason)
            return
        usage_chunk, silent, reason = None, True, None
        async with aclosing(answer):
            async for chunk in answer:
                if getattr(chunk, "usage", None) is not None:
                    usage_chunk = chunk
                if chunk.choices:
                    reason = chunk.choices[0].finish_reason or reason
                if chunk.choices and chunk.choices[0].delta.content:
                    silent = False
                    yield Text(chunk.choices[0].delta.content)
        if silent:
            _said(None, call)
        yield self._done(call, usage_chunk, reason)

    def _arguments(self, call: ModelCall) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            **call.params,
            "model": f"{_provider(call)}/{call.model}",
            "messages": messages(call),
            "api_key": call.api_key.reveal() if call.api_key is not None else NO_KEY,
            "api_base": call.api_base,
            "api_version": call.api_version,
            "organization": call.organization,
            "extra_headers": {name: value.reveal() for name, value in call.headers.items()} or None,
            "timeout": call.timeout_s,
            "stream": call.stream,
            "stream_options": {"include_usage": True} if call.stream else None,
            "num_retries": 0,
            "max_retries": 0,
            "client": self._proxied_client(call) if call.proxy is not None else None,
        }
        return {name: value for name, value in arguments.items() if value is not None}

    def _proxied_client(self, call: ModelCall) -> Any:
        """A client that goes through the call's proxy; kept, since it holds the connections."""
        assert call.proxy is not None
        key = call.api_key.reveal() if call.api_key is not None else NO_KEY
        kept = self._proxied.get((call.proxy.reveal(), key))
        if kept is None:
            kept = self._proxied[call.proxy.reveal(), key] = _proxied_client(call, key)
        return kept

    def _done(self, call: ModelCall, answer: Any, reason: str | None) -> Done:
        reported, is_cut = getattr(answer, "usage", None), reason == "length"
        if reported is None:
            return Done(model=call.model, is_cut=is_cut)
        cost_usd = self._cost_usd(call, reported)
        return Done(usage=_usage(reported), cost_usd=cost_usd, model=call.model, is_cut=is_cut)

    def _cost_usd(self, call: ModelCall, reported: Any) -> float | None:
        """By litellm's price map; None where it does not know the model, or the base is somebody else's."""
        if call.provider_type in {"custom", "ollama"}:
            return None
        try:
            parts = self._litellm.cost_per_token(
                model=call.model, custom_llm_provider=_provider(call), usage_object=reported
            )
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a model it does not know
            return None
        cost = float(sum(parts))
        return cost if cost > 0 else None

    def _redact_logs(self, call: ModelCall) -> None:
        secrets = [secret for secret in (call.api_key, call.proxy, *call.headers.values()) if secret is not None]
        for name in LOGGERS:
            for log_filter in logging.getLogger(name).filters:
                if isinstance(log_filter, _RedactingFilter):
                    # Replaced, not changed: litellm logs from threads of its own, which may be reading it.
                    log_filter.secrets = log_filter.secrets.union(secrets)


class _RedactingFilter(logging.Filter):
    """Masks keys in what litellm and the libraries below it log: at DEBUG they log whole requests."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: frozenset[Secret] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._redacted(record.getMessage())
        record.args = None
        if record.exc_info:
            record.exc_text = self._redacted(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True

    def _redacted(self, text: str) -> str:
        """The text without keys, nor the pieces of one: each chunk of a stream is logged by itself."""
        text = redact(text, self.secrets)
        for secret in self.secrets:
            key = secret.reveal()
            for start in range(len(key) - PIECE_CHARS + 1):
                text = text.replace(key[start : start + PIECE_CHARS], "…")
        return text


def messages(call: ModelCall) -> list[dict[str, Any]]:
    """The conversation to send: the system prompt, then one user message of context, separator and prompt."""
    content = _parts(call) if call.blocks and _takes_breakpoints(call) else call.text
    system = [{"role": "system", "content": call.system}] if call.system else []
    return [*system, {"role": "user", "content": content}]


def _takes_breakpoints(call: ModelCall) -> bool:
    """Whether the provider caches what it is told to; the others find prefixes by themselves, and may be strict."""
    return call.provider_type == "anthropic" or (call.provider_type in CLAUDE_HOSTS and "claude" in call.model)


def _parts(call: ModelCall) -> list[dict[str, Any]]:
    """Each block as a part of its own, since Anthropic matches whole parts.

    One breakpoint stands where the kept text ends now, and one where it ended last time, so that what was cached then
    is found however many blocks were added since (it looks back 20 parts by itself, and takes 4 breakpoints).
    """
    parts: list[dict[str, Any]] = [{"type": "text", "text": block} for block in call.blocks]
    lasting = {"type": "ephemeral"} | ({"ttl": call.provider_ttl} if call.provider_ttl != "5m" else {})
    for end in {call.blocks_before, len(parts)} - {0}:
        parts[end - 1]["cache_control"] = lasting
    return [*parts, {"type": "text", "text": f"{call.tail}{SEPARATOR}{call.prompt}"}]


def _said(text: str | None, call: ModelCall) -> str:
    """The text of an answer; one without any is a failure, or an empty stream would pass for an answer."""
    if not text:
        raise ProviderError(
            f"{call.provider_type} answered without any text", hint="Ask again, or raise --max-tokens.", retryable=True
        )
    return text


def _provider(call: ModelCall) -> str:
    return PREFIXES.get(call.provider_type, call.provider_type)


def _import_litellm() -> Any:
    # Without it the import fetches a price map over the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_RedactingFilter())
    return litellm


def _proxied_client(call: ModelCall, key: str) -> Any:
    import httpx
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    assert call.proxy is not None
    http_client = httpx.AsyncClient(proxy=call.proxy.reveal(), timeout=call.timeout_s)
    if call.provider_type in {"openai", "custom", "deepseek", "mistral"}:
        import openai

        return openai.AsyncOpenAI(
            api_key=key,
            base_url=call.api_base,
            organization=call.organization,
            http_client=http_client,
            max_retries=0,
        )
    handler = AsyncHTTPHandler(timeout=call.timeout_s)
    handler.client = http_client
    return handler


def _usage(reported: Any) -> Usage:
    details = getattr(reported, "prompt_tokens_details", None)
    return Usage(
        input_tokens=reported.prompt_tokens or 0,
        cached_input_tokens=getattr(details, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(reported, "cache_creation_input_tokens", None) or 0,
        output_tokens=reported.completion_tokens or 0,
    )

"""Every hosted or self-hosted model, through litellm.

litellm's import takes seconds and logs; it happens in a thread when the first call is under way, never before. Its own
retries are off: `calls/` has the one retry layer.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import cache
from typing import Any, Final

from ccw_magics.backends import litellm_tokens
from ccw_magics.backends.base import Done, Event, ModelCall, Sent, Text, Usage
from ccw_magics.backends.litellm_answer import Asking, Heard, no_text
from ccw_magics.backends.litellm_cost import OWN_PRICES, AnthropicUsage, Prices, usage_of
from ccw_magics.backends.litellm_errors import clean_error
from ccw_magics.backends.litellm_facts import chat_models, facts_of
from ccw_magics.backends.litellm_formats import NoAnswerError, Seen
from ccw_magics.backends.litellm_logs import redact_logs, watch_logs
from ccw_magics.backends.litellm_messages import messages, takes_breakpoints
from ccw_magics.backends.litellm_params import check_headers, check_params
from ccw_magics.backends.litellm_schema import SchemaMode, schema_arguments, schema_mode
from ccw_magics.backends.model_facts import ModelFacts

PREFIXES: Final = {"google": "gemini", "ollama": "ollama_chat", "custom": "openai"}
"""Config types whose litellm name differs; every other type is litellm's own name."""
NO_KEY: Final = "no-key"
"""Passed where there is no key: left out, litellm would take one from the environment for any base."""


class LiteLLMBackend:
    """Calls models by way of `litellm.acompletion`; implements `backends.base.Backend`."""

    def __init__(self) -> None:
        self._litellm: Any = None
        self._watching: Any = None
        self._clients: Any = None

    async def warm(self, call: ModelCall) -> None:  # noqa: ARG002 - every model needs the same import
        """Import litellm, in a thread, so that an interrupt is not kept waiting for it."""
        await self._load()

    async def _load(self) -> None:
        if self._clients is None:
            self._litellm, self._watching, self._clients = await asyncio.to_thread(_import_litellm)

    async def stream(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        """Yield the answer's pieces, then usage and cost; these also where no piece came, before the error says so.

        Raises:
            ConfigError: A parameter would lead the call elsewhere, or no header can carry the key.
            ProviderError: For every failure of the provider or the way to it.
            ContextTooLarge: The provider says that the prompt does not fit.
        """
        check_params(call.params)
        check_headers(call)
        await self._load()
        redact_logs(secret for secret in (call.api_key, call.proxy, *call.headers.values()) if secret is not None)
        seen = Seen(call.connect_timeout_s, is_streamed=call.stream, own_headers=_own_headers(call))
        try:
            async for event in self._events(call, seen):
                yield event
        except Exception as error:  # noqa: BLE001 - litellm raises classes of five libraries; `clean_error` sorts them
            raised = clean_error(error, call, seen)
        else:
            return
        finally:
            await seen.end()
        # Outside the handler, or Python would chain the original, whose frames hold the key, as `__context__`.
        raise raised

    async def context_window_tokens(self, call: ModelCall) -> int | None:
        """The window that litellm's price map gives for the model; None where it does not know the model."""
        info = await self._info(call)
        window = info.get("max_input_tokens") or info.get("max_tokens")
        return int(window) if window else None

    async def max_output_tokens(self, call: ModelCall) -> int | None:
        """The longest answer, by litellm's price map; None where it does not know the model."""
        longest = (await self._info(call)).get("max_output_tokens")
        return int(longest) if longest else None

    async def facts(self, call: ModelCall) -> ModelFacts:
        """What litellm's map says of the call's model: window, longest answer, prices."""
        return facts_of(await self._info(call), call.provider_type)

    async def known_models(self, provider_type: str) -> tuple[str, ...]:
        """The chat models that litellm lists for a type of provider; none for somebody's own server."""
        await self._load()
        return chat_models(self._litellm, provider_type)

    async def _info(self, call: ModelCall) -> Mapping[str, Any]:
        """What litellm knows of the model; for Ollama it asks the server on this machine, hence the thread.

        It is not told the call's server: older releases would send that one a key of the environment's.
        """
        await self._load()
        where = {"custom_llm_provider": _provider(call)}
        try:
            info: Mapping[str, Any] = await asyncio.to_thread(self._litellm.get_model_info, call.model, **where)
        except Exception:  # noqa: BLE001 - it raises a bare Exception for a model it does not know
            return {}
        return info

    async def count_tokens(self, call: ModelCall, text: str) -> int | None:
        """Tokens as `litellm_tokens.count` has them: exact for OpenAI's models, near for the others."""
        await self._load()
        return await asyncio.to_thread(litellm_tokens.count, self._litellm, call, text)

    async def price_usd(self, call: ModelCall, usage: Usage) -> float | None:
        """What a call with this usage costs, as `Done` tells it after the call; None where the price is unknown."""
        await self._load()
        prices = Prices(self._litellm, _provider(call), call.model, call.params.get("service_tier"))
        if call.provider_type in OWN_PRICES:
            return None
        if takes_breakpoints(call):
            return prices.anthropic_usd(AnthropicUsage.of(usage, call.provider_ttl))[0]
        return prices.usd(prices.reported(usage))[0]

    async def has_schema_mode(self, call: ModelCall) -> bool:
        """Whether the provider holds the model to a schema, natively or by a forced tool; see `schema_mode`."""
        await self._load()
        return schema_mode(self._litellm, _provider(call), call) is not SchemaMode.NONE

    async def aclose(self) -> None:
        """Close the connections that are kept; the next call opens others."""
        if self._clients is not None:
            await self._clients.aclose()

    async def _events(self, call: ModelCall, seen: Seen) -> AsyncGenerator[Event, None]:
        schema = self._schema(call)
        with self._watching(seen):
            asking = Asking(self._answer(call, schema, seen), seen)
        try:
            await asking.leaves
            yield Sent()
            answer = await asking.answer
        finally:
            asking.give_up()
        heard = Heard(takes_tool="tools" in schema)
        if call.stream:
            self._spare_record(answer)
            async with aclosing(answer):
                while not _is_all_told(call, heard, seen) and (chunk := await self._next(answer, seen)) is not None:
                    if event := heard.event(chunk):
                        yield event
            _check(seen)
        else:
            _check(seen)
            if event := heard.whole(answer):
                yield event
        if seen.refusal and not heard.has_text:
            heard.has_text = True
            yield Text(seen.refusal)
        yield self._done(call, seen, heard.usage_chunk, heard.reason)
        if not heard.has_text:
            raise no_text(call.provider_type, heard.reason)

    def _spare_record(self, answer: Any) -> None:
        """Keep litellm from making a record of the answer for callbacks, a tenth of its work, where there are none.

        The key is litellm's own mark for a record that was made; a release without it makes the record as before.
        """
        library = self._litellm
        if library.callbacks or library.success_callback or getattr(library, "_async_success_callback", None):
            return
        details = getattr(getattr(answer, "logging_obj", None), "model_call_details", None)
        if isinstance(details, dict):
            details["has_dispatched_final_stream_success"] = True

    async def _next(self, answer: Any, seen: Seen) -> Any:
        """The next chunk; with some providers litellm sends the request only now."""
        if seen.requests:
            return await anext(answer, None)
        with self._watching(seen):
            return await anext(answer, None)

    async def _answer(self, call: ModelCall, schema: Mapping[str, Any], seen: Seen) -> Any:
        """What litellm answers, by way of the first kind of client that it takes for the provider."""
        provider, arguments = _provider(call), _arguments(call, {**call.params, **schema})
        kinds = [*self._clients.kinds(provider)]
        for kind in kinds:
            client = self._clients.client(kind, call, provider)
            if client is None:
                seen.is_blind = True
                seen.on_request()  # the wire will not see it
            try:
                answer = await self._litellm.acompletion(**arguments, **({"client": client} if client else {}))
            except Exception as error:
                # A status that litellm does not make up itself came from the provider: asking again would be a retry.
                has_status = getattr(error, "status_code", 500) != 500  # noqa: PLR2004 - what it makes up
                if seen.requests or seen.is_given_up or has_status or kind is kinds[-1]:
                    raise
            else:
                break
        if seen.requests:
            self._clients.takes(provider, kind)
        return answer

    def _schema(self, call: ModelCall) -> Mapping[str, Any]:
        """What asks the provider for the call's schema."""
        if call.schema is None:
            return {}
        return schema_arguments(call.schema, schema_mode(self._litellm, _provider(call), call))

    def _done(self, call: ModelCall, seen: Seen, answer: Any, reason: str | None) -> Done:
        """The end, with usage and cost where the provider told the usage: litellm makes one up where it did not."""
        end = Done(model=call.model, is_cut=reason == "length", is_refused=seen.refusal is not None)
        reported = getattr(answer, "usage", None)
        if seen.format is not None and seen.usage is None:
            return end
        if reported is None and seen.usage is not None and "prompt_tokens" in seen.usage:
            reported = self._litellm.Usage(**seen.usage)
        prices = Prices(self._litellm, _provider(call), call.model, call.params.get("service_tier"))
        if seen.usage is not None and "input_tokens" in seen.usage and takes_breakpoints(call):
            used = AnthropicUsage.told(seen.usage, call.provider_ttl)
            usage, costs = used.usage, prices.anthropic_usd(used)
        elif reported is not None:
            usage, costs = usage_of(reported), prices.usd(reported)
        else:
            return end
        cost_usd, uncached_cost_usd = (None, None) if call.provider_type in OWN_PRICES else costs
        return replace(end, usage=usage, cost_usd=cost_usd, uncached_cost_usd=uncached_cost_usd)


def _arguments(call: ModelCall, params: Mapping[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        **params,
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
        # Else it looks for a gateway of its own proxy's among the tools, with a package that need not be there.
        "_skip_mcp_handler": True if "tools" in params else None,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def _is_all_told(call: ModelCall, heard: Heard, seen: Seen) -> bool:
    """Whether the answer is whole and its usage known, before litellm builds it up once more to count what was told.

    litellm gives the reason of the end when it has read all there is.
    """
    usage = seen.usage or {}
    is_counted = "prompt_tokens" in usage or ("output_tokens" in usage and takes_breakpoints(call))
    return heard.reason is not None and seen.is_whole and is_counted


def _check(seen: Seen) -> None:
    """Raise where what came must not pass for an answer, though litellm took it for one."""
    if seen.is_bad:
        raise NoAnswerError


def _own_headers(call: ModelCall) -> frozenset[str]:
    """The headers that the config sets, in lower case."""
    names = [*call.headers, *(["OpenAI-Organization"] if call.organization is not None else [])]
    return frozenset(name.lower() for name in names)


def _provider(call: ModelCall) -> str:
    return PREFIXES.get(call.provider_type, call.provider_type)


_IMPORTING: Final = threading.Lock()


def _import_litellm() -> tuple[Any, Any, Any]:
    """The library, the wire below it, and what makes clients for it; the same for all who ask at once."""
    with _IMPORTING:
        return _imported()


@cache
def _imported() -> tuple[Any, Any, Any]:
    # Without it the import fetches a price map over the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    # A table of noughts, a hundred like pieces, is an answer too.
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
    # Else it fetches a tokenizer over the network to price each answer of an open model, and stops the loop meanwhile.
    litellm.disable_hf_tokenizer_download = True
    watch_logs()
    from ccw_magics.backends.litellm_clients import Clients
    from ccw_magics.backends.litellm_wire import watching

    return litellm, watching, Clients()

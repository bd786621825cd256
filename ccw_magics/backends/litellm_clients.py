"""The HTTP clients handed to litellm, so that every call goes over a wire of ours.

Connections are shared by all calls that go by the same proxy, or by none.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

import httpx
import litellm
import openai
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, get_ssl_configuration

from ccw_magics.backends.base import ModelCall
from ccw_magics.backends.litellm_wire import Wire
from ccw_magics.config.credentials import Secret

NO_KEY: Final = "no-key"
"""Passed where there is no key: left out, litellm would take one from the environment for any base."""
OPENAI_BASE: Final = "https://api.openai.com/v1"
MOST_CLIENTS: Final = 64
"""More are dropped and made again: keys and addresses change in a long session."""
CLOSE_S: Final = 1.0
"""How long the end of the process waits for the connections to be closed in order."""


class Kind(Enum):
    """What litellm takes as a `client`: OpenAI's SDK, its own handler, or none of ours."""

    SDK = auto()
    HANDLER = auto()
    NONE = auto()


KNOWN: Final = {"openai": Kind.SDK, "azure": Kind.SDK, "anthropic": Kind.HANDLER, "gemini": Kind.HANDLER}
"""For the others it is tried out: litellm moves them from one to the other between releases."""


class Clients:
    """Makes clients, over connections that it keeps for as long as their loop lives."""

    def __init__(self) -> None:
        self._kinds = dict(KNOWN)
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._kept = _Kept()
        self._of_the_parent: list[object] = []
        atexit.register(self._close_at_exit)

    def kinds(self, provider: str) -> Iterator[Kind]:
        """What to try for a provider, in order; only what fails before anything was sent may be followed by another."""
        if provider in self._kinds:
            yield self._kinds[provider]
        else:
            yield from (Kind.HANDLER, Kind.SDK, Kind.NONE)

    def takes(self, provider: str, kind: Kind) -> None:
        """Remember what went well for a provider."""
        self._kinds.setdefault(provider, kind)

    def client(self, kind: Kind, call: ModelCall, provider: str) -> Any:
        """What to pass to litellm as `client`: the same one for calls that differ in nothing that it holds.

        Made anew for each call, clients would be a good part of what the garbage collector walks through.
        """
        if kind is Kind.NONE:
            return None
        kept = self._of_this_loop()
        holds = (kind, provider, call.api_base, call.api_key, call.organization, call.api_version, call.proxy)
        if holds not in kept.clients:
            if len(kept.clients) >= MOST_CLIENTS:
                kept.clients.clear()
            kept.clients[holds] = _client(kind, call, provider, kept.http_client(call.proxy))
        return kept.clients[holds]

    def _of_this_loop(self) -> _Kept:
        home = (os.getpid(), asyncio.get_running_loop())
        if self._home != home:
            if self._home is not None and self._home[0] != home[0]:
                # After a fork they are the parent's still: closing them here would say goodbye on its sockets.
                self._of_the_parent.append(self._kept)
            self._home, self._kept = home, _Kept()
        return self._kept

    def _close_at_exit(self) -> None:
        if self._home is None or self._home[0] != os.getpid() or not self._kept.http_clients:
            return
        with suppress(FutureTimeoutError, Exception):
            if self._home[1].is_running():
                asyncio.run_coroutine_threadsafe(self.aclose(), self._home[1]).result(CLOSE_S)
            else:
                asyncio.run(self.aclose())

    async def aclose(self) -> None:
        """Close all connections."""
        kept, self._kept = self._kept, _Kept()
        for http_client in kept.http_clients.values():
            await http_client.close_connections()


@dataclass
class _Kept:
    """What is kept for one loop: connections by proxy, and the clients that use them."""

    http_clients: dict[Secret | None, _SharedClient] = field(default_factory=dict)
    clients: dict[tuple[object, ...], Any] = field(default_factory=dict)

    def http_client(self, proxy: Secret | None) -> httpx.AsyncClient:
        if proxy not in self.http_clients:
            # Without a timeout of its own: each request brings one, and `calls/` has the deadline.
            made = _SharedClient(transport=Wire(_transport(proxy)), follow_redirects=True, timeout=None)
            self.http_clients[proxy] = made
        return self.http_clients[proxy]


class _SharedClient(httpx.AsyncClient):
    """A client that outlives each call: litellm closes the one that it was given when it takes its second try."""

    async def aclose(self) -> None:
        """Nothing: others use it."""

    async def close_connections(self) -> None:
        """Close it in earnest."""
        await super().aclose()


class _Handler(AsyncHTTPHandler):  # type: ignore[misc]  # litellm's classes are untyped here
    """litellm's handler around a client of ours, for its second try as well as for the first."""

    def __init__(self, http_client: httpx.AsyncClient) -> None:
        self._given = http_client
        super().__init__()

    def create_client(self, *_: object, **__: object) -> httpx.AsyncClient:
        """Instead of one with connections of its own."""
        return self._given

    def __del__(self) -> None:
        """Nothing to close: the connections are shared."""


def _client(kind: Kind, call: ModelCall, provider: str, http_client: httpx.AsyncClient) -> Any:
    if kind is Kind.HANDLER:
        return _Handler(http_client)
    return (_azure if provider == "azure" else _openai)(call, provider, http_client)


def _transport(proxy: Secret | None) -> httpx.AsyncBaseTransport:
    if proxy is not None:
        return httpx.AsyncHTTPTransport(proxy=proxy.reveal(), verify=get_ssl_configuration())
    return _Litellms(AsyncHTTPHandler())


class _Litellms(httpx.AsyncBaseTransport):
    """The transport litellm would use, with what it takes from the environment about certificates and proxies."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        client: httpx.AsyncClient = self._handler.client
        # The client's own choice, which heeds proxies; there is no public way to it that sends nothing of its own.
        response: httpx.Response = await client._transport_for_url(request.url).handle_async_request(request)  # noqa: SLF001
        return response

    async def aclose(self) -> None:
        await self._handler.close()


def _openai(call: ModelCall, provider: str, http_client: httpx.AsyncClient) -> Any:
    key = call.api_key.reveal() if call.api_key is not None else NO_KEY
    base = call.api_base
    if base is None and provider != "openai":
        base = litellm.get_llm_provider(call.model, custom_llm_provider=provider, api_key=key)[3]
    return _of_the_config(openai.AsyncOpenAI, call, http_client, base_url=base or OPENAI_BASE)


def _azure(call: ModelCall, provider: str, http_client: httpx.AsyncClient) -> Any:  # noqa: ARG001 - as `_openai`
    base, version = (call.api_base or "").rstrip("/"), call.api_version or litellm.AZURE_DEFAULT_API_VERSION
    if version in AZURE_V1:
        return _of_the_config(openai.AsyncOpenAI, call, http_client, base_url=f"{base}/openai/v1/")
    place = "base_url" if "/openai/deployments" in base else "azure_endpoint"
    return _of_the_config(openai.AsyncAzureOpenAI, call, http_client, api_version=version, **{place: base})


def _of_the_config(
    sdk: Callable[..., openai.AsyncOpenAI], call: ModelCall, http_client: httpx.AsyncClient, **place: str
) -> openai.AsyncOpenAI:
    """A client of OpenAI's SDK; of what it takes from the environment, the wire drops organization and project."""
    key = call.api_key.reveal() if call.api_key is not None else NO_KEY
    client = sdk(api_key=key, organization=call.organization, http_client=http_client, max_retries=0, **place)
    client._custom_headers = {}  # noqa: SLF001 - OPENAI_CUSTOM_HEADERS, meant for OpenAI; there is no public way
    return client


AZURE_V1: Final = frozenset({"v1", "latest", "preview"})
"""API versions that mean Azure's OpenAI-compatible API.

https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle
"""

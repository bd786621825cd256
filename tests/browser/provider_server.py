"""A provider on loopback, as a panel's user meets one: it lists its models to who brings the key, and answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection

from aiohttp import web
from wire_server import WireServer

GOOD_KEY = "sk-good-0123456789abcdefghij"


class ProviderServer(WireServer):
    """A `WireServer` that serves `GET .../models` too, in the way of OpenAI.

    Args:
        keys: What counts as a good key.
        models: What is listed.

    Attributes:
        brought: The keys that came with the requests for the list, oldest first.
        is_hanging: While set, who asks for the list waits for ever.
        left: Set once somebody who was waiting has hung up.
    """

    def __init__(self, keys: Collection[str], models: Collection[str] = ("gpt-4o", "gpt-4o-mini")) -> None:
        super().__init__()
        self._keys = keys
        self._models = models
        self.brought: list[str] = []
        self.is_hanging = threading.Event()
        self.left = threading.Event()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET" or not request.path.endswith("/models"):
            return await super()._handle(request)
        # Headers are bytes; what is not ASCII in them comes decoded as aiohttp does it.
        raw = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        key = raw.removeprefix("Bearer ")
        self.brought.append(key)
        if self.is_hanging.is_set():
            return await self._hang()
        if key not in self._keys:
            return web.json_response({"error": {"message": f"Incorrect API key provided: {key}"}}, status=401)
        return web.json_response({"object": "list", "data": [{"id": name} for name in self._models]})

    async def _hang(self) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        raise AssertionError

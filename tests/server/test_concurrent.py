"""Many requests at once, of every kind: each is answered, and nothing is lost.

`CCW_FUZZ_EXAMPLES=10` makes a thousand of the hundred.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
from served import Site
from wire_server import Answer, WireServer

from ccw_magics import Workspace
from ccw_magics.config import configfile

COUNT = 100 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
AT_ONCE = 250
KEY = "sk-canary-0123456789abcdef"


def requests(provider_id: str) -> Iterator[tuple[str, str, Any]]:
    """A tenth of them each: what adds, what changes, what reads, what asks."""
    for number in range(COUNT // 10):
        yield "POST", "/providers", {"type": "openai", "name": f"P{number}", "apiKey": KEY}
        yield "POST", "/endpoints", {"id": f"e{number}", "providerId": provider_id, "model": "gpt-4o"}
        yield "POST", "/execute", {"prompt": f"Question {number}?", "endpointId": "wired"}
        yield "PUT", f"/providers/{provider_id}", {"advancedSettings": {"customHeaders": {"X-N": str(number)}}}
        yield "PUT", "/config/cache", {"maxTotalSizeMB": number + 1}
        yield "POST", f"/providers/{provider_id}/test", None
        yield "GET", "/config", None
        yield "GET", "/endpoints/wired", None
        yield "GET", "/cache/stats", None
        yield "GET", "/models/local", None


async def answers(site: Site, sent: list[tuple[str, str, Any]]) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(
        base_url=site.served.url,
        headers=site.served.headers,
        params={"path": site.name},
        limits=limits,
        timeout=300,
        trust_env=False,
    ) as client:
        return await asyncio.gather(*(client.request(verb, path, json=body) for verb, path, body in sent))


def test_nothing_is_lost(site: Site, wire: WireServer) -> None:
    provider = site.store.add_provider({"type": "openai", "apiKey": KEY, "apiBase": f"{wire.url}/v1"})
    site.store.add_endpoint({"id": "wired", "providerId": provider.id, "model": "gpt-4o"})
    wire.answers(Answer("Yes."))
    sent = list(requests(provider.id))
    random.Random(7).shuffle(sent)
    got = asyncio.run(answers(site, sent))
    assert Counter(answer.status_code for answer in got) == {200: COUNT}
    assert not any(KEY in answer.text for answer in got)

    tenth = COUNT // 10
    config = site.store.load()
    assert {known.name for known in config.providers} >= {f"P{number}" for number in range(tenth)}
    assert {known.id for known in config.endpoints} == {"wired", *(f"e{number}" for number in range(tenth))}
    assert len({known.id for known in config.providers}) == tenth + 1
    asked = {call.opening for call in Workspace(site.root).journal.calls()}
    assert asked == {f"Question {number}?" for number in range(tenth)}
    told = [answer.text for (_, path, _), answer in zip(sent, got, strict=True) if path == "/execute"]
    assert all('"output": "Yes."' in text for text in told)


def test_who_reads_does_not_wait_for_those_who_wait_to_write(site: Site) -> None:
    site.store.add_provider({"id": "p", "type": "ollama"})
    writers = 20  # more than there are threads for

    async def write() -> list[int]:
        sent = [("PUT", "/config/cache", {"maxTotalSizeMB": number + 1}) for number in range(writers)]
        return [answer.status_code for answer in await answers(site, sent)]

    async def work() -> list[int]:
        with configfile.locked(site.store.path):
            writing = asyncio.ensure_future(write())
            (read,) = await answers(site, [("GET", "/providers", None)])
            assert read.json()["count"] == 1
            assert not writing.done()
        return await writing

    assert asyncio.run(work()) == [200] * writers

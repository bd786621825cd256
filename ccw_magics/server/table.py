"""Every operation, once: the handlers, the description and the tests are made from this."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ccw_magics.server import endpoints, execute, openapi, packs, providers, settings
from ccw_magics.server.answers import Description
from ccw_magics.server.operation import Call, Operation


def describe(_call: Call) -> dict[str, Any]:
    """Show this description."""
    return _description()


@cache
def _description() -> dict[str, Any]:
    return openapi.description(OPERATIONS)


OPERATIONS: Final[tuple[Operation, ...]] = (
    *providers.OPERATIONS,
    *endpoints.OPERATIONS,
    *packs.OPERATIONS,
    *settings.OPERATIONS,
    *execute.OPERATIONS,
    Operation("get", "/openapi.json", describe, Description),
)
"""The first path that fits answers: fixed names stand before those with an id."""

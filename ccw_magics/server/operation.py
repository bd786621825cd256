"""What the routes are made of: one verb on one path, with all that is to be known of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel

from ccw_magics.workspace import Workspace

BASE: Final = "api/litellm-api"
"""Below the server's base URL; CCW's own."""

Verb = Literal["get", "post", "put", "delete"]


@dataclass(frozen=True)
class Call:
    """One request, read and found in order.

    Attributes:
        workspace: The project that it is about.
        folder: The folder that `?path=` names, or the server's root: where relative references start.
        below_root: Finds another folder below the server's root.
        id: What stands in the path for `{id}`, decoded; empty where the path has none.
        body: The body, under the file's names; empty where there is none.
        numbers: The numbers of the query.
    """

    workspace: Workspace
    folder: Path
    below_root: Callable[[str], Path]
    id: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A server-sent event.

    Attributes:
        kind: Its name; empty for a sign of life, which clients pass over.
        data: What it brings.
    """

    kind: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As it goes over the wire (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
        if not self.kind:
            return b": waiting\n\n"
        return f"event: {self.kind}\ndata: {json.dumps(self.data)}\n\n".encode()


@dataclass(frozen=True)
class Body:
    """What is to be sent.

    Attributes:
        model: Its shape.
        is_change: Whether only what is to be different is sent: nothing is required, and null takes a value away.
        filler: For a change: what makes the least of it the whole model.
    """

    model: type[BaseModel]
    is_change: bool = False
    filler: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Number:
    """A whole number in the query.

    Attributes:
        name: Its name.
        summary: What it is.
        default: Where it is left out.
        least: The smallest.
        most: The largest.
    """

    name: str
    summary: str
    default: int
    least: int
    most: int


LARGEST: Final = 2**53 - 1
"""The largest whole number that every JSON reader holds exactly."""

Sync = Callable[[Call], dict[str, Any]]
Async = Callable[[Call], Awaitable[dict[str, Any]]]
Stream = Callable[[Call], AsyncGenerator[Event, None]]


@dataclass(frozen=True)
class Operation:
    """One verb on one path.

    Attributes:
        verb: In lower case.
        path: Below `api/litellm-api`; `{id}` is one segment.
        run: What is done. A plain function runs in a thread, a coroutine function on the server's loop, and what an
            asynchronous generator yields is streamed.
        answer: The shape of the answer; of a stream, that of its last event.
        body: What is to be sent; None for nothing.
        numbers: The numbers of the query.
    """

    verb: Verb
    path: str
    run: Sync | Async | Stream
    answer: type[BaseModel]
    body: Body | None = None
    numbers: tuple[Number, ...] = ()

    @property
    def name(self) -> str:
        """The function's name: one for each operation."""
        return self.run.__name__

    @property
    def summary(self) -> str:
        """The first line of what the function says of itself."""
        return (self.run.__doc__ or "").partition("\n")[0]

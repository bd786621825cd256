"""A project whose endpoint asks the wire server, and kernels that come and go in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wire_calls import FAMILIES, KEY
from wire_conversation import conversation
from wire_server import Answer, Received, WireServer

from ccw_magics import Workspace
from ccw_magics.calls.reply import Reply

ENDPOINT = "wired"


def make_project(root: Path, wire: WireServer, kind: str = "openai", **endpoint: Any) -> Path:
    """A project with one provider of this kind, and one endpoint, the default; answers are numbered."""
    (root / ".ccw" / "storage").mkdir(parents=True, exist_ok=True)
    config = Workspace(root).config
    model, suffix = FAMILIES[kind]
    provider = config.add_provider({"name": "W", "type": kind, "apiKey": KEY, "apiBase": f"{wire.url}{suffix}"})
    config.add_endpoint({"id": ENDPOINT, "name": "", "providerId": provider.id, "model": model, **endpoint})
    config.set_default_endpoint(ENDPOINT)
    wire.answers(numbered())
    return root


def numbered() -> Callable[[Received], Answer]:
    """Answers that all differ: JSON with a number, 1 first."""
    numbers = itertools.count(1)
    return lambda _: Answer(json.dumps({"n": next(numbers)}))


class Kernel:
    """A kernel that was just started: it knows what is on disk, and nothing else.

    Args:
        root: The project.
        defaults: Options of each call.
    """

    def __init__(self, root: Path, **defaults: Any) -> None:
        self.workspace = Workspace(root)
        self._defaults = defaults

    def ask(self, prompt: str, **options: Any) -> Reply:
        """Ask, and get an answer."""
        return self.workspace.run(prompt, **{**self._defaults, **options}).raise_for_error()

    def talk(self, *prompts: str, **options: Any) -> list[str]:
        """One answer after the other; those that were replayed are marked with an `=`."""
        replies = [self.ask(prompt, **options) for prompt in prompts]
        return [("=" if reply.replayed_at else "") + str(json.loads(reply.output)["n"]) for reply in replies]

    def turns(self, name: str = "c") -> list[str]:
        """A conversation's prompts and the numbers of their answers."""
        path = self.workspace.journal.chats.path(name)
        return [f"{stored.turn.prompt} {json.loads(stored.turn.answer)['n']}" for stored in path]

    def chats(self) -> set[str]:
        """The conversations there are."""
        return {row.name for row in self.workspace.journal.chats.names()}


def said(request: Received) -> list[tuple[str, str]]:
    """Roles and texts of a request's messages."""
    return [(message.role, message.text) for message in conversation(request)]

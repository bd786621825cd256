"""A shell's door that keeps what it is asked to ask, and answers for the user."""

from __future__ import annotations

from typing import Any

from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.cli.door import AskOptions
from ccw_magics.cli.shell.command import ShellDoor
from ccw_magics.cli.tree import tree


class AskingDoor(ShellDoor):
    """Sends nothing.

    Args:
        says: What the user answers to a question; None where nobody is there.

    Attributes:
        requests: What would have been sent.
        questions: What the user was asked.
        notes: What was said beside it.
    """

    def __init__(self, *, says: bool | None = None, is_shell: bool = True) -> None:
        self._says = says
        self._is_shell = is_shell
        self.requests: list[Request] = []
        self.questions: list[str] = []
        self.notes: list[str] = []

    @property
    def is_shell(self) -> bool:
        return self._is_shell

    def run(self, *words: str) -> Any:
        return tree.main(args=["cli", *words], standalone_mode=False, obj=self)

    def asked(self, *words: str) -> Request:
        """What a line would send."""
        self.run(*words)
        return self.requests[-1]

    def ask(self, request: Request, _options: AskOptions) -> Reply:
        self.requests.append(request)
        return Reply(success=True)

    def agrees(self, question: str, /) -> bool | None:
        self.questions.append(question)
        return self._says

    def note(self, text: str) -> None:
        self.notes.append(text)

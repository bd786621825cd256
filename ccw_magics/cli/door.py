"""What the verbs ask of whoever runs them: a shell, or a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ccw_magics.errors import CcwError

if TYPE_CHECKING:
    from ccw_magics.calls.reply import Reply
    from ccw_magics.calls.request import Request
    from ccw_magics.workspace import Workspace


@dataclass(frozen=True)
class AskOptions:
    """How a reply is to be shown, which the door decides.

    Attributes:
        raw: As plain text, not as rendered Markdown.
        out: The name that the reply is bound to in the notebook, or None.
        table: Whether the answer is a list that is to be shown as a table.
        as_json: The whole reply as one JSON document, whatever became of it; for a shell alone.
    """

    raw: bool = False
    out: str | None = None
    table: bool = False
    as_json: bool = False


def no_widgets() -> CcwError:
    """The error of a door that cannot show the panel."""
    return CcwError(
        "the panel needs a notebook",
        hint="Here the verbs do the same: `provider add`, `endpoint add`, `cache`, `history`; each has --help.",
    )


class Door(Protocol):
    """Where verbs come from and results go: a shell or a notebook."""

    @property
    def workspace(self) -> Workspace:
        """The project at hand."""
        ...

    @property
    def is_shell(self) -> bool:
        """Whether standard input and output are the user's, who may have redirected them; a notebook's are nobody's."""
        ...

    @property
    def chat_name(self) -> str:
        """The conversation that is meant where none is named."""
        ...

    def schema(self, text: str) -> object:
        """What `--schema` stands for: a type that goes by this name here, or else the short form itself.

        Raises:
            CcwError: It is a name, and nothing goes by it.
        """
        ...

    def ask(self, request: Request, options: AskOptions) -> Reply:
        """Run a request and show the reply as it comes; raise its error if it failed."""
        ...

    def agrees(self, question: str, /) -> bool | None:
        """Ask the user a question to be answered by yes or no; None where nobody can be asked."""
        ...

    def note(self, text: str) -> None:
        """Show a line of progress."""
        ...

    def panel(self) -> None:
        """Show the panel.

        Raises:
            CcwError: There are no widgets here.
        """
        ...

    def serve(self, port: int, /) -> None:
        """Answer HTTP on loopback until interrupted.

        Args:
            port: 0 for any that is free.

        Raises:
            CcwError: The port is taken, or this is no place for it.
        """
        ...

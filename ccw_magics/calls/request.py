"""What the user asked for, before anything is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ccw_magics.backends.base import Mode, Tool
from ccw_magics.schema import Schema


@dataclass(frozen=True)
class Request:
    """One question.

    Attributes:
        prompt: As it was typed; nothing in it is interpolated.
        endpoint_id: None for the default endpoint.
        cwd: Where relative references start; None for the current directory.
        include_dirs: Directories outside the root that references may reach.
        enable_cache: None for what the endpoint says; False packs for this call alone.
        repack: Whether to drop the kept pack first.
        system: The system prompt.
        stream: Whether to ask for the answer piece by piece.
        retry_cut: Whether to ask again, from the beginning, where an answer breaks off that was shown in part.
        chat: The conversation that this is the next turn of; None for a question by itself.
        replay: Whether to give an answer that was recorded, and record this one; None for what the endpoint says.
        max_cost_usd: What this call may cost at most, in US dollars; None for no limit of its own.
        schema: The shape that the answer must have; None for text.
        params: Model parameters under OpenAI's names, such as `temperature` and `max_tokens`.
        material: Text that goes along behind the prompt and was not typed, such as what was piped in; not searched for
            references.
        tool: The command-line agent that is to answer instead of an endpoint, `codex`, `gemini` or `qwen`; empty for
            none.
        mode: What that agent may do.
        model: The model that it is to ask, as it names it; empty for its own choice.
    """

    prompt: str
    endpoint_id: str | None = None
    cwd: Path | None = None
    include_dirs: tuple[Path, ...] = ()
    enable_cache: bool | None = None
    repack: bool = False
    system: str = ""
    stream: bool = True
    retry_cut: bool = False
    chat: str | None = None
    replay: bool | None = None
    max_cost_usd: float | None = None
    schema: Schema | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    material: str = ""
    tool: Tool | Literal[""] = ""
    mode: Mode = "analysis"
    model: str = ""

    @property
    def text(self) -> str:
        """The prompt with its material behind it: what is sent beside the files."""
        return f"{self.prompt}\n\n{self.material}" if self.material else self.prompt

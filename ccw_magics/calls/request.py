"""What the user asked for, before anything is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
        params: Model parameters under OpenAI's names, such as `temperature` and `max_tokens`.
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
    params: Mapping[str, Any] = field(default_factory=dict)

"""Keeps out of codex, in analysis mode, what its configuration would run beside the sandbox.

Servers of the Model Context Protocol run as the user, whatever the sandbox: the project's own, where its user trusts
the project, and the user's, whose tools may be approved once and for all (`default_tools_approval_mode`). Both were
seen to write. `-c` goes before any config file, and is merged with them.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

from ccw_magics.errors import ToolError


def confined(directory: Path) -> tuple[str, ...]:
    """The options that have codex take nothing from the project's `.codex`, and start no server of its user's.

    Args:
        directory: Where it works.

    Raises:
        ToolError: The user's configuration cannot be read.
    """
    # Trust is looked up for the directory, links followed, and for the repository's root above it.
    real = Path(os.path.realpath(directory))
    words = (_setting("projects", map(str, (real, *real.parents)), "trust_level='untrusted'"),)
    servers = _servers()
    return (*words, _setting("mcp_servers", servers, "enabled=false")) if servers else words


def _setting(table: str, names: Iterable[str], entry: str) -> str:
    return f"--config={table}={{{','.join(f'{_toml(name)}={{{entry}}}' for name in names)}}}"


def _servers() -> tuple[str, ...]:
    """Of the user's configuration; an option can turn off only what it names."""
    path = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"
    try:
        servers = tomllib.loads(path.read_text(encoding="utf-8")).get("mcp_servers")
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ToolError(f"codex's configuration cannot be read: {path}: {error}") from None
    return tuple(servers) if isinstance(servers, dict) else ()


def _toml(text: str) -> str:
    """A TOML string: a literal one where it can be, else a basic one, whose escapes are JSON's."""
    if "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

"""Endpoints, providers and packs as tables: plain rows for a shell, pandas DataFrames for a notebook.

pandas is imported when a frame is asked for, never before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccw_magics.calls.routing import default_endpoint_id, known_endpoints

if TYPE_CHECKING:
    import pandas as pd

    from ccw_magics.workspace import Workspace


@dataclass(frozen=True)
class Table:
    """Named columns and the rows below them.

    Attributes:
        columns: The columns' names, in order.
        rows: One tuple of cells a row, in the columns' order.
        empty: What to say where there are no rows.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    empty: str = "nothing here yet"

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame, one row for each row."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(self.columns))

    def text(self) -> str:
        """The table in columns of plain text."""
        if not self.rows:
            return self.empty
        lines = [self.columns, *(tuple("" if cell is None else str(cell) for cell in row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def endpoints(workspace: Workspace) -> Table:
    """One row per endpoint: id, name, provider, model, default, enabled, cache, TTL and size limit.

    The embedded model's endpoint `local` is the last row where it is installed and not configured otherwise.
    """
    config = workspace.config.load()
    default = default_endpoint_id(config)
    rows = [
        (
            endpoint.id,
            endpoint.name,
            endpoint.provider_id,
            endpoint.model,
            endpoint.id == default,
            endpoint.enabled,
            endpoint.cache_strategy.enabled,
            endpoint.cache_strategy.ttl_minutes,
            endpoint.cache_strategy.max_size_kb,
        )
        for endpoint in known_endpoints(config)
    ]
    columns = ("id", "name", "provider", "model", "default", "enabled", "cache", "ttl_minutes", "max_size_kb")
    return Table(columns, rows, empty="no endpoints yet: `init` writes an example config")


def providers(workspace: Workspace) -> Table:
    """One row per provider: id, name, type, key (masked, or the variable's name), base URL, enabled."""
    rows = [
        (
            provider.id,
            provider.name,
            provider.type,
            str(provider.api_key or ""),
            provider.api_base or "",
            provider.enabled,
        )
        for provider in workspace.config.get_all_providers()
    ]
    return Table(
        ("id", "name", "type", "key", "api_base", "enabled"),
        rows,
        empty="no providers yet: `init` writes an example config",
    )


def cache(workspace: Workspace) -> Table:
    """One row per pack in memory: session id, endpoint, references, files, bytes, tokens, revision, status, expiry.

    Tokens are an estimate, a quarter of the bytes.
    """
    rows = [
        (
            pack.session_id,
            endpoint_id,
            " ".join(pack.references),
            len(pack.files),
            pack.size_bytes,
            pack.size_bytes // 4,
            pack.revision,
            pack.status,
            pack.expires_at,
        )
        for endpoint_id, pack in workspace.cache.packs()
    ]
    columns = (
        "session_id",
        "endpoint",
        "references",
        "files",
        "size_bytes",
        "tokens_estimate",
        "revision",
        "status",
        "expires_at",
    )
    return Table(columns, rows, empty="no packs yet: a prompt with an @ reference makes one")


def endpoints_frame(workspace: Workspace) -> pd.DataFrame:
    """`endpoints` as a DataFrame, one row per endpoint."""
    return endpoints(workspace).frame()


def providers_frame(workspace: Workspace) -> pd.DataFrame:
    """`providers` as a DataFrame, one row per provider."""
    return providers(workspace).frame()


def cache_frame(workspace: Workspace) -> pd.DataFrame:
    """`cache` as a DataFrame, one row per pack; `expires_at` is a UTC timestamp."""
    return cache(workspace).frame()

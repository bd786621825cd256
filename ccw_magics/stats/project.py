"""What a project has: endpoints, providers, and packs with their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccw_magics.calls.routing import default_endpoint_id, known_endpoints
from ccw_magics.config.credentials import shown_base
from ccw_magics.stats.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from ccw_magics.workspace import Workspace

BYTES_PER_TOKEN: Final = 4
"""For estimates, which say that they are: code has 3 to 4.5 bytes a token with common tokenizers."""
CACHE_COLUMNS: Final = (
    "session_id",
    "project",
    "endpoint",
    "references",
    "files",
    "size_bytes",
    "tokens_estimate",
    "status",
    "revision",
    "hits",
    "reused",
    "created_at",
    "used_at",
    "expires_at",
)


def endpoints(workspace: Workspace) -> Table:
    """One row per endpoint: id, name, provider, model, default, enabled, cache, TTL, size limit, file.

    `file` is where it comes from, and where an edit goes: `project`, `user` (the user's own), or `built in`. The
    embedded model's endpoint `local` is the last row where it is installed and not configured otherwise.
    """
    config = workspace.config.load()
    default = default_endpoint_id(config)
    rows = [
        (
            *map(_showable, (endpoint.id, endpoint.name, endpoint.provider_id, endpoint.model)),
            endpoint.id == default,
            endpoint.enabled,
            endpoint.cache_strategy.enabled,
            endpoint.cache_strategy.ttl_minutes,
            endpoint.cache_strategy.max_size_kb,
            "built in" if endpoint not in config.endpoints else workspace.config.origin(endpoint),
        )
        for endpoint in known_endpoints(config)
    ]
    columns = ("id", "name", "provider", "model", "default", "enabled", "cache", "ttl_minutes", "max_size_kb", "file")
    return Table(columns, rows, empty="no endpoints yet: `init` writes an example config")


def providers(workspace: Workspace) -> Table:
    """One row per provider: id, name, type, key (masked, or the variable's name), base URL, enabled, file."""
    rows = [
        (
            *map(_showable, (provider.id, provider.name, provider.type, str(provider.api_key or ""))),
            _showable(shown_base(provider.api_base or "")),
            provider.enabled,
            workspace.config.origin(provider),
        )
        for provider in workspace.config.get_all_providers()
    ]
    return Table(
        ("id", "name", "type", "key", "api_base", "enabled", "file"),
        rows,
        empty="no providers yet: `init` writes an example config",
    )


def _showable(text: str) -> str:
    """The text without half surrogates, which JSON can spell, and no front end can be sent."""
    return text.encode(errors="replace").decode()


def cache(workspace: Workspace) -> Table:
    """One row per pack, the last used first.

    Columns: session id, project (its root), endpoint, references, files, size_bytes, tokens_estimate (a quarter of the
    bytes), status of the last use, revision, hits, reused (the share of its text that was the prefix of the revision
    before; all of it for a hit), created_at, used_at, expires_at (UTC).
    """
    rows = [
        (
            row.session_id,
            row.key.root,
            row.key.endpoint_id,
            " ".join(f"@{reference}" for reference in row.key.references),
            row.files,
            row.size_bytes,
            row.size_bytes // BYTES_PER_TOKEN,
            row.status,
            row.revision,
            row.hits,
            row.reused_bytes / row.size_bytes if row.size_bytes else 0.0,
            row.created_at,
            row.used_at,
            row.expires_at,
        )
        for row in workspace.cache.rows()
    ]
    return Table(CACHE_COLUMNS, rows, empty="no packs yet: a prompt with an @ reference makes one")


def pack_files(workspace: Workspace, session_id: str) -> Table:
    """One row per file in a pack: path, size_bytes, tokens_estimate, changes (while the pack lived)."""
    rows = [
        (row.path, row.size_bytes, row.size_bytes // BYTES_PER_TOKEN, row.changes)
        for row in workspace.cache.files(session_id)
    ]
    return Table(("path", "size_bytes", "tokens_estimate", "changes"), rows, empty=f"no such pack: {session_id}")


def endpoints_frame(workspace: Workspace) -> pd.DataFrame:
    """`endpoints` as a DataFrame, one row per endpoint."""
    return endpoints(workspace).frame()


def providers_frame(workspace: Workspace) -> pd.DataFrame:
    """`providers` as a DataFrame, one row per provider."""
    return providers(workspace).frame()


def cache_frame(workspace: Workspace) -> pd.DataFrame:
    """`cache` as a DataFrame, one row per pack: times are UTC timestamps, sizes integers, `reused` a share."""
    return cache(workspace).frame()


def pack_frame(workspace: Workspace, session_id: str) -> pd.DataFrame:
    """`pack_files` as a DataFrame, one row per file."""
    return pack_files(workspace, session_id).frame()

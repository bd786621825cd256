"""From an endpoint's cache strategy to what the cache is asked for."""

from __future__ import annotations

from pathlib import Path

from ccw_magics.config.models import CacheStrategy, Endpoint
from ccw_magics.context.pack import PackRequest
from ccw_magics.errors import PatternError


def pack_request(
    references: tuple[str, ...],
    root: Path,
    endpoint: Endpoint | None,
    provider_type: str = "",
    *,
    cwd: Path | None = None,
    include_dirs: tuple[Path, ...] = (),
    keep: bool | None = None,
    renew: bool = False,
) -> PackRequest:
    """What to pack for a call to `endpoint` (None: the default strategy).

    Args:
        references: The prompt's `@` references.
        root: The project root.
        endpoint: Whose `cacheStrategy` holds.
        provider_type: The type of its provider, which says how long text stays cached there.
        cwd: Where relative references start; None for the current directory where it is inside the root.
        include_dirs: Directories outside the root that references may reach.
        keep: Overrides `cacheStrategy.enabled`; None leaves it.
        renew: Whether to drop the kept pack first.

    Raises:
        PatternError: `cwd` or one of `include_dirs` is no directory.
    """
    strategy = endpoint.cache_strategy if endpoint is not None else CacheStrategy()
    return PackRequest(
        references=references,
        root=root,
        cwd=start_of(root, cwd),
        include_dirs=tuple(directory_of(directory) for directory in include_dirs),
        endpoint_id=endpoint.id if endpoint is not None else "",
        file_patterns=tuple(strategy.file_patterns),
        layout=strategy.layout,
        ttl_s=strategy.ttl_minutes * 60,
        idle_ttl_s=_idle_ttl_s(provider_type, endpoint),
        max_size_bytes=int(strategy.max_size_kb * 1024),
        keep=strategy.enabled if keep is None else keep,
        renew=renew,
    )


def _idle_ttl_s(provider_type: str, endpoint: Endpoint | None) -> float | None:
    """After how many seconds without a call the provider has surely forgotten the text; None where it does not say.

    Anthropic: 5 minutes or 1 hour from the last hit. OpenAI and Azure: at most an hour.
    """
    if provider_type == "anthropic" and endpoint is not None:
        return 3600.0 if endpoint.provider_ttl == "1h" else 300.0
    return 3600.0 if provider_type in {"openai", "azure"} else None


def start_of(root: Path, cwd: Path | None) -> Path:
    """Where relative references start: `cwd`, else the current directory where it is inside the root.

    Raises:
        PatternError: `cwd` is no directory.
    """
    if cwd is not None:
        return directory_of(cwd)
    try:
        here = Path.cwd().resolve()
    except FileNotFoundError:
        return root  # the current folder was deleted; the project is still there
    return here if here.is_relative_to(root) else root


def directory_of(path: Path) -> Path:
    """The directory with links followed.

    Raises:
        PatternError: It is none.
    """
    if not path.is_dir():
        raise PatternError(f"no such directory: {path.absolute()}", hint="--cd and --include-dirs take directories.")
    return path.resolve()

"""One project in one kernel: its root, config, cache and executor. What every door holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ccw_magics.errors import CcwError

if TYPE_CHECKING:
    from ccw_magics.calls.executor import Executor
    from ccw_magics.calls.plan import Plan
    from ccw_magics.calls.reply import Reply
    from ccw_magics.calls.request import Request
    from ccw_magics.calls.worker import OnOutput
    from ccw_magics.config.models import Config
    from ccw_magics.config.store import ConfigStore
    from ccw_magics.context.cache import ContextCache
    from ccw_magics.context.disk import CacheSettings
    from ccw_magics.context.pack import Pack
    from ccw_magics.context.preview import Preview
    from ccw_magics.journal import Journal


T = TypeVar("T")


def here() -> Path:
    """The current directory.

    Raises:
        CcwError: It was deleted.
    """
    try:
        return Path.cwd().resolve()
    except FileNotFoundError:
        raise CcwError("the current folder is no longer there", hint="Change to one that is.") from None


def find_root(base_dir: Path) -> Path:
    """The nearest of the directory and its ancestors that holds `.ccw/storage/` or `.git`, else the directory itself.

    Never the home directory: its `~/.ccw` holds caches and models, and a dotfiles repository there is no project.
    """
    home = Path.home().resolve()
    for candidate in (base_dir, *base_dir.parents):
        if candidate == home:
            continue
        if (candidate / ".ccw" / "storage").is_dir() or (candidate / ".git").exists():
            return candidate
    return base_dir


class Workspace:
    """A project as the notebook, the command line and the server see it.

    Parts are made when first used, so that holding a workspace costs nothing.

    Args:
        base_dir: A directory in the project; None for the current one.
    """

    def __init__(self, base_dir: Path | str | None = None) -> None:
        self.root = find_root(Path(base_dir).expanduser().resolve() if base_dir is not None else here())
        self._judged: Config | None = None

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @cached_property
    def config(self) -> ConfigStore:
        """Providers, endpoints and settings of this project."""
        from ccw_magics.config.store import ConfigStore

        return ConfigStore(self.root)

    @cached_property
    def cache(self) -> ContextCache:
        """The packs."""
        from ccw_magics.context.cache import ContextCache

        return ContextCache(self._cache_settings)

    def _cache_settings(self) -> CacheSettings:
        """Where packs are kept: a folder outside ~/.ccw only once the config is trusted."""
        from ccw_magics.context.disk import CacheSettings

        config = self.config.load()
        if config is not self._judged:
            if any(risk.provider_id is None for risk in self.config.risks()):
                config = self.config.require_trust()
            self._judged = config
        settings = config.global_cache_settings
        directory = Path(settings.cache_dir).expanduser() if settings.enabled else None
        return CacheSettings(directory, int(settings.max_total_size_mb * 1024 * 1024))

    @cached_property
    def executor(self) -> Executor:
        """The one path from prompt to reply."""
        from ccw_magics.calls.executor import Executor

        return Executor(self.root, self.config, self.cache, self.journal)

    @cached_property
    def journal(self) -> Journal:
        """The record of every call."""
        from ccw_magics.journal import Journal

        return Journal(self.root)

    def default_endpoint_id(self) -> str | None:
        """Who is asked where no endpoint is named: the configured default, else the embedded model, else nobody."""
        from ccw_magics.calls.routing import default_endpoint_id

        return default_endpoint_id(self.config.load())

    def pack(
        self,
        patterns: Iterable[str],
        *,
        endpoint: str | None = None,
        cwd: Path | str | None = None,
        include_dirs: Iterable[Path | str] = (),
        ttl_minutes: float | None = None,
        max_size_kb: int | None = None,
        max_file_size: int | None = None,
    ) -> Pack:
        """Pack the files that references stand for, as a call to `endpoint` would.

        Args:
            patterns: References, each with or without its `@`.
            endpoint: An endpoint's id, whose `cacheStrategy` holds; None for the default strategy.
            cwd: Where relative references start; None for the current directory where it is inside the root.
            include_dirs: Directories outside the root that references may reach.
            ttl_minutes: Instead of the endpoint's `ttlMinutes`.
            max_size_kb: Instead of the endpoint's `maxSizeKB`.
            max_file_size: Limit of one file in bytes; 1 MiB where left out.

        Raises:
            EndpointNotFound: There is no such endpoint.
            PatternError: A reference leads outside the root and `include_dirs`.
            ContextTooLarge: The text would pass its limit.
        """
        return self.executor.pack(
            (patterns,) if isinstance(patterns, str) else tuple(patterns),
            endpoint_id=endpoint,
            cwd=_path(cwd),
            include_dirs=tuple(Path(directory).expanduser() for directory in include_dirs),
            ttl_minutes=ttl_minutes,
            max_size_kb=max_size_kb,
            max_file_size_bytes=max_file_size,
        )

    def preview(self, file_patterns: Sequence[str], *, max_size_kb: int | None = None) -> Preview:
        """What a reference to the project root would bring in under these `cacheStrategy.filePatterns`, and its size.

        Nothing is packed, kept, or registered. It may take a second on a large tree, and may run in any thread.

        Args:
            file_patterns: Globs; empty for every text file.
            max_size_kb: The limit to compare with, in KiB; None for that of an endpoint which says none.

        Raises:
            PatternError: The braces of a pattern stand for too many alternatives.
        """
        from ccw_magics.config.models import CacheStrategy
        from ccw_magics.context.preview import preview

        limit_kb = CacheStrategy().max_size_kb if max_size_kb is None else max_size_kb
        return preview(self.root, tuple(file_patterns), limit_kb * 1024)

    def run(
        self,
        prompt: str,
        *,
        endpoint: str | None = None,
        cwd: Path | str | None = None,
        include_dirs: Iterable[Path | str] = (),
        enable_cache: bool | None = None,
        on_output: OnOutput | None = None,
        **options: Any,
    ) -> Reply:
        """Ask an endpoint; `@` references in the prompt bring their files along.

        Args:
            prompt: What to ask, sent as it is typed.
            endpoint: An endpoint's id; None for the default.
            cwd: Where relative references start; None for the current directory.
            include_dirs: Directories outside the root that references may reach.
            enable_cache: Overrides the endpoint's `cacheStrategy.enabled`; False packs for this call alone.
            on_output: Called in this thread with each piece as it comes.
            options: `system` (str), `stream` (bool), `repack` (bool: drop the kept pack first), `retry_cut` (bool: ask
                again where an answer breaks off that was shown in part), `chat` (str: the conversation that this is the
                next turn of), `replay` (bool: give a recorded answer where nothing it came of has changed, and record
                this one; False asks again), `max_cost_usd` (float), `schema` (a pydantic model, a dataclass, any type
                that pydantic takes, or a short form such as `title, line: int`: the shape of the reply's `data`), and
                model parameters under OpenAI's names (`temperature`, `max_tokens`). `tool` asks a command-line agent
                instead (`codex`, `gemini`, `qwen`), with `mode` (`analysis`, `write`, `auto`) and `model` (str).

        Returns:
            A reply for success and failure alike; `raise_for_error` raises the failure.

        Raises:
            SchemaError: `schema` cannot be understood.
            KeyboardInterrupt: The call was interrupted; `executor.last_reply` holds what had come.
        """
        request = _request(prompt, endpoint, cwd, include_dirs, enable_cache, options)
        return self.executor.execute(request, on_output)

    async def arun(
        self,
        prompt: str,
        *,
        endpoint: str | None = None,
        cwd: Path | str | None = None,
        include_dirs: Iterable[Path | str] = (),
        enable_cache: bool | None = None,
        on_output: OnOutput | None = None,
        **options: Any,
    ) -> Reply:
        """The same, awaited; `on_output` is called on the awaiting loop."""
        request = _request(prompt, endpoint, cwd, include_dirs, enable_cache, options)
        return await self.executor.aexecute(request, on_output)

    def plan(
        self,
        prompt: str,
        *,
        endpoint: str | None = None,
        cwd: Path | str | None = None,
        include_dirs: Iterable[Path | str] = (),
        enable_cache: bool | None = None,
        **options: Any,
    ) -> Plan:
        """What `run` would send with the same arguments, and what it would cost; nothing is sent, kept, or counted.

        `ccw_magics.stats.plan_frame` makes a DataFrame of it.

        Raises:
            CcwError: What `run` would fail of before anything is sent.
        """
        return self.executor.plan(_request(prompt, endpoint, cwd, include_dirs, enable_cache, options))


def _checked(name: str, value: T | None, kind: type[T]) -> T | None:
    """An option as it is.

    Raises:
        CcwError: It is of another kind.
    """
    if value is not None and not isinstance(value, kind):
        raise CcwError(f"{name}: {value!r} is no {kind.__name__}", hint=f"Give a {kind.__name__}, or None.")
    return value


def _amount(usd: Any) -> float | None:
    """A limit in US dollars.

    Raises:
        CcwError: It is none.
    """
    if usd is None:
        return None
    if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not usd >= 0:
        raise CcwError(f"max_cost_usd: {usd!r} is no amount", hint="A number of US dollars, such as 0.05.")
    return float(usd)


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path).expanduser()


def _request(
    prompt: str,
    endpoint: str | None,
    cwd: Path | str | None,
    include_dirs: Iterable[Path | str],
    enable_cache: bool | None,
    options: dict[str, Any],
) -> Request:
    from ccw_magics.calls.request import Request
    from ccw_magics.schema import Schema

    system, stream = options.pop("system", ""), options.pop("stream", True)
    repack, retry_cut = options.pop("repack", False), options.pop("retry_cut", False)
    schema = options.pop("schema", None)
    return Request(
        prompt=prompt,
        endpoint_id=endpoint,
        cwd=_path(cwd),
        include_dirs=tuple(Path(directory).expanduser() for directory in include_dirs),
        enable_cache=enable_cache,
        repack=repack,
        system=system,
        stream=stream,
        retry_cut=retry_cut,
        chat=_checked("chat", options.pop("chat", None), str),
        replay=_checked("replay", options.pop("replay", None), bool),
        max_cost_usd=_amount(options.pop("max_cost_usd", None)),
        tool=options.pop("tool", ""),
        mode=options.pop("mode", "analysis"),
        model=options.pop("model", ""),
        schema=schema if schema is None or isinstance(schema, Schema) else Schema.of(schema),
        params=options,
    )

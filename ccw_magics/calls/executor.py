"""The one path from a request to a reply: find the endpoint, pack, check the size, call, stream, account."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ccw_magics.backends import backend_for
from ccw_magics.backends.base import Backend, Done, ModelCall, Note, Text
from ccw_magics.calls import budget, worker
from ccw_magics.calls.model_call import build_call, secrets_of, with_context
from ccw_magics.calls.packing import pack_request
from ccw_magics.calls.redactor import Redactor
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route, route
from ccw_magics.calls.worker import OnIdle, OnOutput
from ccw_magics.config.store import ConfigStore
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import Pack
from ccw_magics.context.patterns import extract_patterns
from ccw_magics.context.session import OnRead
from ccw_magics.errors import CcwError

SILENT_S: Final = 1.0
"""What takes longer than this says how far it has come."""
NOTE_PERIOD_S: Final = 0.2
"""At most five notes a second."""
INTERRUPTED: Final = "interrupted; what had come is kept"


@dataclass
class _Progress:
    """What has come of one call so far; written by the worker, read by whoever waits."""

    started: float = field(default_factory=time.perf_counter)
    pieces: list[str] = field(default_factory=list)
    first_token_s: float | None = None
    done: Done = field(default_factory=Done)

    def add(self, text: str) -> None:
        if self.first_token_s is None:
            self.first_token_s = time.perf_counter() - self.started
        self.pieces.append(text)


@dataclass(frozen=True)
class _Prepared:
    """Everything one call needs, looked up and checked."""

    route: Route
    call: ModelCall
    backend: Backend
    pack: Pack | None


class Executor:
    """Runs requests for one project.

    Args:
        root: The project root.
        config: Whom requests go to.
        cache: Where packs are kept.

    Attributes:
        last_reply: The newest reply, the partial one of an interrupted call included; None until there is one.
    """

    def __init__(self, root: Path, config: ConfigStore, cache: ContextCache) -> None:
        self._root = root
        self._config = config
        self._cache = cache
        self.last_reply: Reply | None = None

    def pack(
        self,
        references: tuple[str, ...],
        *,
        endpoint_id: str | None = None,
        cwd: Path | None = None,
        include_dirs: tuple[Path, ...] = (),
        ttl_minutes: float | None = None,
        max_size_kb: int | None = None,
        max_file_size_bytes: int | None = None,
    ) -> Pack:
        """Pack files as a call to the endpoint would; see `Workspace.pack`."""
        chosen = route(self._config.load(), endpoint_id) if endpoint_id else None
        endpoint, provider_type = (chosen.endpoint, chosen.provider.type) if chosen is not None else (None, "")
        wanted = pack_request(references, self._root, endpoint, provider_type, cwd=cwd, include_dirs=include_dirs)
        return self._cache.pack(
            replace(
                wanted,
                ttl_s=wanted.ttl_s if ttl_minutes is None else ttl_minutes * 60,
                max_size_bytes=wanted.max_size_bytes if max_size_kb is None else max_size_kb * 1024,
                max_file_size_bytes=max_file_size_bytes or wanted.max_file_size_bytes,
            )
        )

    def execute(self, request: Request, on_output: OnOutput | None = None, on_idle: OnIdle | None = None) -> Reply:
        """Run a request in this thread's sight: both callbacks are called here.

        Args:
            request: What to ask.
            on_output: Called with `stdout` and a piece of the answer, or `stderr` and a note.
            on_idle: Called now and then while nothing comes, so that a display which holds text back may show it.

        Raises:
            KeyboardInterrupt: After the call was cancelled and `last_reply` set to what had come.
        """
        progress, self.last_reply = _Progress(), None
        try:
            prepared = self._prepare(request, on_output or _ignore)
        except CcwError as error:
            return self._failed(request, error, progress)
        return self._keep(self._watch(prepared, progress, on_output or _ignore, on_idle or _idle))

    async def aexecute(self, request: Request, on_output: OnOutput | None = None) -> Reply:
        """The same, awaited; `on_output` is called on the awaiting loop."""
        progress = _Progress()
        loop, tell = asyncio.get_running_loop(), on_output or _ignore

        def emit(kind: str, text: str) -> None:
            loop.call_soon_threadsafe(tell, kind, text)

        try:
            prepared = await asyncio.to_thread(self._prepare, request, emit)
        except CcwError as error:
            return self._failed(request, error, progress)
        return self._keep(await asyncio.wrap_future(worker.submit(_answer(prepared, progress, emit))))

    def _prepare(self, request: Request, emit: OnOutput) -> _Prepared:
        """Look everything up and pack. Runs in the caller's thread, where an interrupt ends it at once."""
        chosen = route(self._config.require_trust(), request.endpoint_id)
        backend = backend_for(chosen.provider.type)
        call = build_call(chosen, request)
        worker.submit(backend.warm(call))
        references = tuple(extract_patterns(request.prompt))
        if not references:
            return _Prepared(chosen, call, backend, None)
        wanted = pack_request(
            references,
            self._root,
            chosen.endpoint,
            chosen.provider.type,
            cwd=request.cwd,
            include_dirs=request.include_dirs,
            keep=request.enable_cache,
            renew=request.repack,
        )
        pack = self._cache.pack(wanted, _reading(emit))
        return _Prepared(
            chosen,
            with_context(call, pack, self._cache.slots_dir if wanted.keep else None, kept=wanted.keep),
            backend,
            pack,
        )

    def _watch(self, prepared: _Prepared, progress: _Progress, on_output: OnOutput, on_idle: OnIdle) -> Reply:
        """Hand the call's output on until the reply is there; what had come of a broken one is kept."""
        try:
            return worker.watch(lambda emit: _answer(prepared, progress, emit), on_output, on_idle)
        except BaseException as reason:
            error = CcwError(INTERRUPTED if isinstance(reason, KeyboardInterrupt) else f"broken off: {reason}")
            self._keep(_reply(prepared, progress, error))
            raise

    def _failed(self, request: Request, error: CcwError, progress: _Progress) -> Reply:
        return self._keep(
            Reply(
                success=False,
                endpoint=request.endpoint_id or "",
                duration_s=time.perf_counter() - progress.started,
                failure=_light(error),
            )
        )

    def _keep(self, reply: Reply) -> Reply:
        self.last_reply = reply
        return reply


def _ignore(_kind: str, _text: str) -> None:
    """Where nobody listens."""


def _reading(emit: OnOutput) -> OnRead:
    """Says how far the reading of the files has come, where it takes more than a second."""
    due = time.perf_counter() + SILENT_S

    def tell(done: int, total: int) -> None:
        nonlocal due
        now = time.perf_counter()
        if now >= due:
            due = now + NOTE_PERIOD_S
            emit("stderr", f"reading files: {done:,} of {total:,}")

    return tell


def _idle() -> None:
    """Where nothing is held back."""


async def _answer(prepared: _Prepared, progress: _Progress, emit: OnOutput) -> Reply:
    """Run one prepared call to its end, on the worker's loop."""
    redactor = Redactor(secrets_of(prepared.call))
    try:
        await budget.require_fit(prepared.backend, prepared.call, prepared.pack)
        async with aclosing(prepared.backend.stream(prepared.call)) as events:
            async for event in events:
                match event:
                    case Text(text):
                        _pass_on(redactor.feed(text), progress, emit)
                    case Note(text):
                        emit("stderr", text)
                    case Done():
                        progress.done = event
        _pass_on(redactor.flush(), progress, emit)
    except CcwError as error:
        _pass_on(redactor.flush(), progress, emit)
        return _reply(prepared, progress, error)
    return _reply(prepared, progress, None)


def _pass_on(text: str, progress: _Progress, emit: OnOutput) -> None:
    if text:
        progress.add(text)
        emit("stdout", text)


def _reply(prepared: _Prepared, progress: _Progress, error: CcwError | None) -> Reply:
    pack, done = prepared.pack, progress.done
    sent = pack is not None and bool(pack.files)
    return Reply(
        success=error is None,
        output="".join(progress.pieces),
        model=done.model or prepared.call.model,
        provider=prepared.route.provider.type,
        endpoint=prepared.route.endpoint.id,
        cache_used=sent,
        cached_files=pack.files if pack is not None else (),
        usage=done.usage,
        cost_usd=done.cost_usd,
        is_cut=done.is_cut,
        duration_s=time.perf_counter() - progress.started,
        first_token_s=progress.first_token_s,
        pack=pack.handle() if pack is not None else None,
        failure=None if error is None else _light(error),
    )


def _light(error: CcwError) -> CcwError:
    """The error without its frames, which would keep the pack's text alive as long as the reply."""
    return error.with_traceback(None)

"""The one path from a request to a reply: find the endpoint, pack, ask, fall back, account."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from traceback import format_exception

from ccw_magics.calls import account, worker
from ccw_magics.calls.model_call import secrets_of
from ccw_magics.calls.packing import pack_request
from ccw_magics.calls.preparation import Prepared, prepare
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.calls.retry import Tries
from ccw_magics.calls.routing import route
from ccw_magics.calls.run import Run
from ccw_magics.calls.worker import OnIdle, OnOutput
from ccw_magics.config.credentials import redact
from ccw_magics.config.store import ConfigStore
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import Pack
from ccw_magics.errors import CcwError
from ccw_magics.journal import Journal


class Executor:
    """Runs requests for one project.

    Args:
        root: The project root.
        config: Whom requests go to.
        cache: Where packs are kept.
        journal: Where calls are recorded.

    Attributes:
        last_reply: The newest reply, the partial one of an interrupted call included; None until there is one.
    """

    def __init__(self, root: Path, config: ConfigStore, cache: ContextCache, journal: Journal) -> None:
        self._root = root
        self._config = config
        self._cache = cache
        self._journal = journal
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
        self.last_reply = None
        run, emit, idle = Run(request), on_output or _ignore, on_idle or _idle
        try:
            for endpoint_id in run.endpoint_ids(emit):
                prepared = self._prepare(run, endpoint_id, emit)
                if prepared is not None:
                    worker.watch(partial(_ask, run, prepared), emit, idle)
            return self._keep(run)
        except BaseException as reason:
            run.broken_off(reason)
            self.last_reply = run.reply()
            with suppress(TimeoutError):  # it goes on where it takes longer
                self._keep(run, worker.CLOSE_S)
            raise

    async def aexecute(self, request: Request, on_output: OnOutput | None = None) -> Reply:
        """The same, awaited; `on_output` is called on the awaiting loop."""
        run = Run(request)
        emit = _ignore if on_output is None else _on_loop(asyncio.get_running_loop(), on_output)
        try:
            for endpoint_id in run.endpoint_ids(emit):
                prepared = await self._aprepare(run, endpoint_id, emit)
                if prepared is not None:
                    await worker.watch_async(_ask(run, prepared, emit))
            return await asyncio.to_thread(self._record, run)
        except BaseException as reason:
            run.broken_off(reason)
            await asyncio.to_thread(self._record, run)
            raise

    async def _aprepare(self, run: Run, endpoint_id: str | None, emit: OnOutput) -> Prepared | None:
        if "@" not in run.request.prompt:  # nothing to pack: quicker than finding a thread for it
            return self._prepare(run, endpoint_id, emit)
        return await asyncio.to_thread(self._prepare, run, endpoint_id, emit)

    def _prepare(self, run: Run, endpoint_id: str | None, emit: OnOutput) -> Prepared | None:
        """The call to one endpoint; None where it cannot be asked, which the run then knows."""
        try:
            chosen = route(self._config.require_trust(), endpoint_id)
            run.goes_to(chosen)
            owner = f"{self._config.path}#{chosen.provider.id}"
            prepared = prepare(chosen, run.request, self._root, self._cache, owner, emit)
        except CcwError as error:
            run.failed(error)
            return None
        run.is_ready(prepared)
        return prepared

    def _keep(self, run: Run, timeout_s: float | None = None) -> Reply:
        """Record a request in a thread that no interrupt reaches; one that strikes here finds it recorded."""
        return worker.submit(asyncio.to_thread(self._record, run)).result(timeout_s)

    def _record(self, run: Run) -> Reply:
        """Record what came of a request, once, before anybody is told that it ended."""
        with run.recording:
            if run.recorded is None:
                reply = run.reply()
                kept = self._journal_mode()
                if kept != "off":
                    self._journal.append(account.record(run, reply, with_text=kept == "full"))
                trouble = self._journal.take_trouble()
                run.recorded = self.last_reply = replace(reply, warnings=(trouble,)) if trouble else reply
            return run.recorded

    def _journal_mode(self) -> str:
        """What is recorded; nothing where the config cannot be read, since it may say so."""
        try:
            return self._config.load().journal
        except CcwError:
            return "off"


async def _ask(run: Run, prepared: Prepared, emit: OnOutput) -> None:
    """Ask one endpoint, on the worker's loop; a failure is left with the run."""
    try:
        await Tries(prepared, run.progress, emit, retry_cut=run.request.retry_cut).answer()
        run.answered()
    except CcwError as error:
        run.failed(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours ends the call, not the notebook
        run.failed(_fault(error, prepared))


class _FaultTrace(Exception):
    """A trace as text; never raised, only chained, to be read with CCW_DEBUG=1."""


def _fault(error: Exception, prepared: Prepared) -> CcwError:
    """A fault of ours as an error; not chained, since its frames hold keys."""
    secrets = [*secrets_of(prepared.call), *(key.key for key in prepared.keys if key.key)]
    said = redact("".join(format_exception(error)), secrets)
    fault = CcwError(f"ccw_magics itself failed: {said.strip().splitlines()[-1]}", hint="CCW_DEBUG=1 shows the trace.")
    fault.__cause__ = _FaultTrace(said)
    return fault


def _on_loop(loop: asyncio.AbstractEventLoop, tell: OnOutput) -> OnOutput:
    """The same function, to be called from another thread."""

    def emit(kind: str, text: str) -> None:
        loop.call_soon_threadsafe(tell, kind, text)

    return emit


def _ignore(_kind: str, _text: str) -> None:
    """Where nobody listens."""


def _idle() -> None:
    """Where nothing is held back."""

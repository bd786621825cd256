"""The one path from a request to a reply: find the endpoint, pack, ask, fall back, account."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from traceback import format_exception

from ccw_magics.calls import account, worker
from ccw_magics.calls.agent import agent_route, prepare_agent, require_mode
from ccw_magics.calls.chat import Conversations
from ccw_magics.calls.model_call import secrets_of
from ccw_magics.calls.packing import pack_request
from ccw_magics.calls.plan import Plan, plan
from ccw_magics.calls.preparation import Prepared, Sources, prepare
from ccw_magics.calls.replay import recorded
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.calls.retry import Tries
from ccw_magics.calls.routing import Route, route
from ccw_magics.calls.run import Run
from ccw_magics.calls.spending import Allowance
from ccw_magics.calls.structured import ask_in_shape
from ccw_magics.calls.worker import OnIdle, OnOutput
from ccw_magics.config.credentials import Secret, redact
from ccw_magics.config.models import Budget
from ccw_magics.config.resolution import held_keys
from ccw_magics.config.store import ConfigStore
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import Pack
from ccw_magics.context.told import Teller
from ccw_magics.errors import CcwError, ConfigError
from ccw_magics.journal import Journal, Replies, check_name


class Executor:
    """Runs requests for one project.

    Args:
        root: The project root.
        config: Whom requests go to.
        cache: Where packs are kept.
        journal: Where calls are recorded.

    Attributes:
        conversations: The conversations, and where this kernel stands in them.
        replies: The recorded answers.
        last_reply: The newest reply, the partial one of an interrupted call included; None until there is one.
    """

    def __init__(self, root: Path, config: ConfigStore, cache: ContextCache, journal: Journal) -> None:
        self._root = root
        self._config = config
        self._cache = cache
        self._journal = journal
        self.conversations = Conversations(journal.chats)
        self.replies = Replies(lambda: (cache.settings.directory, cache.settings.max_bytes))
        self._sources = Sources(root, cache, Teller(), self.conversations, self.replies)
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

    def plan(self, request: Request, on_output: OnOutput | None = None) -> Plan:
        """What a request would send, and what that would cost; nothing is sent, kept, or counted.

        Raises:
            CcwError: What would be the request's error before anything is sent.
        """
        chosen = self._route(request, request.endpoint_id)
        prepared = self._prepared(chosen, request, on_output or _ignore, is_dry=True)
        allowance = self._run(request).allowance
        return worker.watch(lambda _emit: plan(prepared, request, allowance), on_output or _ignore, _idle)

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
        run, emit, idle = self._run(request), on_output or _ignore, on_idle or _idle
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
        run = self._run(request)
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
        if (
            "@" not in run.request.prompt and run.request.chat is None
        ):  # nothing to pack: quicker than finding a thread for it
            return self._prepare(run, endpoint_id, emit)
        return await asyncio.to_thread(self._prepare, run, endpoint_id, emit)

    def _run(self, request: Request) -> Run:
        """A request with what it may spend; a config that cannot be read is the request's own failure, later."""
        try:
            budget = self._config.load().budget
        except CcwError:
            budget = Budget()
        return Run(request, Allowance(self._root, self._journal, budget, request.max_cost_usd))

    def _prepare(self, run: Run, endpoint_id: str | None, emit: OnOutput) -> Prepared | None:
        """The call to one endpoint; None where it cannot be asked, which the run then knows."""
        try:
            chosen = self._route(run.request, endpoint_id)
            run.goes_to(chosen)
            prepared = self._prepared(chosen, run.request, emit)
        except CcwError as error:
            run.failed(error)
            return None
        run.is_ready(prepared)
        return prepared

    def _route(self, request: Request, endpoint_id: str | None) -> Route:
        """Whom a request goes to; an agent is asked without a look at the config, none of whose keys it gets."""
        require_mode(request)
        return agent_route(request) if request.tool else route(self._config.require_trust(), endpoint_id)

    def _prepared(self, chosen: Route, request: Request, emit: OnOutput, *, is_dry: bool = False) -> Prepared:
        if request.tool:
            return prepare_agent(chosen, request, self._root, self._held_keys())
        self._require_record(request)
        return prepare(chosen, request, self._sources, self._owner(chosen), emit, is_dry=is_dry)

    def _held_keys(self) -> tuple[Secret, ...]:
        """The keys of a config that an agent may read, trusted or not; none where it cannot be read."""
        with suppress(CcwError):
            return tuple(held_keys(self._config.load()))
        return ()

    def _owner(self, chosen: Route) -> str:
        return f"{self._config.path}#{chosen.provider.id}"

    def _require_record(self, request: Request) -> None:
        """A conversation is kept in the journal, prompts, files and answers: not where that is unwanted."""
        if request.chat is None:
            return
        check_name(request.chat)
        if (kept := self._journal_mode()) != "full":
            raise ConfigError(
                f'a conversation is kept in the journal, which is "{kept}"',
                hint='Set "journal": "full" in the config, or ask without --chat.',
            )

    def _keep(self, run: Run, timeout_s: float | None = None) -> Reply:
        """Record a request in a thread that no interrupt reaches; one that strikes here finds it recorded."""
        return worker.submit(asyncio.to_thread(self._record, run)).result(timeout_s)

    def _record(self, run: Run) -> Reply:
        """Record what came of a request, once, before anybody is told that it ended."""
        with run.recording:
            if run.recorded is None:
                self._keep_turn(run)
                self._keep_answer(run)
                reply = run.reply()
                is_recorded = self._append(run, reply)
                run.allowance.settle(reply.cost_usd if is_recorded else None)
                trouble = (self._journal.take_trouble(), self.replies.take_trouble(), run.allowance.remark())
                warnings = (*reply.warnings, *(text for text in trouble if text))
                run.recorded = self.last_reply = replace(reply, warnings=warnings)
            return run.recorded

    def _append(self, run: Run, reply: Reply) -> bool:
        kept = self._journal_mode()
        return kept != "off" and self._journal.append(account.record(run, reply, with_text=kept == "full")) is not None

    def _keep_turn(self, run: Run) -> None:
        """Keep a turn that has ended with its conversation."""
        prepared = run.prepared
        if prepared is None or prepared.talk is None or not run.is_answered:
            return
        talk, answer = prepared.talk, prepared.recorded
        if answer is not None and self.conversations.walked(talk, prepared.key):
            return
        asked = prepared.call.prompt if answer is None else answer.asked or prepared.call.prompt
        text = "".join(run.progress.pieces)
        key = run.all_prepared[0].key  # of who was asked first, where another one answered: so it is looked for
        turn = talk.turn(prepared.route.endpoint.id, run.request.prompt, asked, text, key, run.asked_at)
        if remark := self.conversations.add(talk, turn, is_replayed=answer is not None):
            run.warnings.append(remark)

    def _keep_answer(self, run: Run) -> None:
        """Record an answer for replay, under the name of every call that was made for it."""
        prepared, progress = run.prepared, run.progress
        if prepared is None or prepared.recorded is not None or not run.is_answered:
            return
        end, text = progress.total(), "".join(progress.pieces)
        if end.is_cut and run.allowance.has_lowered:
            return  # cut by what it may cost, which is not a part of the key
        end = end if end.model else replace(end, model=prepared.route.endpoint.model)
        for asked in run.all_prepared:
            if asked.key and (run.request.replay or asked.route.endpoint.replay):
                kept = recorded(end, text, prepared.route, prepared.call.prompt, progress.elapsed_s)
                self.replies.put(asked.key, kept)

    def _journal_mode(self) -> str:
        """What is recorded; nothing where the config cannot be read, since it may say so."""
        try:
            return self._config.load().journal
        except CcwError:
            return "off"


async def _ask(run: Run, prepared: Prepared, emit: OnOutput) -> None:
    """Ask one endpoint, on the worker's loop; a failure is left with the run."""
    try:
        if prepared.recorded is not None:
            emit("stdout", prepared.recorded.output)
            run.is_replayed(prepared.recorded)
        else:
            await _ask_model(run, prepared, emit)
            run.answered()
    except CcwError as error:
        run.failed(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours ends the call, not the notebook
        run.failed(_fault(error, prepared))


async def _ask_model(run: Run, prepared: Prepared, emit: OnOutput) -> None:
    async def ask(asked: Prepared) -> None:
        await Tries(asked, run.progress, emit, run.allowance, retry_cut=run.request.retry_cut).answer()

    if run.request.schema is None:
        await ask(prepared)
    else:
        has_max_cost = run.request.max_cost_usd is not None
        shaped = ask_in_shape(prepared, run.request.schema, run.progress, emit, ask, has_max_cost=has_max_cost)
        run.data, asked = await shaped
        run.is_ready(asked)


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

"""Everything one call needs, looked up, checked and packed before anything is sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from ccw_magics.backends import backend_for
from ccw_magics.backends.base import Backend, ModelCall
from ccw_magics.calls import worker
from ccw_magics.calls.chat import NOTHING, Conversations, Talk
from ccw_magics.calls.keys import Key
from ccw_magics.calls.model_call import build_call, usable_keys, with_context
from ccw_magics.calls.packing import pack_request
from ccw_magics.calls.replay import key_of
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route
from ccw_magics.calls.worker import OnOutput
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import Pack, PackRequest
from ccw_magics.context.patterns import extract_patterns
from ccw_magics.context.rooted import rooted
from ccw_magics.context.told import Teller, Told
from ccw_magics.context.watch import OnRead
from ccw_magics.errors import SchemaError
from ccw_magics.journal import Recorded, Replies, StoredTurn

SILENT_S: Final = 1.0
"""What takes longer than this says how far it has come."""
NOTE_PERIOD_S: Final = 0.2
"""At most five notes a second."""


@dataclass(frozen=True)
class Sources:
    """Where a call's context, its conversation, and recorded answers come from.

    Attributes:
        root: The project root.
        cache: The packs.
        teller: What conversations have told of the files.
        conversations: The conversations, and where this kernel stands in them.
        replies: The recorded answers.
    """

    root: Path
    cache: ContextCache
    teller: Teller
    conversations: Conversations
    replies: Replies


@dataclass(frozen=True)
class Prepared:
    """One call, ready to be made.

    Attributes:
        route: Endpoint and provider.
        owner: Whose limits and keys these are: the config file and the provider's id.
        call: Without its key.
        keys: The keys to choose from, references resolved; empty where nothing is to be sent.
        backend: Who answers.
        pack: What is sent along; None where the prompt has no reference.
        talk: Its place in a conversation; None for a question by itself.
        key: The name of what the answer comes of; empty where nobody asked for replay, nor for a conversation.
        recorded: The answer that is given again; None where the model is to be asked.
        data: The object that was read from it, where one is asked for.
        remarks: What the user should know beside the answer.
    """

    route: Route
    owner: str
    call: ModelCall
    keys: tuple[Key, ...]
    backend: Backend
    pack: Pack | None
    talk: Talk | None = None
    key: str = ""
    recorded: Recorded | None = None
    data: Any = None
    remarks: tuple[str, ...] = ()

    @property
    def output_owner(self) -> str:
        """What tells endpoints apart where the length of answers is learned."""
        return f"{self.owner}#{self.route.endpoint.id}"

    def pack_hash(self) -> str:
        """The SHA-256 of the context that is sent; empty where there is none."""
        if self.pack is None or not self.pack.files:
            return ""
        digest = hashlib.sha256()
        for block in self.pack.kept:
            digest.update(block.data)
        digest.update(self.pack.rest)
        return digest.hexdigest()


def prepare(
    chosen: Route, request: Request, sources: Sources, owner: str, emit: OnOutput, *, is_dry: bool = False
) -> Prepared:
    """Resolve the keys and pack the files. Runs in the caller's thread, where an interrupt ends it at once.

    Args:
        chosen: Endpoint and provider.
        request: What to ask.
        sources: Where context and recorded answers come from.
        owner: Whose limits and keys these are.
        emit: Told how far the reading has come.
        is_dry: Whether nothing will be sent: then no key is needed, and nothing is kept.

    Raises:
        SecretMissing: A key is not configured or its variable not set.
        PatternError: A reference leads outside the root and `include_dirs`.
        ContextTooLarge: The files have more than the endpoint allows.
    """
    replays = request.replay if request.replay is not None else chosen.endpoint.replay
    call = build_call(chosen, request)
    plain = Prepared(chosen, owner, call, (), backend_for(chosen.provider.type), None)
    if not (is_dry or replays):
        plain = _armed(plain)
    if request.chat is not None:
        prepared = _turns(plain, request, sources, emit, replays=replays)
    else:
        prepared = _question(plain, request, sources, emit, replays=replays, is_dry=is_dry)
    return prepared if is_dry or prepared.recorded is not None or prepared.keys else _armed(prepared)


def _armed(prepared: Prepared) -> Prepared:
    """The same with its keys, and a backend that begins to get ready."""
    keys = usable_keys(prepared.route.provider)
    worker.submit(prepared.backend.warm(prepared.call))
    return replace(prepared, keys=keys)


def _question(
    plain: Prepared, request: Request, sources: Sources, emit: OnOutput, *, replays: bool, is_dry: bool
) -> Prepared:
    """A question by itself."""
    references = tuple(extract_patterns(request.prompt))
    wanted = _wanted(plain.route, references, request, sources.root) if references else None
    if replays or is_dry:  # what is not sent must not count as sent
        looked = _packed(plain, sources, wanted, sources.cache.peek)
        looked = _recalled(looked, request, sources, _content(looked), replays=replays)
        if is_dry or looked.recorded is not None:
            return looked
    prepared = _packed(plain, sources, wanted, partial(sources.cache.pack, on_read=_reading(emit)))
    if not (replays or plain.route.endpoint.replay):
        return prepared
    return _recalled(prepared, request, sources, _content(prepared), replays=False)


def _packed(
    plain: Prepared, sources: Sources, wanted: PackRequest | None, pack: Callable[[PackRequest], Pack]
) -> Prepared:
    """The call with its files, if any are wanted."""
    if wanted is None:
        return plain
    packed = pack(wanted)
    slots_dir = sources.cache.slots_dir if wanted.keep else None
    return replace(plain, call=with_context(plain.call, packed, slots_dir, kept=wanted.keep), pack=packed)


def _content(prepared: Prepared) -> str:
    """A hash of the files' contents; empty where there are none."""
    return prepared.pack.content_hash if prepared.pack is not None and prepared.pack.files else ""


def _turns(plain: Prepared, request: Request, sources: Sources, emit: OnOutput, *, replays: bool) -> Prepared:
    """The next turn of a conversation: after the first line of turns that a recorded answer follows, else the last."""
    assert request.chat is not None
    conversations, prepared = sources.conversations, plain
    include_dirs = conversations.reach(request.chat, request.include_dirs)
    typed = tuple(extract_patterns(request.prompt))
    own = _wanted(plain.route, typed, replace(request, include_dirs=include_dirs), sources.root)
    own = replace(own, references=rooted(own) if typed else (), cwd=sources.root)
    for before in conversations.lines(request.chat, request.prompt, replays=replays):
        prepared = _turn(plain, request, own, sources, before, emit, replays=replays)
        if prepared.recorded is not None:
            break
    return prepared


def _turn(
    plain: Prepared,
    request: Request,
    own: PackRequest,
    sources: Sources,
    before: tuple[StoredTurn, ...],
    emit: OnOutput,
    *,
    replays: bool,
) -> Prepared:
    assert request.chat is not None
    earlier = [reference for stored in before for reference in stored.turn.references]
    wanted, pack, told = replace(own, references=tuple(dict.fromkeys([*earlier, *own.references]))), None, NOTHING
    if wanted.references:
        said = [Told(stored.turn.context, stored.turn.sections) for stored in before]
        pack, told = sources.teller.tell(said, wanted, _reading(emit))
        pack = replace(pack, unmatched=tuple(name for name in pack.unmatched if name in own.references))
    talk = Talk(request.chat, before, own.references, told, own.include_dirs)
    call = talk.call(plain.call, sources.cache.slots_dir if wanted.keep else None, kept=wanted.keep)
    prepared = replace(plain, call=call, pack=pack, talk=talk)
    return _recalled(prepared, request, sources, talk.content(), replays=replays)


def _wanted(chosen: Route, references: tuple[str, ...], request: Request, root: Path) -> PackRequest:
    return pack_request(
        references,
        root,
        chosen.endpoint,
        chosen.provider.type,
        cwd=request.cwd,
        include_dirs=request.include_dirs,
        keep=request.enable_cache,
        renew=request.repack,
    )


def _recalled(prepared: Prepared, request: Request, sources: Sources, content: str, *, replays: bool) -> Prepared:
    """The same call with its key, and the answer that is recorded under it, if that is wanted."""
    key = key_of(prepared.route, prepared.call, content, request.schema)
    found = sources.replies.get(key) if replays else None
    if found is not None and prepared.talk is not None:
        found = _as_said(found, sources.conversations.next(prepared.talk, key))
    if found is None or request.schema is None:
        return replace(prepared, key=key, recorded=found)
    try:
        data = request.schema.read(found.output)
    except SchemaError:  # a model's own checks may have changed since
        return replace(prepared, key=key, recorded=None)
    return replace(prepared, key=key, recorded=found, data=data)


def _as_said(found: Recorded, stored: StoredTurn | None) -> Recorded:
    """The answer that the conversation has: another one of the same words may have renewed the record since."""
    return found if stored is None else replace(found, output=stored.turn.answer, at=stored.turn.at)


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

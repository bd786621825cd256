"""Everything one call needs, looked up, checked and packed before anything is sent."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ccw_magics.backends import backend_for
from ccw_magics.backends.base import Backend, ModelCall
from ccw_magics.calls import worker
from ccw_magics.calls.keys import Key
from ccw_magics.calls.model_call import build_call, usable_keys, with_context
from ccw_magics.calls.packing import pack_request
from ccw_magics.calls.request import Request
from ccw_magics.calls.routing import Route
from ccw_magics.calls.worker import OnOutput
from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import Pack
from ccw_magics.context.patterns import extract_patterns
from ccw_magics.context.session import OnRead

SILENT_S: Final = 1.0
"""What takes longer than this says how far it has come."""
NOTE_PERIOD_S: Final = 0.2
"""At most five notes a second."""


@dataclass(frozen=True)
class Prepared:
    """One call, ready to be made.

    Attributes:
        route: Endpoint and provider.
        owner: Whose limits and keys these are: the config file and the provider's id.
        call: Without its key.
        keys: The keys to choose from, references resolved; never empty.
        backend: Who answers.
        pack: What is sent along; None where the prompt has no reference.
    """

    route: Route
    owner: str
    call: ModelCall
    keys: tuple[Key, ...]
    backend: Backend
    pack: Pack | None

    def pack_hash(self) -> str:
        """The SHA-256 of the context that is sent; empty where there is none."""
        if self.pack is None or not self.pack.files:
            return ""
        digest = hashlib.sha256()
        for block in self.pack.kept:
            digest.update(block.data)
        digest.update(self.pack.rest)
        return digest.hexdigest()


def prepare(chosen: Route, request: Request, root: Path, cache: ContextCache, owner: str, emit: OnOutput) -> Prepared:
    """Resolve the keys and pack the files. Runs in the caller's thread, where an interrupt ends it at once.

    Raises:
        SecretMissing: A key is not configured or its variable not set.
        PatternError: A reference leads outside the root and `include_dirs`.
        ContextTooLarge: The files have more than the endpoint allows.
    """
    backend = backend_for(chosen.provider.type)
    keys = usable_keys(chosen.provider)
    call = build_call(chosen, request)
    worker.submit(backend.warm(call))
    references = tuple(extract_patterns(request.prompt))
    if not references:
        return Prepared(chosen, owner, call, keys, backend, None)
    wanted = pack_request(
        references,
        root,
        chosen.endpoint,
        chosen.provider.type,
        cwd=request.cwd,
        include_dirs=request.include_dirs,
        keep=request.enable_cache,
        renew=request.repack,
    )
    pack = cache.pack(wanted, _reading(emit))
    call = with_context(call, pack, cache.slots_dir if wanted.keep else None, kept=wanted.keep)
    return Prepared(chosen, owner, call, keys, backend, pack)


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

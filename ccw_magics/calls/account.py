"""A reply as the journal keeps it."""

from __future__ import annotations

import hashlib

from ccw_magics.calls.reply import Reply
from ccw_magics.calls.run import Run
from ccw_magics.errors import CallInterrupted
from ccw_magics.journal import Call


def record(run: Run, reply: Reply, *, with_text: bool) -> Call:
    """The journal's record of one request.

    Args:
        run: How it went.
        reply: What came of it.
        with_text: Whether prompt and answer are kept too.
    """
    request = run.request
    usage = reply.usage
    return Call(
        at=run.asked_at,
        endpoint=reply.endpoint,
        provider=reply.provider,
        model=reply.model,
        mode=request.mode,
        prompt_hash=hashlib.sha256(request.text.encode(errors="surrogatepass")).hexdigest(),
        pack_hash=run.prepared.pack_hash() if run.prepared is not None else "",
        files=reply.cached_files,
        input_tokens=None if usage is None else usage.input_tokens,
        cached_tokens=None if usage is None else usage.cached_input_tokens,
        written_tokens=None if usage is None else usage.cache_write_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        cost_usd=reply.cost_usd,
        uncached_cost_usd=reply.uncached_cost_usd,
        duration_s=reply.duration_s,
        first_token_s=reply.first_token_s,
        retries=reply.retries,
        fallback_from=reply.fallback_from,
        key=reply.key,
        chat=reply.chat,
        outcome=_outcome(reply),
        error=_error(reply, with_text=with_text),
        prompt=request.text if with_text else None,
        answer=reply.output if with_text else None,
    )


def _error(reply: Reply, *, with_text: bool) -> str:
    """The error's message; where texts are not to be kept its status alone, since providers quote the prompt."""
    if reply.failure is None:
        return ""
    status = getattr(reply.failure, "status", None)
    return reply.failure.message if with_text else f"status {status}" if status else ""


def _outcome(reply: Reply) -> str:
    if reply.replayed_at is not None:
        return "replayed"
    if reply.failure is None:
        return "cut" if reply.is_cut else "ok"
    return "interrupted" if isinstance(reply.failure, CallInterrupted) else type(reply.failure).__name__

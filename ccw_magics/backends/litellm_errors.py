"""A failure below litellm as one of our errors: what happened, in words, and the next step."""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import dataclass
from typing import Any, Final

from ccw_magics.backends.base import ModelCall
from ccw_magics.backends.litellm_formats import Fault, Seen
from ccw_magics.config.credentials import Secret, redact
from ccw_magics.errors import CcwError, ContextTooLarge, ProviderError

DETAIL_CHARS: Final = 300
"""A server's own words are cut here: some answer with a page of HTML, or with megabytes."""


TRACE_CHARS: Final = 20_000
"""A trace is cut here: litellm's repeats an error's body in each of its links."""
SERVER_ERRORS: Final = 500
"""The first HTTP status that says that the server is at fault."""


class ProviderTrace(Exception):
    """The original failure as text; never raised, only chained, to be read in a trace.

    The original itself is not chained: its frames hold the key in local variables, which `%xmode Verbose` prints, and
    would be kept alive with the reply.
    """


@dataclass(frozen=True)
class _Case:
    """What to say about a kind of failure."""

    message: str
    hint: str
    retryable: bool = False
    says_all: bool = False  # the library's own words would add nothing


CHECK_KEY: Final = "Check the key of provider type {type}, and that it belongs to {base}."
CASES: Final = {
    400: _Case("{name} rejected the request (400)", "Check the endpoint's model and the options given."),
    401: _Case("{name} refused the key (401)", CHECK_KEY),
    402: _Case(
        "{name} says that the account has no credit left (402)", "Add credit at the provider, or use another key."
    ),
    403: _Case("{name} does not allow this key to use model {model} (403)", CHECK_KEY),
    404: _Case("{name} does not know model {model} (404)", "Check the endpoint's model, and the provider's apiBase."),
    408: _Case("{name} gave up waiting for the request (408)", "Ask again.", retryable=True),
    409: _Case("{name} reports a conflict (409)", "Ask again.", retryable=True),
    413: _Case("the request is too large for {name} (413)", "Refer to fewer or smaller files."),
    422: _Case("{name} could not process the request (422)", "Check the endpoint's model and the options given."),
    429: _Case("{name} is limiting requests (429)", "Wait a little and ask again, or use another key.", retryable=True),
    500: _Case("{name} failed (500)", "Ask again in a moment.", retryable=True),
    502: _Case("{name} failed behind its gateway (502)", "Ask again in a moment.", retryable=True),
    503: _Case("{name} is not available (503)", "Ask again in a moment.", retryable=True),
    504: _Case("{name} did not answer its gateway in time (504)", "Ask again in a moment.", retryable=True),
    529: _Case("{name} is overloaded (529)", "Ask again in a moment.", retryable=True),
}
REJECTED: Final = _Case("{name} rejected the request ({status})", "Check the provider's type and apiBase.")
FAILED: Final = _Case("{name} failed ({status})", "Ask again in a moment.", retryable=True)
USED_UP: Final = _Case(
    "{name} says that the quota or credit of this key is used up ({status})",
    "Add credit or raise the limit at the provider, or use another key; waiting does not help.",
)
NO_CONNECTION: Final = _Case(
    "{name} gave no connection within {connect_timeout:g} s at {base}",
    "Check the network, the proxy, and the provider's apiBase, or raise advancedSettings.connectTimeout.",
    retryable=True,
    says_all=True,
)
TIMED_OUT: Final = _Case(
    "{name} did not finish within {timeout:g} s", "Ask again, or raise advancedSettings.timeout.", True, says_all=True
)
NO_SUCH_HOST: Final = _Case("there is no such host: {base}", "Check the provider's apiBase.", True, says_all=True)
UNREACHABLE: Final = _Case(
    "{name} cannot be reached at {base}",
    "Check that it runs, the network, the proxy, and the provider's apiBase.",
    retryable=True,
    says_all=True,
)
CERTIFICATE: Final = _Case(
    "the certificate of {base} cannot be verified",
    "Check the provider's apiBase; SSL_CERT_FILE names a file of further authorities to trust.",
    says_all=True,
)
CUT: Final = _Case(
    "the stream from {name} broke off before its end", "The text until then is kept; ask again.", True, says_all=True
)
UNREADABLE: Final = _Case(
    "{name} sent an answer that cannot be read", "Ask again; check the provider's apiBase and type.", retryable=True
)
REDIRECTED: Final = _Case(
    "{name} redirects from {base} to another host, which is not followed, since the key would go there",
    "Set the provider's apiBase to the address that answers.",
    says_all=True,
)
NOT_MADE: Final = _Case(
    "the request to {name} could not be made", "Check the endpoint's params, the options given, and the key."
)
NOT_TAKEN: Final = _Case(
    "{model} at {name} does not take the parameter {params}", "Remove it from the endpoint's params.", says_all=True
)

BY_FAULT: Final = {Fault.CUT: CUT, Fault.UNREADABLE: UNREADABLE, Fault.REDIRECTED: REDIRECTED}
BY_CLASS: Final = (
    ({"UnsupportedParamsError"}, NOT_TAKEN),
    ({"ConnectTimeout"}, NO_CONNECTION),
    ({"Timeout", "TimeoutError", "APITimeoutError"}, TIMED_OUT),
    ({"ClientConnectorDNSError", "gaierror"}, NO_SUCH_HOST),
    ({"ClientConnectorCertificateError", "SSLCertVerificationError"}, CERTIFICATE),
    ({"SSLError", "ClientConnectorSSLError"}, UNREACHABLE),
    ({"ClientConnectorError", "ConnectionRefusedError"}, UNREACHABLE),
    ({"ConnectionResetError", "BrokenPipeError"}, CUT),
    ({"ConnectError"}, UNREACHABLE),
    ({"ReadError", "RemoteProtocolError", "ClientPayloadError", "ServerDisconnectedError", "IncompleteRead"}, CUT),
    ({"JSONDecodeError"}, UNREADABLE),
)
"""Classes of httpx, httpcore, aiohttp, openai and the standard library that tell what happened, the most telling first.

By name: the libraries are litellm's own, and change from one of its releases to the next.
"""
BY_WORDS: Final = (
    (r"(?i)name or service not known|nodename nor servname|getaddrinfo", NO_SUCH_HOST),
    (r"(?i)certificate verify failed", CERTIFICATE),
    (r"(?i)cannot connect|connection error", UNREACHABLE),
    (r"(?i)payload is not completed|peer closed connection", CUT),
)


NO_CREDIT: Final = re.compile(
    r"(?i)insufficient[_ ](quota|balance)|credit balance|out of credits|billing[_ ]hard[_ ]limit"
)
"""OpenAI, DeepSeek and Anthropic, where there is no money left."""
OVER_QUOTA: Final = re.compile(r"(?is)exceeded your current quota.*billing")
"""OpenAI says so too, but so does Google of a minute's limit; there it says when to come back."""
LITELLMS: Final = re.compile(r"(?s)\s*Traceback \(most recent call last\).*|\.? Handle with `litellm\.\w+`\.")
"""What litellm adds to others' words, for those who program it."""
CLASS_NAME: Final = re.compile(r"(?:litellm\.)?\b\w+(?:Error\b\s*[:-]|Exception\b\s*[:-]?)\s*")
MARKUP: Final = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>")


def clean_error(error: Exception, call: ModelCall, seen: Seen | None = None) -> CcwError:
    """The error to raise instead: typed, redacted, and without the original's frames.

    Args:
        error: What litellm raised.
        call: The call it failed in.
        seen: What the wire saw of it; None where there was no wire.
    """
    if isinstance(error, CcwError):
        return error
    seen = seen or Seen()
    secrets = [secret for secret in (call.api_key, call.proxy, *call.headers.values()) if secret is not None]
    cleaned = _typed(error, call, seen, secrets)
    # Redacted before it is cut, or half a key would stay.
    trace = redact("".join(traceback.format_exception(error)), secrets)
    cleaned.__cause__ = ProviderTrace(trace if len(trace) <= TRACE_CHARS else f"{trace[:TRACE_CHARS]} …")
    return cleaned


TOO_LONG: Final = re.compile(r'"(context_length_exceeded|exceed_context_size_error)"')
"""What OpenAI and llama.cpp call a prompt that does not fit."""


def _typed(error: Exception, call: ModelCall, seen: Seen, secrets: list[Secret]) -> CcwError:
    links = _chain(error) + (_chain(seen.failure) if seen.failure is not None else [])
    detail = _detail(error, seen, secrets)
    is_too_long = seen.is_error and TOO_LONG.search(seen.error_body)  # in words that not every litellm knows
    if is_too_long or any(type(link).__name__ == "ContextWindowExceededError" for link in links):
        return ContextTooLarge(
            f"pack and prompt do not fit {call.model}: {detail}",
            hint="Refer to fewer or smaller files, or use an endpoint with a larger window.",
        )
    status = seen.status if seen.is_error else _status(links) if seen.requests == 0 else None
    case = _case(links, seen, status)
    words = {
        "name": call.provider_type,
        "type": call.provider_type,
        "model": call.model,
        "base": call.api_base or f"{call.provider_type}'s own address",
        "timeout": call.timeout_s,
        "connect_timeout": call.connect_timeout_s,
        "status": status,
        "params": _not_taken(error, call),
    }
    message = case.message.format(**words)
    return ProviderError(
        f"{message}: {detail}" if detail and not case.says_all else message,
        hint=case.hint.format(**words),
        status=status if case in {*CASES.values(), REJECTED, FAILED, USED_UP} else None,
        retryable=case.retryable,
        retry_after_s=seen.retry_after_s if case.retryable and seen.is_error else None,
    )


def _case(links: list[BaseException], seen: Seen, status: int | None) -> _Case:
    """What the wire saw goes before what litellm made of it."""
    if seen.is_error and status is not None:
        return _by_status(status, seen)
    if seen.fault is not None:
        return BY_FAULT[seen.fault]
    if told := _told(links):
        return told
    if _was_never_made(links, seen):
        return NOT_MADE
    if status is not None:
        return _by_status(status, seen)
    return CUT if seen.is_bad else UNREADABLE


def _was_never_made(links: list[BaseException], seen: Seen) -> bool:
    """Whether litellm failed before it sent anything: whatever status it makes up, another try would fail likewise."""
    if not seen.is_blind:
        return seen.requests == 0
    return any(isinstance(link, UnicodeEncodeError) or "not JSON serializable" in str(link) for link in links)


def _not_taken(error: Exception, call: ModelCall) -> str:
    """Which of the call's parameters litellm says that the model does not take."""
    told = str(error).partition("does not support parameters:")[2].partition("for model=")[0]
    return ", ".join(sorted(set(re.findall(r"\w+", told)) & set(call.params))) or "given"


def _by_status(status: int, seen: Seen) -> _Case:
    over_quota = OVER_QUOTA.search(seen.error_body) and seen.retry_after_s is None
    if status < SERVER_ERRORS and (over_quota or NO_CREDIT.search(seen.error_body)):
        return USED_UP
    return CASES.get(status) or (REJECTED if status < SERVER_ERRORS else FAILED)


def _told(links: list[BaseException]) -> _Case | None:
    """What the classes in the chain say, or their words; both are more than the status that litellm makes up."""
    names = {type(link).__name__ for link in links}
    by_class = (case for telling, case in BY_CLASS if names & telling)
    said = " ".join(str(link) for link in links)
    by_words = (case for words, case in BY_WORDS if re.search(words, said))
    return next(by_class, None) or next(by_words, None)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, outermost first."""
    links: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in links:
        links.append(current)
        current = current.__cause__ or current.__context__
    return links


def _status(links: list[BaseException]) -> int | None:
    """The HTTP status: the innermost one, since litellm maps some to others (413 to 400, 529 to 500).

    None where no answer stands behind it: litellm gives its own `APIConnectionError` the status 500.
    """
    for link in reversed(links):
        status = getattr(link, "status_code", None)
        if isinstance(status, int) and type(link).__name__ != "APIConnectionError":
            return status
    return None


def _detail(error: Exception, seen: Seen, secrets: list[Secret]) -> str:
    """The server's own words in one line: its JSON message where it has one, without class names or markup."""
    if seen.fault is not None:
        return ""
    text = _message(seen.error_body) if seen.is_error else str(getattr(error, "message", None) or error)
    text = redact(text, secrets)
    if not seen.is_error:
        text = LITELLMS.sub("", text)
        words = re.search(r'"message":\s*"((?:[^"\\]|\\.)*)"', text)
        text = words.group(1) if words else CLASS_NAME.sub("", text)
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_CHARS else f"{text[:DETAIL_CHARS]} …"


def _message(body: str) -> str:
    """What an error's body says to people."""
    try:
        found = _said(json.loads(body))
    except (ValueError, RecursionError):
        found = None
    return found or MARKUP.sub(" ", body)


def _said(document: Any) -> str | None:
    """The message in an error's JSON, wherever the provider puts it; Google sends a list with one error."""
    if isinstance(document, str):
        return document
    if isinstance(document, list):
        return next(filter(None, map(_said, document)), None)
    if isinstance(document, dict):
        inner = (document.get(name) for name in ("error", "message", "detail", "msg", "errors", "response"))
        return next(filter(None, map(_said, inner)), None)
    return None

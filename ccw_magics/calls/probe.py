"""Whether a provider can be reached with its keys: a free request, and in words what came of it.

What is asked for is the list of models that the provider serves. Redirections to another place are not followed, since
the key would go there, and everything that is said is without keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ccw_magics.backends import local_model
from ccw_magics.backends.base import ModelCall
from ccw_magics.backends.litellm_errors import clean_error
from ccw_magics.backends.litellm_formats import Seen
from ccw_magics.backends.litellm_params import check_headers
from ccw_magics.calls.keys import Key, candidates
from ccw_magics.calls.model_call import KEYLESS_TYPES, NO_KEY
from ccw_magics.calls.model_list import BASES, ModelList, model_list
from ccw_magics.config.credentials import Secret, is_mask, redact, references, resolve, shown_base
from ccw_magics.config.models import LOCAL_ID, Provider
from ccw_magics.config.resolution import resolved
from ccw_magics.errors import CcwError, SecretMissing

if TYPE_CHECKING:
    import httpx

LIMIT_S: Final = 30.0
"""Seconds for the test of one key: somebody sits and waits for it."""
LARGEST_BYTES: Final = 8 << 20
"""Of a list of models, or of what is said to be one; the longest known has less than a tenth of it."""
LARGEST_ERROR_BYTES: Final = 20_000
MOST_REDIRECTIONS: Final = 3


@dataclass(frozen=True)
class Probe:
    """What came of the test of a provider.

    Attributes:
        is_ok: Whether a call would get through; None where the test cannot tell.
        outcome: In words, in one line, without keys.
        hint: The next step, in one line; empty where there is none.
        latency_s: Seconds until the provider began to answer; None where it did not.
        models: The names of the models that it serves, sorted; empty where it does not tell.
    """

    is_ok: bool | None
    outcome: str
    hint: str = ""
    latency_s: float | None = None
    models: tuple[str, ...] = ()


async def probe(provider: Provider) -> Probe:
    """Test a provider with each of its keys; whatever the outside world does is told, not raised.

    Call `ConfigStore.require_trust` before: the keys are sent to wherever the provider says.

    Args:
        provider: As it stands in the config; references are resolved here.
    """
    if provider.type == LOCAL_ID:
        return await asyncio.to_thread(_embedded)
    if provider.type not in BASES and not provider.api_base:
        return Probe(
            None,
            f"{provider.type} cannot be tested for free without an apiBase",
            f"Ask one of its endpoints instead, such as: %%ccw ENDPOINT --max-tokens 16 (type {provider.type}).",
        )
    try:
        test = _Test(provider)
    except CcwError as error:
        return Probe(False, error.message, error.hint or "")
    keys = candidates(provider) or [NO_KEY]
    return _summed(keys, await asyncio.gather(*(test.of(key) for key in keys)))


def _embedded() -> Probe:
    """Whether the embedded model can be asked; looks at its file, and runs nothing."""
    if not local_model.available():
        return Probe(False, "the package xllamacpp is not installed", "pip install 'ccw_magics[local]'")
    try:
        path = local_model.installed()
    except CcwError as error:
        return Probe(False, error.message, error.hint or "")
    if path is None:
        return Probe(False, "the embedded model's weights are not there", local_model.INSTALL_HINT)
    return Probe(True, f"the embedded model is at {path}", models=(local_model.DEFAULT_MODEL,))


def _summed(keys: Sequence[Key], probes: Sequence[Probe]) -> Probe:
    """One account of all keys; where all say the same, it is said once."""
    first = next((probe for probe in probes if not probe.is_ok), probes[0])
    if len(probes) == 1 or (not first.is_ok and len({probe.outcome for probe in probes}) == 1):
        return first
    verdicts = {probe.is_ok for probe in probes}
    return Probe(
        is_ok=False if False in verdicts else None if None in verdicts else True,
        outcome="; ".join(f"{key.label}: {probe.outcome}" for key, probe in zip(keys, probes, strict=True)),
        hint=first.hint,
        latency_s=min((probe.latency_s for probe in probes if probe.latency_s is not None), default=None),
        models=tuple(sorted({model for probe in probes for model in probe.models})),
    )


@dataclass(frozen=True)
class _Answer:
    """What a server said to one request; `redirected` where it points elsewhere."""

    status: int
    body: bytes
    latency_s: float
    retry_after: str = ""
    redirected: bool = False


class _Test:
    """The test of one provider, references resolved but for its keys.

    Raises:
        SecretMissing: A header, the proxy or the base URL names a variable that is not set.
        ConfigError: A header cannot be sent.
    """

    def __init__(self, provider: Provider) -> None:
        bare = resolved(provider.model_copy(update={"api_key": Secret(""), "api_keys": []}))
        self._provider = bare
        self._list: ModelList = model_list(bare)
        self._settings = bare.advanced_settings
        self._base = shown_base(provider.api_base or BASES[provider.type])
        self._hidden = [Secret(part) for part in _values(provider)]
        check_headers(ModelCall(bare.type, "", "", headers=self._settings.custom_headers))

    async def of(self, key: Key) -> Probe:
        """The test with one key, or with none."""
        try:
            key = replace(key, key=resolve(key.key, f"provider {self._provider.id}"))
            if not key.key and self._provider.type not in KEYLESS_TYPES and self._provider.type in BASES:
                return Probe(False, "there is no key", f"{self._provider.type} needs one: apiKey is empty.")
            check_headers(ModelCall(self._provider.type, "", "", api_key=key.key))
            found = await self._asked(key.key)
        except CcwError as error:
            found = Probe(False, error.message, error.hint or "")
        secrets = [*self._hidden, key.key]
        return replace(
            found,
            outcome=redact(found.outcome, secrets),
            hint=redact(found.hint, secrets),
            models=tuple(redact(model, secrets) for model in found.models),
        )

    async def _asked(self, key: Secret) -> Probe:
        try:
            async with asyncio.timeout(LIMIT_S), self._client() as client:
                answer = await self._fetched(client, key)
                probe = self._read(answer, key)
                if probe.is_ok:
                    return await self._accepted(client, key, probe)
                return probe
        except TimeoutError:
            return Probe(False, f"{self._provider.type} did not answer within {LIMIT_S:g} s", "Try again later.")
        except Exception as error:  # noqa: BLE001 - frames of httpx hold the key: none may be shown in a trace
            return self._failed(error, key)

    def _client(self) -> httpx.AsyncClient:
        import httpx

        proxy = self._settings.proxy.reveal() if self._settings.proxy else None
        timeout = httpx.Timeout(LIMIT_S, connect=min(self._settings.connect_timeout, LIMIT_S))
        return httpx.AsyncClient(proxy=proxy, timeout=timeout, follow_redirects=False)

    async def _fetched(self, client: httpx.AsyncClient, key: Secret) -> _Answer:
        """What the provider says; redirections within its own origin are followed."""
        url, begun = self._list.url(), time.perf_counter()
        for _ in range(MOST_REDIRECTIONS + 1):
            async with client.stream("GET", url, headers=self._list.headers(key)) as response:
                latency_s = time.perf_counter() - begun
                if not response.has_redirect_location:
                    limit = LARGEST_ERROR_BYTES if response.is_error else LARGEST_BYTES
                    body, after = await _beginning(response, limit), response.headers.get("retry-after", "")
                    return _Answer(response.status_code, body, latency_s, after)
                target = url.join(response.headers["location"])
            if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
                break
            url = target
        return _Answer(response.status_code, b"", latency_s, redirected=True)

    async def _accepted(self, client: httpx.AsyncClient, key: Secret, probe: Probe) -> Probe:
        """Say what the answer tells about the key: many servers of one's own give the list to anybody."""
        said = "no key is needed"
        if key:
            said = "the key is accepted"
            if self._provider.api_base:
                again = await self._fetched(client, Secret(""))
                if again.status == HTTPStatus.OK and self._list.names(again.body) is not None:
                    said = "its list of models needs no key, so the key was not tested"
        told = _count(probe.models) if self._list.is_told else "which deployments it has is not told"
        latency_s = probe.latency_s or 0.0
        return replace(probe, outcome=f"reachable in {_readable(latency_s)}; {said}; {told}")

    def _read(self, answer: _Answer, key: Secret) -> Probe:
        """An answer in words; those of one that is good are for `_accepted` to find."""
        name = self._provider.type
        if answer.redirected:
            message = f"{name} redirects from {self._base} to another address; not followed: the key would go there"
            return Probe(False, message, "Set apiBase to the address that answers.", answer.latency_s)
        if answer.status != HTTPStatus.OK:
            message, hint = self._refusal(answer, key)
            is_ok = None if answer.status == HTTPStatus.FORBIDDEN else False
            return Probe(is_ok, message, hint, answer.latency_s)
        names = self._list.names(answer.body)
        if names is not None:
            return Probe(True, "", "", answer.latency_s, names)
        message = f"{self._base} answers, but with no list of models"
        return Probe(False, message, f"Check apiBase: it is not that of an API for {name}.", answer.latency_s)

    def _refusal(self, answer: _Answer, key: Secret) -> tuple[str, str]:
        """What an answer with another status than 200 says, and the next step."""
        name, status = self._provider.type, answer.status
        if status == HTTPStatus.UNAUTHORIZED and not key:
            return f"{name} needs a key (401)", "Set apiKey."
        if status == HTTPStatus.FORBIDDEN:
            whose = "this key" if key else "anybody without a key"
            message = f"{name} does not let {whose} see the list of models (403)"
            return message, "It may be allowed to ask all the same; else check the key."
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            return f"{self._base} answers, but has no list of models ({status})", self._list.hint
        is_refused = status == HTTPStatus.BAD_REQUEST and b"API_KEY_INVALID" in answer.body  # Google's 401
        seen = Seen(requests=1, status=401 if is_refused else status, error_body=answer.body.decode(errors="replace"))
        error = clean_error(ValueError(), self._call(key), seen)
        rest = answer.retry_after.strip()
        wait = f"It asks for {rest} s of rest. " if rest.isdecimal() else ""
        message = error.message if seen.is_error else f"{name} answered with the status {status}"
        return message, f"{wait}{error.hint or ''}"

    def _failed(self, error: Exception, key: Secret) -> Probe:
        import httpx

        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return Probe(False, f"apiBase is no URL: {self._base}", "It is one such as https://host/v1.")
        told = clean_error(error, self._call(key), Seen(is_blind=True, requests=1))
        return Probe(False, told.message, told.hint or "")

    def _call(self, key: Secret) -> ModelCall:
        """What the errors' words are taken from, and what they are redacted of."""
        secrets = {str(index): secret for index, secret in enumerate(self._hidden)}
        return ModelCall(
            self._provider.type,
            "",
            "",
            api_key=key,
            api_base=self._base,
            headers=secrets,
            proxy=self._settings.proxy,
            timeout_s=LIMIT_S,
            connect_timeout_s=min(self._settings.connect_timeout, LIMIT_S),
        )


def _values(provider: Provider) -> Iterator[str]:
    """All keys, headers and proxies of a provider, and what its base URL takes from outside, as far as it is there."""
    base = provider.api_base or ""
    outside = [name if name.startswith("keyring:") else f"${{{name}}}" for name in references(base)]
    for secret in (*provider.secrets(), *map(Secret, outside), Secret(base if "@" in base else "")):
        if secret and not is_mask(secret.reveal()):
            try:
                yield resolve(secret, "").reveal()
            except SecretMissing:
                continue


async def _beginning(response: httpx.Response, limit_bytes: int) -> bytes:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > limit_bytes:
            break
    return body[:limit_bytes]


def _count(models: Sequence[str]) -> str:
    return "1 model" if len(models) == 1 else f"{len(models):,} models"


def _readable(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"

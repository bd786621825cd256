"""Several keys of one provider: which one the next call takes, and how each is doing.

A `KeyRing` belongs to the one loop on which calls run (`ccw_magics.calls.worker`); only `ring` may be called from
anywhere.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ccw_magics.config.credentials import Secret
from ccw_magics.errors import ProviderError

if TYPE_CHECKING:
    from ccw_magics.config.models import Provider, RoutingStrategy

LIMITED_COOLDOWN_S: Final = 30.0
"""How long a key rests after a 429 that does not say: half of the minute in which limits are counted."""
REFUSED_COOLDOWN_S: Final = 600.0
"""How long a key rests that the provider refused: somebody has to mend it, and the kernel may run for days."""
LATENCY_MEAN_SHARE: Final = 0.25
"""Share of the newest call in a key's mean latency: the last four or so decide."""
LATENCY_LIFE_S: Final = 3600.0
"""How long a latency counts, as in litellm's router: without an end, one slow call would put a key aside for ever."""

_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
_HASH_SALT: Final = os.urandom(16)  # a hash seen in a dump of the memory fits no table of known keys


@dataclass(frozen=True)
class Key:
    """One key of a provider.

    Attributes:
        id: The entry's id; empty for the provider's `apiKey`.
        key: The key or a reference to it, as it stands in the config.
        label: A name for display.
        weight: Share of the calls under weighted routing.
    """

    id: str
    key: Secret
    label: str
    weight: float


def candidates(provider: Provider) -> list[Key]:
    """The keys a provider may be called with, in order: its `apiKey`, then the enabled ones of its `apiKeys`.

    Entries without a key are left out.
    """
    first = Key("", provider.api_key, "apiKey", 1)
    enabled = (entry for entry in provider.api_keys if entry.enabled)
    others = (Key(entry.id, entry.key, entry.label or entry.id, entry.weight) for entry in enabled)
    return [key for key in (first, *others) if key.key]


def cooldown_s(error: ProviderError) -> float | None:
    """Seconds for which the key of a failed call had better rest; None where the failure is not the key's.

    402 counts as a refusal: DeepSeek answers it where a key's account is empty.
    """
    if error.status in _REFUSED:
        return REFUSED_COOLDOWN_S
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return LIMITED_COOLDOWN_S if error.retry_after_s is None else error.retry_after_s
    return None


@dataclass
class Use:
    """One call with one key, while it is under way: what becomes known of it is put here.

    Attributes:
        first_token_s: Seconds to the first token; None where there was none.
        cost_usd: What the call cost; None where unknown.
    """

    first_token_s: float | None = None
    cost_usd: float | None = None


@dataclass
class _Health:
    """How a key is doing; times are the ring's."""

    calls: int = 0
    under_way: int = 0
    cost_usd: float = 0.0
    latency_s: float = 0.0
    measured_at: float = float("-inf")
    cool_until: float = float("-inf")


class KeyRing:
    """The keys of one provider, and how each is doing in this process.

    A key is known by its id and a hash of its text: an edited one starts afresh, and no text is kept.

    Args:
        rng: Draws for the random strategies.
        clock: Seconds from any beginning, never going back.
    """

    def __init__(self, rng: random.Random | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rng = rng or random.SystemRandom()  # a forked child does not repeat its parent's draws
        self._clock = clock
        self._known: dict[tuple[str, bytes], _Health] = {}

    def choose(
        self, keys: Sequence[Key], strategy: RoutingStrategy | None, *, exclude: Collection[str] = ()
    ) -> Key | None:
        """The key for the next call, or None where there is none.

        A key that cools down is taken only where there is no other; then the one that is ready first.

        Args:
            keys: The candidates, in the config's order.
            strategy: None: the first. `simple-shuffle`: any, with equal chances. `weighted`: with chances by weight;
                one of weight 0 only where there is no other. `latency-based`: the lowest mean time to the first token;
                those not measured within the last hour come first. `cost-based`: the one that has cost least in this
                process, so that the cost is spread evenly (all keys of a provider pay the same price).
                `least-busy`: the fewest calls under way. Of equals, the one with fewer calls so far, where latency or
                cost decide; else the first.
            exclude: Ids of keys that are not to be taken.
        """
        allowed = [key for key in keys if key.id not in exclude]
        ready = [key for key in allowed if not self.cooling_s(key)]
        if ready:
            return self._pick(ready, strategy)
        return min(allowed, key=self.cooling_s, default=None)

    def _pick(self, keys: Sequence[Key], strategy: RoutingStrategy | None) -> Key:
        match strategy:
            case None:
                return keys[0]
            case "simple-shuffle":
                return self._rng.choice(keys)
            case "weighted":
                weights = [key.weight for key in keys]
                return self._rng.choices(keys, weights)[0] if any(weights) else self._rng.choice(keys)
            case "latency-based":
                return min(keys, key=self._latency_rank)
            case "cost-based":
                return min(keys, key=self._cost_rank)
            case "least-busy":
                return min(keys, key=lambda key: self._health(key).under_way)

    def _latency_rank(self, key: Key) -> tuple[float, int]:
        health = self._health(key)
        is_known = self._clock() < health.measured_at + LATENCY_LIFE_S
        return (health.latency_s if is_known else -1.0, health.calls)

    def _cost_rank(self, key: Key) -> tuple[float, int]:
        health = self._health(key)
        return (health.cost_usd, health.calls)

    @contextmanager
    def using(self, key: Key) -> Iterator[Use]:
        """Count a call as under way while the block lasts, and learn from what is put into the `Use`."""
        use = Use()
        self.begin(key)
        try:
            yield use
        finally:
            self.end(key, first_token_s=use.first_token_s, cost_usd=use.cost_usd)

    def begin(self, key: Key) -> None:
        """Count a call as under way; every `begin` has its `end`."""
        health = self._health(key)
        health.calls += 1
        health.under_way += 1

    def end(self, key: Key, *, first_token_s: float | None = None, cost_usd: float | None = None) -> None:
        """Count a call as ended, and learn from it.

        Args:
            key: The key given to `begin`.
            first_token_s: Seconds to the first token; None where there was none.
            cost_usd: What the call cost; None where unknown.
        """
        health = self._health(key)
        health.under_way = max(health.under_way - 1, 0)
        health.cost_usd += cost_usd or 0.0
        if first_token_s is not None:
            self._learn_latency(health, first_token_s)

    def _learn_latency(self, health: _Health, first_token_s: float) -> None:
        now = self._clock()
        is_known = now < health.measured_at + LATENCY_LIFE_S
        mean = health.latency_s if is_known else first_token_s
        health.latency_s = mean + LATENCY_MEAN_SHARE * (first_token_s - mean)
        health.measured_at = now

    def cool(self, key: Key, seconds: float) -> None:
        """Pass a key over for so long; a longer rest that it has already is kept."""
        health = self._health(key)
        health.cool_until = max(health.cool_until, self._clock() + seconds)

    def cooling_s(self, key: Key) -> float:
        """Seconds until a key has cooled down; 0.0 where it has."""
        return max(self._health(key).cool_until - self._clock(), 0.0)

    def _health(self, key: Key) -> _Health:
        return self._known.setdefault((key.id, _fingerprint(key.key)), _Health())


def _fingerprint(secret: Secret) -> bytes:
    # In one expression: a local variable with the text would show in a traceback with locals.
    return hashlib.blake2b(secret.reveal().encode("utf-8", "surrogatepass"), key=_HASH_SALT, digest_size=16).digest()


# By process, since a forked child has no part in its parent's calls. `setdefault` is atomic; a lock instead could be
# held by another thread at the moment of the fork, and for ever in the child.
_rings: dict[tuple[int, str], KeyRing] = {}


def ring(owner: str) -> KeyRing:
    """The key ring of a provider, the same one for the same owner in this process.

    Args:
        owner: What tells providers apart: the config's path and the provider's id.
    """
    return _rings.setdefault((os.getpid(), owner), KeyRing())

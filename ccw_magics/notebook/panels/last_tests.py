"""How the last test of each provider went, for as long as the kernel lives; the tabs share it.

A test counts for the settings that were tested: it is forgotten as soon as they are others.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccw_magics.config.models import Provider

if TYPE_CHECKING:
    from ccw_magics.calls.probe import Probe

_MOST: Final = 1000
"""Tests that are remembered: somebody would have to press a button for hours."""
_LONGEST_OUTCOME: Final = 48
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


@dataclass(frozen=True)
class LastTest:
    """One test.

    Attributes:
        probe: What came of it.
        at_s: When it ended, on `time.monotonic`'s clock.
    """

    probe: Probe
    at_s: float

    def words(self, *, is_short: bool = True) -> str:
        """It in a few words: `✓ 120 ms, 2 min ago`, `✗ openai refused the key (401)`.

        Args:
            is_short: Cut off what is too long for a list.
        """
        if self.probe.is_ok:
            latency_s = self.probe.latency_s
            took = f"{latency_s * 1000:.0f} ms, " if latency_s is not None else ""
            return f"✓ {took}{_ago(time.monotonic() - self.at_s)}"
        outcome = self.probe.outcome
        if is_short and len(outcome) > _LONGEST_OUTCOME:
            outcome = f"{outcome[: _LONGEST_OUTCOME - 1]}…"
        return f"{'?' if self.probe.is_ok is None else '✗'} {outcome}"


_lock = threading.Lock()
_tests: dict[str, tuple[Provider, LastTest]] = {}


def remember(provider: Provider, probe: Probe) -> LastTest:
    """Keep what came of a test, in the place of the provider's last one; may be called on any thread.

    Args:
        provider: As it was tested, with references for keys as it would be stored.
        probe: What came.
    """
    made = LastTest(probe, time.monotonic())
    with _lock:
        _tests.pop(provider.id, None)
        _tests[provider.id] = (_essence(provider), made)
        while len(_tests) > _MOST:
            del _tests[next(iter(_tests))]
    return made


def last_test(provider: Provider) -> LastTest | None:
    """The last test of a provider with the settings that it has now; None where there was none."""
    with _lock:
        tested, made = _tests.get(provider.id, (None, None))
    return made if tested == _essence(provider) else None


def adopt(provider: Provider) -> None:
    """Let a provider that was just added have the test that was made before it had an id."""
    with _lock:
        tested, made = _tests.pop("", (None, None))
        if tested is not None and made is not None:
            _tests[provider.id] = (tested, made)


def models_of(provider: Provider) -> tuple[str, ...]:
    """The models that the provider was last found to serve; none where it was not asked."""
    found = last_test(provider)
    return found.probe.models if found is not None else ()


def _essence(provider: Provider) -> Provider:
    """What a test depends on."""
    return provider.model_copy(update={"id": "", "name": "", "enabled": True, "created_at": None, "updated_at": None})


def _ago(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return "just now"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min ago"
    return f"{seconds / _HOUR_S:.0f} h ago"

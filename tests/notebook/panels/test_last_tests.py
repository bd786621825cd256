"""The last test of each provider: kept while its settings stay, and told in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from ccw_magics.calls.probe import Probe
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import AdvancedSettings, Provider
from ccw_magics.notebook.panels import last_tests
from ccw_magics.notebook.panels.last_tests import LastTest

PROVIDER = Provider(id="a", type="openai", api_key=Secret("${KEY}"), updated_at="2026-01-01T00:00:00.000Z")
GOOD = Probe(True, "reachable in 120 ms", latency_s=0.12, models=("small",))


@pytest.fixture(autouse=True)
def nothing_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_tests, "_tests", {})


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        pytest.param({}, True, id="the same"),
        pytest.param({"name": "other", "enabled": False, "updated_at": "later"}, True, id="what no test depends on"),
        pytest.param({"api_key": Secret("${OTHER}")}, False, id="another key"),
        pytest.param({"api_base": "https://host/v1"}, False, id="another base"),
        pytest.param({"type": "custom"}, False, id="another type"),
        pytest.param({"advanced_settings": AdvancedSettings(timeout=1)}, False, id="another setting"),
        pytest.param({"id": "b"}, False, id="another provider"),
    ],
)
def test_a_test_is_of_the_settings_that_were_tested(changes: dict[str, Any], is_kept: bool) -> None:
    last_tests.remember(PROVIDER, GOOD)
    changed = PROVIDER.model_copy(update=changes)
    assert (last_tests.last_test(changed) is not None) is is_kept
    assert last_tests.models_of(changed) == (("small",) if is_kept else ())


def test_a_test_from_before_it_had_an_id() -> None:
    last_tests.remember(PROVIDER.model_copy(update={"id": ""}), GOOD)
    last_tests.adopt(PROVIDER)
    assert last_tests.models_of(PROVIDER) == ("small",)
    last_tests.adopt(PROVIDER.model_copy(update={"id": "b"}))
    assert last_tests.models_of(PROVIDER.model_copy(update={"id": "b"})) == ()


def test_not_all_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_tests, "_MOST", 2)
    many = [PROVIDER.model_copy(update={"id": name}) for name in "abc"]
    for provider in many:
        last_tests.remember(provider, GOOD)
    assert [last_tests.last_test(provider) is not None for provider in many] == [False, True, True]


@pytest.mark.parametrize(
    ("probe", "seconds", "words"),
    [
        pytest.param(GOOD, 1, "✓ 120 ms, just now", id="just now"),
        pytest.param(GOOD, 120, "✓ 120 ms, 2 min ago", id="minutes"),
        pytest.param(GOOD, 3 * 3600, "✓ 120 ms, 3 h ago", id="hours"),
        pytest.param(Probe(True, "the weights are there"), 0, "✓ just now", id="without a latency"),
        pytest.param(Probe(False, "openai refused the key (401)"), 0, "✗ openai refused the key (401)", id="refused"),
        pytest.param(Probe(None, "cannot be tested"), 0, "? cannot be tested", id="unknown"),
        pytest.param(Probe(False, "x" * 100), 0, f"✗ {'x' * 47}…", id="long"),
    ],
)
def test_words(monkeypatch: pytest.MonkeyPatch, probe: Probe, seconds: float, words: str) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 10_000.0)
    assert LastTest(probe, 10_000.0 - seconds).words() == words


def test_all_words() -> None:
    assert LastTest(Probe(False, "x" * 100), 0).words(is_short=False) == f"✗ {'x' * 100}"

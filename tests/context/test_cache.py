"""Packs in memory: what is kept, for how long, and what makes a new revision."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccw_magics.context.cache import ContextCache
from ccw_magics.context.pack import PackRequest


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ContextCache:
    return ContextCache(clock)


@pytest.fixture
def wanted(project: Path) -> PackRequest:
    (project / "a.py").write_text("x = 1\n")
    (project / "b.py").write_text("y = 2\n")
    return PackRequest(("@*.py",), project)


def test_an_unchanged_pack_is_a_hit(cache: ContextCache, wanted: PackRequest) -> None:
    first, second = cache.pack(wanted), cache.pack(wanted)
    assert (first.status, second.status) == ("rebuilt", "hit")
    assert second.text == first.text
    assert second.reused_bytes == second.size_bytes == len(first.text.encode())


def test_a_touched_file_changes_nothing_that_is_sent(cache: ContextCache, wanted: PackRequest) -> None:
    first = cache.pack(wanted)
    os.utime(wanted.root / "a.py", (1, 1))
    second = cache.pack(wanted)
    assert (second.session_id, second.revision, second.text) == (first.session_id, 1, first.text)


def test_an_edit_is_a_new_revision_that_says_how_much_is_reused(cache: ContextCache, wanted: PackRequest) -> None:
    first = cache.pack(wanted)
    (wanted.root / "b.py").write_text("y = 33\n")
    second = cache.pack(wanted)
    assert (second.session_id, second.revision) == (first.session_id, 2)
    assert 0 < second.reused_bytes < first.size_bytes
    assert second.text.encode()[: second.reused_bytes] == first.text.encode()[: second.reused_bytes]
    assert second.text[second.reused_bytes] != first.text[second.reused_bytes]


def test_a_file_no_longer_referenced_is_not_sent(cache: ContextCache, wanted: PackRequest) -> None:
    cache.pack(wanted)
    other = cache.pack(PackRequest(("@a.py",), wanted.root))
    assert "y = 2" not in other.text
    assert len(list(cache.packs())) == 2


def test_a_pack_ends_with_its_ttl_counted_from_its_creation(
    cache: ContextCache, wanted: PackRequest, clock: Clock
) -> None:
    first = cache.pack(wanted)
    clock.now += timedelta(minutes=59)
    assert cache.pack(wanted).session_id == first.session_id
    clock.now += timedelta(minutes=2)
    assert list(cache.packs()) == []
    assert cache.pack(wanted).session_id != first.session_id


def test_endpoints_do_not_share_packs(cache: ContextCache, wanted: PackRequest) -> None:
    packs = {cache.pack(PackRequest(("@a.py",), wanted.root, endpoint_id=name)).session_id for name in ("one", "two")}
    assert len(packs) == 2

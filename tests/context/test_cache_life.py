"""Whatever happens to the files, the kernels and the cache: what is sent is exactly what is on disk."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pack_parser import unpack

from ccw_magics.context.cache import ContextCache
from ccw_magics.context.disk import CacheSettings
from ccw_magics.context.pack import PackRequest

NAMES = st.sampled_from(["a.py", "b.py", "dir/c.py", "dir/d e.py", "漢.py"])
LINES = st.sampled_from(
    ["", "x = 1", "=== FILE: a.py (1 line) ===", "=== REMOVED: b.py ===", "Lines 1-2 of it now read (1 line):"]
)
TEXTS = st.builds(
    lambda lines, n, end: "\n".join(lines * n) + end,
    st.lists(LINES, max_size=5),
    st.integers(1, 9),
    st.sampled_from(["", "\n"]),
)
FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))


class CacheLife(RuleBasedStateMachine):
    """Two kernels share one project and one cache."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="cache-life-"))
        self.root = self.base / "project"
        self.directory = self.base / "cache"
        self.root.mkdir()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.names: dict[tuple[str, int], str] = {}
        self.kernels = [self._kernel(), self._kernel()]

    def _kernel(self) -> ContextCache:
        return ContextCache(lambda: CacheSettings(self.directory, 1 << 20), lambda: self.now)

    def teardown(self) -> None:
        for kernel in self.kernels:
            kernel.close()
        shutil.rmtree(self.base)

    @initialize(name=NAMES, text=TEXTS)
    def begin(self, name: str, text: str) -> None:
        self.write(name, text)

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    @rule(name=NAMES, text=st.sampled_from(["1", "2", "3"]))
    def edit_a_line(self, name: str, text: str) -> None:
        if (self.root / name).exists():
            (self.root / name).write_text((self.root / name).read_text().replace("x = 1", f"x = {text}", 1))

    @rule(name=NAMES)
    def touch(self, name: str) -> None:
        if (self.root / name).exists():
            os.utime(self.root / name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    @rule(name=NAMES, other=NAMES)
    def rename(self, name: str, other: str) -> None:
        if (self.root / name).exists() and (self.root / other).parent.is_dir():
            (self.root / name).replace(self.root / other)

    @rule(minutes=st.sampled_from([1, 6, 70]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(number=st.integers(0, 1))
    def a_kernel_restarts(self, number: int) -> None:
        self.kernels[number].close()
        self.kernels[number] = self._kernel()

    @rule(seed=st.integers(0, 1000), how=st.sampled_from(["bytes", "cut", "delete"]))
    def the_cache_is_damaged(self, seed: int, how: str) -> None:
        for kernel in self.kernels:
            kernel.close()
        file, rng = self.directory / "packs.sqlite3", random.Random(seed)
        if not file.exists() or how == "delete":
            file.unlink(missing_ok=True)
            return
        data = bytearray(file.read_bytes())
        if how == "cut":
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(30):
                data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(bytes(data))

    @rule(number=st.integers(0, 1), idle=st.sampled_from([None, 300.0]), renew=st.booleans())
    def ask(self, number: int, idle: float | None, renew: bool) -> None:
        request = PackRequest(("@.",), self.root, idle_ttl_s=idle, renew=renew)
        pack = self.kernels[number].pack(request)
        on_disk = {str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*.py")}
        assert (unpack(pack.text) if pack.text else {}) == on_disk
        assert pack.files == tuple(sorted(on_disk))
        assert pack.size_bytes == len(pack.text.encode())
        assert self.names.setdefault((pack.session_id, pack.revision), pack.text) == pack.text

    @invariant()
    def nothing_else_is_written(self) -> None:
        assert {path.name for path in self.base.iterdir()} <= {"project", "cache"}


TestCacheLife = CacheLife.TestCase
TestCacheLife.settings = settings(max_examples=25 * FUZZ, stateful_step_count=25, deadline=None)

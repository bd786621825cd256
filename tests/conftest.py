"""Fixtures every test shares: a home directory of its own, and an environment without anybody's keys."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wire_server import WireServer


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and no provider key in the environment."""
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("USERPROFILE", str(directory))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE")) or (
            name.startswith("CCW_") and not name.startswith(("CCW_FUZZ", "CCW_TEST"))
        ):
            monkeypatch.delenv(name)
    return directory


@pytest.fixture(autouse=True)
def rests_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Tries follow each other at once: the waits between them, in seconds, are listed here instead."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr("ccw_magics.calls.retry.rest", rest)
    return rests


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project (a directory with `.ccw/storage/`), made the current directory."""
    root = tmp_path / "project"
    (root / ".ccw" / "storage").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def wire() -> Iterator[WireServer]:
    """A running server that speaks the providers' wire formats."""
    from wire_server import WireServer

    with WireServer() as server:
        yield server


REAL_HOME = Path.home()  # before the `home` fixture hides it
NAMED_BY_ENVIRONMENT = os.environ.get("CCW_TEST_MODEL")  # likewise: the fixture takes CCW_ names away


@pytest.fixture(scope="session")
def fetched_model() -> Path:
    """The default model: named by CCW_TEST_MODEL, in the real home, or fetched once for all sessions."""
    from ccw_magics.backends import local_model

    if not local_model.available():
        pytest.skip("the `local` extra is not installed")
    if NAMED_BY_ENVIRONMENT:
        return Path(NAMED_BY_ENVIRONMENT)
    kept = REAL_HOME / ".ccw" / "models" / local_model.WEIGHTS.file_name
    return kept if kept.exists() else _fetched_for_tests()


@pytest.fixture
def embedded_model(fetched_model: Path, home: Path) -> Path:
    """The default model's file in this test's home."""
    from ccw_magics.backends import local_model

    path = home / ".ccw" / "models" / local_model.WEIGHTS.file_name
    path.parent.mkdir(parents=True)
    try:
        path.hardlink_to(fetched_model)
    except OSError:
        shutil.copyfile(fetched_model, path)
    return path


def _fetched_for_tests() -> Path:
    from ccw_magics.backends import local_model

    directory = Path(tempfile.gettempdir()) / f"ccw-test-model-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_model, "models_dir", lambda: directory / "models")
        return asyncio.run(local_model.fetch(lambda _: None))

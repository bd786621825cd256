"""One server for all tests of a session, and a project of its own below its root for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from served import Served, Site

_numbers = itertools.count()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running `ccw serve`; at its end its log holds no trace."""
    with Served(tmp_path_factory.mktemp("served")) as server:
        yield server
    assert "Traceback" not in server.log.read_text()


@pytest.fixture
def site(served: Served) -> Site:
    """An empty project below the server's root."""
    return Site(served, f"project-{next(_numbers)}")

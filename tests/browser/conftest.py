"""JupyterLab and Chromium for each test; skipped where they are not installed, unless CI asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser.lab import CHROMIUM, Lab, NotebookPage, chromium, write_notebook

MISSING = [name for name in ("playwright", "jupyterlab") if find_spec(name) is None]
MISSING += [] if CHROMIUM else ["chromium"]
REQUIRED = os.environ.get("CCW_TEST_BROWSER") == "1"  # read here: the `home` fixture takes CCW_ names away

OpenNotebook = Callable[..., NotebookPage]


@pytest.fixture
def browser() -> None:
    """What is needed to open a page."""
    if MISSING and not REQUIRED:
        pytest.skip(f"not installed: {', '.join(MISSING)}")


@pytest.fixture
def open_notebook(browser: None, project: Path, home: Path, embedded_model: Path) -> Iterator[OpenNotebook]:
    """Write a notebook with these cells into the project, and open it with a fresh kernel."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(project, home))
        page = NotebookPage(stack.enter_context(chromium()).new_page())

        def open_it(*sources: str) -> NotebookPage:
            write_notebook(project / "test.ipynb", *sources)
            page.open(lab.url("test.ipynb"))
            return page

        yield open_it

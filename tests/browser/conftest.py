"""JupyterLab and Chromium for each test; skipped where they are not installed, unless CI asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.lab import CHROMIUM, Lab, NotebookPage, chromium, write_notebook
from browser.panel_page import NOTEBOOK, VIEWPORT, PanelPage, make_project
from browser.provider_server import GOOD_KEY, ProviderServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MISSING = [name for name in ("playwright", "jupyterlab", "notebook") if find_spec(name) is None]
MISSING += [] if CHROMIUM else ["chromium"]
REQUIRED = os.environ.get("CCW_TEST_BROWSER") == "1"  # read here: the `home` fixture takes CCW_ names away

OpenNotebook = Callable[..., NotebookPage]
OpenPanel = Callable[..., PanelPage]


@pytest.fixture(scope="session")
def browser() -> None:
    """What is needed to open a page."""
    if MISSING and not REQUIRED:
        pytest.skip(f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def window(browser: None) -> Iterator[Browser]:
    """One Chromium for a module; each of its pages has cookies and storage of its own."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lab(browser: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for a module, with a home of its own; each test has a project in its directory."""
    with Lab(tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("lab-home")) as running:
        yield running


@pytest.fixture
def open_panel(lab: Lab, window: Browser, request: pytest.FixtureRequest) -> Iterator[OpenPanel]:
    """Make a project, and open the panel in a notebook of it, with these cells below."""
    with ExitStack() as stack:

        def open_it(*sources: str) -> PanelPage:
            root = lab.directory / request.node.name
            make_project(root, *sources)
            page = stack.enter_context(window.new_page(viewport=VIEWPORT))
            panel = PanelPage(page)
            panel.open(lab.url(f"{root.name}/{NOTEBOOK}"))
            panel.show()
            return panel

        yield open_it


@pytest.fixture
def provider_server() -> Iterator[ProviderServer]:
    """A provider on loopback with one good key."""
    with ProviderServer([GOOD_KEY]) as server:
        yield server


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

"""The same notebook in Notebook 7: the panel, its secrets, its keyboard, and an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.lab import Lab
from browser.panel_page import NOTEBOOK, VIEWPORT, PanelPage, make_project
from browser.provider_server import GOOD_KEY, ProviderServer
from wire_server import Answer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

OF_ITS_OWN = "Cannot read properties of undefined (reading 'schema')"
"""Thrown by Notebook 7.6 as it loads, before anything of ours is there."""


def test_the_panel_and_a_cell(window: Browser, provider_server: ProviderServer, home: Path, tmp_path: Path) -> None:
    provider_server.answers(Answer("It has 42 cabins.", pieces=3))
    make_project(tmp_path / "project", "%%ccw aurora\n@README.md How many cabins?", "the_last_cell = 1")
    with Lab(tmp_path, home, app="notebook") as notebook, window.new_page(viewport=VIEWPORT) as page:
        panel = PanelPage(page)
        panel.open(notebook.url(f"project/{NOTEBOOK}"))
        panel.show()
        cells = panel.cells
        panel.fill_provider("custom", "Loop", f"{provider_server.url}/v1", GOOD_KEY)
        panel.button("Test").click()
        panel.says(re.compile("reachable in"))
        for key in ("d", "d", "a", "b", "x"):
            page.keyboard.press(key)
        panel.button("Add").click()
        panel.says(re.compile("^Saved custom-"))
        stored = json.loads((tmp_path / "project/.ccw/storage/config/litellm-api-config.json").read_text())
        assert stored["providers"][0]["apiKey"] == GOOD_KEY
        panel.add_endpoint("aurora", "Loop", "gpt-4o")
        panel.finish(2).get_by_text("It has 42 cabins.").wait_for()
        assert panel.cells == cells
        assert set(panel.problems) <= {OF_ITS_OWN}

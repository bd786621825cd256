"""A front end with ipywidgets and without anywidget: the panel is there, and names other ways for a key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.lab import Lab
from browser.panel_page import NOTEBOOK, VIEWPORT, PanelPage, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

DISABLED = Path(".jupyter/labconfig/page_config.json")
"""What `jupyter labextension disable anywidget` writes."""

WIDGETS_WITHOUT = 2
"""The panel's frame and the input for the key: ipywidgets says so in the place of each."""


def test_a_provider_is_added_by_its_variable(window: Browser, home: Path, tmp_path: Path) -> None:
    (home / DISABLED).parent.mkdir(parents=True)
    (home / DISABLED).write_text(json.dumps({"disabledExtensions": {"anywidget": True}}))
    make_project(tmp_path / "project")
    with Lab(tmp_path, home) as lab, window.new_page(viewport=VIEWPORT) as page:
        panel = PanelPage(page)
        panel.open(lab.url(f"project/{NOTEBOOK}"))
        for index in range(2):
            panel.finish(index)
        panel.choose("Providers")
        panel.field("Variable").wait_for()
        panel.pick("Key", "typed here")
        panel.says(re.compile("An environment variable keeps it out of files"))
        assert panel.panel.get_by_text("Click to show javascript error").count() == WIDGETS_WITHOUT
        panel.pick("Key", "variable")
        panel.field("Variable").wait_for()
        panel.button("Add").click()
        panel.says(re.compile("^Saved openai-"))
        stored = json.loads((tmp_path / "project/.ccw/storage/config/litellm-api-config.json").read_text())
        assert stored["providers"][0]["apiKey"] == "${OPENAI_API_KEY}"
        assert [problem for problem in panel.problems if "anywidget" not in problem] == []

"""Where the keyboard is after the panel took away, or blocked, the very button that was pressed."""

from __future__ import annotations

import re

import pytest
from browser.conftest import OpenPanel
from browser.lab import Lab
from browser.panel_page import PanelPage
from browser.test_panel import THIEVES, ccw, tab_to

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

IS_INSIDE = "() => document.querySelector('.ccw-panel').contains(document.activeElement)"


def opened(open_panel: OpenPanel, lab: Lab, name: str) -> PanelPage:
    """A panel with the form of a provider."""
    panel = open_panel("the_last_cell = 1")
    ccw(lab, lab.directory / name, "provider", "add", "--type", "ollama", "--name", "Loop")
    panel.show_again()
    panel.select("Loop")
    panel.field("Name").focus()
    return panel


@pytest.mark.parametrize("answer", ["Delete it", "Keep it"])
def test_after_an_answer_the_focus_is_where_the_question_stood(
    open_panel: OpenPanel, lab: Lab, request: pytest.FixtureRequest, answer: str
) -> None:
    panel = opened(open_panel, lab, request.node.name)
    cells, press = panel.cells, panel.page.keyboard.press
    tab_to(panel, "Delete")
    press("Enter")
    panel.button("Keep it").wait_for()
    tab_to(panel, answer)
    press("Enter")
    panel.button("Keep it").wait_for(state="detached")
    panel.wait_idle()
    for key in THIEVES:
        press(key)
    assert panel.cells == cells
    assert panel.page.evaluate(IS_INSIDE)
    tab_to(panel, "New provider", back=True)


def test_after_saving_the_focus_is_beside_the_button(
    open_panel: OpenPanel, lab: Lab, request: pytest.FixtureRequest
) -> None:
    panel = opened(open_panel, lab, request.node.name)
    cells, press = panel.cells, panel.page.keyboard.press
    panel.page.keyboard.type("x")
    tab_to(panel, "Save")
    press("Enter")
    panel.says(re.compile("^Saved"))
    panel.wait_idle()
    for key in THIEVES:
        press(key)
    assert panel.cells == cells
    assert panel.page.evaluate(IS_INSIDE)

"""A panel that is open while the config is changed over HTTP, by the very server that its notebook came from."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from browser.conftest import OpenPanel
from browser.lab import Lab
from browser.panel_page import PanelPage
from browser.provider_server import GOOD_KEY, ProviderServer
from wire_server import Answer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SEEN_MS = 5_000
"""For what is seen within two seconds on a machine that has nothing else to do."""


class Routes:
    """The routes of a JupyterLab, asked as another program does: with the token.

    Args:
        lab: The server.
        project: Which of its folders is meant.
    """

    def __init__(self, lab: Lab, project: str) -> None:
        base, _, token = lab.url("x").partition("?token=")
        self._url = f"{httpx.URL(base).copy_with(path='/api/litellm-api')}"
        self._project = project
        self._headers = {"Authorization": f"token {token}"}

    def __call__(self, verb: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            verb,
            f"{self._url}{path}",
            json=body,
            params={"path": self._project},
            headers=self._headers,
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def routes(lab: Lab, request: pytest.FixtureRequest) -> Routes:
    return Routes(lab, request.node.name)


def row(panel: PanelPage, text: str) -> Any:
    return panel.rows.filter(has_text=text)


def prompts(panel: PanelPage) -> list[str]:
    """The cells' numbers: no cell was run where they are the same."""
    return panel.page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts()


def test_what_is_done_over_http_is_seen_without_a_cell_or_a_reload(
    open_panel: OpenPanel, routes: Routes, provider_server: ProviderServer
) -> None:
    provider_server.answers(Answer("It has 42 cabins."))
    panel = open_panel("%%ccw aurora\nHow many cabins?")
    before = prompts(panel)

    sent = {"name": "Loop", "type": "custom", "apiBase": f"{provider_server.url}/v1", "apiKey": GOOD_KEY}
    made = routes("POST", "/providers", sent)["provider"]
    row(panel, "Loop").wait_for(state="attached", timeout=SEEN_MS)
    panel.select("Loop")
    panel.says(made["id"])

    panel.field("Name").fill("Mine")
    routes("PUT", f"/providers/{made['id']}", {"name": "Theirs"})
    row(panel, "Theirs").wait_for(state="attached", timeout=SEEN_MS)
    panel.holds("Name", "Mine")
    panel.button("Save").click()
    panel.says(re.compile("was changed meanwhile by someone else"))
    panel.button("Take theirs").click()
    panel.holds("Name", "Theirs")

    routes("PUT", f"/providers/{made['id']}", {"name": "Ours"})
    row(panel, "Ours").wait_for(state="attached", timeout=SEEN_MS)
    panel.holds("Name", "Ours")  # nothing was being typed

    other = routes("POST", "/providers", {"name": "Other", "type": "ollama"})["provider"]
    row(panel, "Other").wait_for(state="attached", timeout=SEEN_MS)
    routes("DELETE", f"/providers/{other['id']}")
    row(panel, "Other").wait_for(state="detached", timeout=SEEN_MS)

    panel.choose("Endpoints")
    routes("POST", "/endpoints", {"id": "aurora", "providerId": made["id"], "model": "gpt-4o"})
    row(panel, "aurora").wait_for(state="attached", timeout=SEEN_MS)
    assert prompts(panel) == before
    panel.finish(2).get_by_text("It has 42 cabins.").wait_for()  # and so does the kernel
    assert panel.problems == []


def test_a_key_that_is_being_typed_stays(open_panel: OpenPanel, routes: Routes) -> None:
    panel = open_panel()
    panel.pick("Type", "custom")
    panel.pick("Key", "typed here")
    panel.field("Key itself").press_sequentially("sk-half-")
    routes("POST", "/providers", {"name": "Other", "type": "ollama"})
    row(panel, "Other").wait_for(state="attached", timeout=SEEN_MS)
    panel.page.keyboard.type("typed-0123456789")
    panel.holds("Key itself", "sk-half-typed-0123456789")
    panel.page.keyboard.press("Tab")
    panel.says("was typed")
    assert panel.problems == []

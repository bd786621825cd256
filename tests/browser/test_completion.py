"""Tab in `%%ccw` cells of a real JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser.lab import Lab, NotebookPage, chromium, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE_MS = 10_000
REPLY = "() => window.ccwReplies?.length"
LISTEN = """() => {
  window.ccwReplies = [];
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  kernel.anyMessage.connect((_, { msg }) => {
    if (msg.header.msg_type === "complete_reply") window.ccwReplies.push(msg.content);
  });
}"""
CONFIG = {
    "version": 1,
    "providers": [{"id": "openai-1", "name": "Open", "type": "openai", "apiKey": "${NO_SUCH}"}],
    "endpoints": [{"id": "my-gpt4o", "name": "Large", "providerId": "openai-1", "model": "gpt-4o"}],
}


class TabPage(NotebookPage):
    """A notebook whose cells are completed."""

    def tab(self, index: int, text: str, *, back: int = 0) -> list[str]:
        """Type a cell anew, go back a few characters, press Tab; what the kernel replied."""
        from playwright.sync_api import TimeoutError as TimedOut

        self._press_tab(index, text, back)
        try:
            self.page.wait_for_function(REPLY, timeout=PATIENCE_MS)
        except TimedOut:  # on a busy machine a Tab now and then reaches the cell before its editor listens
            self._press_tab(index, text, back)
            self.page.wait_for_function(REPLY)
        return list(self.page.evaluate("() => window.ccwReplies[0].matches"))

    def _press_tab(self, index: int, text: str, back: int) -> None:
        self.dismiss(index)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        for _ in range(back):
            self.page.keyboard.press("ArrowLeft")
        self.page.evaluate(LISTEN)
        self.page.keyboard.press("Tab")

    def offered(self) -> list[str]:
        """The labels in the list that is open."""
        items = self.page.locator(".jp-Completer:visible .jp-Completer-match")
        items.first.wait_for()
        return items.all_inner_texts()

    def take(self, label: str) -> None:
        """Click one of them."""
        self.page.locator(".jp-Completer:visible .jp-Completer-match", has_text=label).first.click()

    def text(self, index: int) -> str:
        """What stands in a cell."""
        return self.cell(index).locator(".cm-content").inner_text()

    def dismiss(self, index: int) -> None:
        """Close the list, and go on in a cell."""
        self.page.keyboard.press("Escape")
        self.cell(index).locator(".cm-content").click()


@contextmanager
def opened(project: Path, home: Path, cells: int) -> Iterator[TabPage]:
    with Lab(project, home) as lab, chromium() as browser:
        write_notebook(project / "test.ipynb", "%load_ext ccw_magics", *[""] * cells)
        page = TabPage(browser.new_page())
        page.open(lab.url("test.ipynb"))
        page.finish(0)
        yield page


@pytest.fixture
def page(browser: None, project: Path, home: Path) -> Iterator[TabPage]:
    for name in ("src/auth/login.py", "src/main.py", "my dir/notes.md"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    folder = project / ".ccw" / "storage" / "config"
    folder.mkdir()
    (folder / "litellm-api-config.json").write_text(json.dumps(CONFIG))
    with opened(project, home, 1) as page:
        yield page


def test_tab_completes_references_ids_and_options_and_leaves_prose_alone(page: TabPage) -> None:
    assert page.tab(1, "%%ccw\nLook at @src/") == ["auth/", "main.py"]
    assert page.offered() == ["auth/", "main.py"]
    page.take("main.py")
    assert page.text(1) == "%%ccw\nLook at @src/main.py"

    assert page.tab(1, "%%ccw\n漢 😀 @sr and more", back=len(" and more")) == ["src/"]
    page.take("src/")
    assert page.text(1) == "%%ccw\n漢 😀 @src/ and more"

    assert page.tab(1, "%%ccw\nsee @my") == ["my\\ dir/"]
    assert page.tab(1, "%%ccw\nWe impor") == []
    assert page.text(1) == "%%ccw\nWe impor"

    assert page.tab(1, "%%ccw my-g") == ["my-gpt4o"]
    page.take("my-gpt4o")
    assert page.text(1) == "%%ccw my-gpt4o"
    assert page.tab(1, "%%ccw my-gpt4o --sch") == ["--schema"]
    assert page.problems == []

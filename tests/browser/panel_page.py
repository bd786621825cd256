"""The panel as its user sees it: labels, roles and words, and nothing of how it is made."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from browser.lab import NotebookPage, write_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, ViewportSize

SHOWN_TIMEOUT_S: Final = 20.0
"""For whatever must come in a moment; litellm's import, in the worker, takes some of it."""
PANEL_CELLS: Final = ("%load_ext ccw_magics", "%ccw panel")
SAVE_TRIES: Final = 5
SAVE_TIMEOUT_S: Final = 3.0
NOTEBOOK: Final = "test.ipynb"
VIEWPORT: Final[ViewportSize] = {"width": 1200, "height": 1000}


def make_project(root: Path, *sources: str) -> None:
    """A project with a README, and a notebook that shows the panel, with these cells below."""
    (root / ".git").mkdir(parents=True)
    (root / "README.md").write_text("# The Aurora\n\nA ship with 42 cabins and a red hull.\n")
    write_notebook(root / NOTEBOOK, *PANEL_CELLS, *sources)


class PanelPage(NotebookPage):
    """A notebook whose second cell shows the panel.

    Args:
        page: A fresh page.
    """

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        page.set_default_timeout(SHOWN_TIMEOUT_S * 1000)
        self.panel = page.locator(".ccw-panel")

    def show(self, *, tab: str = "Providers") -> None:
        """Run the first two cells, and wait for the panel."""
        self.finish(0)
        self.show_again()
        self.choose(tab)

    def show_again(self) -> None:
        """Run the second cell, and wait for the panel and its frame."""
        self.finish(1)
        self.panel.wait_for()
        self.page.wait_for_function(_IS_FRAMED)

    def choose(self, tab: str) -> None:
        """Click a tab, and wait until it was built."""
        self.tab(tab).click()
        self.wait_idle()

    def tab(self, name: str) -> Locator:
        """A tab's title."""
        return self.panel.get_by_role("tab", name=name)

    def field(self, label: str) -> Locator:
        """An input by its label."""
        return self.panel.get_by_label(label, exact=True).filter(visible=True)

    def button(self, name: str) -> Locator:
        """A button by its text: the last of them, since the form stands behind the list."""
        # An icon of Font Awesome is a character of its own before the text.
        return self.panel.get_by_role("button", name=re.compile(rf"^\W*{re.escape(name)}$")).filter(visible=True).last

    @property
    def rows(self) -> Locator:
        """The entries in the list of the tab that is shown."""
        return self.panel.get_by_role("listbox").filter(visible=True).get_by_role("option")

    def select(self, text: str) -> None:
        """Select the entry whose row has this text."""
        value = self.rows.filter(has_text=text).get_attribute("value")
        self.panel.get_by_role("listbox").filter(visible=True).select_option(value)

    def pick(self, label: str, text: str) -> None:
        """Pick from a list the first option that has this text."""
        field = self.field(label)
        field.select_option(field.get_by_role("option").filter(has_text=text).first.get_attribute("value"))

    def says(self, text: str | re.Pattern[str], *, timeout_s: float = SHOWN_TIMEOUT_S) -> None:
        """Wait until this stands somewhere in the panel."""
        self.panel.get_by_text(text).filter(visible=True).first.wait_for(timeout=timeout_s * 1000)

    def holds(self, label: str, value: str) -> None:
        """Wait until an input shows this."""
        from playwright.sync_api import expect

        expect(self.field(label)).to_have_value(value, timeout=SHOWN_TIMEOUT_S * 1000)

    def type_key(self, key: str) -> None:
        """Type a key, and leave the input."""
        secret = self.field("Key itself")
        secret.fill(key)
        secret.press("Tab")
        self.says("was typed")
        self.holds("Key itself", "")

    def fill_provider(self, kind: str, name: str, base: str, key: str) -> None:
        """Fill the form of a new provider, whose key is typed."""
        self.pick("Type", kind)
        self.field("Name").fill(name)
        self.field("Base URL").fill(base)
        self.pick("Key", "typed here")
        self.type_key(key)

    def add_endpoint(self, endpoint: str, provider: str, model: str) -> None:
        """Add an endpoint by clicking, with a model that its provider lists."""
        self.choose("Endpoints")
        self.field("Id").fill(endpoint)
        self.pick("Provider", provider)
        self.button("List its models").click()
        self.says(re.compile(f"models served by {provider}"))
        offered = self.field("Model").evaluate("input => [...input.list.options].map(option => option.value)")
        assert model in offered
        self.field("Model").fill(model)
        self.button("Add").click()
        self.says(re.compile(f"^Saved {endpoint}"))

    def save_notebook(self) -> None:
        """Press Ctrl+S wherever the focus is, and wait until the notebook is saved."""
        from playwright.sync_api import TimeoutError as TimedOut

        self.page.evaluate(_WATCH_SAVING)
        # JupyterLab drops the key without a word while the save before is still making its checkpoint.
        for _ in range(SAVE_TRIES):
            self.page.keyboard.press("Control+s")
            with suppress(TimedOut):
                self.page.wait_for_function("() => window.ccwIsSaved", timeout=SAVE_TIMEOUT_S * 1000)
                return
        raise AssertionError("Ctrl+S did not save")

    def focused(self) -> str:
        """The name of what has the focus."""
        return str(self.page.evaluate(_FOCUSED)).strip()

    def restart(self) -> None:
        """Restart the kernel, and wait until it is there again."""
        self.page.evaluate(_RESTART)
        self.wait_idle()

    def reload(self) -> None:
        """Load the page again, and wait for the kernel, which has gone on."""
        self.open(self.page.url)

    def clear_outputs(self) -> None:
        """Clear what stands below all cells."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")

    @property
    def cells(self) -> int:
        """How many cells the notebook has."""
        return int(self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length"))


_FOCUSED: Final = """() => {
  const focused = document.activeElement;
  return focused.labels?.[0]?.innerText || focused.title || focused.innerText || "";
}"""
_RESTART: Final = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
_WATCH_SAVING: Final = """() => {
  window.ccwIsSaved = false;
  const context = window.jupyterapp.shell.currentWidget.context;
  context.saveState.connect((_, state) => { window.ccwIsSaved ||= state.startsWith("completed"); });
}"""
"""Whether it is dirty does not tell: with the widgets' states saved along, it is again at once."""
_IS_FRAMED: Final = (
    "() => getComputedStyle(document.querySelector('.ccw-panel')).getPropertyValue('--ccw-text').trim() !== ''"
)
"""The frame's style sheet is there, and with it its keyboard."""

"""The panel in a real JupyterLab, used as a person uses it, against a provider on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser.conftest import OpenPanel
from browser.lab import Lab, free_port
from browser.panel_page import PanelPage
from browser.provider_server import GOOD_KEY, ProviderServer
from wire_server import Answer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

CONFIG = Path(".ccw", "storage", "config", "litellm-api-config.json")
QUESTION = "%%ccw aurora\n@README.md How many cabins has the Aurora?"
OF_A_DEAD_KERNEL = "Cannot send"
"""What ipywidgets itself throws when a widget of a kernel that is gone is clicked."""


def config(root: Path) -> Any:
    return json.loads((root / CONFIG).read_text())


def ccw(lab: Lab, root: Path, *words: str) -> None:
    """Run `ccw` in a process of its own."""
    command = [sys.executable, "-c", "from ccw_magics.cli.shell.command import main; main()", *words]
    subprocess.run(command, check=True, cwd=root, env=lab.environment, timeout=60)


def test_from_a_provider_to_an_answer_and_back(
    open_panel: OpenPanel, lab: Lab, provider_server: ProviderServer
) -> None:
    provider_server.answers(Answer("It has 42 cabins, says the README.", pieces=5, gap_s=0.02))
    panel = open_panel(QUESTION, "print(6 * 7)")
    root = lab.directory / "test_from_a_provider_to_an_answer_and_back"

    panel.fill_provider("custom", "Loop", f"{provider_server.url}/v1", "sk-bad-0123456789abcdefghij")
    panel.button("Test").click()
    panel.says(re.compile("refused"))
    panel.type_key(GOOD_KEY)
    panel.button("Test").click()
    panel.says(re.compile(r"reachable in .* 2 models"))
    assert not (root / CONFIG).exists()
    panel.button("Add").click()
    panel.says(re.compile("^Saved custom-"))
    assert GOOD_KEY not in panel.panel.inner_text()
    assert config(root)["providers"][0]["apiKey"] == GOOD_KEY

    hang_and_stop(panel, provider_server)
    panel.field("Base URL").fill(f"http://127.0.0.1:{free_port()}/v1")
    panel.button("Test").click()
    panel.says(re.compile(r"cannot be reached|refused the connection|nobody listens"))
    panel.button("Revert").click()

    panel.add_endpoint("aurora", "Loop", "gpt-4o")
    panel.says("%%ccw aurora\n@README.md What is this about?")
    answer = panel.finish(2)
    answer.get_by_text("It has 42 cabins, says the README.").wait_for()
    assert [request.credentials for request in provider_server.requests] == [[f"Bearer {GOOD_KEY}"]]

    see_cache_and_history(panel)
    reload(panel)
    panel.choose("Cache")
    panel.button("Clear all").click()
    panel.says(re.compile("^Forget all packs, of all projects"))
    panel.button("Clear all").click()  # the one below the question
    panel.says(re.compile("forgotten: 1 pack"))
    panel.says(re.compile("No packs yet"))
    assert panel.problems == []

    restart(panel)
    delete_provider(panel, root)
    assert set(panel.problems) <= {OF_A_DEAD_KERNEL}


def hang_and_stop(panel: PanelPage, server: ProviderServer) -> None:
    """The kernel stays free while a provider does not answer."""
    server.is_hanging.set()
    panel.button("Test").click()
    panel.says(re.compile("^Testing "))
    assert panel.finish(3).inner_text().strip() == "42"
    panel.says(re.compile("^Testing "))
    panel.button("Stop").click()
    panel.says("stopped")
    assert server.left.wait(10)
    server.is_hanging.clear()


def see_cache_and_history(panel: PanelPage) -> None:
    panel.choose("Cache")
    pack = panel.panel.get_by_role("region", name="Packs").get_by_role("row").filter(has_text="@README.md")
    pack.get_by_role("cell", name="aurora", exact=True).wait_for()
    panel.choose("History")
    calls = panel.panel.get_by_role("region", name=re.compile("^Calls")).get_by_role("row")
    calls.filter(has_text="How many cabins has the Aurora?").wait_for()
    panel.panel.get_by_role("img").filter(visible=True).first.wait_for()


def reload(panel: PanelPage) -> None:
    """The page is loaded again; the kernel, and with it the panel, lives on."""
    panel.save_notebook()
    panel.reload()
    panel.panel.wait_for()


def restart(panel: PanelPage) -> None:
    """A panel of a kernel that is gone does nothing; the cells run again make another."""
    panel.restart()
    panel.button("Clean up expired").click()
    panel.clear_outputs()
    panel.show()


def delete_provider(panel: PanelPage, root: Path) -> None:
    panel.select("Loop")
    panel.says(re.compile(r"^custom-\d+$"))
    panel.button("Delete").click()
    panel.says(re.compile(r"^Delete custom-\d+, and with it aurora\?$"))
    panel.button("Keep it").click()
    assert len(config(root)["providers"]) == 1
    panel.button("Delete").click()
    panel.button("Delete it").click()
    panel.says(re.compile(r"^Deleted custom-\d+"))
    assert (config(root)["providers"], config(root)["endpoints"]) == ([], [])


THIEVES = ("d", "d", "a", "b", "x", "m", "0", "0")
"""What JupyterLab takes, outside of a text, for: delete the cell, insert others, cut it, make it text, restart."""


def test_by_keyboard_alone(open_panel: OpenPanel, lab: Lab, provider_server: ProviderServer) -> None:
    panel = open_panel("the_last_cell = 1")
    cells = panel.cells
    press = panel.page.keyboard.press

    panel.tab("Providers").focus()
    press("ArrowRight")
    press("Enter")
    panel.says("A new endpoint")
    press("ArrowLeft")
    press("Enter")
    panel.says("A new provider")
    tab_to(panel, "Type")
    press("c")  # a list goes to the option that begins with it
    tab_to(panel, "Name")
    panel.page.keyboard.type("Loop d d a b x")
    tab_to(panel, "Key")
    press("t")
    panel.field("Key itself").wait_for()
    tab_to(panel, "Key itself")
    panel.page.keyboard.type(GOOD_KEY)
    tab_to(panel, "Base URL")
    panel.page.keyboard.type(f"{provider_server.url}/v1")
    tab_to(panel, "Test")
    press("Enter")
    panel.says(re.compile("reachable in"))
    for key in THIEVES:
        press(key)
    panel.save_notebook()
    tab_to(panel, "Add", back=True)
    press("Enter")
    panel.says(re.compile("^Saved custom-"))
    tab_to(panel, "Providers", back=True)
    for key in (*THIEVES, "ArrowUp"):
        press(key)
    panel.tab("Providers").focus()
    for key in THIEVES:
        press(key)

    stored = config(lab.directory / "test_by_keyboard_alone")["providers"][0]
    assert (stored["name"], stored["type"], stored["apiKey"]) == ("Loop d d a b x", "custom", GOOD_KEY)
    assert panel.cells == cells
    assert panel.problems == []


def test_folded_settings_open_by_keyboard(open_panel: OpenPanel) -> None:
    panel = open_panel()
    panel.tab("Providers").focus()
    tab_to(panel, "Advanced settings")
    panel.page.keyboard.press("Enter")
    panel.field("Timeout").wait_for()


def tab_to(panel: PanelPage, name: str, *, back: bool = False) -> None:
    """Press Tab until the focus is on what has this name."""
    seen = []
    for _ in range(40):
        panel.page.keyboard.press("Shift+Tab" if back else "Tab")
        seen.append(panel.focused())
        if seen[-1] == name:
            return
    pytest.fail(f"no {name!r} among {seen}")


def test_a_change_made_meanwhile_is_shown_and_not_overwritten(open_panel: OpenPanel, lab: Lab) -> None:
    panel = open_panel()
    root = lab.directory / "test_a_change_made_meanwhile_is_shown_and_not_overwritten"
    ccw(lab, root, "provider", "add", "--type", "custom", "--name", "Loop", "--api-base", "http://127.0.0.1:9/v1")
    (stored,) = config(root)["providers"]
    panel.show_again()
    panel.select("Loop")
    panel.says(stored["id"])

    panel.field("Name").fill("Mine")
    ccw(lab, root, "provider", "edit", stored["id"], "--name", "Theirs", "--timeout", "33")
    panel.button("Save").click()
    panel.says(re.compile("was changed meanwhile by someone else"))
    rows = panel.panel.get_by_role("alert").get_by_role("row").all_inner_texts()
    assert [row.split("\t")[1:] for row in rows if row.startswith("name")] == [["Theirs", "Mine"]]
    assert config(root)["providers"][0]["name"] == "Theirs"
    panel.button("Save mine over it").click()
    panel.says(re.compile("^Saved custom-"))
    saved = config(root)["providers"][0]
    assert (saved["name"], saved["advancedSettings"]["timeout"]) == ("Mine", 33)

    panel.field("Name").fill("Mine again")
    ccw(lab, root, "provider", "edit", stored["id"], "--name", "Theirs again")
    panel.button("Save").click()
    panel.button("Take theirs").click()
    panel.holds("Name", "Theirs again")
    assert config(root)["providers"][0]["name"] == "Theirs again"
    assert panel.problems == []

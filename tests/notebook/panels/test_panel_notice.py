"""What stands above the tabs: risks to accept, files of a later version, and why the panel cannot be refreshed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from panel_driver import all_states, press, shown

from ccw_magics import ConfigError, Workspace
from ccw_magics.notebook.panels.tabs import Panel

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython's own shell, as `get_ipython` knows it."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def write(path: Path, **config: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, **config}))


def risky(base: str) -> list[dict[str, Any]]:
    return [{"id": "p", "type": "openai", "apiKey": "${CANARY}", "apiBase": base}]


def test_only_the_content_is_trusted_whose_risks_were_shown(workspace: Workspace) -> None:
    write(workspace.config.path, providers=risky("https://known.example/v1"))
    panel = Panel(workspace)
    assert "known.example" in shown(panel._notice)
    write(workspace.config.path, providers=risky("https://evil.example/v1"))
    press(panel.widget, "Trust this config")
    assert "nothing was accepted" in shown(panel._notice)
    assert "evil.example" in shown(panel._notice)
    with pytest.raises(ConfigError, match="not trusted"):
        workspace.config.require_trust()
    press(panel.widget, "Trust this config")
    assert shown(panel._notice).strip() == ""
    workspace.config.require_trust()


def test_risks_that_were_taken_out_meanwhile_need_no_word(workspace: Workspace) -> None:
    write(workspace.config.path, providers=risky("https://known.example/v1"))
    panel = Panel(workspace)
    write(workspace.config.path)
    press(panel.widget, "Trust this config")
    assert "nothing was accepted" in shown(panel._notice)
    assert panel._trust.layout.display == "none"
    panel.refresh()
    assert panel._notice.value == ""


@pytest.mark.parametrize("file", ["project", "user"])
def test_a_file_of_a_later_version_is_said_to_be_read_only(workspace: Workspace, file: str) -> None:
    store = workspace.config if file == "project" else workspace.config.user
    write(store.path, version=99)
    told = shown(Panel(workspace)._notice)
    assert "is of version 99" in told
    assert "Update ccw_magics" in told
    assert store.path.name in told


def test_a_later_version_and_a_risk_are_both_said(workspace: Workspace) -> None:
    write(workspace.config.path, version=99, providers=risky("https://known.example/v1"))
    panel = Panel(workspace)
    assert "is of version 99" in shown(panel._notice)
    assert "known.example" in shown(panel._notice)
    assert panel._trust.layout.display is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(ValueError(KEY), "ValueError", id="unforeseen"),
        pytest.param(ConfigError("no room", hint="Make some."), "no room Make some.", id="ours"),
    ],
)
def test_a_panel_that_cannot_be_refreshed_says_so_and_lets_the_cell_be(
    shell: InteractiveShell,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    told: str,
) -> None:
    def fails() -> None:
        raise error

    panel = Panel(workspace)
    tab: Any = panel._tabs[0]
    monkeypatch.setattr(tab, "refresh", fails)
    shell.run_cell("1")
    assert f"could not be refreshed: {told}" in shown(panel._notice)
    assert KEY not in all_states()
    assert "Error" not in "".join(capsys.readouterr())
    monkeypatch.undo()
    shell.run_cell("1")
    assert panel._notice.value == ""


HALF = "a\ud800b"


def test_half_a_surrogate_pair_in_a_file_is_shown_as_unknown(workspace: Workspace) -> None:
    keys = [{"id": "k", "key": "${K}", "label": HALF}]
    provider = {"id": HALF, "name": HALF, "type": "openai", "apiKey": "", "apiKeys": keys}
    endpoint = {"id": HALF, "name": HALF, "providerId": HALF, "model": HALF, "cacheStrategy": {"filePatterns": [HALF]}}
    params = {"params": {"extraBody": {HALF: [HALF]}}}
    write(workspace.config.path, providers=[provider], endpoints=[{**endpoint, **params}])
    panel = Panel(workspace)
    for index in range(4):
        panel._pages.selected_index = index
    for tab in (panel._tabs[0], panel._tabs[1]):
        opened: Any = tab
        opened._list._list.value = HALF
        for group in opened._form.widget.children[1:]:
            group.selected_index = 0
        press(opened.widget, "Delete")
        assert "a\ufffdb" in shown(opened.widget)
        assert not opened._form.is_edited
    sent = json.loads(all_states())
    json.dumps(sent, ensure_ascii=False).encode()  # as a message to a front end is made: raises where one is left


def test_what_was_not_edited_keeps_its_half_of_a_pair(workspace: Workspace) -> None:
    write(workspace.config.path, providers=[{"id": "p", "name": HALF, "type": "ollama", "apiKey": ""}])
    tab: Any = Panel(workspace)._tabs[0]
    tab._list._list.value = "p"
    next(field for field in tab._form._fields if field.name == "enabled")._control.value = False
    press(tab.widget, "Save")
    stored = workspace.config.get_provider("p")
    assert stored is not None
    assert (stored.name, stored.enabled) == (HALF, False)

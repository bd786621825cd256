"""The panel: built tab by tab, refreshed after each cell, shown in a kernel, refused with a clear word elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

import ccw_magics
from ccw_magics import CcwError, Workspace
from ccw_magics.notebook.door import NotebookDoor
from ccw_magics.notebook.panels.tabs import Panel

HEAVY = ("anywidget", "ipywidgets", "litellm", "pandas")
REPORT = f"import sys; print('loaded:', *sorted(set(sys.modules) & set({HEAVY!r})))"
RISKY = {
    "version": 1,
    "providers": [{"id": "p-1", "type": "openai", "apiKey": "${CANARY}", "apiBase": "https://elsewhere.example/v1"}],
}
WIDGET_TYPE = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython's own shell, as `get_ipython` knows it."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def write(workspace: Workspace, text: str) -> None:
    workspace.config.path.parent.mkdir(parents=True, exist_ok=True)
    workspace.config.path.write_text(text)


def cells(project: Path, *sources: str) -> list[Any]:
    """The outputs of cells in one new kernel."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(project)}}).execute()
    return [cell.outputs for cell in notebook.cells]


def test_tabs_are_built_when_they_are_opened_and_kept(workspace: Workspace) -> None:
    panel = Panel(workspace)
    assert list(panel._tabs) == [0]
    for index in (1, 2, 3):
        panel._pages.selected_index = index
        assert panel._pages.children[index].children == (panel._tabs[index].widget,)
    kept = dict(panel._tabs)
    panel._pages.selected_index = 1
    assert panel._tabs == kept


@pytest.mark.parametrize("index", range(4))
def test_every_tab_stands_a_config_that_cannot_be_read(workspace: Workspace, index: int) -> None:
    write(workspace, "{")
    panel = Panel(workspace)
    panel._pages.selected_index = index
    assert 'role="alert"' in panel._notice.value
    assert panel._trust.layout.display == "none"
    workspace.config.path.unlink()
    panel.refresh()
    assert panel._notice.value == ""


def test_what_needs_trust_is_said_and_can_be_given(workspace: Workspace) -> None:
    write(workspace, json.dumps(RISKY))
    panel = Panel(workspace)
    assert "elsewhere.example" in panel._notice.value
    assert panel._trust.layout.display is None
    panel._trust.click()
    assert panel._notice.value == ""
    assert panel._trust.layout.display == "none"
    workspace.config.require_trust()


def test_what_cannot_be_trusted_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*, digest: str) -> None:
        raise CcwError("cannot be written down", hint="Make room.")

    write(workspace, json.dumps(RISKY))
    panel = Panel(workspace)
    monkeypatch.setattr(workspace.config, "trust", refused)
    panel._trust.click()
    assert "cannot be written down" in panel._notice.value


def test_a_project_is_named_as_text(tmp_path: Path) -> None:
    root = tmp_path / "<b>x"
    (root / ".git").mkdir(parents=True)
    panel = Panel(Workspace(root))
    assert "&lt;b&gt;x" in panel.widget.children[1].value
    assert repr(panel) == f"Panel({str(root)!r})"


def test_after_each_cell_the_newest_panel_of_a_project_is_refreshed(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: list[Panel] = []
    for name in "ab":
        (tmp_path / name / ".git").mkdir(parents=True)
    older, newer, other = (Panel(Workspace(tmp_path / name)) for name in "aab")
    monkeypatch.setattr(Panel, "refresh", lambda panel: refreshed.append(panel))  # noqa: PLW0108 - a function binds, a method of a list does not
    shell.run_cell("1")
    assert refreshed == [newer, other]
    assert older not in refreshed


def test_a_change_made_in_a_cell_is_shown(shell: InteractiveShell, workspace: Workspace) -> None:
    panel = Panel(workspace)
    other = Workspace(workspace.root).config
    shell.user_ns["change"] = lambda: other.add_provider({"id": "p-1", "type": "openai"}) and None
    shell.run_cell("change()")
    tab: Any = panel._tabs[0]
    assert [row[1] for row in tab._list._list.options] == ["p-1"]


def test_the_text_beside_the_widget_is_a_sentence(workspace: Workspace) -> None:
    bundle = Panel(workspace)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"].startswith(f"ccw_magics panel of {workspace.root}.")
    assert "%ccw provider add" in data["text/plain"]
    assert "VBox" not in data["text/plain"]
    assert WIDGET_TYPE in data


@pytest.mark.parametrize("source", ["%ccw panel", "import ccw_magics; ccw_magics.panel()"], ids=["verb", "function"])
def test_a_kernel_shows_it_as_often_as_it_is_asked_to(project: Path, source: str) -> None:
    _, *shown = cells(project, "%load_ext ccw_magics", source, source)
    for outputs in shown:
        assert [output["output_type"] for output in outputs] in (["display_data"], ["execute_result"])
        assert outputs[0]["data"]["text/plain"].startswith("ccw_magics panel of")
        assert WIDGET_TYPE in outputs[0]["data"]


def test_a_terminal_says_what_to_do_instead(project: Path) -> None:
    with pytest.raises(CcwError, match="the panel needs a notebook") as caught:
        NotebookDoor(InteractiveShell()).panel()
    assert "provider add" in (caught.value.hint or "")


def test_the_project_is_that_of_the_magics(shell: InteractiveShell, project: Path) -> None:
    shell.run_line_magic("load_ext", "ccw_magics")
    held = shell.magics_manager.registry["CcwMagics"].workspace
    assert ccw_magics.panel()._workspace is held
    assert ccw_magics.panel()._workspace is held  # also the second time: no module has taken the function's name


@pytest.mark.parametrize(
    ("source", "loaded"),
    [
        pytest.param("import ccw_magics", [], id="import"),
        pytest.param("import ccw_magics; ccw_magics.panel", [], id="name"),
        pytest.param("import ccw_magics; ccw_magics.panel()", ["anywidget", "ipywidgets"], id="panel"),
        pytest.param(
            "import ccw_magics\npanel = ccw_magics.panel()\nfor i in range(4): panel._pages.selected_index = i",
            ["anywidget", "ipywidgets"],
            id="all-tabs",
        ),
        pytest.param(
            "from IPython.core.interactiveshell import InteractiveShell\n"
            "InteractiveShell.instance().run_line_magic('load_ext', 'ccw_magics')",
            [],
            id="load_ext",
        ),
    ],
)
def test_nothing_is_imported_before_it_is_needed(project: Path, source: str, loaded: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"{source}\n{REPORT}"], check=True, capture_output=True, text=True, env=os.environ
    )
    assert ran.stdout.splitlines()[-1].split()[1:] == loaded

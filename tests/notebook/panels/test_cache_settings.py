"""The settings of the cache: in which file they are, which hide which, and what somebody else set meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from panel_driver import shown

from ccw_magics.notebook.panels.cache import CacheTab
from ccw_magics.workspace import Workspace


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace(project)


def opened(workspace: Workspace) -> CacheTab:
    made: CacheTab
    made = CacheTab(workspace, lambda: made.refresh())  # noqa: PLW0108 - there is none yet
    made.refresh()
    return made


def field(tab: CacheTab, name: str) -> Any:
    return next(field for field in tab._settings._form._fields if field.name == name)


def test_settings_that_the_project_hides_are_said_to_be(workspace: Workspace) -> None:
    workspace.config.update_global_cache_settings({"maxTotalSizeMB": 70})
    tab = opened(workspace)
    field(tab, "maxTotalSizeMB")._control.value = "50"
    tab._settings._file._control.value = "user"
    tab._settings.save()
    told = shown(tab._status.widget)
    assert f"Here those of {workspace.config.path} stay in force" in told
    assert workspace.config.user.get_global_cache_settings().max_total_size_mb == 50
    assert field(tab, "maxTotalSizeMB").value == "70"


@pytest.mark.parametrize("file", ["project", "user"])
def test_settings_that_are_in_force_are_only_said_to_be_saved(workspace: Workspace, file: str) -> None:
    tab = opened(workspace)
    field(tab, "maxTotalSizeMB")._control.value = "50"
    tab._settings._file._control.value = file
    tab._settings.save()
    assert "Saved the settings" in shown(tab._status.widget)
    assert "stay in force" not in shown(tab._status.widget)


def test_what_was_not_typed_is_theirs(workspace: Workspace, home: Path) -> None:
    folder = str(home / ".ccw" / "elsewhere")
    tab = opened(workspace)
    field(tab, "maxTotalSizeMB")._control.value = "50"
    Workspace(workspace.root).config.update_global_cache_settings({"cacheDir": folder})
    tab._settings.save()
    assert "yours (as theirs)" in shown(tab._settings._status.widget)
    tab._settings.save()
    found = json.loads(workspace.config.path.read_text())["globalCacheSettings"]
    assert (found["cacheDir"], found["maxTotalSizeMB"]) == (folder, 50)


def test_an_error_is_no_longer_shown_once_the_file_is_mended(workspace: Workspace) -> None:
    tab = opened(workspace)
    workspace.config.path.parent.mkdir(parents=True, exist_ok=True)
    workspace.config.path.write_text("{")
    tab.refresh()
    assert "not valid JSON" in shown(tab._status.widget)
    assert "not valid JSON" in shown(tab._settings._status.widget)
    workspace.config.path.unlink()
    tab.refresh()
    assert "not valid JSON" not in shown(tab.widget)

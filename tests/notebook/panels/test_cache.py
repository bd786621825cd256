"""The tab of the cache, driven without a kernel."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import pytest

from ccw_magics import Workspace
from ccw_magics.journal import Recorded
from ccw_magics.notebook.panels.cache import CacheTab
from ccw_magics.notebook.panels.table_html import meter_html, table_html


@pytest.fixture
def workspace(project: Path) -> Workspace:
    """A project with two packs."""
    (project / "a.py").write_text("x = 1\n")
    (project / "b.md").write_text("text\n")
    made = Workspace(project)
    made.pack(["@a.py"])
    made.pack(["@a.py", "@b.md"])
    return made


def opened(workspace: Workspace) -> CacheTab:
    made: CacheTab
    made = CacheTab(workspace, lambda: made.refresh())  # noqa: PLW0108 - there is none yet
    made.refresh()
    return made


def choose(tab: CacheTab, place: int) -> str:
    tab._session.value = tab._session.options[place][1]
    return str(tab._session.value)


def field(tab: CacheTab, name: str) -> Any:
    return next(field for field in tab._settings._form._fields if field.name == name)


def yes(tab: CacheTab) -> None:
    tab._question.widget.children[1].children[0].click()


def settings(workspace: Workspace) -> Any:
    return json.loads(workspace.config.path.read_text())["globalCacheSettings"]


def test_packs_totals_and_the_level_are_shown(workspace: Workspace) -> None:
    tab = opened(workspace)
    for row in workspace.cache.rows():
        assert row.session_id in tab._table.value
    assert "@a.py @b.md" in tab._table.value
    assert "<meter" in tab._level.value
    assert "2 packs of all projects" in tab._level.value
    assert "of 100.0 MiB (0%)" in tab._level.value


def test_without_packs_the_next_step_is_said(project: Path) -> None:
    tab = opened(Workspace(project))
    assert "No packs yet" in tab._table.value
    assert "@README.md" in tab._table.value
    assert tab._session.disabled
    assert tab._release.disabled


def test_one_is_looked_into_and_released(workspace: Workspace) -> None:
    tab = opened(workspace)
    assert tab._release.disabled
    chosen = choose(tab, 1)
    assert "b.md" in tab._files.value
    tab._release.click()
    assert chosen not in [row.session_id for row in workspace.cache.rows()]
    assert chosen not in tab._table.value
    assert tab._files.value == ""
    assert f"released {chosen}" in tab._status._text.value


def test_what_another_process_released_is_said_to_be_gone(workspace: Workspace) -> None:
    tab = opened(workspace)
    chosen = choose(tab, 1)
    Workspace(workspace.root).cache.release(chosen)
    workspace.cache.release(chosen)
    tab._release.click()
    assert f"{chosen} was gone" in tab._status._text.value


@pytest.mark.parametrize(("is_sure", "left"), [pytest.param(True, 0, id="yes"), pytest.param(False, 2, id="no")])
def test_clearing_asks_and_says_that_it_is_of_all_projects(workspace: Workspace, is_sure: bool, left: int) -> None:
    tab = opened(workspace)
    tab.ask_clear()
    assert "of all projects" in tab._question.widget.children[0].value
    assert len(workspace.cache.rows()) == 2
    tab._question.widget.children[1].children[0 if is_sure else 1].click()
    assert len(workspace.cache.rows()) == left
    assert tab._question.widget.children == ()


def test_expired_packs_are_cleaned_up(workspace: Workspace) -> None:
    workspace.pack(["@b.md"], ttl_minutes=0)
    tab = opened(workspace)
    tab.clean_up()
    assert "forgotten: 1 expired pack" in tab._status._text.value
    assert len(workspace.cache.rows()) == 2


def test_recorded_answers_are_counted_and_forgotten(workspace: Workspace) -> None:
    replies = workspace.executor.replies
    assert opened(workspace)._clear_replies.disabled
    when = datetime(2026, 1, 31, tzinfo=UTC)
    replies.put("k", Recorded(**recorded(when)))
    tab = opened(workspace)
    assert "1 recorded answer for replay" in tab._replies.value
    tab.ask_clear_replies()
    assert replies.status().replies == 1
    yes(tab)
    assert replies.status().replies == 0


def recorded(when: datetime) -> dict[str, Any]:
    return {
        "at": when, "endpoint": "e", "provider": "openai", "model": "m", "output": "42", "input_tokens": None,
        "cached_tokens": None, "written_tokens": None, "output_tokens": None, "cost_usd": None,
        "uncached_cost_usd": None, "duration_s": 1.0, "is_cut": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "is_users"), [pytest.param("project", False, id="project"), pytest.param("user", True, id="user")]
)
def test_settings_are_saved_where_they_are_to_be_kept(workspace: Workspace, file: str, is_users: bool) -> None:
    tab = opened(workspace)
    assert tab._settings._save.disabled
    field(tab, "maxTotalSizeMB")._control.value = "50"
    tab._settings._file._control.value = file
    tab._settings._save.click()
    assert settings_of(workspace, is_users)["maxTotalSizeMB"] == 50
    assert "of 50.0 MiB" in tab._level.value
    assert tab._settings._save.disabled


def settings_of(workspace: Workspace, is_users: bool) -> Any:
    store = workspace.config.user if is_users else workspace.config
    return json.loads(store.path.read_text())["globalCacheSettings"]


def test_an_edit_for_the_project_keeps_what_the_users_own_file_says(workspace: Workspace, home: Path) -> None:
    folder = str(home / ".ccw" / "elsewhere")
    workspace.config.user.update_global_cache_settings({"cacheDir": folder})
    tab = opened(workspace)
    assert tab._settings._file.value == "user"
    field(tab, "maxTotalSizeMB")._control.value = "7"
    tab._settings._file._control.value = "project"
    tab._settings.save()
    found = workspace.config.get_global_cache_settings()
    assert (found.cache_dir, found.max_total_size_mb) == (folder, 7)


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        pytest.param("maxTotalSizeMB", "0", "greater than 0", id="no-room"),
        pytest.param("maxTotalSizeMB", "much", "valid number", id="no-number"),
    ],
)
def test_wrong_settings_are_said_and_not_saved(workspace: Workspace, name: str, typed: str, said: str) -> None:
    tab = opened(workspace)
    field(tab, name)._control.value = typed
    assert said in field(tab, name)._beside.value
    tab._settings.save()
    assert not workspace.config.path.exists()


def test_settings_changed_meanwhile_are_shown_before_they_are_gone_over(workspace: Workspace) -> None:
    tab = opened(workspace)
    field(tab, "maxTotalSizeMB")._control.value = "50"
    Workspace(workspace.root).config.update_global_cache_settings({"maxTotalSizeMB": 60})
    tab._settings.save()
    assert settings(workspace)["maxTotalSizeMB"] == 60
    assert "theirs 60" in tab._settings._status._text.value
    tab.refresh()  # a cell was run meanwhile
    tab._settings.save()
    assert settings(workspace)["maxTotalSizeMB"] == 50


def test_a_file_that_cannot_be_understood_is_said(workspace: Workspace) -> None:
    workspace.config.path.parent.mkdir(parents=True, exist_ok=True)
    workspace.config.path.write_text("{")
    assert "ccw-wrong" in opened(workspace)._status._text.value


@pytest.mark.parametrize("text", ["<b>x</b>", "<script>alert(1)</script>", '" onclick="x', "a & b"])
def test_cells_are_text(text: str) -> None:
    html = table_html(text, [text], [[text]], ())
    assert html.count(escape(text)) == 3
    assert text not in html


@pytest.mark.parametrize(("share", "value"), [(0.5, "0.5000"), (1.7, "1.0000"), (-1.0, "0.0000")])
def test_a_bar_stays_within_its_ends(share: float, value: str) -> None:
    assert f'value="{value}"' in meter_html("x", share, "told")

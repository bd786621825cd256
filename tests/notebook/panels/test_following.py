"""A panel that nobody clicks in shows what other processes do to the config, and leaves alone what is being typed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from panel_driver import enter

from ccw_magics import Workspace
from ccw_magics.notebook.panels import following
from ccw_magics.notebook.panels.following import Following
from ccw_magics.notebook.panels.tabs import Panel


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython's own shell, as `get_ipython` knows it."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.fixture
def panel(shell: InteractiveShell, project: Path) -> Panel:
    """A panel whose files are looked at when the test says so."""
    return Panel(Workspace(project))


@pytest.fixture
def followed(panel: Panel, project: Path) -> Following:
    return following._newest[project]


@pytest.fixture
def other(project: Path) -> Any:
    """The config as another process sees it."""
    return Workspace(project).config


def ids(panel: Panel) -> list[str]:
    tab: Any = panel._tabs[0]
    return [row[1] for row in tab._list._list.options]


@pytest.mark.parametrize("whose", ["project", "user"])
def test_what_another_process_does_is_shown(panel: Panel, followed: Following, other: Any, whose: str) -> None:
    store = other if whose == "project" else other.user
    store.add_provider({"id": "p-1", "type": "openai"})
    followed.look()
    assert ids(panel) == ["p-1"]
    store.delete_provider("p-1")
    followed.look()
    assert ids(panel) == []


def test_nothing_is_read_where_nothing_changed(
    panel: Panel, followed: Following, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: list[Panel] = []
    monkeypatch.setattr(Panel, "refresh", lambda panel: refreshed.append(panel))  # noqa: PLW0108 - a function binds, a method of a list does not
    followed.look()
    assert refreshed == []
    other.add_provider({"type": "openai"})
    followed.look()
    followed.look()
    assert refreshed == [panel]


def test_what_is_being_typed_stays(panel: Panel, followed: Following, other: Any) -> None:
    other.add_provider({"id": "p-1", "name": "P", "type": "openai"})
    followed.look()
    tab: Any = panel._tabs[0]
    tab._list._list.value = "p-1"
    enter(tab, name="Mine")
    other.update_provider("p-1", {"name": "Theirs"})
    other.add_provider({"id": "p-2", "type": "openai"})
    followed.look()
    assert (tab._form.entry()["name"], ids(panel), tab._list.selected) == ("Mine", ["p-1", "p-2"], "p-1")
    other.delete_provider("p-1")
    followed.look()
    assert (tab._form.entry()["name"], ids(panel)) == ("Mine", ["p-2"])


def test_a_file_that_cannot_be_read_is_said_until_it_can(panel: Panel, followed: Following, other: Any) -> None:
    other.add_provider({"id": "p-1", "type": "openai"})
    kept = other.path.read_bytes()
    other.path.write_text("{")
    followed.look()
    assert "not valid JSON" in panel._notice.value
    other.path.unlink()
    other.path.mkdir()
    followed.look()
    assert "it is a directory" in panel._notice.value
    other.path.rmdir()
    other.path.write_bytes(kept)
    followed.look()
    assert (panel._notice.value, ids(panel)) == ("", ["p-1"])


def test_a_fault_is_told_in_the_panel_alone(
    panel: Panel, followed: Following, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_panel: Panel) -> None:
        raise ValueError("sk-canary-0123456789abcdef")

    monkeypatch.setattr(Panel, "refresh", fail)
    other.add_provider({"type": "openai"})
    followed.look()
    assert "could not be refreshed: ValueError" in panel._notice.value
    assert "canary" not in panel._notice.value


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once."""
    monkeypatch.setattr(following, "LOOK_S", 0)


async def turns(count: int = 20) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_on_a_kernels_loop_it_looks_by_itself_until_it_is_replaced_or_closed(
    quick: None, shell: InteractiveShell, project: Path, other: Any
) -> None:
    async def kernel() -> None:
        older = Panel(Workspace(project))
        other.add_provider({"id": "p-1", "type": "openai"})
        await turns()
        assert ids(older) == ["p-1"]
        newer = Panel(Workspace(project))
        other.add_provider({"id": "p-2", "type": "openai"})
        await turns()
        assert (ids(older), ids(newer)) == (["p-1"], ["p-1", "p-2"])
        newer.widget.close()
        other.add_provider({"id": "p-3", "type": "openai"})
        await turns()
        assert ids(newer) == ["p-1", "p-2"]
        assert not [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]  # asyncio's own list

    asyncio.run(kernel())


def test_a_closed_panel_is_let_go(shell: InteractiveShell, project: Path) -> None:
    panel = Panel(Workspace(project))
    followed = weakref.ref(following._newest[project])
    before = len(shell.events.callbacks["post_run_cell"])
    panel.widget.close()
    shell.run_cell("1")
    gc.collect()
    assert followed() is None
    assert len(shell.events.callbacks["post_run_cell"]) == before - 1

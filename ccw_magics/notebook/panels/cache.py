"""The tab of the cache: which packs are kept, how full it is, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ipywidgets

from ccw_magics import stats
from ccw_magics.context.pack import readable_size
from ccw_magics.errors import CcwError
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.background import Background
from ccw_magics.notebook.panels.buttons import WRAPPED, button
from ccw_magics.notebook.panels.cache_settings import CacheSettingsForm
from ccw_magics.notebook.panels.question import Question
from ccw_magics.notebook.panels.reading import Reading
from ccw_magics.notebook.panels.table_html import meter_html, table_html
from ccw_magics.workspace import Workspace

_COLUMNS: Final = {
    "session_id": "pack",
    "endpoint": "endpoint",
    "references": "references",
    "files": "files",
    "size_bytes": "size",
    "tokens_estimate": "tokens, about",
    "status": "last use",
    "hits": "hits",
    "reused": "reused",
    "used_at": "used",
    "expires_at": "expires",
    "project": "project",
}
_FILE_COLUMNS: Final = {"path": "file", "size_bytes": "size", "tokens_estimate": "tokens, about", "changes": "changes"}
_NUMBERS: Final = ("files", "size", "tokens, about", "hits", "reused", "changes")
_SHOWN_MAX: Final = 200
"""Packs, the last used first; more are counted."""
_EMPTY: Final = "No packs yet: a cell with an @ reference makes one, such as\n%%ccw\n@README.md What is this about?"


class CacheTab:
    """The packs of all projects, and what can be done to them.

    Args:
        workspace: The project.
        on_change: To be called after each change.

    Attributes:
        widget: What is shown.
    """

    def __init__(self, workspace: Workspace, on_change: Callable[[], None]) -> None:
        self._workspace = workspace
        self._on_change = on_change
        self._status = Background()
        self._reading = Reading(self._status)
        self._question = Question()
        self._level, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        self._files, self._replies = ipywidgets.HTML(), ipywidgets.HTML()
        self._session = ipywidgets.Dropdown(
            description="Pack",
            style={"description_width": "9em"},
            layout=ipywidgets.Layout(width="auto", flex="1 1 300px", min_width="0"),
        )
        self._session.observe(lambda _: self._show_files(), "value")
        self._release = button("Release", self.release, "eject")
        self._clear_replies = button("Forget recorded answers", self.ask_clear_replies, "trash")
        self._settings = CacheSettingsForm(workspace, self._changed)
        self.widget = self._laid_out()

    def _laid_out(self) -> Any:
        actions = (
            button("Clear all", self.ask_clear, "trash"),
            button("Clean up expired", self.clean_up, "clock-o"),
            self._clear_replies,
        )
        rows = ([self._session, self._release], actions)
        boxes = [ipywidgets.HBox(list(row), layout=ipywidgets.Layout(**WRAPPED)) for row in rows]
        return ipywidgets.VBox(
            [
                self._level,
                self._table,
                boxes[0],
                self._files,
                self._replies,
                boxes[1],
                self._question.widget,
                self._status.widget,
                self._settings.widget,
            ]
        )

    def refresh(self) -> None:
        """Show what is kept now."""
        self._settings.refresh()
        with self._reading:
            packs = stats.cache(self._workspace)
            self._show_packs(packs)
            self._show_level()

    def _show_packs(self, packs: stats.Table) -> None:
        rows = packs.rows[:_SHOWN_MAX]
        more = style.said(f"and {len(packs.rows) - len(rows):,} more", "faint") if len(rows) < len(packs.rows) else ""
        self._table.value = _html("Packs", packs, rows, _COLUMNS) + more if rows else style.said(_EMPTY, "faint")
        places = [packs.columns.index(name) for name in ("session_id", "endpoint", "references")]
        options: list[tuple[str, Any]] = [("choose one", "")]
        options += [(" · ".join(str(row[place]) for place in places), str(row[places[0]])) for row in packs.rows]
        chosen = self._session.value
        self._session.options = options
        self._session.value = chosen if chosen in [option[1] for option in options] else ""
        self._session.disabled = not rows
        self._show_files()

    def _show_files(self) -> None:
        chosen = self._session.value
        self._release.disabled = not chosen
        if not chosen:
            self._files.value = ""
            return
        files = stats.pack_files(self._workspace, chosen)
        self._files.value = _html(f"Files of {chosen}", files, files.rows, _FILE_COLUMNS)

    def _show_level(self) -> None:
        status = self._workspace.cache.status()
        used, limit = readable_size(status.size_bytes), readable_size(status.max_bytes)
        where = status.directory or "memory only: the cache on disk is off"
        share = status.size_bytes / status.max_bytes if status.max_bytes else 1.0
        told = f"{_count(status.packs, 'pack')} of all projects, {used} of {limit} ({share:.0%}) in {where}"
        self._level.value = meter_html("how full the cache is", share, told)
        replies = self._workspace.executor.replies.status()
        recorded = f"{_count(replies.replies, 'recorded answer')} for replay, {readable_size(replies.size_bytes)}"
        self._replies.value = style.said(recorded)
        self._clear_replies.disabled = not replies.replies

    # --- what the buttons do -----------------------------------------------------------------------------------

    def release(self) -> None:
        """Forget the chosen pack."""
        chosen = self._session.value
        self._do(lambda: f"released {chosen}" if self._workspace.cache.release(chosen) else f"{chosen} was gone")

    def ask_clear(self) -> None:
        """Ask before all packs are forgotten."""
        text = "Forget all packs, of all projects? The next call of each packs its files anew."
        cache = self._workspace.cache
        self._question.sure(
            text, "Clear all", lambda: self._do(lambda: f"forgotten: {_count(cache.clear(), 'pack')}, of all projects")
        )

    def clean_up(self) -> None:
        """Forget the packs whose time is over."""
        self._do(lambda: f"forgotten: {_count(self._workspace.cache.cleanup(), 'expired pack')}")

    def ask_clear_replies(self) -> None:
        """Ask before the recorded answers are forgotten."""
        text = "Forget all recorded answers, of all projects? Asked again, they cost again."
        replies = self._workspace.executor.replies
        self._question.sure(
            text, "Forget them", lambda: self._do(lambda: f"forgotten: {_count(replies.clear(), 'recorded answer')}")
        )

    def _do(self, action: Callable[[], str]) -> None:
        self._question.drop()
        try:
            told = action()
        except CcwError as error:
            self._status.fail(error)
            return
        self._changed(told)

    def _changed(self, told: str) -> None:
        self._on_change()
        self._status.say(told, "right")


def _html(label: str, table: stats.Table, rows: Any, columns: dict[str, str]) -> str:
    places = {name: table.columns.index(name) for name in columns}
    cells = [[stats.shown(name, row[place]) for name, place in places.items()] for row in rows]
    return table_html(label, list(columns.values()), cells, _NUMBERS)


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"

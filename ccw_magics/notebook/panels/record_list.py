"""The entries that there are: one list to select from, however many, with a filter above it and actions below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import ipywidgets

from ccw_magics.notebook.panels import style

_FILTER_FROM: Final = 12
"""Entries from which on a filter is worth its line."""
_ROWS: Final = 12


class RecordList:
    """A list of entries, one of which is selected.

    A row of widgets for each entry was rejected: 250 rows of one button take longer than the whole panel may.

    Args:
        label: What it lists, for screen readers too.
        actions: Buttons to stand below it.
        on_select: Called with the id of what the user selects.

    Attributes:
        widget: What is shown.
    """

    def __init__(self, label: str, actions: Sequence[Any], on_select: Callable[[str | None], None]) -> None:
        self._on_select = on_select
        self._rows: list[tuple[str, str]] = []
        self._chosen: str | None = None
        self._is_showing = False
        self._filter = ipywidgets.Text(placeholder=f"Filter {label.lower()}", layout=ipywidgets.Layout(width="auto"))
        self._filter.tooltip = f"Filter {label.lower()}"
        self._list = ipywidgets.Select(rows=_ROWS, layout=ipywidgets.Layout(width="auto"))
        self._list.tooltip = label
        self._title = ipywidgets.HTML(f"<b>{label}</b>")
        self._filter.observe(lambda _: self._show(), "value")
        self._list.observe(self._selected, "value")
        buttons = ipywidgets.HBox(list(actions), layout=ipywidgets.Layout(flex_flow="row wrap", width="100%"))
        self.widget = ipywidgets.VBox(
            [self._title, self._filter, self._list, buttons],
            layout=ipywidgets.Layout(flex="1 1 240px", min_width="200px", max_width="100%"),
        )

    @property
    def selected(self) -> str | None:
        """The id of the selected entry, whether the filter lets it be seen or not."""
        return self._chosen

    def show(self, rows: Sequence[tuple[str, str]], selected: str | None) -> None:
        """Show entries; this calls nobody back.

        Args:
            rows: What each looks like, and its id.
            selected: The id to be selected; None, or one that is not there, for none.
        """
        self._rows = [(style.plain(row), entry_id) for row, entry_id in rows]
        self._chosen = selected if selected in [entry_id for _, entry_id in rows] else None
        has_filter = len(rows) >= _FILTER_FROM
        self._filter.layout.display = None if has_filter else "none"
        if not has_filter:
            self._filter.value = ""
        self._show()

    def _show(self) -> None:
        wanted = self._filter.value.casefold()
        rows = [row for row in self._rows if wanted in f"{row[0]} {row[1]}".casefold()]
        selected = self._chosen if self._chosen in [entry_id for _, entry_id in rows] else None
        if rows == list(self._list.options) and selected == self._list.value:
            return
        self._is_showing = True
        try:
            with self._list.hold_sync():
                self._list.options = rows
                self._list.value = selected
        finally:
            self._is_showing = False

    def _selected(self, change: Any) -> None:
        if not self._is_showing:
            self._chosen = change["new"]
            self._on_select(change["new"])

"""The tab of the journal: what was asked, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import ipywidgets

from ccw_magics import stats
from ccw_magics.errors import CcwError
from ccw_magics.journal import readable_usd
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.background import Background
from ccw_magics.notebook.panels.buttons import WRAPPED, button
from ccw_magics.notebook.panels.day_chart import Day, day_chart
from ccw_magics.notebook.panels.table_html import table_html
from ccw_magics.workspace import Workspace

PAGE_ROWS: Final = 50
_COLUMNS: Final = {
    "id": "id",
    "at": "asked",
    "endpoint": "endpoint",
    "outcome": "outcome",
    "cost_usd": "cost",
    "input_tokens": "input",
    "cached_tokens": "cached",
    "output_tokens": "output",
    "prompt": "prompt",
    "model": "model",
    "duration_s": "took",
    "saved_usd": "saved",
    "files": "files",
    "chat": "chat",
}
_NUMBERS: Final = ("id", "input", "cached", "output", "cost", "saved", "took", "files")
_EMPTY: Final = (
    "No calls recorded yet. A cell that begins with %%ccw makes one; the tab Endpoints shows the exact cell to paste."
)
_OFF: Final = 'Calls are not recorded: the config says "journal": "off".'


class HistoryTab:
    """The recorded calls, newest first, a page at a time, with their sums and a chart.

    Args:
        workspace: The project.
        on_change: Not called: nothing is changed here.

    Attributes:
        widget: What is shown.
    """

    def __init__(self, workspace: Workspace, on_change: Callable[[], None]) -> None:  # noqa: ARG002 - what `Tab` asks for
        self._workspace = workspace
        self._page = 0
        self._summed: tuple[int, list[int]] | None = None
        self._page_shown = 0
        self._status = Background()
        self._sums, self._chart, self._table = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self._where = ipywidgets.HTML()
        self._newer = button("Newer", lambda: self._turn(-1), "chevron-left")
        self._older = button("Older", lambda: self._turn(1), "chevron-right")
        pages = ipywidgets.HBox([self._newer, self._older, self._where], layout=ipywidgets.Layout(**WRAPPED))
        self._calls = ipywidgets.VBox([self._chart, self._table, pages])
        self.widget = ipywidgets.VBox([self._sums, self._calls, self._status.widget])

    def refresh(self) -> None:
        """Show what is recorded now."""
        try:
            self._show()
            self._status.say(self._workspace.journal.take_trouble(), "doubt")
        except CcwError as error:
            self._status.fail(error)

    def _turn(self, pages: int) -> None:
        self._page += pages
        self.refresh()

    def _show(self) -> None:
        count = self._workspace.journal.status().calls
        state = (count, [entry.id for entry in self._workspace.journal.calls(limit=1)])
        if state != self._summed:  # sums over many calls take their time, and this is looked at after each cell
            self._show_sums(count)
        if (state, self._page) != (self._summed, self._page_shown) and count:
            self._show_page(count)
        self._summed, self._page_shown = state, self._page

    def _show_sums(self, count: int) -> None:
        self._calls.layout.display = None if count else "none"
        if not count:
            is_off = self._workspace.config.load().journal == "off"
            self._sums.value = style.said(_OFF if is_off else _EMPTY, "faint")
            return
        total = stats.usage(self._workspace, by=())
        sums = (_in_words(dict(zip(total.columns, row, strict=True))) for row in total.rows)
        self._sums.value = style.said("".join(sums))
        by_day = stats.usage(self._workspace, by=("day",))
        self._chart.value = day_chart([_day(by_day.columns, row) for row in reversed(by_day.rows)])

    def _show_page(self, count: int) -> None:
        self._page = min(max(self._page, 0), (count - 1) // PAGE_ROWS)
        first = self._page * PAGE_ROWS
        calls = stats.history(self._workspace, limit=first + PAGE_ROWS)
        rows = [_cells(calls.columns, row) for row in calls.rows[first:]]
        self._table.value = table_html("Calls, newest first", list(_COLUMNS.values()), rows, _NUMBERS)
        told = f"{first + 1:,} to {first + len(rows):,} of {count:,} calls; %ccw history ID shows one whole"
        self._where.value = style.live(style.said(told, "faint"))
        self._newer.disabled = self._page == 0
        self._older.disabled = first + PAGE_ROWS >= count


def _cells(columns: Sequence[str], row: Sequence[object]) -> list[str]:
    """A call as a person reads it: what was given again is free, and what is not known is no 0."""
    call = dict(zip(columns, row, strict=True))
    cells = {name: stats.shown(name, call[name]) for name in _COLUMNS}
    if call["outcome"] == "replayed":
        cells["cost_usd"] = "free, replayed"
    elif call["cost_usd"] is None and _was_paid_for(call):
        cells["cost_usd"] = "unknown"
    return list(cells.values())


def _was_paid_for(call: Mapping[str, Any]) -> bool:
    """Whether there was something to pay for, as `journal.Sums.unpriced` has it."""
    signs = [call[name] for name in ("input_tokens", "output_tokens", "first_token_s")]
    return call["outcome"] in {"ok", "cut"} or any(signs)


def _day(columns: Sequence[str], row: Sequence[Any]) -> Day:
    sums = dict(zip(columns, row, strict=True))
    return Day(**{field.name: sums[field.name] for field in fields(Day)})


def _in_words(total: dict[str, Any]) -> str:
    """The sums of all calls in one line."""
    calls = f"{total['calls']:,} {'call' if total['calls'] == 1 else 'calls'}"
    kinds = [f"{total[name]:,} {name}" for name in ("failed", "replayed") if total[name]]
    cost = "" if total["cost_usd"] is None else f"{readable_usd(total['cost_usd'])} in all"
    if total["unpriced"]:
        cost += f", without {total['unpriced']:,} of unknown cost" if cost else "cost unknown"
    tokens = [f"{total[f'{name}_tokens']:,} {name}" for name in ("input", "output") if total[f"{name}_tokens"]]
    share = "" if total["cached_share"] is None else f" ({total['cached_share']:.0%} of the input cached)"
    saved = "" if total["saved_usd"] is None else f"the providers' caches saved {readable_usd(total['saved_usd'])}"
    parts = (
        f"{calls} ({', '.join(kinds)})" if kinds else calls,
        cost,
        f"tokens: {', '.join(tokens)}{share}" if tokens else "",
        saved,
    )
    return "; ".join(filter(None, parts))

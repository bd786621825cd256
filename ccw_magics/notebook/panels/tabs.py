"""The panel: what needs the user's word above the tabs, and each tab built when it is first opened."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import ipywidgets

from ccw_magics.errors import CcwError
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.frame import PanelFrame

if TYPE_CHECKING:
    from ccw_magics.workspace import Workspace

_TABS: Final = {
    "Providers": "providers.ProvidersTab",
    "Endpoints": "endpoints.EndpointsTab",
    "Cache": "cache.CacheTab",
    "History": "history.HistoryTab",
}
_TEXT: Final = (
    "ccw_magics panel of {root}. If nothing else is shown here, this front end has no widgets: "
    "`%ccw provider add`, `%ccw endpoint add`, `%ccw cache` and `%ccw history` do the same."
)
_newest: dict[Path, Callable[..., None]] = {}
"""What refreshes the newest panel of each project."""


class Tab(Protocol):
    """What the panel asks of a tab; its class is made from a workspace and the function that says what changed."""

    widget: Any

    def refresh(self) -> None:
        """Show what is there now; what the user is typing stays."""


class Panel:
    """A project's config, cache and journal, to click in; the first tab is built at once.

    Args:
        workspace: The project.

    Attributes:
        widget: The ipywidgets box.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._tabs: dict[int, Tab] = {}
        self._notice = ipywidgets.HTML()
        self._trust = button("Trust this config", self._accept, "check")
        self._pages = ipywidgets.Tab([ipywidgets.VBox() for _ in _TABS], titles=list(_TABS), selected_index=0)
        self._pages.observe(lambda _: self.refresh(), "selected_index")
        heading = ipywidgets.HTML(f"<b>ccw_magics</b> {style.said(style.place(workspace.root), 'faint')}")
        self.widget = ipywidgets.VBox([PanelFrame(), heading, self._notice, self._trust, self._pages])
        self.widget.add_class(style.CLASS)
        self.refresh()
        _after_each_cell(self, workspace.root)

    def __repr__(self) -> str:
        return f"Panel({str(self._workspace.root)!r})"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """As the widget, with a word for front ends that show none, which see its text alone."""
        bundle = self.widget._repr_mimebundle_(**options)
        data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
        data = {**(data or {}), "text/plain": _TEXT.format(root=self._workspace.root)}
        return (data, *metadata) if metadata else data

    def refresh(self) -> None:
        """Show what the files hold now."""
        self._show_trust()
        index = self._pages.selected_index
        if index is None:
            return
        if index not in self._tabs:
            tab = self._tabs[index] = _made(list(_TABS.values())[index], self._workspace, self.refresh)
            # Not the pages themselves: their titles would be made anew, and the focus that is on one lost.
            self._pages.children[index].children = (tab.widget,)
        self._tabs[index].refresh()

    def _show_trust(self) -> None:
        """Say what the config would do that the user has not accepted, or why it cannot be read."""
        try:
            self._workspace.config.require_trust()
        except CcwError as error:
            self._notify(error)
            self._trust.layout.display = None if _is_risky(self._workspace) else "none"
        else:
            self._notice.value = ""
            self._trust.layout.display = "none"

    def _notify(self, error: CcwError) -> None:
        told = style.said("\n".join(filter(None, [error.message, error.hint])))
        self._notice.value = f'<div class="ccw-notice" role="alert">{told}</div>'

    def _accept(self) -> None:
        try:
            self._workspace.config.trust()
        except CcwError as error:
            self._notify(error)
        else:
            self.refresh()


def _is_risky(workspace: Workspace) -> bool:
    """Whether the config can be read, and there is something to accept."""
    try:
        return bool(workspace.config.risks())
    except CcwError:
        return False


def _made(place: str, workspace: Workspace, on_change: Any) -> Tab:
    module, name = place.split(".")
    kind = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    tab: Tab = kind(workspace, on_change)
    return tab


def _after_each_cell(panel: Panel, root: Path) -> None:
    """Refresh a project's newest panel after each cell, which may have changed anything.

    One for each project: ipywidgets keep each other alive, so that panels whose output is long gone would be
    refreshed for ever. An older one that is still shown does so when it is clicked in.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        return

    def refresh(_result: object = None) -> None:
        panel.refresh()

    last, _newest[root] = _newest.get(root), refresh
    if last is not None:
        with suppress(ValueError):  # of another shell, or unregistered by somebody else
            shell.events.unregister("post_run_cell", last)
    shell.events.register("post_run_cell", refresh)

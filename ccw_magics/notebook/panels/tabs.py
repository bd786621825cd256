"""The panel: what needs the user's word above the tabs, and each tab built when it is first opened."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import ipywidgets

from ccw_magics.config import trust
from ccw_magics.config.migration import VERSION
from ccw_magics.errors import CcwError, ConfigConflict
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.following import follow
from ccw_magics.notebook.panels.frame import PanelFrame

if TYPE_CHECKING:
    from ccw_magics.config.store import ConfigStore
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
_NEWER: Final = (
    "{path} is of version {version}, and this ccw_magics knows {known}: it can be read here, and not changed.\n"
    "Update ccw_magics (pip install --upgrade ccw_magics)."
)
_REPLACED: Final = "The config was changed after its risks were shown here, so nothing was accepted."


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
        self._judged = ""
        self._notice = ipywidgets.HTML()
        self._trust = button("Trust this config", self._accept, "check")
        self._pages = ipywidgets.Tab([ipywidgets.VBox() for _ in _TABS], titles=list(_TABS), selected_index=0)
        self._pages.observe(lambda _: self.refresh(), "selected_index")
        heading = ipywidgets.HTML(f"<b>ccw_magics</b> {style.said(style.place(workspace.root), 'faint')}")
        self.widget = ipywidgets.VBox([PanelFrame(), heading, self._notice, self._trust, self._pages])
        self.widget.add_class(style.CLASS)
        self.refresh()
        follow(self, workspace.root, (workspace.config.path, workspace.config.user.path))

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
        self._show_notice()
        index = self._pages.selected_index
        if index is None:
            return
        if index not in self._tabs:
            tab = self._tabs[index] = _made(list(_TABS.values())[index], self._workspace, self.refresh)
            # Not the pages themselves: their titles would be made anew, and the focus that is on one lost.
            self._pages.children[index].children = (tab.widget,)
        self._tabs[index].refresh()

    def fail(self, error: Exception) -> None:
        """Say that the panel could not be refreshed; an error that nobody foresaw may hold a key: only its name."""
        told = _in_words(error) if isinstance(error, CcwError) else type(error).__name__
        self._notify(f"The panel could not be refreshed: {told}")

    def _show_notice(self, first: str = "") -> None:
        """Say what needs the user's word: risks that were not accepted, a newer file, or why none can be read.

        Args:
            first: What is to be said before.
        """
        config, told = self._workspace.config, [first]
        risks: list[trust.Risk] = []
        try:
            told += [_of_version(store) for store in (config, config.user)]
            risks, self._judged = config.judged()
            trust.require_trust(risks, self._judged, config.path)
        except CcwError as error:
            told.append(_in_words(error))
            self._trust.layout.display = None if risks else "none"
        else:
            self._trust.layout.display = "none"
        self._notify("\n".join(filter(None, told)))

    def _notify(self, text: str) -> None:
        self._notice.value = f'<div class="ccw-notice" role="alert">{style.said(text)}</div>' if text else ""

    def _accept(self) -> None:
        """Accept the content whose risks were shown, and no other."""
        try:
            self._workspace.config.trust(digest=self._judged)
        except ConfigConflict:
            self._show_notice(_REPLACED)
        except CcwError as error:
            self._notify(_in_words(error))
        else:
            self.refresh()


def _in_words(error: CcwError) -> str:
    return "\n".join(filter(None, [error.message, error.hint]))


def _of_version(store: ConfigStore) -> str:
    """Why a file cannot be changed here; empty where it can."""
    version = store.load().version
    return _NEWER.format(path=style.place(store.path), version=version, known=VERSION) if version > VERSION else ""


def _made(place: str, workspace: Workspace, on_change: Any) -> Tab:
    module, name = place.split(".")
    kind = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    tab: Tab = kind(workspace, on_change)
    return tab

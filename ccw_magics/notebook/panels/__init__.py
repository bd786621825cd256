"""`%ccw panel`: the config, the cache and the journal in the notebook, a file a tab; every button calls the API.

::

    Panel                     the tabs, each built when it is first opened
    ├── ProvidersTab          a RecordList beside a Form; KeyField, KeysField, HeadersField
    ├── EndpointsTab          likewise
    ├── CacheTab
    └── HistoryTab

A key is typed into a `SecretInput`, the only widget that ever holds one, and never as a synced trait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccw_magics.notebook.panels.tabs import Panel
    from ccw_magics.workspace import Workspace


def panel(workspace: Workspace | None = None) -> Panel:
    """The panel of a project, to be shown as a cell's result.

    Args:
        workspace: The project; None for the one that `%ccw` works on, or else that of the current directory.
    """
    from ccw_magics.notebook.panels.tabs import Panel

    return Panel(workspace or _workspace_at_hand())


def show(workspace: Workspace) -> None:
    """Display the panel of a project below the cell that runs."""
    from IPython.display import display

    display(panel(workspace))


def _workspace_at_hand() -> Workspace:
    """The one that the magics hold, so that what is kept in memory is the same."""
    from IPython.core.getipython import get_ipython

    from ccw_magics.workspace import Workspace

    shell = get_ipython()
    magics = shell.magics_manager.registry.get("CcwMagics") if shell is not None else None
    return magics.workspace if magics is not None else Workspace()

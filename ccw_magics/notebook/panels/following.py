"""What keeps a panel current that nobody clicks in: it is refreshed after each cell, and once a config file changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

from ccw_magics.config import configfile
from ccw_magics.errors import ConfigError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LOOK_S: Final = 1.0
"""Seconds between two looks at the files, each of which takes some 20 µs."""
_CELL: Final = "post_run_cell"
_newest = WeakValueDictionary[Path, "Following"]()
"""What refreshes the newest panel of each project, until that is closed."""


class Shown(Protocol):
    """What is asked of a panel."""

    widget: Any

    def refresh(self) -> None:
        """Show what the files hold now; what the user is typing stays."""

    def fail(self, error: Exception) -> None:
        """Say that it could not be refreshed."""


class Following:
    """Refreshes a panel after each cell, which may have changed anything, and when another process changed a file.

    The files are looked at on the kernel's own loop, where clicks are dealt with too: in no thread, and not while a
    cell keeps the loop. It ends when the panel's widget is closed. Watching by inotify was rejected: network file
    systems, on which homes often lie, do not tell what other machines change.

    Args:
        panel: The panel, as it was just built.
        paths: The config files; none needs to exist.
        shell: Whose cells it follows.
    """

    def __init__(self, panel: Shown, paths: Sequence[Path], shell: InteractiveShell) -> None:
        self._panel = panel
        self._paths = paths
        self._shell = shell
        self._seen = self._states()
        self._timer: asyncio.TimerHandle | None = None
        shell.events.register(_CELL, self._after_cell)
        with suppress(RuntimeError):  # no loop, so no kernel
            self._wait(asyncio.get_running_loop())

    def stop(self) -> None:
        """Leave the panel as it is from now on."""
        if self._timer is not None:
            self._timer.cancel()
        with suppress(ValueError):  # unregistered by somebody else
            self._shell.events.unregister(_CELL, self._after_cell)

    def look(self) -> None:
        """Refresh the panel where a file is not what it was."""
        if self._states() != self._seen:
            self._refresh()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LOOK_S, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_closed:
            self.stop()
            return
        self.look()
        self._wait(loop)

    def _after_cell(self, _result: object = None) -> None:
        if self._is_closed:
            self.stop()
        else:
            self._refresh()

    @property
    def _is_closed(self) -> bool:
        return self._panel.widget.comm is None

    def _refresh(self) -> None:
        self._seen = self._states()  # before: what comes while the files are read is seen at the next look
        try:
            self._panel.refresh()
        except Exception as error:  # noqa: BLE001 - IPython would print its trace below every cell from now on
            self._panel.fail(error)

    def _states(self) -> list[object]:
        return [_state(path) for path in self._paths]


def follow(panel: Shown, root: Path, paths: Sequence[Path]) -> None:
    """Keep a project's newest panel current; where there is no IPython, nothing is done.

    One for each project: ipywidgets keep each other alive, so that panels whose output is long gone would be
    refreshed for ever. An older one that is still shown is refreshed when it is clicked in.

    Args:
        panel: The panel, as it was just built.
        root: The project's root.
        paths: The config files.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    if (last := _newest.get(root)) is not None:
        last.stop()
    _newest[root] = Following(panel, paths, shell)


def _state(path: Path) -> object:
    """What tells one state of a file from the next; what is wrong with it where it cannot be looked at."""
    try:
        return configfile.signature(path)
    except ConfigError as error:
        return error.message

"""What the files hold, read anew again and again: a failure is told once, and no longer once it is over."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ccw_magics.errors import CcwError

if TYPE_CHECKING:
    from ccw_magics.notebook.panels.background import Background


class Reading:
    """A context for reading: it ends at the first error, which is shown until a later reading goes well.

    Args:
        status: Where it is shown.
    """

    def __init__(self, status: Background) -> None:
        self._status = status
        self._has_failed = False

    def __enter__(self) -> None:
        """Begin to read."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> bool:
        """Show what went wrong, or take away what did so before."""
        if isinstance(error, CcwError):
            self._status.fail(error)
            self._has_failed = True
            return True
        if error is None and self._has_failed:
            self._status.say("")
            self._has_failed = False
        return False

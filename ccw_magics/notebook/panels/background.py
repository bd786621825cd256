"""Work that takes a while, off the kernel's thread, with a word while it lasts and a button that stops it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import ipywidgets

from ccw_magics.calls import worker
from ccw_magics.errors import CcwError
from ccw_magics.notebook.panels import style

T = TypeVar("T")


class Background:
    """One piece of work at a time, and how it stands.

    Its results arrive on the worker's thread, where setting traits is what ipywidgets' documentation does too.

    Attributes:
        widget: What is shown: a line of text, and the button while something runs.
    """

    def __init__(self) -> None:
        """With nothing to do."""
        self._future: Future[Any] | None = None
        self._text = ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 auto", min_width="0"))
        self._stop = ipywidgets.Button(description="Stop", icon="stop", layout=ipywidgets.Layout(width="auto"))
        self._stop.layout.display = "none"
        self._stop.on_click(lambda _: self.stop())
        self.widget = ipywidgets.HBox([self._text, self._stop], layout=ipywidgets.Layout(width="100%"))

    def say(self, text: str, kind: str = "") -> None:
        """Show a text; kinds as in `style.said`."""
        self._text.value = style.live(style.said(text, kind))

    def fail(self, error: CcwError) -> None:
        """Show an error and its next step."""
        self.say("\n".join(filter(None, [error.message, error.hint])), "wrong")

    def start(self, doing: str, work: Coroutine[Any, Any, T], done: Callable[[T], None]) -> None:
        """Begin; what is under way is stopped first.

        Args:
            doing: What is shown meanwhile.
            work: What takes a while.
            done: Called with its result, on another thread; an error is shown instead.
        """
        self.stop()
        self.say(doing, "faint")
        self._stop.layout.display = None
        self._future = future = worker.submit(work)
        future.add_done_callback(lambda ended: self._ended(ended, done))

    def stop(self) -> None:
        """Stop what is under way, if anything."""
        if self._future is not None:
            self._future.cancel()

    def _ended(self, future: Future[T], done: Callable[[T], None]) -> None:
        if future is not self._future:  # something else has begun
            return
        self._future = None
        self._stop.layout.display = "none"
        try:
            done(future.result())
        except CancelledError:
            self.say("stopped", "faint")
        except CcwError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - on this thread nobody else would show it
            self.say(f"failed: {type(error).__name__}", "wrong")

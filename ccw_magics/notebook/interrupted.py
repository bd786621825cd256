"""An interrupt as a notebook shows it."""

from __future__ import annotations


class Interrupted(KeyboardInterrupt):
    """A KeyboardInterrupt that IPython shows in one line instead of a screen of frames; it stops Run All likewise."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: interrupted; what had come is kept in `_` and under the --out name"]

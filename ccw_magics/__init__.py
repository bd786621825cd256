"""Your project in front of a language model, from one notebook cell.

    %load_ext ccw_magics

    %%ccw my-gpt4o
    @src/auth/**/*.py @README.md Review the session handling.

The public names below are handed out when first asked for (PEP 562): importing the package, or loading the extension,
imports none of pydantic, click, litellm, pandas or ipywidgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ccw_magics import stats as stats
    from ccw_magics.calls.reply import Reply as Reply
    from ccw_magics.config.store import ConfigStore as ConfigStore
    from ccw_magics.context.pack import Pack as Pack
    from ccw_magics.context.patterns import extract_patterns as extract_patterns
    from ccw_magics.errors import AlreadyExists as AlreadyExists
    from ccw_magics.errors import BudgetExceeded as BudgetExceeded
    from ccw_magics.errors import CallInterrupted as CallInterrupted
    from ccw_magics.errors import CcwError as CcwError
    from ccw_magics.errors import ConfigError as ConfigError
    from ccw_magics.errors import ContextTooLarge as ContextTooLarge
    from ccw_magics.errors import EndpointNotFound as EndpointNotFound
    from ccw_magics.errors import NotAgreed as NotAgreed
    from ccw_magics.errors import NotTrusted as NotTrusted
    from ccw_magics.errors import PatternError as PatternError
    from ccw_magics.errors import ProviderError as ProviderError
    from ccw_magics.errors import ProviderNotFound as ProviderNotFound
    from ccw_magics.errors import SecretMissing as SecretMissing
    from ccw_magics.errors import ToolError as ToolError
    from ccw_magics.errors import ToolNotReady as ToolNotReady
    from ccw_magics.notebook.panels import panel as panel
    from ccw_magics.workspace import Workspace as Workspace

__version__ = "0.1.0"

_ERRORS = (
    "AlreadyExists",
    "BudgetExceeded",
    "CallInterrupted",
    "CcwError",
    "ConfigError",
    "ContextTooLarge",
    "EndpointNotFound",
    "NotAgreed",
    "NotTrusted",
    "PatternError",
    "ProviderError",
    "ProviderNotFound",
    "SecretMissing",
    "ToolError",
    "ToolNotReady",
)
_HOMES = {
    "ConfigStore": "ccw_magics.config.store",
    "Pack": "ccw_magics.context.pack",
    "Reply": "ccw_magics.calls.reply",
    "Workspace": "ccw_magics.workspace",
    "extract_patterns": "ccw_magics.context.patterns",
    "panel": "ccw_magics.notebook.panels",
    **dict.fromkeys(_ERRORS, "ccw_magics.errors"),
}

__all__ = [  # noqa: PLE0604 - names handed out by __getattr__ below
    *_HOMES,
    "__version__",
    "load_ipython_extension",
    "stats",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    if name == "stats":
        return importlib.import_module("ccw_magics.stats")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Jupyter Server's hook: where the extension is that answers under `<base>/api/litellm-api/`."""
    return [{"module": "ccw_magics.server"}]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """`%load_ext ccw_magics`: register `%ccw` and `%%ccw`, and what completes them."""
    from ccw_magics.notebook.magics import CcwMagics

    magics = CcwMagics(ipython)
    ipython.register_magics(magics)
    ipython.Completer.custom_matchers.append(magics.complete)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """`%unload_ext ccw_magics`: take the magics and their completion away again."""
    for kind in ("line", "cell"):
        ipython.magics_manager.magics[kind].pop("ccw", None)
    matchers = ipython.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", "") != "ccw_magics"]

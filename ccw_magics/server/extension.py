"""The routes, added to a running Jupyter Server."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_server.utils import url_path_join

from ccw_magics.server.execute import break_off_all
from ccw_magics.server.handler import OperationHandler
from ccw_magics.server.operation import BASE
from ccw_magics.server.places import Places
from ccw_magics.server.table import OPERATIONS

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ccw_magics.server.operation import Operation

_PARAMETER: Final = re.compile(r"\\\{\w+\\\}")


def add_routes(server: ServerApp) -> None:
    """Answer under `<base>/api/litellm-api/`, for the projects below the server's root."""
    places = Places(Path(server.root_dir))
    server.web_app.add_handlers(".*$", _routes(url_path_join(server.base_url, BASE), places))
    _end_with(server)


def _end_with(server: ServerApp) -> None:
    """Have questions that are under way when the server ends broken off and recorded: they were paid for.

    Jupyter Server has no hook for the end of an extension that is a module. One that is an `ExtensionApp` has, and
    brings config files, static files and templates along.
    """
    clean_up = server.cleanup_extensions

    async def break_off_and_clean_up() -> None:
        await break_off_all()
        await clean_up()

    server.cleanup_extensions = break_off_and_clean_up  # type: ignore[method-assign]  # see above


def _routes(base: str, places: Places) -> list[tuple[str, type[OperationHandler], dict[str, Any]]]:
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in OPERATIONS:
        by_path[operation.path][operation.verb] = operation
    routes = [
        (f"{re.escape(base)}{_pattern(path)}", OperationHandler, {"operations": operations, "places": places})
        for path, operations in by_path.items()
    ]
    # Whatever else is below is refused here too, in the same words, and to nobody without a token.
    return [*routes, (rf"{re.escape(base)}(?:/.*)?", OperationHandler, {"operations": {}, "places": places})]


def _pattern(path: str) -> str:
    """A path's regular expression: `{id}` is one segment, whatever escaped characters it holds."""
    return _PARAMETER.sub("([^/]+)", re.escape(path))

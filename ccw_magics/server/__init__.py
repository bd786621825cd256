"""The door for HTTP: a Jupyter Server extension under `<base>/api/litellm-api/`, enabled by installing the package.

::

    extension.py   the routes, added to a running Jupyter Server
    table.py       every operation, once: the handlers and the description are both made from it
    handler.py     one operation as a request: who may, what was sent, what is answered
    openapi.py     the same table as an OpenAPI 3.1 description
    serve.py       `ccw serve`: a Jupyter Server on loopback that has these routes and nothing else

The paths and the names in the answers are those of CCW's own server, and the file that is changed is the one that
every notebook and shell of the project reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Jupyter Server's hook: add the routes; what they need is imported here, not where the hook is looked up."""
    from ccw_magics.server.extension import add_routes

    add_routes(server)

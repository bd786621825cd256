"""`ccw serve`: a Jupyter Server on loopback with these routes, and neither kernels nor files."""

from __future__ import annotations

import logging
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from ccw_magics.errors import CcwError
from ccw_magics.server.handler import OperationHandler
from ccw_magics.server.operation import BASE
from ccw_magics.server.places import Places

_TOKEN_BYTES: Final = 24
"""As Jupyter Server's own."""


class _RoutesServer(ServerApp):
    """Jupyter Server, so that tokens, hosts and cookies are checked as everywhere; ends at the first Ctrl-C."""

    default_services = ()  # type: ignore[assignment]  # its annotation is of the default's length

    def load_config_file(self, *_arguments: Any, **_options: Any) -> None:
        """Read none: what somebody set for his Jupyter, such as an open address or no token, is not meant for this."""

    def write_browser_open_files(self) -> None:
        """Write none: they hold the token, everybody may read them, and there is no page to open."""

    def init_webapp(self) -> None:
        """Drop every route of Jupyter's own; ours come after this, and what is none of them is refused.

        Without services there would still be the contents manager's `/files/`, metrics, a login page and static files:
        whoever has the token may ask questions on its user's bill, and neither run code nor read files.
        """
        super().init_webapp()
        self.web_app.wildcard_router.rules.clear()

    def init_httpserver(self) -> None:
        """Find the port.

        Raises:
            CcwError: It is taken, or may not be used; Jupyter's own line about that is left out.
        """
        logging.disable()
        try:
            super().init_httpserver()
        except SystemExit:
            raise CcwError(f"port {self.port} is taken, or may not be used", hint="--port takes another one.") from None
        finally:
            logging.disable(logging.NOTSET)

    def init_signal(self) -> None:
        """Jupyter would ask whether that was meant; a server without kernels has nothing to lose."""
        super().init_signal()
        signal.signal(signal.SIGINT, self._signal_stop)

    def _signal_stop(self, _number: Any, _frame: Any) -> None:
        self.stop(from_signal=True)


def serve(root: Path, port: int, tell: Callable[[str], None]) -> None:
    """Answer on loopback until Ctrl-C.

    Args:
        root: The project; `?path=` reaches the folders below it.
        port: 0 for any that is free.
        tell: Called with the lines that say where it is and how to ask it.

    Raises:
        CcwError: The port is taken, or may not be used.
    """
    # Chosen here, or Jupyter would announce it once more, with a page to open.
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(_TOKEN_BYTES)
    app = _RoutesServer.instance(
        root_dir=str(root),
        ip="localhost",
        port=port,
        port_retries=0,
        open_browser=False,
        allow_root=True,
        log_level="WARN",
        jpserver_extensions={"ccw_magics": True},
        tornado_settings={
            "default_handler_class": OperationHandler,
            "default_handler_args": {"operations": {}, "places": Places(root)},
        },
        config=Config({"IdentityProvider": {"token": token}}),
    )
    app.initialize(argv=[], find_extensions=False)
    base = f"{app.connection_url}{BASE}"
    tell(f"serving {root} at {base}\nCtrl-C ends it. Each request needs the token:")
    tell(f"  curl -H 'Authorization: token {token}' {base}/providers")
    app.start()

"""Driving the panel without a browser: what a user does to its widgets, and what he would see."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import ipywidgets

LIMIT_S = 20.0


def shown(widget: Any) -> str:
    """All the text of a widget and what is in it, as far as it is not hidden."""
    if getattr(getattr(widget, "layout", None), "display", None) == "none":
        return ""
    parts = [getattr(widget, "description", "")]
    if isinstance(widget, ipywidgets.HTML):
        parts.append(unescape(re.sub(r"<[^>]+>", " ", widget.value)))
    if isinstance(widget, ipywidgets.Text | ipywidgets.Textarea):
        parts.append(widget.value)
    if isinstance(widget, ipywidgets.Select):
        parts += [str(label) for label in widget._options_labels]
    parts += [shown(child) for child in getattr(widget, "children", ())]
    return "\n".join(filter(None, parts))


def press(widget: Any, text: str) -> None:
    """Click the button that is shown somewhere in a widget."""
    buttons = [found for found in _buttons(widget) if found.description == text]
    assert buttons, f"no button {text!r} among {[found.description for found in _buttons(widget)]}"
    assert not buttons[0].disabled
    buttons[0].click()


def _buttons(widget: Any) -> Iterator[Any]:
    if getattr(getattr(widget, "layout", None), "display", None) == "none":
        return
    if isinstance(widget, ipywidgets.Button):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from _buttons(child)


def type_secret(secret_input: Any, text: str) -> None:
    """Type into a `SecretInput` and leave it."""
    secret_input._handle_custom_msg({"kind": "typed"}, [memoryview(text.encode())])


def field(tab: Any, name: str) -> Any:
    """A field of a tab's form; its group is opened first, where it is folded away."""
    for group in tab._form.widget.children:
        if isinstance(group, ipywidgets.Accordion):
            group.selected_index = 0
    return next(known for known in tab._form._fields if known.name == name)


def enter(tab: Any, **values: str) -> None:
    """Type into plain fields."""
    for name, text in values.items():
        field(tab, name)._control.value = text


def all_states() -> str:
    """The state of every widget there is: what a front end may save."""
    from ipywidgets.widgets import widget

    return json.dumps([known.get_state() for known in list(widget._instances.values())], default=str)


@contextmanager
def ended(tab: Any) -> Iterator[None]:
    """Wait at the end of the block until what it began in the background has ended, and its end is told."""
    over = threading.Event()

    def look(change: Any) -> None:
        if "Testing" not in change["new"] and change["new"]:
            over.set()

    tab._status._text.observe(look, "value")
    try:
        yield
        assert over.wait(LIMIT_S)
    finally:
        tab._status._text.unobserve(look, "value")


class ModelsServer:
    """An OpenAI-compatible server on loopback that has a list of models and nothing else.

    Attributes:
        url: Its base URL, once entered.
        key: The key that it accepts.
        asked: The `Authorization` headers that came.
        gate: Answers wait until it is set.
        arrived: Is set when a request has come.
    """

    def __init__(self, key: str) -> None:
        self.url = ""
        self.key = key
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                brought = self.headers.get("Authorization", "")
                outer.asked.append(brought)
                outer.arrived.set()
                outer.gate.wait(LIMIT_S)
                is_right = brought == f"Bearer {outer.key}"
                body = json.dumps({"data": [{"id": "small"}, {"id": "large"}]} if is_right else {"error": brought})
                self.send_response(200 if is_right else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

"""Addresses at which no answer is to be had, and what a server says about when to come back.

Each of these is a real fault of the network stack, on loopback: nothing is patched.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.utils import formatdate

import pytest

NO_SUCH_HOST = "http://no-such-host.invalid"
"""RFC 2606 keeps `.invalid` for names that never resolve."""

_KNOCK_S = 0.1
_MOST_KNOCKS = 16


@contextmanager
def refused() -> Iterator[str]:
    """The URL of a port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


@contextmanager
def swallowing() -> Iterator[str]:
    """The URL of a listener whose queue is full: it drops whoever knocks, without a word, so connecting never ends.

    That is what Linux does; other systems refuse, and the test is skipped.
    """
    if sys.platform != "linux":
        pytest.skip("a full queue of connections refuses here")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(_MOST_KNOCKS):
            client = stack.enter_context(socket.socket())
            client.settimeout(_KNOCK_S)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise RuntimeError("The queue does not fill.")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def signed_by_a_stranger() -> tuple[ssl.SSLContext, bytes]:
    """What a server of 127.0.0.1 shows, and the PEM of the authority behind it, which nobody knows."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, authority.cert_pem.bytes()


def self_signed() -> ssl.SSLContext:
    """What a server shows whose certificate nobody has signed but itself."""
    authority = pytest.importorskip("trustme").CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.cert_pem.tempfile() as certificate, authority.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


def http_date(in_s: float) -> str:
    """The time so many seconds from now as HTTP writes it, whole seconds only."""
    return formatdate(time.time() + in_s, usegmt=True)

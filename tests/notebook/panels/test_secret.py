"""The one widget into which a key is typed: what reaches it, and where it never is."""

from __future__ import annotations

from typing import Any

import pytest
from panel_driver import all_states

from ccw_magics.config.credentials import Secret
from ccw_magics.notebook.panels.secret import SecretInput
from ccw_magics.notebook.panels.secret_field import SecretField

KEY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("content", "buffers", "typed"),
    [
        pytest.param({"kind": "typed"}, [KEY.encode()], [Secret(KEY)], id="bytes"),
        pytest.param({"kind": "typed"}, [memoryview(KEY.encode())], [Secret(KEY)], id="memoryview"),
        pytest.param({"kind": "typed"}, [f" {KEY}\r\n".encode()], [Secret(KEY)], id="white space around it"),
        pytest.param({"kind": "typed"}, ["schlüssel".encode()], [Secret("schlüssel")], id="UTF-8"),
        pytest.param({"kind": "typed"}, [b"  "], [], id="white space alone"),
        pytest.param({"kind": "typed"}, [], [], id="no bytes"),
        pytest.param({"kind": "other"}, [KEY.encode()], [], id="another message"),
        pytest.param({}, [KEY.encode()], [], id="no kind"),
    ],
)
def test_what_is_received(content: Any, buffers: list[Any], typed: list[Secret]) -> None:
    received: list[Secret] = []
    SecretInput("Key", received.append)._handle_custom_msg(content, buffers)
    assert received == typed


def test_it_is_in_no_state_and_no_repr() -> None:
    received: list[Secret] = []
    made = SecretInput("Key", received.append)
    made._handle_custom_msg({"kind": "typed"}, [KEY.encode()])
    made.shown = str(received[0])
    assert KEY not in all_states()
    assert KEY not in repr(made) + repr(received)
    assert "value" not in made.get_state()


def test_a_field_keeps_a_secret() -> None:
    made = SecretField("advancedSettings.proxy", "Proxy")
    edits: list[Any] = []
    made.on_edit(lambda: edits.append(made.value))
    made.fill("htt…128")
    assert made.value == "htt…128"
    assert made._secret.shown == "htt…128"
    made._secret._handle_custom_msg({"kind": "typed"}, [b"http://user:password-1@host:3128"])
    assert edits == [Secret("http://user:password-1@host:3128")]
    assert "password-1" not in all_states()
    made._remove.click()
    assert made.value is None
    assert edits[-1] is None
    assert made._remove.disabled

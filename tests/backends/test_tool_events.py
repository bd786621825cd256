from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.backends.base import Note, Text, Tool, Usage
from ccw_magics.backends.tool_events import PATIENCE_S, READERS, CodexReader, Reader
from ccw_magics.backends.tool_secrets import environment_secrets, line
from ccw_magics.config.credentials import Secret

STREAMS = Path(__file__).parent.parent / "agents" / "streams"
KEY = "canary-7f3e9b1c5d2a8046"


def read(reader: Reader, lines: list[bytes]) -> tuple[str, list[str]]:
    events = [event for one in lines for event in reader.read(one)]
    text = "".join(event.text for event in events if isinstance(event, Text))
    return text, [event.text for event in events if isinstance(event, Note)]


RECORDED: dict[str, tuple[Tool, list[str], str]] = {
    "codex": ("codex", ["runs cat README.md"], ""),
    "codex_write": ("codex", ["changes /project/made.txt"], ""),
    "gemini": ("gemini", ["read_file README.md"], "gemini-2.5-pro"),
    "qwen": ("qwen", ["read_file /project/README.md"], "test-model"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name: str) -> None:
    tool, notes, model = RECORDED[name]
    reader = READERS[tool]()
    text, noted = read(reader, (STREAMS / f"{name}.jsonl").read_bytes().splitlines())
    assert text == "Hello there."
    assert [note for note in noted if "metadata" not in note] == notes
    assert reader.model == model
    assert reader.usage == Usage(240, cached_input_tokens=80, output_tokens=14)
    assert (reader.is_complete, reader.failure) == (True, "")


def message(tool: Tool, text: str) -> bytes:
    events = {
        "codex": {"type": "item.completed", "item": {"type": "agent_message", "text": text}},
        "gemini": {"type": "message", "role": "assistant", "content": text, "delta": True},
        "qwen": {"type": "stream_event", "event": {"delta": {"type": "text_delta", "text": text}}},
    }
    return json.dumps(events[tool]).encode()


FAILURES: dict[str, tuple[Tool, str, str]] = {
    "codex turn": ("codex", '{"type":"turn.failed","error":{"message":"no"}}', "no"),
    "codex error": ("codex", '{"type":"error","message":"Reconnecting"}', "Reconnecting"),
    "gemini error": ("gemini", '{"type":"error","severity":"error","message":"empty"}', "empty"),
    "gemini warning": ("gemini", '{"type":"error","severity":"warning","message":"loop"}', ""),
    "gemini result": ("gemini", '{"type":"result","status":"error","error":{"message":"bad"}}', "bad"),
    "gemini bare": ("gemini", '{"type":"result","status":"error"}', "it failed without a reason"),
    "qwen result": ("qwen", '{"type":"result","is_error":true,"error":{"message":"x"}}', "x"),
}


@pytest.mark.parametrize(("tool", "event", "failure"), FAILURES.values(), ids=FAILURES)
def test_failures(tool: Tool, event: str, failure: str) -> None:
    reader = READERS[tool]()
    read(reader, [event.encode()])
    assert reader.failure == failure


def test_geminis_thinking_is_a_part_of_what_it_put_out() -> None:
    reader = READERS["gemini"]()
    stats = {"total_tokens": 1007, "input_tokens": 120, "output_tokens": 7, "cached": 40}
    read(reader, [json.dumps({"type": "result", "status": "success", "stats": stats}).encode()])
    assert reader.usage == Usage(120, cached_input_tokens=40, output_tokens=887)


def test_codex_that_got_through_after_all() -> None:
    reader = READERS["codex"]()
    read(
        reader, [b'{"type":"error","message":"Reconnecting"}', b'{"type":"turn.completed","usage":{"input_tokens":1}}']
    )
    assert (reader.failure, reader.is_complete) == ("", True)


AGAIN = b'{"type":"error","message":"Reconnecting... waiting for network"}'
OTHER = b'{"type":"item.completed","item":{"type":"error","message":"Falling back to HTTPS"}}'
WORK = b'{"type":"item.started","item":{"type":"command_execution","command":"ls"}}'


@pytest.mark.parametrize(
    ("told", "advised_at_s"),
    [
        pytest.param({0: AGAIN, PATIENCE_S - 1: AGAIN}, [], id="not for long"),
        pytest.param({0: AGAIN, 9: AGAIN, PATIENCE_S: AGAIN, 50: AGAIN, 90: AGAIN}, [PATIENCE_S], id="for ever"),
        pytest.param({0: AGAIN, 10: OTHER, 40: AGAIN}, [40], id="with other trouble"),
        pytest.param({0: AGAIN, 10: WORK, 40: AGAIN, 60: AGAIN}, [], id="it got through between"),
        pytest.param({0: AGAIN, 40: AGAIN, 41: WORK, 50: AGAIN, 90: AGAIN}, [40, 90], id="twice"),
        pytest.param({0: OTHER, 40: OTHER}, [], id="other trouble"),
    ],
)
def test_codex_that_reconnects_for_ever(told: dict[float, bytes], advised_at_s: list[float]) -> None:
    now_s = 0.0
    reader = CodexReader(clock=lambda: now_s)
    advised = []
    for now_s, event in told.items():
        if any("`codex login`" in note for note in read(reader, [event])[1]):
            advised.append(now_s)
    assert advised == advised_at_s


@pytest.mark.parametrize("tool", ["gemini", "qwen"])
def test_text_after_a_tool_is_a_paragraph(tool: Tool) -> None:
    used = {
        "gemini": b'{"type":"tool_use","tool_name":"read_file","parameters":{"file_path":"a"}}',
        "qwen": b'{"type":"assistant","message":{"content":[{"type":"tool_use","name":"read_file","input":{}}]}}',
    }
    text, _ = read(READERS[tool](), [message(tool, "One"), message(tool, " two."), used[tool], message(tool, "Three.")])
    assert text == "One two.\n\nThree."


def test_codex_messages_are_paragraphs() -> None:
    assert read(READERS["codex"](), [message("codex", "One."), message("codex", "Two.")])[0] == "One.\n\nTwo."


def test_what_an_agent_of_qwens_says_is_not_the_answer() -> None:
    event = json.loads(message("qwen", "inner")) | {"parent_tool_use_id": "t1"}
    assert read(READERS["qwen"](), [json.dumps(event).encode()]) == ("", [])


def test_qwen_without_pieces() -> None:
    assert read(READERS["qwen"](), [b'{"type":"result","is_error":false,"result":"All."}'])[0] == "All."


def test_thinking_is_noted_now_and_then() -> None:
    thought = {"type": "stream_event", "event": {"delta": {"type": "thinking_delta", "thinking": "x" * 150}}}
    assert len(read(READERS["qwen"](), [json.dumps(thought).encode()] * 8)[1]) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "item", "message", "content", "event", "delta", "usage", "stats", "models", "text", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = [
    "item.started", "item.completed", "turn.completed", "turn.failed", "error", "init", "message", "tool_use", "result",
    "system", "stream_event", "assistant", "user", "command_execution", "file_change", "reasoning", "unknown",
]  # fmt: skip


@pytest.mark.parametrize("tool", READERS)
@given(
    event=st.dictionaries(st.sampled_from(["item", "message", "event", "usage", "stats", "error", "content"]), JSON),
    kind=st.sampled_from(KINDS),
    inner=st.sampled_from(KINDS),
)
def test_any_event_is_survived(tool: Tool, event: dict[str, object], kind: str, inner: str) -> None:
    reader = READERS[tool]()
    item = event.get("item")
    if isinstance(item, dict):
        item["type"] = inner
    for shown in reader.read(json.dumps({**event, "type": kind}).encode()):
        assert isinstance(shown.text, str)
    assert isinstance(reader.failure, str)


@pytest.mark.parametrize("tool", READERS)
@given(st.binary())
def test_any_bytes_are_survived(tool: Tool, data: bytes) -> None:
    assert not [event for event in READERS[tool]().read(b"{" + data) if not isinstance(event.text, str)]


@pytest.mark.parametrize("tool", READERS)
def test_deep_json(tool: Tool) -> None:
    assert list(READERS[tool]().read(b'{"type":' * 100_000)) == []


LINES = {
    "escapes": ("\x1b[31mred\x1b[0m\x07 \x1b]2;title\x07on", "red on"),
    "lines": ("one\r\ntwo\tthree", "one two three"),
    "key": (f"Bearer {KEY}", "Bearer can…046"),
    "looks like one": ("sk-proj-abcdefghijklmnop was refused", "sk-…nop was refused"),
    "long": ("x" * 500, "x" * 159 + "…"),
}


@pytest.mark.parametrize(("text", "shown"), LINES.values(), ids=LINES)
def test_line(text: str, shown: str) -> None:
    assert line(text, [Secret(KEY)]) == shown


def test_which_variables_hold_keys() -> None:
    names = ("OPENAI_API_KEY", "OPENAI_API_KEY_2", "ANTHROPIC_KEY", "GITHUB_PAT", "MYSQL_PASSWD", "apikey")
    others = {"PATH": "/usr/bin:/bin", "MY_TOKEN": "short", "KEYBOARD": "qwerty-layout", "TOKEN_FILE": "/run/token"}
    environment = {name: f"{KEY}-{name}" for name in names}
    assert {secret.reveal() for secret in environment_secrets(environment | others)} == set(environment.values())


@pytest.mark.parametrize("piece", ["eyJ-", "sk-", "AIza-", "ghp_", "\x1b]", "eyJ" + "x" * 20 + "."])
def test_a_long_line_takes_no_time_squared(piece: str) -> None:
    assert len(line(piece * 300_000, ())) <= 160

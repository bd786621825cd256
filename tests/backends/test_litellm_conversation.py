"""A conversation on the wire: roles, exact texts, and breakpoints over parts that are cut the same way turn after turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_calls import CASES, ask, call_to, text_of
from wire_conversation import Message, breakpoints, conversation
from wire_server import Answer, WireServer

from ccw_magics.backends.base import SEPARATOR, Exchange, ModelCall
from ccw_magics.backends.litellm_messages import messages

BLOCKS = ("first block\n", "second block\n")
TAIL = "a.py has changed\n"
SYSTEM = "Be brief."
TEXTS = [
    f"first block\nsecond block\n{SEPARATOR}One?",
    "I. ",
    f"{TAIL}{SEPARATOR}Two?",
    "II.",
    "Three?",
]


def turn(number: int, **settings: Any) -> dict[str, Any]:
    """What distinguishes the call of this turn, the first being 1; the second brings news of the files."""
    asked = ["One?", f"{TAIL}{SEPARATOR}Two?", "Three?"]
    turns = tuple(Exchange(*pair) for pair in zip(asked[: number - 1], ["I. ", "II."], strict=False))
    newest = ["One?", "Two?", "Three?"][number - 1]
    tail = TAIL if number == 2 else ""
    return {"prompt": newest, "blocks": BLOCKS, "tail": tail, "turns": turns, "system": SYSTEM} | settings


def calls(kind: str, url: str, **settings: Any) -> list[ModelCall]:
    return [replace(call_to(kind, url), **turn(number, **settings)) for number in (1, 2, 3)]


@pytest.mark.parametrize(("kind", "stream"), CASES)
@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "not kept"])
def test_every_turn_is_sent_as_it_was(wire: WireServer, kind: str, stream: bool, is_kept: bool) -> None:
    wire.answers(Answer("Fine."))
    outcomes = ask(*calls(kind, wire.url, stream=stream, is_kept=is_kept, blocks_before=2))
    assert [text_of(events) for events in outcomes] == ["Fine."] * 3
    roles = ["system", "user", "assistant", "user", "assistant", "user"]
    for number, request in enumerate(wire.requests):
        said = conversation(request)
        assert [message.role for message in said] == roles[: 2 + 2 * number]
        assert [message.text for message in said] == [SYSTEM, *TEXTS][: 2 + 2 * number]
        if kind != "anthropic":
            assert breakpoints(request) == []
            assert all(message.is_string for message in said) or kind == "google"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_anthropics_turns_are_cut_alike_and_marked_where_the_cache_ended_and_ends(
    wire: WireServer, stream: bool
) -> None:
    ask(*calls("anthropic", wire.url, stream=stream, is_kept=True, blocks_before=2))
    assert [breakpoints(request) for request in wire.requests] == [
        [(0, 1), (0, 2)],  # the blocks, and the newest message
        [(0, 1), (0, 2), (2, 0)],
        [(0, 1), (2, 0), (4, 0)],
    ]
    spoken = [[message.parts for message in conversation(request)] for request in wire.requests]
    assert spoken[0] == spoken[1][: len(spoken[0])]
    assert spoken[1] == spoken[2][: len(spoken[1])]
    assert spoken[0][1] == (*BLOCKS, f"{SEPARATOR}One?")


BREAKPOINTS = [
    pytest.param({"turns": (), "is_kept": True}, [(0, 0)], id="first turn without context"),
    pytest.param({"turns": ()}, [], id="nothing to keep"),
    pytest.param({"turns": (Exchange("a", "b"),), "is_kept": True}, [(0, 0), (2, 0)], id="second turn without context"),
    pytest.param({"turns": (Exchange("a", "b"),)}, [], id="a conversation that nobody is asked to keep"),
    pytest.param({"blocks": BLOCKS, "turns": (Exchange("a", "b"),)}, [(0, 1), (0, 2)], id="not the newest"),
    pytest.param(
        {"blocks": BLOCKS, "blocks_before": 1, "turns": (Exchange("a", "b"),), "is_kept": True},
        [(0, 0), (0, 1), (0, 2), (2, 0)],
        id="all four",
    ),
]


@pytest.mark.parametrize(("settings", "places"), BREAKPOINTS)
@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_breakpoints(wire: WireServer, settings: dict[str, Any], places: list[tuple[int, int]], ttl: str) -> None:
    ask(call_to("anthropic", wire.url, provider_ttl=ttl, **settings))
    assert breakpoints(wire.requests[0]) == places
    lasts = str(wire.requests[0].json).count("'ttl': '1h'")
    assert lasts == (len(places) if ttl == "1h" else 0)


def test_a_strict_server_gets_strings_whatever_is_kept(wire: WireServer) -> None:
    ask(call_to("custom", wire.url, blocks=BLOCKS, turns=(Exchange("a", "b"),), is_kept=True))
    assert wire.requests[0].json["messages"] == [
        {"role": "user", "content": f"first block\nsecond block\n{SEPARATOR}a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "Hi"},
    ]
    assert conversation(wire.requests[0])[0] == Message("user", (f"{''.join(BLOCKS)}{SEPARATOR}a",), is_string=True)


some = st.text(min_size=1, max_size=8)
exchanges = st.lists(st.builds(Exchange, some, some), max_size=4)


@given(st.lists(some, max_size=3), exchanges, some, some, st.sampled_from(["bedrock", "anthropic", "vertex_ai"]))
def test_whatever_is_said_the_next_turn_finds_it_cut_and_marked_as_it_was(
    blocks: list[str], turns: list[Exchange], prompt: str, answer: str, kind: str
) -> None:
    call = ModelCall(kind, "claude-x", prompt, blocks=tuple(blocks), turns=tuple(turns), is_kept=True)
    following = replace(call, prompt="next", turns=(*turns, Exchange(prompt, answer)), blocks_before=len(blocks))
    now, then = messages(call), messages(following)
    bare = [[{"type": "text", "text": part["text"]} for part in message["content"]] for message in now[::2]]
    again = [[{"type": "text", "text": part["text"]} for part in message["content"]] for message in then[::2]]
    assert again[: len(bare)] == bare
    ends = {"cache_control" in message["content"][-1] for message in (now[-1], then[-3], then[-1])}
    assert ends == {True}
    for said in (now, then):
        assert sum("cache_control" in part for message in said[::2] for part in message["content"]) <= 4
    assert [message["content"] for message in now[1::2]] == [turn.answered for turn in turns]

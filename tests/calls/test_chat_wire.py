"""What a conversation sends: nothing that was sent changes, and the newest message tells what is new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_conversation import breakpoints, conversation
from wire_server import Received, WireServer
from wired_project import Kernel, make_project, said

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
NAMES = ("a.py", "b.py", "c.py")
EVENTS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
    st.tuples(st.just("rename"), st.sampled_from(NAMES)),
    st.tuples(st.just("restart"), st.just("")),
    st.tuples(st.just("ask"), st.sampled_from(["Why?", "@*.py And?", "@a.py @b.py So?", "Why?"])),
)


@pytest.fixture(scope="module")
def long_wire() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


@pytest.fixture
def root(project: Path) -> Path:
    return project


def _parts(request: Received) -> list[tuple[str, tuple[str, ...]]]:
    return [(message.role, message.parts) for message in conversation(request)]


def _change(root: Path, what: str, name: str, number: int) -> None:
    path = root / name
    if what == "write":
        path.write_text(f"value = {number}\n")
    elif path.exists():
        path.unlink() if what == "remove" else path.rename(root / f"d{number}.py")


def _contents(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.glob("*.py")}


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "--no-cache"])
@settings(max_examples=6 * FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=14))
def test_nothing_that_was_sent_ever_changes(
    kind: str,
    is_cached: bool,
    events: list[tuple[str, str]],
    long_wire: WireServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = make_project(tmp_path_factory.mktemp("project"), long_wire, kind)
    (root / "a.py").write_text("value = -1\n")
    options = {"chat": "c", "cwd": root, "enable_cache": is_cached, "system": "Be brief."}
    kernel, known, first = Kernel(root, **options), dict[str, str](), len(long_wire.requests)
    for number, (what, argument) in enumerate([("ask", "@*.py First?"), *events, ("ask", "Last?")]):
        if what == "restart":
            kernel = Kernel(root, **options)
        elif what == "ask":
            kernel.ask(argument)
            _require_news(said(long_wire.requests[-1])[-1][1], argument, known, _contents(root))
            known = _contents(root)
        else:
            _change(root, what, argument, number)
    _require_growing(long_wire.requests[first:], kernel)


def _require_news(message: str, prompt: str, known: dict[str, str], now: dict[str, str]) -> None:
    """The newest message has what changed in the files, the prompt, and nothing else."""
    changed = {name for name in known.keys() | now.keys() if known.get(name) != now.get(name)}
    assert message == prompt if not changed else message.endswith(f"\n\n---\n\n{prompt}")
    assert all(name in message and now.get(name, "") in message for name in changed)
    assert not any(text in message for name, text in now.items() if name not in changed)


def _require_growing(requests: list[Received], kernel: Kernel) -> None:
    """Each request begins with all messages of the one before, its answer, and has one message more."""
    answers = [stored.turn.answer for stored in kernel.workspace.journal.chats.path("c")]
    for before, after, answer in zip(requests, requests[1:], answers, strict=False):
        assert _parts(after)[:-1] == [*_parts(before), ("assistant", (answer,))]


@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "--no-cache"])
@pytest.mark.parametrize("opening", ["@a.py Why?", "Why?"], ids=["with a file", "without"])
def test_only_a_conversation_that_is_cached_is_marked(
    root: Path, long_wire: WireServer, opening: str, is_cached: bool
) -> None:
    make_project(root, long_wire, "anthropic")
    (root / "a.py").write_text("x = 1\n" * 2000)
    kernel = Kernel(root, chat="c", enable_cache=is_cached)
    for prompt in (opening, "And?", "So?"):
        kernel.ask(prompt)
        assert bool(breakpoints(long_wire.requests[-1])) == is_cached, prompt


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
def test_files_go_out_once_and_first(project: Path, long_wire: WireServer, kind: str) -> None:
    root = make_project(project, long_wire, kind)
    (root / "a.py").write_text("canary = 1\n")
    kernel = Kernel(root, chat="c")
    for prompt in ("@a.py Why?", "And @a.py again?", "So?"):
        kernel.ask(prompt)
    messages = said(long_wire.requests[-1])
    assert [role for role, _ in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert ["canary = 1" in text for _, text in messages] == [True, False, False, False, False]
    assert messages[0][1].index("canary = 1") < messages[0][1].index("@a.py Why?")


def test_a_file_that_a_later_turn_names_comes_with_it(root: Path, long_wire: WireServer) -> None:
    make_project(root, long_wire)
    for name in ("a", "b"):
        (root / f"{name}.py").write_text(f"{name} = 1\n")
    kernel = Kernel(root, chat="c")
    replies = [kernel.ask(prompt) for prompt in ("Hello.", "@a.py Why?", "@b.py And?", "So?")]
    assert [reply.cached_files for reply in replies] == [(), ("a.py",), ("a.py", "b.py"), ("a.py", "b.py")]
    told = [text for role, text in said(long_wire.requests[-1]) if role == "user"]
    assert [("a = 1" in text, "b = 1" in text) for text in told] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_a_turn_elsewhere_takes_nothing_back(root: Path, long_wire: WireServer) -> None:
    make_project(root, long_wire)
    (root / "src").mkdir()
    (root / "src" / "a.py").write_text("x = 1\n")
    kernel = Kernel(root, chat="c")
    kernel.ask("@a.py Why?", cwd=root / "src")
    assert kernel.ask("And?").cached_files == ("src/a.py",)
    assert said(long_wire.requests[-1])[-1] == ("user", "And?")

"""Where the next turn of a conversation stands, and what is a turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from wire_server import Answer, WireServer
from wired_project import ENDPOINT, Kernel, make_project, numbered, said

from ccw_magics.errors import CcwError, ConfigError


@pytest.fixture
def root(project: Path, wire: WireServer) -> Path:
    return make_project(project, wire)


def _sent(wire: WireServer) -> list[str]:
    return [text for role, text in said(wire.requests[-1]) if role == "user"]


def test_without_replay_the_next_turn_follows_the_newest(root: Path, wire: WireServer) -> None:
    one, two = Kernel(root, chat="c"), Kernel(root, chat="c")
    for kernel, prompt in ((one, "1"), (one, "2"), (two, "3"), (one, "4"), (Kernel(root, chat="c"), "5"), (two, "1")):
        kernel.ask(prompt)
    assert _sent(wire) == ["1", "2", "3", "4", "5", "1"]
    assert one.chats() == {"c"}


def test_another_process_goes_on_with_it(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root, chat="c")
    kernel.ask("here")
    code = "import ccw_magics, sys; sys.exit(not ccw_magics.Workspace().run('there', chat='c').success)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    kernel.ask("here again")
    assert _sent(wire) == ["here", "there", "here again"]


def test_two_conversations_know_nothing_of_each_other(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root)
    for name, prompt in (("c", "1"), ("a talk, with spaces", "2"), ("c", "3"), ("a talk, with spaces", "4")):
        kernel.ask(prompt, chat=name)
    assert _sent(wire) == ["2", "4"]
    kernel.ask("5")
    assert _sent(wire) == ["5"]


def test_awaited_turns_are_turns(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root)

    async def talk() -> None:
        for prompt in ("1", "2"):
            (await kernel.workspace.arun(prompt, chat="c")).raise_for_error()

    asyncio.run(talk())
    assert _sent(wire) == ["1", "2"]


def test_kernels_that_answer_at_once_keep_every_turn(root: Path, wire: WireServer) -> None:
    Kernel(root, chat="c").ask("first")
    wire.answers(Answer('{"n": 2}', delay_s=0.3))
    kernels = [Kernel(root, chat="c") for _ in range(3)]
    remarks: list[str] = []
    threads = [
        threading.Thread(target=lambda kernel=kernel, number=number: remarks.extend(kernel.ask(str(number)).remarks()))
        for number, kernel in enumerate(kernels)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kernel = Kernel(root)
    assert kernel.chats() == {"c", "c~1", "c~2"}
    lines = [kernel.turns(name) for name in sorted(kernel.chats())]
    assert sorted(line[1] for line in lines) == ["0 2", "1 2", "2 2"]
    assert {line[0] for line in lines} == {"first 1"}
    assert sorted(remarks) == [f"the conversation had gone on otherwise: that is kept as c~{n}" for n in (1, 2)]


FAILURES = {
    "refused": Answer(status=400),
    "empty": Answer(empty=True),
    "cut in the middle": Answer('{"n": 0}', cut_after=1),
    "an error in the stream": Answer('{"n": 0}', error_after=1),
    "no answer of this shape": Answer("Perhaps."),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("replay", [None, True], ids=["", "--replay"])
def test_what_failed_is_no_turn(root: Path, wire: WireServer, failure: Answer, replay: bool | None) -> None:
    kernel = Kernel(root, chat="c", replay=replay)
    kernel.ask("1")
    wire.answers(failure)
    assert not kernel.workspace.run("2", chat="c", replay=replay, schema="n: int").success
    assert kernel.turns() == ["1 1"]
    wire.answers(Answer('{"n": 3}'))
    kernel.ask("3")
    assert _sent(wire) == ["1", "3"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError], ids=["interrupted", "the caller fails"])
def test_what_was_broken_off_is_no_turn(root: Path, wire: WireServer, stop: type[BaseException]) -> None:
    kernel = Kernel(root, chat="c", replay=True)
    kernel.ask("1")
    wire.answers(Answer('{"n": 2}', stall_after=1))

    def interrupt(kind: str, text: str) -> None:
        raise stop

    with pytest.raises(stop):
        kernel.ask("2", on_output=interrupt)
    assert kernel.turns() == ["1 1"]
    wire.answers(Answer('{"n": 3}'))
    assert kernel.talk("2") == ["3"]


def test_a_schema_is_a_part_of_its_turn_alone(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root, chat="c")
    assert kernel.ask("1", schema="n: int").data.n == 1
    kernel.ask("2")
    kernel.ask("3", schema="n: int")
    turns = _sent(wire)
    assert [text.split("\n")[0] for text in turns] == ["1", "2", "3"]
    assert kernel.turns() == ["1 1", "2 2", "3 3"]


@pytest.mark.parametrize("kept", ["meta", "off"])
def test_a_conversation_needs_the_journal(root: Path, wire: WireServer, kept: str) -> None:
    config = Kernel(root).workspace.config
    config.path.write_text(config.path.read_text().replace("{", f'{{"journal": "{kept}",', 1))
    config.trust()
    failure = Kernel(root).workspace.run("Why?", chat="c", replay=True).failure
    assert isinstance(failure, ConfigError)
    assert f'"{kept}"' in failure.message
    assert failure.hint is not None
    assert '"journal": "full"' in failure.hint
    assert not wire.requests


BAD_NAMES = {"empty": "", "blank": " ", "a line break": "a\nb", "too long": "x" * 101, "an escape": "\x1b[2J"}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_what_is_no_name_is_refused(root: Path, wire: WireServer, name: str) -> None:
    failure = Kernel(root).workspace.run("Why?", chat=name).failure
    assert isinstance(failure, CcwError)
    assert "conversation's name" in failure.message
    assert not wire.requests


def test_a_plan_for_a_turn_changes_nothing(root: Path, wire: WireServer) -> None:
    (root / "a.py").write_text("x = 1\n")
    kernel = Kernel(root, replay=True)
    kernel.ask("@a.py 1", chat="c")
    kernel.workspace.plan("@a.py 2", chat="c", replay=True)
    Kernel(root).workspace.plan("@a.py 1", chat="c", replay=True)
    kernel.workspace.plan("1", chat="new")
    assert (kernel.turns(), kernel.chats(), len(wire.requests)) == (["@a.py 1 1"], {"c"}, 1)
    assert kernel.talk("2", chat="c") == ["2"]


def test_a_conversation_that_is_cleared_meanwhile_is_not_half_kept(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root, chat="c")
    kernel.ask("1")

    def clear(kind: str, text: str) -> None:
        Kernel(root).workspace.executor.conversations.clear("c")

    remarks = kernel.ask("2", on_output=clear).remarks()
    assert remarks == ["this turn is not kept: the conversation 'c' was cleared while the answer came"]
    assert kernel.turns() == []
    kernel.ask("3")
    assert _sent(wire) == ["3"]


def test_the_endpoint_may_change_between_turns(root: Path, wire: WireServer) -> None:
    config = Kernel(root).workspace.config
    provider = config.get_all_providers()[0].id
    config.add_endpoint({"id": "other", "name": "", "providerId": provider, "model": "gpt-4o-mini"})
    kernel = Kernel(root, chat="c")
    for prompt, endpoint in (("1", ENDPOINT), ("2", "other"), ("3", ENDPOINT)):
        kernel.ask(prompt, endpoint=endpoint)
    assert _sent(wire) == ["1", "2", "3"]
    assert [request.model for request in wire.requests] == ["gpt-4o", "gpt-4o-mini", "gpt-4o"]


def test_an_answer_with_half_a_character_spoils_no_conversation(root: Path, wire: WireServer) -> None:
    wire.answers(Answer(body=None, text='{"n": "\ud83d"}'), numbered())
    kernel = Kernel(root, chat="c")
    kernel.ask("One?")
    assert kernel.talk("Two?") == ["1"]


def test_a_dry_run_opens_no_folder_for_later(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "s.txt").write_text("s\n")
    kernel = Kernel(root, chat="c")
    kernel.workspace.plan(f"@{outside}/s.txt Why?", chat="c", include_dirs=[outside])
    assert "leads outside" in (kernel.workspace.run(f"@{outside}/s.txt Why?", chat="c").error or "")

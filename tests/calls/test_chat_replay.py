"""A notebook with conversations is run again: what is replayed, where it goes on live, and what is kept."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_server import Answer, WireServer
from wired_project import ENDPOINT, Kernel, make_project, numbered

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
CELLS = ("one @a.py", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def long_wire() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


@pytest.fixture
def root(project: Path, wire: WireServer) -> Path:
    (project / "a.py").write_text("x = 1\n")
    return make_project(project, wire)


def again(root: Path, *prompts: str) -> list[str]:
    """Restart, and run cells of the conversation `c`."""
    return Kernel(root, chat="c", replay=True).talk(*prompts)


def test_a_conversation_is_walked_and_goes_on_live(root: Path) -> None:
    assert again(root, *CELLS[:3]) == ["1", "2", "3"]
    assert again(root, *CELLS) == ["=1", "=2", "=3", "4", "5"]
    assert again(root, *CELLS) == ["=1", "=2", "=3", "=4", "=5"]
    assert Kernel(root).turns() == [f"{prompt} {number}" for number, prompt in enumerate(CELLS, 1)]
    assert Kernel(root).chats() == {"c"}


def test_a_question_that_differs_branches(root: Path) -> None:
    again(root, *CELLS)
    changed = [*CELLS[:2], "three, but short", *CELLS[3:]]
    kernel = Kernel(root, chat="c", replay=True)
    assert kernel.talk(*CELLS[:2]) == ["=1", "=2"]
    assert kernel.ask(changed[2]).remarks() == ["the conversation had gone on otherwise: that is kept as c~1"]
    assert kernel.talk(*CELLS[3:]) == ["7", "8"]
    assert kernel.turns("c~1") == [f"{prompt} {number}" for number, prompt in enumerate(CELLS, 1)]
    assert kernel.turns() == ["one @a.py 1", "two 2", "three, but short 6", "four 7", "five 8"]
    assert again(root, *changed) == ["=1", "=2", "=6", "=7", "=8"]
    assert again(root, *CELLS) == ["=1", "=2", "=3", "=4", "=5"], "and back again"


@pytest.mark.parametrize("runs", [2, 3])
def test_equal_questions_get_answers_of_their_own(root: Path, runs: int) -> None:
    cells = ["begin", "go on", "go on", "and", "go on"]
    assert again(root, *cells) == ["1", "2", "3", "4", "5"]
    for _ in range(runs - 1):
        assert again(root, *cells) == ["=1", "=2", "=3", "=4", "=5"]
    assert len(Kernel(root).turns()) == 5


def test_a_question_asked_before_goes_on_from_the_newest_after_a_restart(root: Path) -> None:
    again(root, *CELLS)
    assert Kernel(root, chat="c", replay=True).talk("three") == ["6"], "only the first question begins a walk"
    assert Kernel(root).turns() == ["one @a.py 1", "two 2", "three 3", "four 4", "five 5", "three 6"]


def test_the_first_question_begins_the_walk_in_the_same_kernel_too(root: Path) -> None:
    kernel = Kernel(root, chat="c", replay=True)
    assert kernel.talk(*CELLS) == ["1", "2", "3", "4", "5"]
    assert kernel.talk(*CELLS) == ["=1", "=2", "=3", "=4", "=5"]
    assert kernel.talk("six") == ["6"]
    assert kernel.chats() == {"c"}


def test_an_edit_before_the_first_question_begins_another_line(root: Path) -> None:
    again(root, *CELLS[:2])
    (root / "a.py").write_text("x = 2\n")
    assert again(root, *CELLS[:2]) == ["3", "4"]
    assert Kernel(root).turns() == ["one @a.py 3", "two 4"]
    assert Kernel(root).turns("c~1") == ["one @a.py 1", "two 2"]


def test_a_cell_that_is_new_after_a_restart_follows_the_newest(root: Path) -> None:
    again(root, *CELLS)
    assert again(root, "six") == ["6"]
    assert len(Kernel(root).turns()) == 6


@pytest.mark.parametrize("where", ["here", "in another kernel"])
def test_a_cleared_conversation_is_had_again_without_a_request(root: Path, wire: WireServer, where: str) -> None:
    kernel = Kernel(root, chat="c", replay=True)
    kernel.talk(*CELLS)
    clearing = kernel if where == "here" else Kernel(root)
    assert clearing.workspace.executor.conversations.clear("c")
    assert kernel.talk(*CELLS) == ["=1", "=2", "=3", "=4", "=5"]
    assert len(kernel.turns()) == 5
    assert kernel.talk("six") == ["6"]
    assert again(root, *CELLS, "six") == ["=1", "=2", "=3", "=4", "=5", "=6"]


def test_a_turn_asked_again_in_the_middle_of_a_walk_takes_its_own_place(root: Path) -> None:
    again(root, *CELLS[:3])
    kernel = Kernel(root, chat="c", replay=True)
    assert kernel.talk("one @a.py") == ["=1"]
    assert kernel.talk("two", replay=False) == ["4"]
    assert kernel.turns() == ["one @a.py 1", "two 4"]
    assert kernel.turns("c~1") == ["one @a.py 1", "two 2", "three 3"]


def test_a_walk_goes_on_where_another_kernel_went_on(root: Path) -> None:
    again(root, *CELLS[:2])
    walking = Kernel(root, chat="c", replay=True)
    assert walking.talk(*CELLS[:2]) == ["=1", "=2"]
    assert Kernel(root, chat="c").talk("elsewhere") == ["3"]
    assert walking.talk("three") == ["4"]
    assert walking.turns() == ["one @a.py 1", "two 2", "elsewhere 3", "three 4"]


def test_an_edit_asks_again_from_the_turn_that_tells_it(root: Path) -> None:
    assert again(root, "Hello.", *CELLS[:2]) == ["1", "2", "3"]
    (root / "a.py").write_text("x = 2\n")
    assert again(root, "Hello.", *CELLS[:2]) == ["=1", "4", "5"]
    (root / "a.py").write_text("x = 1\n")
    assert again(root, "Hello.", *CELLS[:2]) == ["=1", "=2", "=3"]


def test_a_conversation_keeps_its_own_answers(root: Path) -> None:
    again(root, *CELLS[:2])
    Kernel(root).workspace.config.update_endpoint(ENDPOINT, {"replay": True})
    assert Kernel(root, chat="d", replay=False).talk(CELLS[0]) == ["3"], "which renews the record"
    kernel = Kernel(root, chat="c", replay=True)
    assert kernel.talk(*CELLS[:2]) == ["=1", "=2"]
    assert kernel.chats() == {"c", "d"}
    assert Kernel(root, chat="e", replay=True).talk(CELLS[0]) == ["=3"]


def test_an_answer_of_a_fallback_is_walked_too(root: Path, wire: WireServer) -> None:
    config = Kernel(root).workspace.config
    provider = config.get_all_providers()[0].id
    config.add_endpoint({"id": "other", "name": "", "providerId": provider, "model": "gpt-4o"})
    config.update_endpoint(ENDPOINT, {"fallback": ["other"]})
    wire.answers(Answer(status=400), numbered())
    assert again(root, "one", "two") == ["1", "2"]
    assert again(root, "one", "two") == ["=1", "=2"]
    assert Kernel(root).chats() == {"c"}


def test_twenty_cells_twice(root: Path, wire: WireServer) -> None:
    (root / "b.py").write_text("y = 2\n")
    cells: list[tuple[str, dict[str, object]]] = [(f"@a.py question {number}", {}) for number in range(6)]
    cells += [(f"question {number}", {"temperature": 0.1 * number}) for number in range(3)]
    cells += [(prompt, {"chat": "c"}) for prompt in CELLS]
    cells += [("@*.py list", {"schema": schema}) for schema in ("n: int", "n: float", "n: int|str")]
    cells += [("go on", {"chat": "d"}), ("go on", {"chat": "d", "schema": "n: int"}), ("@b.py go on", {"chat": "d"})]
    random.Random(5).shuffle(cells)
    assert len(cells) == 20
    outputs = []
    for _ in range(2):
        kernel = Kernel(root, replay=True)
        outputs.append([kernel.ask(prompt, **options).output for prompt, options in cells])
    assert len(wire.requests) == 20
    assert outputs[0] == outputs[1]


@settings(max_examples=10 * FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(st.lists(st.sampled_from(["go on", "why", "@a.py so"]), max_size=5), max_size=5))
def test_what_was_asked_in_this_order_is_never_asked_again(
    runs: list[list[str]], long_wire: WireServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        root = make_project(tmp_path_factory.mktemp("project"), long_wire)
        (root / "a.py").write_text("x = 1\n")
        patch.chdir(root)
        answers: dict[tuple[str, ...], str] = {}
        for run in (*runs, *reversed(runs)):
            cells = ("top", *run)
            lines = [cells[: length + 1] for length in range(len(cells))]
            new = iter(range(len(answers) + 1, 1000))
            expected = [f"={answers[line]}" if line in answers else str(next(new)) for line in lines]
            assert again(root, *cells) == expected
            answers.update(zip(lines, (answer.strip("=") for answer in expected), strict=True))
            kernel = Kernel(root)
            assert kernel.turns()[: len(cells)] == [f"{line[-1]} {answers[line]}" for line in lines]
        kept = {line for name in kernel.chats() for line in _prefixes(kernel.turns(name))} if answers else set()
        assert {
            tuple(f"{line[: n + 1][-1]} {answers[line[: n + 1]]}" for n in range(len(line))) for line in answers
        } == kept


def _prefixes(turns: list[str]) -> list[tuple[str, ...]]:
    return [tuple(turns[: length + 1]) for length in range(len(turns))]

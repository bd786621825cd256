"""What an answer comes of: changing any of it asks again, and changing anything else does not."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_calls import KEY
from wire_server import Answer, WireServer
from wired_project import ENDPOINT, Kernel, make_project, numbered

from ccw_magics import Workspace

FUZZ = int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
MODELS = ("gpt-4o", "gpt-4o-mini")


@dataclasses.dataclass(frozen=True)
class Question:
    """All that an answer comes of."""

    endpoint: str = ENDPOINT
    model: str = MODELS[0]
    temperature: float | None = None
    system: str = ""
    prompt: str = "@*.py Why?"
    files: tuple[tuple[str, str], ...] = (("a.py", "x = 1\n"), ("b.py", "y = 2\n"))
    opening: str | None = None
    schema: str | None = None


CHANGES: dict[str, tuple[Any, ...]] = {
    "endpoint": (ENDPOINT, "other"),
    "model": MODELS,
    "temperature": (None, 0.0, 0.5),
    "system": ("", "Be brief.", "Be  brief."),
    "prompt": ("@*.py Why?", "@*.py Why", "@a.py Why?", "Why?"),
    "files": (
        (("a.py", "x = 1\n"), ("b.py", "y = 2\n")),
        (("a.py", "x = 2\n"), ("b.py", "y = 2\n")),
        (("a.py", "x = 1\n"),),
        (("a.py", "x = 1\n"), ("c.py", "y = 2\n")),
        (("a.py", "x = 1\n"), ("b.py", "")),
        (("a.py", "y = 2\n"), ("b.py", "x = 1\n")),
        (("a.py", "x = 1\n"), ("b.py", "y = 2\n"), ("c.py", "")),
    ),
    "opening": (None, "Hello.", "Hello!"),
    "schema": (None, "n: int", "n: float"),
}
NEUTRAL = (
    "another key",
    "other time limits",
    "another kernel",
    "another name of the conversation",
    "packs forgotten",
    "packs kept no time",
    "an edit that is undone",
    "files written in another order",
    "no stream",
    "no cache",
    "repack",
    "another layout",
    "another folder",
    "a limit of cost",
    "the parameter at the endpoint",
)
ALONE = [
    pytest.param(opening, field, value, id=f"{field} {value!r} {'in a conversation' if opening else ''}")
    for opening in (None, "Hello.")
    for field, values in CHANGES.items()
    for value in values[1:]
    if (field, value) != ("opening", opening)
]
STEPS = st.lists(
    st.one_of(
        st.sampled_from([*CHANGES]).flatmap(lambda field: st.tuples(st.just(field), st.sampled_from(CHANGES[field]))),
        st.tuples(st.just("neutral"), st.sampled_from(NEUTRAL)),
    ),
    max_size=12,
)


class Machine:
    """A project in which one thing after the other is changed."""

    def __init__(self, root: Path, wire: WireServer) -> None:
        self.root = make_project(root, wire)
        self.kernel = Kernel(root, replay=True)
        self.config = self.kernel.workspace.config
        self.config.add_endpoint({**self._endpoint(), "id": "other"})
        self.question = Question()
        self.options: dict[str, Any] = {}
        self.name = "c"
        self.at_endpoint = False
        (root / "sub").mkdir()
        self.write()

    def _endpoint(self) -> dict[str, Any]:
        return {"name": "", "providerId": self.config.get_all_providers()[0].id, "model": MODELS[0]}

    def change(self, field: str, value: Any) -> None:
        if field == "neutral":
            self._shake(value)
            return
        self.question = dataclasses.replace(self.question, **{field: value})
        self.write()
        self.configure()

    def configure(self) -> None:
        at_endpoint = self.question.temperature if self.at_endpoint else None
        for endpoint in (ENDPOINT, "other"):
            params = {} if at_endpoint is None else {"temperature": at_endpoint}
            self.config.update_endpoint(endpoint, {"model": self.question.model, "params": params})

    def write(self) -> None:
        files = dict(self.question.files)
        for path in self.root.glob("*.py"):
            if path.name not in files:
                path.unlink()
        for name, text in files.items():
            if not (self.root / name).exists() or (self.root / name).read_text() != text:
                (self.root / name).write_text(text)

    def _shake(self, what: str) -> None:
        config, cache = self.config, self.kernel.workspace.cache
        provider = config.get_all_providers()[0].id
        ways: dict[str, Callable[[], object]] = {
            "another key": lambda: config.update_provider(provider, {"apiKey": f"{KEY}{len(self.options)}"}),
            "other time limits": lambda: config.update_provider(provider, {"advancedSettings": {"timeout": 55}}),
            "another kernel": lambda: setattr(self, "kernel", Kernel(self.root, replay=True)),
            "another name of the conversation": lambda: setattr(self, "name", f"{self.name}d"),
            "packs forgotten": cache.clear,
            "packs kept no time": lambda: config.update_endpoint(ENDPOINT, {"cacheStrategy": {"ttlMinutes": 0}}),
            "an edit that is undone": self._edit_and_undo,
            "files written in another order": self._rewrite,
            "no stream": lambda: self.options.update(stream=False),
            "no cache": lambda: self.options.update(enable_cache=False),
            "repack": lambda: self.options.update(repack=True),
            "another layout": lambda: config.update_endpoint(ENDPOINT, {"cacheStrategy": {"layout": "fresh"}}),
            "another folder": lambda: self.options.update(cwd=self.root / "sub"),
            "a limit of cost": lambda: self.options.update(max_cost_usd=5.0),
            "the parameter at the endpoint": self._move_parameter,
        }
        ways[what]()

    def _move_parameter(self) -> None:
        self.at_endpoint = True
        self.configure()

    def _edit_and_undo(self) -> None:
        text = (self.root / "a.py").read_text()
        (self.root / "a.py").write_text("canary\n")
        if self.options.get("enable_cache", True):
            self.kernel.workspace.pack(["*.py"], endpoint=ENDPOINT)
        (self.root / "a.py").write_text(text)

    def _rewrite(self) -> None:
        for name, text in reversed(self.question.files):
            (self.root / name).unlink()
            (self.root / name).write_text(text)

    def ask(self) -> str:
        """The answer to the question as it is now, behind the turn that opens the conversation, if there is one."""
        question, options = self.question, dict(self.options)
        options |= {"endpoint": question.endpoint, "system": question.system}
        if not self.at_endpoint and question.temperature is not None:
            options["temperature"] = question.temperature
        if question.opening is not None:
            self.kernel.workspace.executor.conversations.clear(self.name)
            options["chat"] = self.name
            self.kernel.ask(question.opening, **options)
        return self.kernel.ask(question.prompt, schema=question.schema, **options).output


@pytest.fixture(scope="module")
def long_wire() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


def _record_keys(question: Question) -> list[object]:
    """What is asked for a question, as the model of this test has it: the conversation's opening, then itself."""
    opening = dataclasses.replace(question, prompt="", files=(), schema=None)
    brought = question.files if "*" in question.prompt else question.files[:1] if "@" in question.prompt else ()
    question = dataclasses.replace(question, files=brought)
    return [question] if question.opening is None else [opening, question]


@settings(max_examples=12 * FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_change_asks_again_and_nothing_else_does(
    steps: list[tuple[str, Any]], long_wire: WireServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("USERPROFILE", os.environ["HOME"])
        machine = Machine(tmp_path_factory.mktemp("project"), long_wire)
        patch.chdir(machine.root)
        answers: dict[object, str] = {}
        for step in [("neutral", "packs forgotten"), *steps, *steps[:1]]:
            machine.change(*step)
            keys = _record_keys(machine.question)
            before = len(long_wire.requests)
            answer = machine.ask()
            assert len(long_wire.requests) - before == sum(key not in answers for key in keys), step
            assert answer == answers.get(keys[-1], answer)
            answers.update(dict.fromkeys(keys, answer))


@pytest.mark.parametrize(("opening", "field", "value"), ALONE)
def test_each_change_alone_asks_again(
    project: Path, wire: WireServer, opening: str | None, field: str, value: Any
) -> None:
    machine = Machine(project, wire)
    machine.change("opening", opening)
    first, before = getattr(machine.question, field), machine.ask()
    machine.change(field, value)
    assert machine.ask() != before
    machine.change(field, first)
    assert machine.ask() == before


@pytest.mark.parametrize("opening", [None, "Hello."], ids=["question", "conversation"])
def test_what_an_answer_does_not_come_of_asks_nobody(project: Path, wire: WireServer, opening: str | None) -> None:
    machine = Machine(project, wire)
    machine.change("opening", opening)
    machine.change("temperature", 0.5)
    before, requests = machine.ask(), len(wire.requests)
    for what in NEUTRAL:
        machine.change("neutral", what)
        assert (machine.ask(), len(wire.requests)) == (before, requests), what


def test_a_header_counts_by_its_value(project: Path, wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_project(project, wire)
    config = Workspace(root).config
    headers = {"X-Tenant": "${TENANT}"}
    config.update_provider(config.get_all_providers()[0].id, {"advancedSettings": {"customHeaders": headers}})
    answers = []
    for tenant in ("acme", "globex", "acme"):
        monkeypatch.setenv("TENANT", tenant)
        answers += Kernel(root, replay=True).talk("Why?")
    assert answers == ["1", "2", "=1"]


def test_what_a_turn_before_asked_for_counts_and_not_its_words_alone(project: Path, wire: WireServer) -> None:
    root = make_project(project, wire, "custom")
    wire.answers(Answer('{"n": 1}'), numbered())
    kernel = Kernel(root, replay=True)
    kernel.ask("Count.", chat="whole", schema="n: int")
    assert kernel.talk("And?", chat="whole") == ["1"]
    wire.answers(Answer('{"n": 1}'), numbered())
    kernel.ask("Count.", chat="broken", schema="n: float")
    assert kernel.talk("And?", chat="broken") == ["1"]

"""A recorded answer is given again, marked and free; where none can be recorded, calls go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire_calls import KEY
from wire_server import Answer, WireServer
from wired_project import ENDPOINT, Kernel, make_project, numbered

from ccw_magics.errors import SecretMissing


@pytest.fixture
def root(project: Path, wire: WireServer) -> Path:
    return make_project(project, wire)


def test_a_recorded_answer_is_marked_and_free(root: Path, wire: WireServer) -> None:
    first, again = (Kernel(root, replay=True).ask("Why?") for _ in range(2))
    assert (first.replayed_at, again.output, again.cost_usd) == (None, first.output, 0.0)
    assert again.replayed_at is not None
    assert f"replayed from {again.replayed_at.astimezone():%Y-%m-%d %H:%M} · free" in again.summary()
    assert (again.model, again.endpoint, again.attempts) == (first.model, ENDPOINT, ())
    assert len(wire.requests) == 1


@pytest.mark.parametrize("prompt", ["Why?", "@a.py Why?"], ids=["alone", "with a file"])
@pytest.mark.parametrize("chat", [None, "c"], ids=["question", "conversation"])
def test_nothing_is_recorded_that_nobody_asked_for(root: Path, home: Path, prompt: str, chat: str | None) -> None:
    (root / "a.py").write_text("x = 1\n")
    Kernel(root).talk(prompt, prompt, chat=chat)
    Kernel(root, replay=False).talk(prompt, chat=chat)
    assert not list(home.rglob("replies.sqlite3"))


@pytest.mark.parametrize(
    ("at_endpoint", "renews"), [(True, True), (False, False)], ids=["where the endpoint replays", "elsewhere"]
)
def test_no_replay_asks_again(root: Path, at_endpoint: bool, renews: bool) -> None:
    Kernel(root).workspace.config.update_endpoint(ENDPOINT, {"replay": at_endpoint})
    assert Kernel(root, replay=True).talk("Why?") == ["1"]
    assert Kernel(root, replay=False).talk("Why?") == ["2"]
    assert Kernel(root, replay=True).talk("Why?") == ["=2" if renews else "=1"]


@pytest.mark.parametrize("chat", [None, "c"], ids=["question", "conversation"])
def test_a_recorded_answer_needs_no_key(root: Path, chat: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Kernel(root).workspace.config
    config.update_provider(config.get_all_providers()[0].id, {"apiKey": "${MY_KEY}"})
    monkeypatch.setenv("MY_KEY", KEY)
    assert Kernel(root, replay=True, chat=chat).talk("Why?") == ["1"]
    monkeypatch.delenv("MY_KEY")
    kernel = Kernel(root, replay=True, chat=chat)
    assert kernel.talk("Why?") == ["=1"]
    assert isinstance(kernel.workspace.run("Else?", replay=True, chat=chat).failure, SecretMissing)


def test_where_a_variable_leads_is_a_part_of_the_key(
    root: Path, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Kernel(root).workspace.config
    config.update_provider(config.get_all_providers()[0].id, {"apiBase": "${MY_BASE}"})
    config.trust()
    said = []
    for path in ("/v1", "/second/v1", "/v1"):
        monkeypatch.setenv("MY_BASE", f"{wire.url}{path}")
        said += Kernel(root, replay=True).talk("Why?")
    assert said == ["1", "2", "=1"]


@pytest.mark.parametrize("kept", ["full", "meta", "off"])
def test_replay_does_not_need_the_journal(root: Path, kept: str) -> None:
    path = Kernel(root).workspace.config.path
    path.write_text(path.read_text().replace('"version": 1', f'"version": 1, "journal": "{kept}"', 1))
    Kernel(root).workspace.config.trust()
    assert [*Kernel(root, replay=True).talk("Why?"), *Kernel(root, replay=True).talk("Why?")] == ["1", "=1"]


FAILURES = {
    "refused": Answer(status=400),
    "empty": Answer(empty=True),
    "cut in the middle": Answer('{"n": 0}', cut_after=1),
    "an error in the stream": Answer('{"n": 0}', error_after=1),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_what_failed_is_not_recorded(root: Path, wire: WireServer, failure: Answer) -> None:
    wire.answers(failure)
    assert not Kernel(root).workspace.run("Why?", replay=True).success
    wire.answers(Answer('{"n": 1}'))
    assert Kernel(root, replay=True).talk("Why?", "Why?") == ["1", "=1"]


def test_a_folder_that_cannot_be_used_is_said_once(root: Path) -> None:
    (root / "file").write_text("")
    kernel = Kernel(root, replay=True)
    kernel.workspace.config.update_global_cache_settings({"cacheDir": str(root / "file" / "cache")})
    kernel.workspace.config.trust()
    said = [kernel.ask(prompt).remarks() for prompt in ("Why?", "Why?", "And?")]
    assert [len(remarks) for remarks in said] == [1, 0, 0]
    assert "cannot be recorded" in said[0][0]


def test_a_cache_that_is_switched_off_is_said_once(root: Path) -> None:
    kernel = Kernel(root, replay=True)
    kernel.workspace.config.update_global_cache_settings({"enabled": False})
    said = [kernel.ask("Why?").remarks() for _ in range(3)]
    assert [len(remarks) for remarks in said] == [1, 0, 0]


def test_a_cache_that_is_switched_off_asks(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root, replay=True)
    kernel.workspace.config.update_global_cache_settings({"enabled": False})
    assert kernel.talk("Why?", "Why?") == ["1", "2"]
    kernel.workspace.config.update_global_cache_settings({"enabled": True})
    assert kernel.talk("Why?", "Why?") == ["3", "=3"]


def test_an_answer_that_a_cost_limit_cut_is_not_given_without_it(root: Path, wire: WireServer) -> None:
    wire.answers(Answer('{"n": 1}', is_cut=True), Answer('{"n": 2}'))
    kernel = Kernel(root, replay=True)
    assert kernel.talk("Why?", max_cost_usd=0.01) == ["1"]
    assert "max_tokens" in wire.requests[-1].json
    assert kernel.talk("Why?") == ["2"]


def test_a_cut_answer_stays_one(root: Path, wire: WireServer) -> None:
    wire.answers(Answer('{"n": 1}', is_cut=True))
    replies = [Kernel(root, replay=True).ask("Why?", max_tokens=5) for _ in range(2)]
    assert [reply.is_cut for reply in replies] == [True, True]
    assert len(wire.requests) == 1


def test_an_answer_cut_by_its_own_limit_is_recorded_under_a_cost_limit_too(root: Path, wire: WireServer) -> None:
    wire.answers(Answer('{"n": 1}', is_cut=True))
    kernel = Kernel(root, replay=True)
    assert kernel.talk("Why?", "Why?", max_tokens=5, max_cost_usd=1.0) == ["1", "=1"]


def test_the_answer_of_a_fallback_is_given_again_as_what_it_is(root: Path, wire: WireServer) -> None:
    kernel = Kernel(root, replay=True)
    provider = kernel.workspace.config.get_all_providers()[0].id
    kernel.workspace.config.add_endpoint({"id": "other", "name": "", "providerId": provider, "model": "gpt-4o-mini"})
    kernel.workspace.config.update_endpoint(ENDPOINT, {"fallback": ["other"]})
    wire.answers(Answer(status=400), numbered())
    replies = [kernel.ask("Why?") for _ in range(2)]
    assert [reply.endpoint for reply in replies] == ["other", "other"]
    assert [reply.model for reply in replies] == ["gpt-4o-mini", "gpt-4o-mini"]
    assert "other was asked instead of wired" in replies[1].remarks()
    assert len(wire.requests) == 2

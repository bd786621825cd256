"""What a call would send: counted and priced, and nothing sent, kept or counted for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from wire_server import WireServer
from wired_project import ENDPOINT, Kernel, make_project

from ccw_magics import Workspace, stats
from ccw_magics.calls.plan import Part, Plan
from ccw_magics.calls.spending import midnight, purse_of
from ccw_magics.errors import CcwError, ContextTooLarge

WORDS = "alpha beta gamma delta epsilon\n"


@pytest.fixture
def workspace(project: Path, wire: WireServer) -> Workspace:
    for name, lines in {"a.py": 400, "b.py": 100, "src/c.py": 300, "src/d.md": 20}.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(WORDS * lines)
    return Workspace(make_project(project, wire))


def _parts(plan: Plan) -> dict[str, Part]:
    return {part.name: part for part in plan.parts}


def _sum(plan: Plan, name: str) -> float:
    return sum(getattr(part, name) for part in plan.parts[:-1])


ASKED: list[Any] = [
    pytest.param("why?", {}, {"prompt": 0}, id="a question"),
    pytest.param("@a.py @b.py why?", {}, {"@a.py": 1, "@b.py": 1, "prompt": 0}, id="two files"),
    pytest.param("@src @src/c.py why?", {}, {"@src": 2, "@src/c.py": 0, "prompt": 0}, id="one within the other"),
    pytest.param("@a.py @nothing.py why?", {}, {"@a.py": 1, "prompt": 0}, id="one that matches nothing"),
    pytest.param("@nothing.py why?", {}, {"prompt": 0}, id="only one that matches nothing"),
    pytest.param("@**/*.py why?", {}, {"@**/*.py": 3, "prompt": 0}, id="a glob"),
    pytest.param("@a.py why?", {"system": "Be brief."}, {"system prompt": 0, "@a.py": 1, "prompt": 0}, id="system"),
    pytest.param("@a.py why?", {"chat": "new"}, {"@a.py": 1, "prompt": 0}, id="a new conversation"),
    pytest.param("why?", {"chat": "talk"}, {"conversation talk, 1 turn": 0, "prompt": 0}, id="the next turn"),
    pytest.param(
        "@b.py why?",
        {"chat": "talk"},
        {"conversation talk, 1 turn": 0, "@b.py, changes in the files": 1, "prompt": 0},
        id="the next turn with a file",
    ),
    pytest.param("@a.py why?", {"schema": "title, line: int"}, {"schema": 0, "@a.py": 1, "prompt": 0}, id="a schema"),
    pytest.param("@a.py why?", {"enable_cache": False}, {"@a.py": 1, "prompt": 0}, id="nothing kept"),
]


@pytest.mark.parametrize(("prompt", "options", "rows"), ASKED)
def test_the_parts_are_the_whole(
    workspace: Workspace, wire: WireServer, prompt: str, options: dict[str, Any], rows: dict[str, int]
) -> None:
    if options.get("chat") == "talk":
        Kernel(workspace.root).ask("@a.py first", chat="talk")
    plan = workspace.plan(prompt, **options)
    found = {part.name: part.files for part in plan.parts}
    assert found == {**rows, "answer, about": 0, "total": sum(rows.values())}
    total = plan.parts[-1]
    assert total.size_bytes == _sum(plan, "size_bytes")
    assert total.tokens == pytest.approx(_sum(plan, "tokens"), abs=len(plan.parts))
    assert total.cold_usd == pytest.approx(_sum(plan, "cold_usd"))
    assert total.cached_usd == pytest.approx(_sum(plan, "cached_usd"))
    assert total.window_share == pytest.approx(_sum(plan, "window_share"), abs=1e-4)
    before = len(wire.requests)
    workspace.run(prompt, **options)
    sent = "".join(map(str, wire.requests[before].json["messages"]))
    assert total.size_bytes == pytest.approx(len(sent), rel=0.12, abs=400)


@pytest.mark.parametrize("key", ["${NOT_SET}", ""], ids=["its variable is not set", "none is given"])
def test_nothing_is_sent_kept_or_counted(
    workspace: Workspace, wire: WireServer, home: Path, tmp_path: Path, key: str
) -> None:
    kernel = Kernel(workspace.root)
    kernel.ask("@a.py first", chat="talk", replay=True)
    (workspace.root / "a.py").write_text(WORDS * 401)
    provider = workspace.config.get_all_providers()[0]
    workspace.config.update_provider(provider.id, {"apiKey": key})
    before, requests, rows = _tree(home, tmp_path), len(wire.requests), _rows(kernel.workspace)
    for options in ({}, {"chat": "talk"}, {"chat": "new"}, {"replay": True}, {"repack": True}, {"schema": "title"}):
        kernel.workspace.plan("@a.py @src why?", **options)
    assert _tree(home, tmp_path) == before
    assert len(wire.requests) == requests
    assert not wire.lookups
    assert _rows(kernel.workspace) == rows
    purse = purse_of(workspace.root)
    assert (purse.reserved_usd, workspace.journal.ledger.spent(midnight()).reserved_usd) == (0.0, 0.0)


def _tree(*roots: Path) -> dict[str, bytes]:
    """Every file's content; what sqlite keeps beside a database while it is open is not content."""
    paths = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths if not re.search(r"-(shm|wal)$|\.lock$", path.name)}


def _rows(workspace: Workspace) -> tuple[int, int]:
    return len(workspace.journal.calls()), len(workspace.journal.chats.path("talk"))


def test_and_the_next_call_goes_on_as_if_nothing_had_been_asked(workspace: Workspace, wire: WireServer) -> None:
    kernel = Kernel(workspace.root)
    first = kernel.ask("@a.py first").pack
    (workspace.root / "a.py").write_text(WORDS * 401)
    kernel.workspace.plan("@a.py first")
    second = kernel.ask("@a.py first").pack
    assert first is not None
    assert second is not None
    assert (second.session_id, second.revision) == (first.session_id, first.revision + 1)


def test_a_recorded_answer_is_named(workspace: Workspace) -> None:
    assert workspace.plan("@a.py why?", replay=True).replayed_at is None
    reply = workspace.run("@a.py why?", replay=True).raise_for_error()
    plan = workspace.plan("@a.py why?", replay=True)
    assert plan.replayed_at is not None
    assert any("would be replayed, at no cost" in note for note in stats.plan_notes(plan))
    assert workspace.plan("@a.py why?").replayed_at is None
    assert reply.replayed_at is None


@pytest.mark.parametrize("limit_tokens", [1500, 2500, 3600])
@pytest.mark.parametrize("dense", [False, True], ids=["plain", "one file of many tokens"])
def test_what_to_leave_out_makes_it_fit(
    workspace: Workspace, wire: WireServer, limit_tokens: int, *, dense: bool
) -> None:
    if dense:
        (workspace.root / "b.py").write_text(" ".join(f"{number * 7919 % 9973:x}~" for number in range(1200)))
    workspace.config.update_endpoint(ENDPOINT, {"contextWindow": limit_tokens})
    prompt, names = "why? " * 200, ["a.py", "b.py", "src/c.py", "src/d.md"]
    asked = f"{' '.join(f'@{name}' for name in names)} {prompt}"
    remark = workspace.plan(asked).remarks[-1]
    error = workspace.run(asked).failure
    assert isinstance(error, ContextTooLarge)
    assert error.hint is not None
    found = re.search(r"Without (.*) it fits\.", remark)
    assert found is not None, remark
    assert found[0] in error.hint
    left = [name for name in names if f"{name} (" not in found[1]]
    assert left
    kept = f"{' '.join(f'@{name}' for name in left)} {prompt}"
    assert not [note for note in workspace.plan(kept).remarks if "does not fit" in note]
    workspace.run(kept).raise_for_error()
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("prompt", "chat", "advice"),
    [
        pytest.param("why? " * 2000, None, "Shorten the prompt.", id="the prompt alone"),
        pytest.param("@src " + "why? " * 2000, None, "Refer to fewer or smaller files. Largest: src/c.py", id="both"),
        pytest.param("why?", "talk", "Begin another conversation, or shorten the prompt.", id="a conversation"),
    ],
)
def test_where_leaving_out_is_not_enough(workspace: Workspace, prompt: str, chat: str | None, advice: str) -> None:
    if chat:
        Kernel(workspace.root).ask("@a.py first", chat=chat)
    workspace.config.update_endpoint(ENDPOINT, {"contextWindow": 1500})
    assert advice in workspace.plan(prompt, chat=chat).remarks[-1]


def test_what_the_window_lacks_is_the_same_before_and_in_the_call(workspace: Workspace) -> None:
    counted = workspace.plan("@b.py why?").parts[-1].tokens
    answer = _parts(workspace.plan("@b.py why?"))["answer, about"].tokens
    assert counted is not None
    assert answer is not None
    for window, fits in ((counted - answer + 64, True), (counted - answer + 63, False)):
        workspace.config.update_endpoint(ENDPOINT, {"contextWindow": window})
        assert (not [said for said in workspace.plan("@b.py why?").remarks if "does not fit" in said]) == fits
        assert workspace.run("@b.py why?").success == fits


def test_a_limit_that_the_prompt_would_pass_is_said(workspace: Workspace) -> None:
    assert "this would be refused" in workspace.plan("@a.py why?", max_cost_usd=0.0001).remarks[-1]
    assert not workspace.plan("@a.py why?", max_cost_usd=1.0).remarks


@pytest.mark.parametrize(("kind", "usd"), [("custom", None), ("local", 0.0)])
def test_unknown_is_not_free(project: Path, wire: WireServer, kind: str, usd: float | None) -> None:
    root = make_project(project, wire)
    (root / "a.py").write_text(WORDS * 100)
    config = Workspace(root).config
    provider = "local"
    if kind != "local":
        provider = config.add_provider({"name": "", "type": kind, "apiBase": wire.url}).id
    config.add_endpoint({"id": "other", "providerId": provider, "model": "house" if kind == "custom" else ""})
    plan = Workspace(root).plan("@a.py why?", endpoint="other")
    assert {(part.cold_usd, part.cached_usd) for part in plan.parts} == {(usd, usd)}
    frame = stats.plan_frame(plan)
    assert frame["cold_usd"].isna().all() == (usd is None)
    assert frame["cold_usd"].sum() == 0


def test_the_frame(workspace: Workspace) -> None:
    frame = stats.plan_frame(workspace.plan("@a.py @nothing.py why?"))
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert types.pop("part") in {"str", "object", "string"}
    assert types == {
        "files": "int64",
        "size_bytes": "int64",
        "tokens": "Int64",
        "cold_usd": "float64",
        "cached_usd": "float64",
        "window_share": "float64",
    }
    assert [*frame["part"]] == ["@a.py", "prompt", "answer, about", "total"]


@pytest.mark.parametrize(
    ("prompt", "options"),
    [("x", {"endpoint": "nobody"}), ("@../outside.py", {}), ("x", {"temperature": 9}), ("x", {"chat": "a/b\n"})],
    ids=["endpoint", "reference", "parameter", "conversation"],
)
def test_what_would_fail_before_it_is_sent_fails(workspace: Workspace, prompt: str, options: dict[str, Any]) -> None:
    (workspace.root.parent / "outside.py").write_text("x")
    with pytest.raises(CcwError) as planned:
        workspace.plan(prompt, **options)
    with pytest.raises(type(planned.value)):
        workspace.run(prompt, **options).raise_for_error()

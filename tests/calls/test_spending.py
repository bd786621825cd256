"""Limits on what calls may cost: what is refused before anything is sent, and what is counted of all that is sent."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from wire_billing import INPUT_USD, OUTPUT_USD, Provider, Watch
from wire_calls import FAMILIES, KEY
from wire_server import Answer, WireServer
from wired_project import ENDPOINT, make_project

from ccw_magics import Workspace
from ccw_magics.calls import tokens
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.spending import Allowance, midnight, purse_of
from ccw_magics.config.models import Budget
from ccw_magics.errors import BudgetExceeded, CcwError

CAP_USD = 0.05
STALL_S = 0.3


@pytest.fixture
def workspace(project: Path, wire: WireServer) -> Workspace:
    return Workspace(make_project(project, wire))


def _limit(workspace: Workspace, which: str, usd: float) -> None:
    workspace.config.update_budget({which: usd})


def _keep(workspace: Workspace, journal: str) -> None:
    path = workspace.config.path
    path.write_text(json.dumps({**json.loads(path.read_text()), "journal": journal}))


def _endpoint(workspace: Workspace, wire: WireServer, name: str, kind: str, model: str = "", **more: Any) -> None:
    """Another endpoint of its own provider."""
    known, suffix = FAMILIES[kind]
    given = {"name": name, "type": kind, "apiKey": KEY, "apiBase": f"{wire.url}{suffix}"}
    provider = workspace.config.add_provider(given)
    endpoint = {"id": name, "name": "", "providerId": provider.id, "model": model or known, **more}
    workspace.config.add_endpoint(endpoint)


def _refusal(reply: Reply) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as raised:
        reply.raise_for_error()
    return raised.value


def _spent(workspace: Workspace) -> tuple[float, float]:
    """What is counted for the day and for the kernel; nothing may be left reserved."""
    today, purse = workspace.journal.ledger.spent(midnight()), purse_of(workspace.root)
    assert today.reserved_usd == pytest.approx(0, abs=1e-9)
    assert purse.reserved_usd == pytest.approx(0, abs=1e-9)
    return today.calls_usd, purse.spent_usd


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        pytest.param({"max_cost_usd": 1e-6}, "the prompt alone costs about $0.000020 (8 tokens)", id="the call's own"),
        pytest.param({"max_cost_usd": 4e-5}, "leaves room for 2 tokens of an answer", id="no room for an answer"),
        pytest.param({"per_day_usd": 0.001}, "today $0.00 are spent, and the budget is $0.0010", id="the day's"),
        pytest.param({"per_kernel_usd": 0.001}, "this kernel $0.00 are spent, and the budget", id="the kernel's"),
        pytest.param({"per_day_usd": 0.0}, "the budget is $0.00", id="nothing a day"),
    ],
)
def test_what_would_pass_a_limit_is_not_sent(
    workspace: Workspace, wire: WireServer, limit: dict[str, float], says: str
) -> None:
    options = {name: usd for name, usd in limit.items() if name == "max_cost_usd"}
    if not options:
        workspace.config.update_budget(limit)
    error = _refusal(workspace.run("x", **options))
    assert says in error.message
    assert error.hint
    assert not wire.requests
    assert _spent(workspace) == (0.0, 0.0)


@pytest.mark.parametrize("limit", [{"max_cost_usd": float("inf")}, {"max_cost_usd": 100.0}, {}], ids=str)
def test_what_does_not_limit_changes_nothing(workspace: Workspace, wire: WireServer, limit: dict[str, float]) -> None:
    workspace.run("x", **limit).raise_for_error()
    assert "max_tokens" not in wire.requests[0].json


def test_without_a_limit_nothing_is_counted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: Any) -> None:
        pytest.fail("counted")

    monkeypatch.setattr("ccw_magics.backends.litellm_tokens.count", fail)
    monkeypatch.setattr("ccw_magics.backends.litellm_backend.Prices.reported", fail)
    monkeypatch.setattr(tokens, "text_of", fail)
    monkeypatch.setattr(workspace.journal.ledger.__class__, "reserve", fail)
    tokens._counted.clear()
    workspace.run("x").raise_for_error()
    assert purse_of(workspace.root).spent_usd > 0  # so that a limit set later knows of it


_OUT: dict[str, Callable[[Any], Any]] = {
    "openai": lambda body: body.get("max_tokens"),
    "anthropic": lambda body: body.get("max_tokens"),
    "google": lambda body: (
        body["generationConfig"].get("max_output_tokens") or body["generationConfig"].get("maxOutputTokens")
    ),
    "reasoning": lambda body: body.get("max_completion_tokens"),
}
_PRICES = {
    "openai": (2.5e-6, 1e-5),
    "anthropic": (3e-6, 1.5e-5),
    "google": (3e-7, 2.5e-6),
    "reasoning": (1.1e-6, 4.4e-6),
}


@pytest.mark.parametrize("kind", _OUT)
@pytest.mark.parametrize("cap_usd", [0.002, 0.01])
def test_the_answer_is_limited_to_what_is_left(
    workspace: Workspace, wire: WireServer, kind: str, cap_usd: float
) -> None:
    _endpoint(workspace, wire, kind, "openai" if kind == "reasoning" else kind, {"reasoning": "o3-mini"}.get(kind, ""))
    workspace.run("What is the answer? " * 20, endpoint=kind, max_cost_usd=cap_usd).raise_for_error()
    limit = _OUT[kind](wire.requests[0].json)
    input_usd, output_usd = _PRICES[kind]
    assert cap_usd * 0.9 < limit * output_usd + 100 * input_usd
    assert limit * output_usd <= cap_usd - 20 * 5 * input_usd


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(("own", "sent"), [(100, 100), (5000, 998)], ids=["lower", "higher"])
def test_the_lower_limit_of_the_answer_holds(
    workspace: Workspace, wire: WireServer, name: str, own: int, sent: int
) -> None:
    workspace.run("x", max_cost_usd=0.01, **{name: own}).raise_for_error()
    assert wire.requests[0].json[name] == sent
    assert len([known for known in wire.requests[0].json if known.startswith("max_")]) == 1


@pytest.mark.parametrize(
    ("params", "least"),
    [
        pytest.param({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 1024, id="a budget of its own"),
        pytest.param({"reasoning_effort": "high"}, 4096, id="an effort"),
        pytest.param({}, 0, id="no thinking"),
    ],
)
def test_a_limit_leaves_a_claude_room_beyond_its_thoughts(
    workspace: Workspace, wire: WireServer, params: dict[str, Any], least: int
) -> None:
    _endpoint(workspace, wire, "claude", "anthropic")
    sample = workspace.run("x", endpoint="claude", max_cost_usd=0.2, **params).raise_for_error()
    assert sample.success
    assert wire.requests[-1].json["max_tokens"] > least
    if least:
        refusal = _refusal(workspace.run("x", endpoint="claude", max_cost_usd=0.001, **params))
        assert f"of which thinking takes {least:,}" in refusal.message
        assert len(wire.requests) == 1


@pytest.mark.parametrize("body", [{"n": 50}, {"max_tokens": 9000}, {"generationConfig": {}}], ids=str)
def test_a_body_that_sets_the_answers_length_cannot_be_limited(
    workspace: Workspace, wire: WireServer, body: dict[str, Any]
) -> None:
    assert "cannot be held" in _refusal(workspace.run("x", max_cost_usd=0.01, extra_body=body)).message
    assert not wire.requests


def test_another_service_tier_has_its_own_price(workspace: Workspace, wire: WireServer) -> None:
    workspace.run("x", max_cost_usd=0.01).raise_for_error()
    workspace.run("x", max_cost_usd=0.01, service_tier="priority").raise_for_error()
    usual, prior = (request.json["max_tokens"] for request in wire.requests)
    assert prior < 0.7 * usual


def test_the_day_begins_at_midnight_also_when_clocks_change(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 10, 25, 18, tzinfo=UTC).astimezone(tz)

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        monkeypatch.setattr("ccw_magics.calls.spending.datetime", Clock)
        assert midnight().astimezone(UTC) == datetime(2026, 10, 24, 22, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_cost_that_is_known_in_part_is_not_known(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Answer(cut_after=2), Answer())
    reply = workspace.run("x", retry_cut=True).raise_for_error()
    assert (len(wire.requests), reply.cost_usd) == (2, None)


@pytest.mark.parametrize("usd", [-1, float("nan"), "0.05", True], ids=repr)
def test_what_is_no_amount_is_refused(workspace: Workspace, wire: WireServer, usd: Any) -> None:
    with pytest.raises(CcwError, match="is no amount"):
        workspace.run("x", max_cost_usd=usd)
    assert not wire.requests


def test_a_dry_run_says_that_the_budget_would_refuse(workspace: Workspace) -> None:
    assert not workspace.plan("x").remarks
    _limit(workspace, "per_day_usd", 0.001)
    assert "this would be refused: the call would cost about" in workspace.plan("x").remarks[-1]


def test_a_price_that_nobody_knows(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, "house", "custom")
    assert (
        "is not known, so --max-cost cannot be held"
        in _refusal(workspace.run("x", endpoint="house", max_cost_usd=1)).message
    )
    assert not wire.requests
    _limit(workspace, "per_day_usd", 0)
    reply = workspace.run("x", endpoint="house").raise_for_error()
    assert reply.warnings == ("what house-model costs is not known, and not counted in the budget",)
    assert _spent(workspace) == (0.0, 0.0)


def test_a_budget_refuses_a_hosted_model_whose_price_nobody_knows(workspace: Workspace, wire: WireServer) -> None:
    _endpoint(workspace, wire, "new", "openai", model="gpt-of-tomorrow")
    _limit(workspace, "per_day_usd", 5)
    assert "is not known, so the budget cannot be held" in _refusal(workspace.run("x", endpoint="new")).message
    assert not wire.requests


class _Free:
    """A backend that costs nothing, and cannot count yet, as the embedded model before it was fetched."""

    async def price_usd(self, _call: Any, _usage: Any) -> float:
        return 0.0

    async def count_tokens(self, _call: Any, _text: str) -> None:
        pytest.fail("counted for nothing")


@pytest.mark.parametrize("limits", [{"max_cost_usd": 0.0}, {"per_day_usd": 0.0}, {"per_kernel_usd": 0.0}], ids=str)
def test_what_is_free_is_always_let_through(workspace: Workspace, limits: dict[str, float]) -> None:
    from ccw_magics.backends.base import ModelCall

    own = limits.pop("max_cost_usd", None)
    allowance, call = Allowance(workspace.root, workspace.journal, Budget(**limits), own), ModelCall("local", "", "x")
    backend: Any = _Free()
    assert asyncio.run(allowance.allow(backend, call, 512)) is call
    assert allowance.remark() == ""


@pytest.mark.parametrize("journal", ["full", "meta", "off"])
@pytest.mark.parametrize(
    ("tries", "is_counted"),
    [
        pytest.param("ok", True, id="an answer"),
        pytest.param("401", False, id="401"),
        pytest.param("429 429 ok", True, id="429, then an answer"),
        pytest.param("500", False, id="500"),
        pytest.param("400", False, id="400"),
    ],
)
@pytest.mark.parametrize("which", ["per_day_usd", "per_kernel_usd"])
def test_what_is_counted_is_what_is_billed(
    workspace: Workspace, wire: WireServer, which: str, journal: str, tries: str, *, is_counted: bool
) -> None:
    _limit(workspace, which, 1.0)
    _keep(workspace, journal)
    wire.answers(provider := Provider())
    workspace.run(f"[case a] [tries {tries}]")
    assert (provider.total_usd > 0) == is_counted
    day_usd, kernel_usd = _spent(workspace)
    assert kernel_usd == pytest.approx(provider.total_usd)
    if which == "per_day_usd" or journal != "off":
        assert day_usd == pytest.approx(provider.total_usd)


def test_a_cut_answer_counts_as_what_was_expected(workspace: Workspace, wire: WireServer) -> None:
    _limit(workspace, "per_day_usd", 1.0)
    wire.answers(Provider())
    assert not workspace.run("[case a] [tries cut]").success
    tokens_usd = 512 * OUTPUT_USD
    day_usd, kernel_usd = _spent(workspace)
    assert day_usd == kernel_usd
    assert tokens_usd < day_usd < tokens_usd + 30 * INPUT_USD


def test_an_interrupt_while_the_money_is_reserved_leaves_nothing_reserved(workspace: Workspace) -> None:
    allowance = Allowance(workspace.root, workspace.journal, Budget(per_day_usd=1.0), None)
    allowance.settle(None)
    allowance._reserve(0.5, "gpt-4o")  # the thread that was to reserve it comes late
    assert _spent(workspace) == (0.0, 0.0)


def test_what_a_request_has_spent_stays_reserved_while_it_tries_again(workspace: Workspace) -> None:
    budget = Budget(per_day_usd=1.0, per_kernel_usd=1.0)
    one, other = (Allowance(workspace.root, workspace.journal, budget, None) for _ in range(2))
    one._reserve(0.6, "gpt-4o")
    one.tried(0.6, is_billed=True)
    with pytest.raises(BudgetExceeded, match=r"would cost about \$1.20"):
        one._reserve(0.6, "gpt-4o")
    with pytest.raises(BudgetExceeded, match=r"\$0.6000 for calls under way"):
        other._reserve(0.5, "gpt-4o")
    other._reserve(0.4, "gpt-4o")
    one.settle(None)
    other.tried(None, is_billed=True)
    other.settle(None)
    assert _spent(workspace) == (pytest.approx(1.0), pytest.approx(1.0))


_KINDS = ("ok", "ok", "ok", "ok", "429 ok", "401", "500 500 ok", "cut", "stall", "500 500 500 500")


async def _storm(workspace: Workspace, seed: int) -> list[Any]:
    """Sixteen callers at once, four calls each; what stalls is interrupted. Replies, and what was raised instead."""

    async def caller(number: int) -> list[Any]:
        chance, ended = random.Random(1000 * seed + number), []
        for call in range(4):
            kind = chance.choice(_KINDS)
            prompt = f"[case {number}-{call}] [tries {kind}] " + "word " * chance.randrange(400)
            asked = workspace.arun(prompt, endpoint=chance.choice([ENDPOINT, "falling", "house"]))
            limit_s = STALL_S if kind == "stall" else None
            ended += await asyncio.gather(asyncio.wait_for(asked, limit_s), return_exceptions=True)
        return ended

    return [one for several in await asyncio.gather(*map(caller, range(16))) for one in several]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("which", "journal"),
    [("per_day_usd", "full"), ("per_day_usd", "meta"), ("per_day_usd", "off"), ("per_kernel_usd", "off")],
)
def test_no_sequence_passes_the_limit_by_more_than_the_calls_under_way(
    workspace: Workspace, wire: WireServer, which: str, journal: str, seed: int
) -> None:
    _limit(workspace, which, CAP_USD)
    _endpoint(workspace, wire, "falling", "openai", fallback=[ENDPOINT])
    _endpoint(workspace, wire, "house", "custom")
    _keep(workspace, journal)
    wire.answers(provider := Provider(seed))
    with (watch := Watch()).watching():
        ended = asyncio.run(_storm(workspace, seed))
    refused = [one for one in ended if isinstance(one, Reply) and isinstance(one.failure, BudgetExceeded)]
    assert refused
    assert not [one for one in ended if isinstance(one, Reply) and type(one.failure) is CcwError]
    bills = [bill for bill in provider.bills if bill.case in {let.case for let in watch.let}]
    assert CAP_USD / 2 < sum(bill.usd for bill in bills) <= watch.most_usd(CAP_USD, bills)
    _spent(workspace)


@pytest.mark.parametrize("which", ["per_day_usd", "per_kernel_usd"])
def test_a_cut_try_counts_beside_the_one_that_answers(workspace: Workspace, wire: WireServer, which: str) -> None:
    _limit(workspace, which, 1.0)
    wire.answers(provider := Provider())
    workspace.run("[case a] [tries cut 429 cut ok]", retry_cut=True).raise_for_error()
    expected_usd = 512 * OUTPUT_USD
    counted = provider.bills[-1].usd + 2 * expected_usd
    usd = dict(zip(("per_day_usd", "per_kernel_usd"), _spent(workspace), strict=True))[which]
    assert counted < usd < counted + 60 * INPUT_USD


def test_cut_tries_count_in_the_limit_of_the_call(workspace: Workspace, wire: WireServer) -> None:
    wire.answers(Provider())
    reply = workspace.run("[case a] [tries cut cut ok]", retry_cut=True, max_cost_usd=0.0055)
    assert "of it spent" in _refusal(reply).message
    assert len(wire.requests) == 1

"""A provider that counts and bills by itself, and a record of what was let through: whether a limit was kept.

The count is a crude one on purpose, so that it differs from any that is made before the call.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import pytest
from wire_conversation import conversation
from wire_formats import Answer, Received

from ccw_magics.calls.spending import Allowance

INPUT_USD: Final = 2.5e-6
OUTPUT_USD: Final = 1e-5
"""Of a token of gpt-4o's."""
BYTES_A_TOKEN: Final = 3.7
LONGEST_TOKENS: Final = 1500
_NAMED: Final = re.compile(r"\[case ([\w-]+)\]")


@dataclass(frozen=True)
class Bill:
    """What a request cost, by the provider's account.

    Attributes:
        case: Whose request it was.
        usd: 0 for one that was refused.
        is_whole: Whether the client was told how many tokens there were.
    """

    case: str
    usd: float
    is_whole: bool


class Provider:
    """Answers of random lengths, and the bill for them; give it to `WireServer.answers`.

    A prompt names its case as `[case NAME]`, and how it is to be answered, one word a try, as `[tries ok 429 cut]`; the
    last one repeats. `ok`, `cut` (the connection, in the middle), `stall` (in the middle, for ever), or a status.

    Args:
        seed: Of the lengths.
        longest_tokens: Of an answer.
    """

    def __init__(self, seed: int = 1, longest_tokens: int = LONGEST_TOKENS) -> None:
        self.bills: list[Bill] = []
        self._chance = random.Random(seed)
        self._longest_tokens = longest_tokens

    def __call__(self, received: Received) -> Answer:
        asked = "".join(message.text for message in conversation(received))
        case = _NAMED.findall(asked)[-1]
        tries = re.findall(r"\[tries ([\w ]+)\]", asked)
        words = tries[-1].split() if tries else ["ok"]
        word = words[min(sum(bill.case == case for bill in self.bills), len(words) - 1)]
        if word.isdigit():
            self.bills.append(Bill(case, 0.0, is_whole=False))
            return Answer(status=int(word), headers={"Retry-After": "0"})
        return self._billed(received, case, word, round(len(asked.encode()) / BYTES_A_TOKEN))

    def _billed(self, received: Received, case: str, word: str, input_tokens: int) -> Answer:
        limit = received.json.get("max_completion_tokens") or received.json.get("max_tokens") or self._longest_tokens
        output_tokens = min(limit, self._chance.randint(1, self._longest_tokens))
        answer = Answer("word " * 8, input_tokens=input_tokens, output_tokens=output_tokens)
        if word != "ok":
            output_tokens //= 2
            answer = replace(answer, **{"cut_after" if word == "cut" else "stall_after": 4})
        usd = input_tokens * INPUT_USD + output_tokens * OUTPUT_USD
        self.bills.append(Bill(case, usd, is_whole=word == "ok"))
        return answer

    @property
    def total_usd(self) -> float:
        """The sum of the bills."""
        return sum(bill.usd for bill in self.bills)


@dataclass(frozen=True)
class Let:
    """A try that was let through.

    Attributes:
        case: Whose.
        usd: What was expected of it.
        at_s: When it was asked whether it might go, on `time.monotonic`'s clock, which processes share on Linux.
        until_s: When it was let through.
    """

    case: str
    usd: float
    at_s: float
    until_s: float


class Watch:
    """What `Allowance` let through, and when the requests were settled; `tell` hears of each as JSON."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self.let: list[Let] = []
        self.ended_s: dict[str, float] = {}
        self._tell = tell
        self._lock = threading.Lock()

    def add(self, told: Mapping[str, Any]) -> None:
        """Take in what a watch in another process told."""
        if "usd" in told:
            self.let.append(Let(**told))
        else:
            self.ended_s[told["case"]] = told["ended_s"]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See all that this process lets through; the prompt of each call names its case."""
        cases: dict[int, str] = {}
        allow, settle = Allowance.allow, Allowance.settle

        async def seen_allow(allowance: Allowance, backend: Any, call: Any, *more: Any) -> Any:
            at_s = time.monotonic()
            cases[id(allowance)] = case = _NAMED.findall(call.text)[-1]
            allowed = await allow(allowance, backend, call, *more)
            if allowance.expected_usd:  # else it is of a model whose price nobody knows, and never counts
                self._note(asdict(Let(case, allowance.expected_usd, at_s, time.monotonic())))
            return allowed

        def seen_settle(allowance: Allowance, *given: Any, **named: Any) -> None:
            settle(allowance, *given, **named)
            if id(allowance) in cases:
                self._note({"case": cases.pop(id(allowance)), "ended_s": time.monotonic()})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Allowance, "allow", seen_allow)
            patch.setattr(Allowance, "settle", seen_settle)
            yield

    def _note(self, told: Mapping[str, Any]) -> None:
        with self._lock:
            self.add(told)
            self._tell(json.dumps(told))

    def most_usd(self, cap_usd: float, bills: Sequence[Bill]) -> float:
        """The most that may have been spent.

        That is the cap; what the tries under way when the last one was let through cost beyond what was expected; and
        the same of those whose cost nobody told, which count as what was expected.
        """
        if not self.let:
            return cap_usd
        last = max(self.let, key=lambda let: let.until_s)
        over_usd = 0.0
        for let, bill in self._paired(bills):
            is_under_way = let.at_s <= last.until_s and self.ended_s.get(let.case, float("inf")) >= last.at_s
            if is_under_way or not bill.is_whole:
                over_usd += max(0.0, bill.usd - let.usd)
        return cap_usd + over_usd

    def _paired(self, bills: Sequence[Bill]) -> Iterator[tuple[Let, Bill]]:
        """Each try and its bill: of one case, both are in order."""
        for case in {let.case for let in self.let}:
            own = sorted((let for let in self.let if let.case == case), key=lambda let: let.at_s)
            yield from zip(own, (bill for bill in bills if bill.case == case), strict=False)

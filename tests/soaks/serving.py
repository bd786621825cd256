"""The soaks' server, a process of its own: it answers each case as it is told to, and tells what came of it.

It reads one JSON object a line and answers each with one line. `{"case": NAME, "answers": [{...}, ...]}` holds arguments
of `Answer`, one for each try, the last one repeating; `{"report": NAME}` asks for the requests that named the case. A
request names its case in its prompt, as `[case NAME]`. It ends with its standard input.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from typing import Any

from wire_server import Answer, Received, WireServer

NAMED = re.compile(rb"\[case ([\w-]+)\]")


class Cases:
    """What is to be answered, by case."""

    def __init__(self) -> None:
        self._answers: dict[str, list[Answer]] = {}
        self._asked: Counter[str] = Counter()

    def expect(self, case: str, answers: list[dict[str, Any]]) -> None:
        self._answers = {case: [Answer(**answer) for answer in answers]}

    def answer(self, received: Received) -> Answer:
        case = case_of(received)
        answers = self._answers.get(case, [Answer()])
        self._asked[case] += 1
        return answers[min(self._asked[case], len(answers)) - 1]


def case_of(received: Received) -> str:
    """The last case that is named: files sent along may name others."""
    named = NAMED.findall(received.body)
    return named[-1].decode() if named else ""


def report(server: WireServer, case: str) -> list[dict[str, Any]]:
    """For each request of the case: when it came, when each piece went out, and when the client hung up."""
    gone_s = {id(gone.request): gone.at_s for gone in list(server.disconnects)}
    return [
        {"at_s": request.at_s, "sent_s": list(request.sent_s), "gone_s": gone_s.get(id(request))}
        for request in list(server.requests)
        if case_of(request) == case
    ]


def serve() -> None:
    cases = Cases()
    with WireServer() as server:
        server.answers(cases.answer)
        print(json.dumps(server.url), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            answer: Any = None
            if "report" in order:
                answer = report(server, order["report"])
            else:
                # Packs of earlier cases are not kept; a connection that is still open has its own reference.
                del server.requests[:-4], server.disconnects[:-4]
                cases.expect(order["case"], order["answers"])
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()

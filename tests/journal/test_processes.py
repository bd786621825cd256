"""Several processes at once, and killed ones: what was told to be kept is kept, and no cap is passed."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccw_magics.journal import Journal

SOAK = Path(__file__).parents[1] / "soaks" / "soak_turns.py"
HANG_S = 100
PREAMBLE = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
if sys.argv[2] == "rollback journal":
    import ccw_magics.database.file
    ccw_magics.database.file.is_on_network = lambda _: True
from ccw_magics.journal import Journal, Overspent, Turn
journal, name = Journal(Path(sys.argv[1])), sys.argv[3]
sys.stdin.readline()
"""
TALKING = f"""{PREAMBLE}
for number in range(50):
    path = journal.chats.path("review")
    turn = Turn("e", (), b"c" * 1000, "[]", f"{{name}} {{number}}", "", "", "", datetime.now(UTC))
    kept = journal.chats.append("review", path[-1].id if path else None, turn)
    print(kept.turn_id if kept else journal.take_trouble(), number, kept.set_aside if kept else "", flush=True)
"""
RESERVING = f"""{PREAMBLE}
since = datetime.now(UTC) - timedelta(hours=1)
for number in range(100):
    try:
        reserved = journal.ledger.reserve(0.1, since=since, cap_usd=10.0)
    except Overspent as error:
        print("over", round(error.spent_usd + error.reserved_usd, 6), flush=True)
        continue
    match number % 3:
        case 0: journal.ledger.settle(reserved, 0.1)
        case 1: journal.ledger.settle(reserved, None)
    print(("settled", "refused", "left")[number % 3], reserved, flush=True)
print(journal.take_trouble())
"""


def run_two(code: str, root: Path, mode: str) -> list[list[str]]:
    """Two processes that begin at once; the lines of each."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root), mode, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=HANG_S)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return told


MODES = pytest.mark.parametrize("mode", ["WAL", "rollback journal"])


@MODES
def test_two_that_go_on_with_one_conversation_lose_no_turn(tmp_path: Path, mode: str) -> None:
    told = run_two(TALKING, tmp_path, mode)
    journal = Journal(tmp_path)
    lines = {row.name: journal.chats.path(row.name) for row in journal.chats.names()}
    reached = {stored.id: stored.turn.prompt for line in lines.values() for stored in line}
    expected = {}
    for name, printed in zip(("a", "b"), told, strict=True):
        for text in printed:
            number, count, set_aside = text.split(" ")
            expected[int(number)] = f"{name} {count}"
            assert set_aside == "" or set_aside in lines
    assert reached == expected
    assert len(reached) == 100
    journal.close()


@MODES
def test_two_that_reserve_at_once_never_pass_the_cap(tmp_path: Path, mode: str) -> None:
    told = [line for lines in run_two(RESERVING, tmp_path, mode) for line in lines if line]
    counts = {word: sum(line.startswith(word) for line in told) for word in ("settled", "refused", "left", "over")}
    assert sum(counts.values()) == len(told) == 200
    assert counts["settled"] + counts["left"] == 100, "as many as the cap has room for"
    assert counts["over"] > 0
    assert {line for line in told if line.startswith("over")} <= {"over 10.0"}
    journal = Journal(tmp_path)
    spent = journal.ledger.spent(datetime.now(UTC) - timedelta(hours=2))
    assert spent.calls_usd == pytest.approx(counts["settled"] / 10)
    assert spent.reserved_usd == pytest.approx(counts["left"] / 10)
    journal.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its processes are forked from a server")
def test_whenever_it_is_killed_every_turn_and_reply_that_was_told_is_there() -> None:
    done = subprocess.run([sys.executable, str(SOAK), "8"], capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"

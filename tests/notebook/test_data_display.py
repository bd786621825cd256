"""What a cell shows of structured and replayed answers, conversations, dry runs and budgets: in a kernel, in a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat.v4
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbclient import NotebookClient
from traitlets.config import Config
from wire_calls import KEY
from wire_server import Answer, WireServer
from wired_project import make_project

from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import BudgetExceeded

NEW: Any = nbformat.v4  # has no types
ONE = '{"title": "a", "line": 3}'
MANY = f'{{"items": [{ONE}, {{"title": "b", "line": 4}}]}}'
NONE = '{"items": []}'
WRONG = '{"items": [{"title": "a", "line": "third"}]}'
TABLE = '%%ccw --schema "title, line: int" --table -o rows\n'
REPLAYED = r"wired · gpt-4o · replayed from \d{4}-\d\d-\d\d \d\d:\d\d · free"
DRY = ["%%ccw keyless --dry-run\n@a.py Hi", '%ccw cli keyless --dry-run -p "@a.py Hi"']
OVER = [
    "BudgetExceeded: the prompt alone costs about",
    "Refer to fewer files (--dry-run shows what each costs), or allow more.",
]


class Kernel:
    """A kernel with the extension loaded, in a project whose endpoint asks a wire server.

    Args:
        root: The project.
        wire: Who answers.
    """

    def __init__(self, root: Path, wire: WireServer) -> None:
        self._wire = wire
        self._notebook: Any = NEW.new_notebook()
        self._client = NotebookClient(
            self._notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(root)}}
        )
        self.asked = 0

    def live(self) -> Iterator[Kernel]:
        """Itself, while it runs."""
        with self._client.setup_kernel():
            self._run("%load_ext ccw_magics")
            yield self

    def __call__(self, *cells: str, answers: tuple[str, ...] = ("Fine.",)) -> list[Any]:
        """Run cells; the outputs of each. `asked` is then how often the model was asked."""
        self._wire.answers(*map(Answer, answers))
        before = len(self._wire.requests)
        shown = [self._run(cell) for cell in cells]
        self.asked = len(self._wire.requests) - before
        return shown

    def _run(self, source: str) -> Any:
        cells = self._notebook.cells
        cells.append(NEW.new_code_cell(source))
        return self._client.execute_cell(cells[-1], len(cells) - 1).outputs


def make(root: Path, wire: WireServer) -> Path:
    """A project with a file, the default endpoint `wired`, and `keyless`, whose key's variable is not set."""
    make_project(root, wire)
    (root / "a.py").write_text("answer = 42\n")
    store = ConfigStore(root)
    provider = store.add_provider({"name": "N", "type": "openai", "apiKey": "${CCW_TEST_UNSET}", "apiBase": wire.url})
    store.add_endpoint({"id": "keyless", "name": "", "providerId": provider.id, "model": "gpt-4o"})
    return root


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One for all tests, since each imports litellm: every test asks other questions."""
    with WireServer() as wire, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("JPY_SESSION_NAME", raising=False)
        yield from Kernel(make(tmp_path_factory.mktemp("project"), wire), wire).live()


@pytest.fixture
def shell(project: Path, wire: WireServer) -> InteractiveShell:
    """IPython's own shell, as in a terminal."""
    make(project, wire)
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("%load_ext ccw_magics")
    return shell


@pytest.fixture
def terminal(shell: InteractiveShell) -> Callable[[str], str]:
    """Run a cell; what stands on standard output."""

    def run(cell: str) -> str:
        with capture_output() as captured:
            shell.run_cell(cell, store_history=True)
        return str(captured.stdout)

    return run


def said(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def cells_of(html: str) -> list[str]:
    return re.findall(r"<t[hd]>(.*?)</t[hd]>", html)


def begins(lines: list[str]) -> bool:
    return all(line.startswith(start) for line, start in zip(lines, OVER, strict=True))


def test_a_structured_answer_is_fenced_json(kernel: Kernel) -> None:
    shown, data = kernel('%%ccw --schema "title, line: int"\nOne?', "_.data", answers=(ONE,))
    assert shown[0]["data"] == {"text/markdown": f"```json\n{ONE}\n```", "text/plain": ONE}
    assert "wired · gpt-4o" in shown[1]["data"]["text/html"]
    assert said(data) == "Answer(title='a', line=3)"


def test_a_table_takes_the_place_of_the_text_and_is_bound(kernel: Kernel) -> None:
    shown, again, frame = kernel(
        f"{TABLE}Many?",
        "rows",
        "import pandas\nisinstance(rows.data, pandas.DataFrame), int(rows.data.line.sum()), rows.output",
        answers=(MANY,),
    )
    for table, footer in (shown, again):
        assert "text/markdown" not in table["data"]
        assert cells_of(table["data"]["text/html"]) == ["title", "line", "a", "3", "b", "4"]
        assert "wired · gpt-4o" in footer["data"]["text/html"]
    assert said(frame) == f"(True, 7, {MANY!r})"


def test_what_does_not_fit_is_replaced_by_what_does(kernel: Kernel) -> None:
    (shown,) = kernel(f"{TABLE}Right?", answers=(WRONG, MANY))
    assert len(shown) == 2, "one output and the footer: nothing of the first answer, nor of the note between"
    assert "third" not in json.dumps(shown[0])
    assert "<td>b</td>" in shown[0]["data"]["text/html"]


def test_a_table_without_rows_is_an_empty_frame(kernel: Kernel) -> None:
    shown, length = kernel(f"{TABLE}None?", "len(rows.data)", answers=(NONE,))
    assert "wired · gpt-4o" in shown[-1]["data"]["text/html"]
    assert said(length) == "0"


def test_a_replayed_answer_says_from_when(kernel: Kernel) -> None:
    cell = "%%ccw --replay\n@a.py Again?"
    first, second, stamp = kernel(cell, cell, "_.replayed_at.tzname(), _.cost_usd", answers=("**Fine.**",))
    assert kernel.asked == 1
    assert "replayed" not in said(first)
    assert second[0]["data"]["text/markdown"] == "**Fine.**"
    assert re.search(REPLAYED, second[1]["data"]["text/html"])
    assert "<code>a.py</code>" in second[1]["data"]["text/html"]
    assert said(stamp) == "('UTC', 0.0)"
    (anew,) = kernel(cell.replace("--replay", "--no-replay"))
    assert kernel.asked == 1
    assert "replayed" not in said(anew)


def test_a_replayed_table_is_a_table(kernel: Kernel) -> None:
    cell = f"{TABLE}Table?".replace("--table", "--table --replay")
    _, shown, bound = kernel(cell, cell, "rows.data.title.tolist()", answers=(MANY,))
    assert kernel.asked == 1
    assert "<td>b</td>" in shown[0]["data"]["text/html"]
    assert re.search(REPLAYED, shown[1]["data"]["text/html"])
    assert said(bound) == "['a', 'b']"


@pytest.mark.parametrize("cell", DRY, ids=["cell", "line"])
def test_a_dry_run_is_a_frame_and_needs_no_key(kernel: Kernel, cell: str) -> None:
    shown, frame = kernel(
        cell, "isinstance(_, __import__('pandas').DataFrame), _.part.tolist(), bool(_.cold_usd.iloc[-1] > 0)"
    )
    assert kernel.asked == 0
    *notes, table = shown
    told = "".join(note["text"] for note in notes).splitlines()
    assert told[0] == "keyless (gpt-4o, window 128,000 tokens); nothing was sent"
    assert [line for line in told[1:] if not line.startswith("cached costs as much as cold")] == []
    assert "<td>@a.py</td>" in table["data"]["text/html"]
    assert said(frame) == "(True, ['@a.py', 'prompt', 'answer, about', 'total'], True)"


def test_the_footer_names_the_conversation(kernel: Kernel) -> None:
    named, own, listed = kernel("%%ccw --chat=<talk>\n@a.py Hi", "%%ccw wired --chat\nHi", "%ccw chat")
    assert " · chat &lt;talk&gt; · 1 file<" in named[1]["data"]["text/html"]
    assert " · chat notebook<" in own[1]["data"]["text/html"]
    assert re.search(r"<td>notebook</td>\s*<td>1</td>", listed[-1]["data"]["text/html"])


def test_a_call_over_budget_is_two_lines(kernel: Kernel) -> None:
    outputs, kept = kernel("%%ccw --max-cost 0.0000001 -o reply\nHi", "reply.success, reply.output")
    assert kernel.asked == 0
    (error,) = outputs
    assert begins(error["traceback"])
    assert said(kept) == "(False, '')"


def test_no_display_shows_a_key(kernel: Kernel) -> None:
    cells = (f"{TABLE}Key?", *DRY, "%%ccw --max-cost 0.0000001\nHi", "%ccw history", "vars(rows)")
    shown = json.dumps(kernel(*cells, answers=(MANY,)))
    assert KEY not in shown
    assert "wired · gpt-4o" in json.dumps(json.loads(shown), ensure_ascii=False)


def test_in_a_terminal_a_structured_answer_comes_whole(
    shell: InteractiveShell, terminal: Callable[[str], str], wire: WireServer
) -> None:
    wire.answers(Answer(WRONG), Answer(MANY))
    shown = terminal('%%ccw --schema "[title, line: int]" -o reply\nHi')
    assert shown.splitlines()[0] == MANY
    assert "third" not in shown
    assert "<Reply wired · gpt-4o" in shown
    assert [row.line for row in shell.user_ns["reply"].data] == [3, 4]


def test_in_a_terminal_a_table_takes_the_place_of_the_text(
    shell: InteractiveShell, terminal: Callable[[str], str], wire: WireServer
) -> None:
    wire.answers(Answer(MANY))
    shown = terminal(f"{TABLE}Hi").splitlines()
    assert [line.split() for line in shown[:3]] == [["title", "line"], ["a", "3"], ["b", "4"]]
    assert "<Reply wired · gpt-4o" in shown[3]
    assert isinstance(shell.user_ns["rows"].data, pd.DataFrame)


def test_in_a_terminal_a_dry_run_is_a_frame(
    shell: InteractiveShell, terminal: Callable[[str], str], wire: WireServer
) -> None:
    shown = terminal(DRY[0])
    assert "nothing was sent" in shown
    assert "window_share" in shown
    assert "Table(" not in shown
    assert isinstance(shell.user_ns["_"], pd.DataFrame)
    assert list(wire.requests) == []


def test_in_a_terminal_the_replys_line_tells_of_replay_and_conversation(
    terminal: Callable[[str], str], wire: WireServer
) -> None:
    wire.answers(Answer("Fine."))
    assert re.search(r"<Reply wired · .* · chat talk>", terminal("%%ccw --chat=talk\nHi"))
    terminal("%%ccw --replay\nHi")
    assert re.search(rf"Fine\.\n.*<Reply {REPLAYED}>", terminal("%%ccw --replay\nHi"))
    assert len(wire.requests) == 2


def test_in_a_terminal_a_call_over_budget_is_two_lines(
    shell: InteractiveShell, terminal: Callable[[str], str], wire: WireServer
) -> None:
    assert begins(terminal("%%ccw --max-cost 0.0000001\nHi").strip().splitlines())
    assert isinstance(shell.user_ns["_"].failure, BudgetExceeded)
    assert list(wire.requests) == []

"""`%%ccw --schema` in a notebook: names of types, and what a reply's data is shown as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat.v4
import pytest
from nbclient import NotebookClient
from wire_server import Answer, WireServer
from wired_project import make_project

from ccw_magics.errors import SchemaError
from ccw_magics.notebook.names import schema_named

GOOD, WRONG = '{"title": "a", "line": 3}', '{"title": "a", "line": "third"}'
ROWS = f'{{"items": [{GOOD}, {{"title": "b", "line": 4}}]}}'
DEFINED = """
from dataclasses import dataclass
from types import SimpleNamespace
import pydantic
class Bug(pydantic.BaseModel):
    title: str
    line: int
@dataclass
class Step:
    title: str
    line: int
kept = SimpleNamespace(Bug=Bug)
"""


def run(project: Path, *cells: str) -> list[Any]:
    """Execute cells in one new kernel; each cell's outputs, those of the two first left out."""
    new: Any = nbformat.v4  # has no types
    notebook = new.new_notebook(cells=[new.new_code_cell(cell) for cell in ("%load_ext ccw_magics", DEFINED, *cells)])
    NotebookClient(notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(project)}}).execute()
    return [cell.outputs for cell in notebook.cells[2:]]


def text(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_answers_of_types_that_the_notebook_has(project: Path, wire: WireServer) -> None:
    make_project(project, wire)
    named = ("Bug", "kept.Bug", "Step")
    lists = ("list[Bug]", "Step[]", '"[title, line: int]"')
    wire.answers(*[Answer(GOOD)] * len(named), *[Answer(ROWS)] * (len(lists) + 1), Answer(WRONG))
    asked = [f"%%ccw wired --schema {name}\nHi" for name in (*named, *lists)]
    looked = [f"%%ccw wired --schema {name}\nHi" for name in ("Bog", "list[Bog]", "kept.Bog", "DEFINED", "notes")]
    shown = run(
        project,
        *(cell for one in asked for cell in (one, "print(type(_.data).__name__, _.data)")),
        "%%ccw wired --schema Bug --table --out rows\nHi",
        "print(rows.data.columns.tolist(), rows.data.line.sum())",
        "%%ccw wired --schema Bug\nHi",
        "print(_.success, _.output)",
        *looked,
    )
    values, rest = [text(outputs).strip() for outputs in shown[1:12:2]], shown[12:]
    assert values[:3] == ["Bug title='a' line=3"] * 2 + ["Step Step(title='a', line=3)"]
    assert values[3] == "list [Bug(title='a', line=3), Bug(title='b', line=4)]"
    assert values[4] == "list [Step(title='a', line=3), Step(title='b', line=4)]"
    assert values[5] == "list [Answer(title='a', line=3), Answer(title='b', line=4)]"
    assert shown[0][0]["data"]["text/markdown"] == f"```json\n{GOOD}\n```"
    table, frame, failed, kept = rest[:4]
    assert "<table" in table[0]["data"]["text/html"]
    assert "['title', 'line'] 7" in text(frame)
    assert failed[-1]["ename"] == "SchemaError"
    assert text(kept).strip() == f"False {WRONG}"
    errors = [" ".join(outputs[-1]["traceback"]) for outputs in rest[4:]]
    assert all("SchemaError" in error for error in errors)
    assert [error.count("nothing goes by this name") for error in errors] == [1, 1, 0, 1, 1]
    assert "kept has no Bog" in errors[2]
    assert len(wire.requests) == 9


NAMESPACE = {"Bug": Path, "number": 3}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("Bug", Path, id="name"),
        pytest.param(" Bug ", Path, id="spaces"),
        pytest.param("list[Bug]", list[Path], id="list"),
        pytest.param("list[ Bug ]", list[Path], id="list with spaces"),
        pytest.param("Bug[]", list[Path], id="list in short"),
        pytest.param("Bug: str", "Bug: str", id="short form of one field"),
        pytest.param("title, line: int", "title, line: int", id="short form"),
        pytest.param("[title, line: int]", "[title, line: int]", id="short list"),
        pytest.param("{title}[]", "{title}[]", id="short list behind"),
    ],
)
def test_a_name_is_looked_up_and_all_else_is_a_short_form(written: str, expected: object) -> None:
    assert schema_named(written, NAMESPACE) == expected


@pytest.mark.parametrize("written", ["Bog", "list[Bog]", "Bog[]", "Bog.one", "Bug.one"])
def test_an_unknown_name_is_an_error_with_a_next_step(written: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_named(written, NAMESPACE)
    assert written.removeprefix("list[").rstrip("[]") in caught.value.message
    assert caught.value.hint

"""Every notebook runs from top to bottom in a real kernel, and is committed as it came out of one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"/tmp/|/home/|/root/|/Users/|[A-Z]:\\\\")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def answers(cell: Any) -> list[str]:
    return [output.data["text/markdown"] for output in cell.outputs if "text/markdown" in output.get("data", {})]


def require_answers(notebook: Any) -> None:
    """Every `%%ccw` cell shows an answer, or a table, and a footer, or the error that its tag announces."""
    for cell in code_cells(notebook):
        if not cell.source.startswith("%%ccw"):
            continue
        if "raises-exception" in cell.metadata.get("tags", ()):
            assert cell.outputs[-1].output_type == "error"
            continue
        if "--table" in cell.source.partition("\n")[0]:
            assert "<table" in cell.outputs[0].data["text/html"]
        else:
            (answer,) = answers(cell)
            assert answer.strip()
        assert "SmolLM2-135M-Instruct" in cell.outputs[-1].data["text/html"]


@pytest.mark.embedded
@pytest.mark.timeout(400)
@each_notebook
def test_it_runs(path: Path, tmp_path: Path, embedded_model: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    require_answers(notebook)


@each_notebook
def test_it_is_committed_with_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    require_answers(notebook)


@each_notebook
def test_it_shows_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    assert MACHINE.findall(path.read_text(encoding="utf-8")) == []

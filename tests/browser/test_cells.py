"""`%%ccw` cells in a real JupyterLab, answered by the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.embedded, pytest.mark.timeout(240)]


def test_an_answer_streams_in_with_a_footer(open_notebook: OpenNotebook, project: Path) -> None:
    (project / "ships.md").write_text("# Ships\n\nThe Aurora is a ship. It has 42 cabins and a red hull.\n")
    notebook = open_notebook(
        "%load_ext ccw_magics",
        "%%ccw --max-tokens 60\n@ships.md How many cabins has the Aurora?",
        "%%ccw nosuch\nHello",
    )
    assert notebook.finish(0).inner_text().strip() == ""
    answer = notebook.finish(1)
    assert answer.locator(".jp-RenderedMarkdown").inner_text().strip()
    footer = answer.locator("details")
    assert "local · SmolLM2-135M-Instruct · " in footer.locator("summary").inner_text()
    footer.locator("summary").click()
    assert footer.locator("li").all_inner_texts() == ["@ships.md (from the current folder)", "ships.md"]
    error = notebook.finish(2).inner_text()
    assert error.startswith("EndpointNotFound: endpoint not found: nosuch\n")
    assert "Traceback" not in error
    assert notebook.problems == []


def test_interrupt_from_the_toolbar_leaves_a_usable_kernel(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(
        "%load_ext ccw_magics", "%%ccw --max-tokens 4000\nTell me a very long story about the sea.", "print(6 * 7)"
    )
    notebook.finish(0)
    notebook.run(1)
    output = notebook.output(1)
    output.locator(".jp-RenderedMarkdown", has_text="sea").wait_for(timeout=90_000)
    notebook.interrupt()
    notebook.wait_prompt(1)
    assert "KeyboardInterrupt" in output.inner_text()
    assert "interrupted" in output.inner_text()
    assert notebook.finish(2).inner_text().strip() == "42"
    assert notebook.problems == []

"""Tables for a shell, DataFrames for a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccw_magics import Workspace, stats
from ccw_magics.notebook.frame import ReadableFrame


@pytest.fixture
def workspace(project: Path) -> Workspace:
    (project / "a.py").write_text("x = 1\n" * 400)
    workspace = Workspace(project)
    workspace.pack(["@a.py"], endpoint="local")
    return workspace


def test_the_cache_as_a_frame_has_one_row_a_pack(workspace: Workspace) -> None:
    frame = stats.cache_frame(workspace)
    assert tuple(frame.columns) == stats.CACHE_COLUMNS
    assert frame.loc[0, "references"] == "@a.py"
    assert frame.loc[0, "project"] == str(workspace.root)
    assert str(frame["created_at"].dt.tz) == "UTC"
    assert frame["size_bytes"].dtype.kind == "i"


def test_a_pack_as_a_frame_has_one_row_a_file(workspace: Workspace) -> None:
    session_id = str(stats.cache_frame(workspace).loc[0, "session_id"])
    frame = stats.pack_frame(workspace, session_id)
    assert frame.to_dict("records") == [{"path": "a.py", "size_bytes": 2400, "tokens_estimate": 600, "changes": 0}]


def test_a_notebook_shows_sizes_and_times_as_a_person_reads_them(workspace: Workspace) -> None:
    shown = ReadableFrame(stats.cache_frame(workspace))
    assert "2.4 KiB" in shown._repr_html_()
    assert "2.4 KiB" in repr(shown)
    assert "+00:00" not in shown._repr_html_()
    assert not isinstance(shown[["files"]].sum(), ReadableFrame)


def test_a_table_without_rows_says_what_makes_one(project: Path) -> None:
    assert "no providers yet" in stats.providers(Workspace(project)).text()

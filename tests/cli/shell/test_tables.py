"""Tables as wide as the terminal that shows them."""

from __future__ import annotations

import os
import struct
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from ccw_command import wired_project
from hypothesis import given
from hypothesis import strategies as st
from wire_server import WireServer

from ccw_magics.cli.shell.command import _run
from ccw_magics.cli.shell.tables import left_out, narrowed
from ccw_magics.cli.shell.terminal import columns_of

LINES = [
    ("id", "model", "references", "enabled"),
    ("a-long-endpoint", "gpt-4o", "@src/auth/**/*.py @README.md", "yes"),
    ("b", "gpt-4o-mini-2026-01-01", "@a.py", "no"),
]


@pytest.mark.parametrize(
    ("columns", "rows", "names"),
    [
        pytest.param(
            80,
            [
                "id               model                   references                    enabled",
                "a-long-endpoint  gpt-4o                  @src/auth/**/*.py @README.md  yes",
                "b                gpt-4o-mini-2026-01-01  @a.py                         no",
            ],
            [],
            id="room for all",
        ),
        pytest.param(
            60,
            [
                "id               model             references        enabled",
                "a-long-endpoint  gpt-4o            @src/auth/**/*.…  yes",
                "b                gpt-4o-mini-202…  @a.py             no",
            ],
            [],
            id="the widest are shortened",
        ),
        pytest.param(
            40,
            [
                "id               model       references",
                "a-long-endpoint  gpt-4o      @src/auth…",
                "b                gpt-4o-mi…  @a.py",
            ],
            ["enabled"],
            id="the last is left out",
        ),
        pytest.param(
            10, ["id", "a-long-en…", "b"], ["model", "references", "enabled"], id="the first alone is too wide"
        ),
    ],
)
def test_a_table_is_as_wide_as_its_terminal(columns: int, rows: list[str], names: list[str]) -> None:
    assert narrowed(LINES, columns) == (rows, names)


CELLS = st.text(max_size=30) | st.text("广い文字e\u0301\x1b\n\t", max_size=12)


@given(
    st.integers(min_value=1, max_value=6).flatmap(
        lambda count: st.lists(st.lists(CELLS, min_size=count, max_size=count), min_size=1, max_size=5)
    ),
    st.integers(min_value=1, max_value=120),
)
def test_no_line_is_wider_than_the_terminal(lines: list[list[str]], columns: int) -> None:
    rows, names = narrowed(lines, columns)
    assert len(rows) == len(lines)
    assert len(names) < len(lines[0])
    for row in (*rows, *left_out(names, columns)):
        assert columns_of(row) <= columns
        assert row.isprintable()


@pytest.mark.parametrize("columns", [60, 200])
def test_only_a_terminal_gets_it_narrow(
    project: Path, wire: WireServer, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    wired_project(project, wire)
    assert _run(["endpoints"]) == 0
    assert "file" in capsys.readouterr().out.splitlines()[0]
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as terminal, redirect_stdout(terminal), redirect_stderr(terminal):
        assert _run(["endpoints"]) == 0
        terminal.write("\0")
        terminal.flush()
        written = b""
        while not written.endswith(b"\0"):
            written += os.read(master, 65_536)
    os.close(master)
    seen = written.decode()
    assert ("file" in seen.splitlines()[0]) is (columns == 200)
    assert ("not shown for want of room: " in seen) is (columns == 60)

"""What importing the package costs, and when litellm comes: each in a fresh process, as a user's kernel is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ccw_magics

if TYPE_CHECKING:
    from wire_server import WireServer

HEAVY = ("anywidget", "click", "ipywidgets", "litellm", "pandas", "pydantic", "tornado")
COST_MAP = "LITELLM_LOCAL_MODEL_COST_MAP"
REPORT = f"import sys; print('loaded:', *sorted(set(sys.modules) & set({HEAVY!r})), sep=' ')"
BARE_SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "ccw_magics")
assert {"line", "cell"} == {kind for kind, magics in shell.magics_manager.magics.items() if "ccw" in magics}
"""


def run(*arguments: str, **environment: str) -> str:
    """The standard output of a fresh Python, which must end well."""
    command = [sys.executable, *arguments]
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=100, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-c", f"import ccw_magics; {REPORT}"), id="import"),
        pytest.param(("-c", f"import ccw_magics; dir(ccw_magics); ccw_magics.CcwError; {REPORT}"), id="dir-and-errors"),
        pytest.param(("-c", BARE_SHELL + REPORT), id="load_ext-in-a-bare-shell"),
        pytest.param(("-m", "IPython", "-c", f"%load_ext ccw_magics\n{REPORT}"), id="load_ext-in-ipython"),
        pytest.param(("-c", f"import ccw_magics; ccw_magics.Workspace().root; {REPORT}"), id="workspace-held"),
    ],
)
def test_nothing_heavy_is_imported(arguments: tuple[str, ...], project: Path) -> None:
    assert run(*arguments).splitlines()[-1].split() == ["loaded:"]


def test_the_report_would_show_a_heavy_import() -> None:
    assert run("-c", f"import click, pydantic; {REPORT}").split() == ["loaded:", "click", "pydantic"]


def test_a_jupyter_server_that_starts_imports_little() -> None:
    # Jupyter Server itself brings tornado.
    told = run("-c", f"import ccw_magics.server.extension; {REPORT}")
    assert set(told.split()) - {"loaded:", "tornado"} == {"pydantic"}


# `ccw` in a shell: what a line leaves in `sys.modules`, written to standard error when it is done.
SLOW = ("IPython", "asyncio", "httpx", "litellm", "pandas", "pydantic", "sqlite3", "tornado")
CCW = f"""
import sys
try:
    from ccw_magics.cli.shell.command import main
    main()
finally:
    print(*sorted(set(sys.modules) & set({SLOW!r})), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "most"),
    [
        pytest.param((), set(), id="alone"),
        pytest.param(("--help",), set(), id="--help"),
        pytest.param(("--version",), set(), id="--version"),
        pytest.param(("help",), set(), id="help"),
        pytest.param(("help", "cache", "read"), set(), id="help of a verb"),
        pytest.param(("completion", "bash"), set(), id="completion"),
        pytest.param(("bogus",), set(), id="no verb"),
        pytest.param(("providers",), {"pydantic"}, id="providers"),
        pytest.param(("endpoints",), {"asyncio", "pydantic", "sqlite3"}, id="endpoints"),
        pytest.param(("cache",), {"asyncio", "pydantic", "sqlite3"}, id="cache"),
        pytest.param(("history",), {"pydantic", "sqlite3"}, id="history"),
    ],
)
def test_a_line_of_the_shell_imports_what_it_needs(words: tuple[str, ...], most: set[str], project: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CCW, *words], capture_output=True, text=True, timeout=100, check=False)
    last = (done.stderr.splitlines() or [""])[-1]
    assert "Traceback" not in done.stderr
    assert set(last.split()) <= most


@pytest.mark.parametrize(
    ("line", "most"),
    [
        pytest.param("ccw ", set(), id="verbs"),
        pytest.param("ccw help cache ", set(), id="verbs of a group"),
        pytest.param("ccw cli --model ", {"asyncio", "pydantic", "sqlite3"}, id="endpoints"),
        pytest.param('ccw cli -p "@', {"asyncio", "pydantic", "sqlite3"}, id="references"),
    ],
)
def test_a_tab_imports_what_it_needs(line: str, most: set[str], project: Path) -> None:
    environment = {**os.environ, "COMP_LINE": line, "_CCW_COMPLETE": "fish_complete"}
    command = [sys.executable, "-c", CCW]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, env=environment)
    (last,) = done.stderr.splitlines()
    assert set(last.split()) <= most


# The finder sees each name when Python first looks for it, before any of the module's code runs.
WATCHED_CALL = f"""
import json, os, sys

seen = {{}}

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "litellm":
            seen[name] = os.environ.get({COST_MAP!r})
        return None

sys.meta_path.insert(0, Watch)
import ccw_magics

workspace = ccw_magics.Workspace()
workspace.config.get_all_endpoints()
before = dict(seen)
reply = workspace.run("Hello?", endpoint="wired").raise_for_error()
print(json.dumps({{"before": before, "seen": seen, "output": reply.output}}))
"""


def write_config(project: Path, url: str) -> None:
    folder = project / ".ccw" / "storage" / "config"
    folder.mkdir(parents=True)
    provider = {"id": "wire-1", "name": "Wire", "type": "openai", "apiKey": "sk-test", "apiBase": f"{url}/v1"}
    endpoint = {"id": "wired", "name": "Wired", "providerId": "wire-1", "model": "gpt-4o"}
    config = {"version": 1, "providers": [provider], "endpoints": [endpoint]}
    (folder / "litellm-api-config.json").write_text(json.dumps(config))


def test_litellm_comes_with_a_call_and_only_once_its_price_map_is_local(project: Path, wire: WireServer) -> None:
    write_config(project, wire.url)
    told = json.loads(run("-c", WATCHED_CALL).splitlines()[-1])
    assert told["before"] == {}
    assert told["seen"] == {"litellm": "True"}
    assert told["output"] == "Hello from the wire."


def test_the_users_own_choice_of_price_map_stands(project: Path, wire: WireServer) -> None:
    write_config(project, wire.url)
    told = json.loads(run("-c", WATCHED_CALL, **{COST_MAP: "true"}).splitlines()[-1])
    assert told["seen"] == {"litellm": "true"}


@pytest.mark.parametrize("name", ccw_magics.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ccw_magics, name) is not None


@pytest.mark.parametrize("name", ccw_magics.__all__)
def test_every_public_name_is_there_in_a_star_import(name: str) -> None:
    namespace: dict[str, object] = {}
    exec("from ccw_magics import *", namespace)
    assert name in namespace


def test_public_names_are_those_of_dir() -> None:
    assert dir(ccw_magics) == sorted(ccw_magics.__all__)
    assert len(set(ccw_magics.__all__)) == len(ccw_magics.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Workspaces'"):
        _ = ccw_magics.Workspaces

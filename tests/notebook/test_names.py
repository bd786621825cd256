"""What names mean in a notebook: the notebook's own, and those that `--schema` may be given."""

from __future__ import annotations

import dataclasses
import types
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from ccw_magics.errors import SchemaError
from ccw_magics.journal import check_name
from ccw_magics.journal.chats import NAME_CHARS
from ccw_magics.notebook.names import UNNAMED, notebook_name, schema_named
from ccw_magics.schema import Schema

SESSION, VSCODE = "JPY_SESSION_NAME", "__vsc_ipynb_file__"


@pytest.fixture
def root(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(SESSION, raising=False)
    return project.resolve()


def test_a_notebooks_name_is_its_path_in_the_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "docs").mkdir()
    notebook = str(root / "docs" / "a talk.ipynb")
    assert notebook_name({VSCODE: notebook}, root) == "docs/a talk.ipynb"
    monkeypatch.setenv(SESSION, notebook)
    assert notebook_name({}, root) == "docs/a talk.ipynb"
    assert notebook_name({VSCODE: str(root / "b.ipynb")}, root) == "b.ipynb", "VS Code's, where both are set"


def test_a_notebook_that_is_reached_by_a_link_is_the_same(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    assert notebook_name({VSCODE: str(tmp_path / "link" / "b.ipynb")}, root) == "b.ipynb"


SAID: dict[str, tuple[Any, str]] = {
    "nothing": ("", UNNAMED),
    "a console": ("console-1-1234", UNNAMED),
    "a path below the server's folder": ("docs/b.ipynb", "docs/b.ipynb"),
    "a notebook elsewhere": ("/elsewhere/b.ipynb", "b.ipynb"),
}


@pytest.mark.parametrize(("said", "name"), SAID.values(), ids=SAID)
def test_what_a_front_end_says(root: Path, monkeypatch: pytest.MonkeyPatch, said: str, name: str) -> None:
    monkeypatch.setenv(SESSION, said)
    assert notebook_name({}, root) == name


@pytest.mark.parametrize("said", [None, 5, "", "Untitled-1"], ids=repr)
def test_what_vs_code_does_not_say_is_no_name(root: Path, said: object) -> None:
    assert notebook_name({VSCODE: said}, root) == UNNAMED


def test_a_long_path_still_is_a_name(root: Path) -> None:
    below = "/".join(["deep" * 5] * 8) + "/b.ipynb"
    name = notebook_name({VSCODE: str(root / below)}, root)
    check_name(name)
    assert len(name) == NAME_CHARS
    assert name.endswith("/b.ipynb")


@dataclasses.dataclass
class Finding:
    title: str


SPACE = types.SimpleNamespace(Finding=Finding)
NAMESPACE: dict[str, Any] = {"Finding": Finding, "models": SPACE}
SCHEMAS: dict[str, object] = {
    "Finding": Finding,
    " Finding ": Finding,
    "models.Finding": Finding,
    "list[Finding]": list[Finding],
    "list[ models.Finding ]": list[Finding],
    "Finding[]": list[Finding],
    "title, line: int": "title, line: int",
    "title: str": "title: str",
    "int": int,
    "list[str]": list[str],
    "float[]": list[float],
    "dict": dict,
    "datetime": datetime,
    "list[date]": list[date],
}


@pytest.mark.parametrize(("text", "schema"), SCHEMAS.items(), ids=SCHEMAS)
def test_a_schemas_name(text: str, schema: object) -> None:
    assert schema_named(text, NAMESPACE) == schema


def test_the_notebooks_own_goes_before_a_builtin_type() -> None:
    assert schema_named("date[]", {"date": Finding}) == list[Finding]


@pytest.mark.parametrize("name", ["int", "str", "float", "bool", "list", "dict", "date", "datetime", "list[str]"])
def test_a_builtin_type_is_a_schema(name: str) -> None:
    assert Schema.of(schema_named(name, {})).json_schema["type"] == "object"


UNKNOWN = {
    "Missing": "Define it in a cell first",
    "models.Missing": "Look at how it is written",
    "list[Missing]": "Define it in a cell first",
    "missing.Finding": "Define it in a cell first",
}


@pytest.mark.parametrize(("text", "hint"), UNKNOWN.items(), ids=UNKNOWN)
def test_a_name_that_nothing_goes_by(text: str, hint: str) -> None:
    with pytest.raises(SchemaError) as failed:
        schema_named(text, NAMESPACE)
    assert hint in str(failed.value)

"""The README is a promise: whatever in it can be checked, is."""

from __future__ import annotations

import json
import re
import shlex
from importlib.resources import files
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ccw_magics.cli.tree import tree
from ccw_magics.config.models import STANDARD_KEY_NAMES
from ccw_magics.context.patterns import extract_patterns
from ccw_magics.server.table import OPERATIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / "notebooks" / "troubleshooting.md").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "ccw_magics").rglob("*.py")))
MARKED = re.compile(r"<!-- (?P<name>[a-z: ]+) -->\n(?P<body>(?:```\w*\n.*?\n```)|(?:\|[^\n]*\n)+)", re.DOTALL)


def marked(name: str) -> str:
    """The fenced block or the table behind the comment with this name, in the README or in the list of errors."""
    found = [match["body"] for match in MARKED.finditer(README + TROUBLESHOOTING) if match["name"] == name]
    assert len(found) == 1, name
    return re.sub(r"^```\w*\n|\n```$", "", found[0])


def rows(name: str) -> list[list[str]]:
    """The cells of a table, without its two heading lines."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in marked(name).splitlines()[2:]]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_example_config_is_the_one_that_init_writes() -> None:
    shipped = files("ccw_magics").joinpath("examples", "litellm-api-config.json").read_text(encoding="utf-8")
    assert json.loads(marked("config")) == json.loads(shipped)


def test_the_table_of_options_is_complete() -> None:
    command = tree.commands["cli"]
    context = click.Context(command, parent=click.Context(tree, **tree.context_settings))
    parameters = [parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option)]
    options = [name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)]
    listed = [word for row in rows("options") for word in re.findall(r"(?<!\S)--?[\w-]+", " ".join(code(row[0])))]
    assert sorted(listed) == sorted(options)


def test_the_list_of_verbs_is_ccws_own() -> None:
    told = CliRunner().invoke(tree, ["--help"], prog_name="ccw", terminal_width=80).output
    assert marked("help") == told.partition("Commands:\n")[2].partition("\n\n")[0].rstrip()


@pytest.mark.parametrize("verb", sorted(set(tree.commands) - {"status"}))  # `%ccw` alone is `status`
def test_every_verb_is_named(verb: str) -> None:
    assert f"`%ccw {verb}" in " ".join(README.split())


ERRORS = [text for row in rows("errors") for text in code(row[0])]


@pytest.mark.parametrize("text", ERRORS)
def test_every_error_text_is_in_the_source(text: str) -> None:
    fixed = [part.strip(" :;,") for part in text.split("…")]
    assert [part for part in fixed if part and part not in SOURCE] == []


def test_the_table_of_routes_is_complete() -> None:
    listed = set()
    for row in rows("routes"):
        for part in row[0].split(";"):
            *verbs, path = code(part)
            listed |= {(verb.lower(), path) for verb in verbs}
    assert listed == {(operation.verb, operation.path) for operation in OPERATIONS}


def test_every_variable_is_in_the_source() -> None:
    names = [name for row in rows("variables") for name in code(row[0])]
    assert set(STANDARD_KEY_NAMES.values()) < set(names)
    assert [name for name in names if name not in SOURCE] == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("`@src/a.py`", ["@src/a.py"]),
        ("`@src/**/*.{py,md}`", ["@src/**/*.{py,md}"]),
        ('`@"my notes"/*.md`, `@my\\ notes/*.md`', ["@my notes/*.md", "@my notes/*.md"]),
        ("`\\@name`, `me@example.org`", []),
    ],
    ids=["file", "glob", "spaces", "text"],
)
def test_references_mean_what_the_table_says(written: str, meant: list[str]) -> None:
    assert written in README
    assert [pattern for text in code(written) for pattern in extract_patterns(text)] == meant


@pytest.mark.parametrize("name", ["command: try", "command: test"])
def test_a_command_is_one_line_that_starts_from_nothing(name: str) -> None:
    (line,) = marked(name).splitlines()
    assert shlex.split(line)[:5] == ["python3", "-m", "venv", ".venv", "&&"]


def test_the_first_command_asks_about_this_very_file() -> None:
    words = shlex.split(marked("command: try"))
    assert extract_patterns(words[words.index("-p") + 1]) == ["@README.md"]


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).is_file()

"""The verb `cli`: ask, or see what that would send and cost. In a notebook, `%%ccw` is short for it."""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics.cli import consent
from ccw_magics.cli.addressee import AGENTS, MODELS, MODES, ToolOrEndpoint, addressee
from ccw_magics.cli.door import AskOptions
from ccw_magics.cli.prompt import question
from ccw_magics.cli.shell import exits

if TYPE_CHECKING:
    from ccw_magics.calls.reply import Reply
    from ccw_magics.calls.request import Request
    from ccw_magics.cli.door import Door
    from ccw_magics.schema import Schema
    from ccw_magics.stats import Table

OWN_CHAT: Final = ""
"""`--chat` without a name: the conversation of the notebook, or of the shell."""


def _directories(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser() for value in values for part in value.split(",") if part)


def _amount(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """An amount of money: a range lets through what is not a number."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no amount such as 0.50")
    return value


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("endpoint_id", metavar="[ENDPOINT]", required=False),
    click.option("-p", "--prompt", metavar="TEXT", help="The question; in a cell, its body."),
    click.option("-f", "--file", metavar="FILE", help="The file that the question stands in; - is standard input."),
    click.option("--model", metavar="ID", help="The endpoint's id, as CCW's users type it; an agent's own model."),
    click.option(
        "--tool",
        metavar="|".join((MODELS, *AGENTS)),
        type=ToolOrEndpoint(),
        default=MODELS,
        help="What answers: an endpoint, or a command-line agent; or an endpoint's id.",
    ),
    click.option(
        "--mode",
        type=click.Choice(MODES),
        default="analysis",
        help="What an agent may do: read; also change files; anything, without being asked.",
    ),
    click.option("--yes", is_flag=True, help="Agree to what --mode write or auto lets an agent do."),
    click.option("--json", "as_json", is_flag=True, help="In a shell: the whole Reply, or plan, as one JSON document."),
    click.option("--dry-run", is_flag=True, help="Show what would be sent, and what it would cost; send nothing."),
    click.option(
        "--max-cost",
        metavar="USD",
        type=click.FloatRange(min=0),
        callback=_amount,
        help="What this call may cost at most.",
    ),
    click.option(
        "--replay/--no-replay",
        default=None,
        help="Give the recorded answer where nothing it came of has changed, else record it; or ask again.",
    ),
    click.option(
        "--chat",
        metavar="[NAME]",
        is_flag=False,
        flag_value=OWN_CHAT,
        help="Continue a conversation; without a name, the notebook's own, or the shell's.",
    ),
    click.option(
        "--schema",
        metavar="NAME",
        help="The answer's shape: a pydantic model or dataclass, or a short form: 'title, line: int'.",
    ),
    click.option("--table", is_flag=True, help="With --schema: a list of them, as a table."),
    click.option("--no-cache", is_flag=True, help="Pack the files for this call alone and keep nothing."),
    click.option("--repack", is_flag=True, help="Drop the kept pack first and lay the files out anew."),
    click.option("--cd", metavar="DIR", type=click.Path(path_type=Path), help="Where relative references start."),
    click.option(
        "--include-dirs",
        "--includeDirs",
        metavar="DIR[,DIR]",
        multiple=True,
        callback=_directories,
        help="Directories outside the project that references may reach.",
    ),
    click.option("--system", metavar="TEXT", default="", help="The system prompt."),
    click.option("--temperature", type=click.FloatRange(0, 2), help="0 for the likeliest answer, up to 2."),
    click.option("--max-tokens", type=click.IntRange(min=1), help="Limit of the answer, in tokens."),
    click.option("--no-stream", is_flag=True, help="Show the answer when it is complete."),
    click.option("--retry-cut", is_flag=True, help="Ask again where an answer breaks off that was shown in part."),
    click.option("--raw", is_flag=True, help="Notebook: plain text, not rendered Markdown."),
    click.option("-o", "--out", metavar="NAME", help="Notebook: bind the Reply to this name."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_EPILOG: Final = f"""\
In a shell, the question may come on standard input: ccw cli < question.md. Beside -p or -f, what is piped in goes along
behind it, in a fence: git diff | ccw cli -p "Review this". An @ in there is no reference. A pipe that stays silent is
waited for as long as another command may write to it, and 3 s where nobody but what started ccw can; `< /dev/null` says
that nothing comes, as in a loop that reads a list.

{exits.table()}
"""


@click.command("cli", epilog=_EPILOG)
@_options
@click.pass_context
def ask(context: click.Context, /, **options: Any) -> Reply | Table | str:
    """Ask an endpoint, or a command-line agent; @ references in the question bring files along."""
    door: Door = context.obj
    if options["as_json"] and not door.is_shell:
        raise click.UsageError("--json is for a shell; here the reply is an object: --out NAME binds it")
    request = _request(context, door, options)
    if options["dry_run"]:
        return _planned(door, request, options)
    shown = AskOptions(
        raw=options["raw"], out=_name(options["out"]), table=options["table"], as_json=options["as_json"]
    )
    consent.require(door, request, yes=options["yes"])
    return door.ask(request, shown)


def _planned(door: Door, request: Request, options: dict[str, Any]) -> Table | str:
    from ccw_magics import stats
    from ccw_magics.cli.shell import documents

    if options["out"]:
        raise click.UsageError("--out binds a reply, and a dry run has none: `_` is its table")
    plan = door.workspace.executor.plan(request)
    for line in stats.plan_notes(plan):
        door.note(line)
    return documents.plan_document(plan) if options["as_json"] else stats.plan(plan)


def _request(context: click.Context, door: Door, options: dict[str, Any]) -> Request:
    from ccw_magics.calls.request import Request

    schema = _schema(door, options)
    endpoint_id, tool, model = addressee(door, context, options)
    cwd = _directory(options["cd"])
    include_dirs = tuple(_included(directory, cwd) for directory in options["include_dirs"])
    chat = _chat(door, options["chat"], endpoint_id)
    _require_question(door, options, endpoint_id)
    asked = question(door, options["prompt"], options["file"])
    return Request(
        prompt=asked.prompt,
        material=asked.material,
        endpoint_id=endpoint_id,
        tool=tool,
        mode=options["mode"],
        model=model,
        cwd=cwd,
        include_dirs=include_dirs,
        enable_cache=False if options["no_cache"] else None,
        repack=options["repack"],
        system=options["system"],
        stream=not options["no_stream"],
        retry_cut=options["retry_cut"],
        chat=chat,
        replay=options["replay"],
        max_cost_usd=options["max_cost"],
        schema=schema,
        params={name: options[name] for name in ("temperature", "max_tokens") if options[name] is not None},
    )


def _require_question(door: Door, options: dict[str, Any], endpoint_id: str | None) -> None:
    """Tell who types a question without `-p` that it was taken for an endpoint."""
    is_asked = options["prompt"] is not None or options["file"] is not None
    if not is_asked and len((endpoint_id or "").split()) > 1 and endpoint_id not in _endpoint_ids(door):
        raise click.UsageError(f"{endpoint_id!r} stands where an endpoint is named: a question stands behind -p")


def _chat(door: Door, name: str | None, endpoint_id: str | None) -> str | None:
    """The conversation's name. `--chat my-gpt4o` most likely names an endpoint, and is not to begin a conversation."""
    if name == OWN_CHAT:
        return door.chat_name
    if name is not None and endpoint_id is None and name in _endpoint_ids(door):
        raise click.UsageError(
            f"is {name} the endpoint or the conversation? Write the endpoint first, {name} --chat, or both: "
            f"{name} --chat NAME"
        )
    return name


def _endpoint_ids(door: Door) -> set[str]:
    from ccw_magics.calls.routing import known_endpoints

    return {endpoint.id for endpoint in known_endpoints(door.workspace.config.load())}


def _schema(door: Door, options: dict[str, Any]) -> Schema | None:
    if options["schema"] is None:
        if options["table"]:
            raise click.UsageError("--table needs --schema: what a row has, such as 'title, line: int'")
        return None
    from ccw_magics.schema import Schema

    return Schema.of(door.schema(options["schema"]), is_table=options["table"])


def _directory(path: Path | None) -> Path | None:
    if path is None:
        return None
    directory = path.expanduser()
    if not directory.is_dir():
        raise click.UsageError(f"--cd: no such directory: {path}")
    return directory.resolve()


def _included(directory: Path, start: Path | None) -> Path:
    """A further directory: from where `--cd` leads, as in CCW; from here, where nothing is there."""
    from_start = directory if start is None else start / directory
    return from_start if from_start.is_dir() else directory


def _name(out: str | None) -> str | None:
    if out is not None and (not out.isidentifier() or keyword.iskeyword(out)):
        raise click.UsageError(f"--out: not a Python name: {out}")
    return out

"""The verbs, written once: a door runs them and shows what they return, a `Table`, text, or a `Reply`."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from ccw_magics import stats
from ccw_magics.backends import local_model
from ccw_magics.calls import worker
from ccw_magics.calls.reply import Reply
from ccw_magics.calls.request import Request
from ccw_magics.cli.account import history, usage
from ccw_magics.cli.groups import ShowGroup
from ccw_magics.context.pack import readable_size
from ccw_magics.errors import CcwError, ConfigError
from ccw_magics.workspace import Workspace


@dataclass(frozen=True)
class AskOptions:
    """How a reply is to be shown, which the door decides.

    Attributes:
        raw: As plain text, not as rendered Markdown.
        out: The name that the reply is bound to in the notebook, or None.
    """

    raw: bool = False
    out: str | None = None


class Door(Protocol):
    """Where verbs come from and results go: a shell or a notebook."""

    @property
    def workspace(self) -> Workspace:
        """The project at hand."""
        ...

    def ask(self, request: Request, options: AskOptions) -> Reply:
        """Run a request and show the reply as it comes; raise its error if it failed."""
        ...

    def note(self, text: str) -> None:
        """Show a line of progress."""
        ...


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="ccw_magics")
def tree() -> None:
    """Ask a language model about your project: @ references bring files along."""


tree.add_command(history)
tree.add_command(usage)


@tree.command()
@click.pass_obj
def status(door: Door) -> str:
    """Show where things stand: project, config, endpoints, cache."""
    workspace = door.workspace
    path = workspace.config.path
    lines = {
        "project": str(workspace.root),
        "config": f"{path}{'' if path.exists() else ' (not there yet: `init` writes an example)'}",
    }
    try:
        lines["endpoints"] = ", ".join(str(row[0]) for row in stats.endpoints(workspace).rows) or "none"
        lines["default"] = workspace.default_endpoint_id() or "none"
        lines["cache"] = _cache_summary(workspace)
    except ConfigError as error:  # what is wrong with the config is a part of where things stand
        lines["problem"] = str(error).replace("\n", "\n           ")
    return "\n".join(f"{name:<10} {value}" for name, value in lines.items())


@tree.command("help")
@click.pass_context
def show_help(context: click.Context) -> str:
    """Show this list."""
    assert context.parent is not None
    return context.parent.get_help()


@tree.command()
@click.pass_obj
def init(door: Door) -> str:
    """Write an example config to edit; refuses to overwrite one."""
    path = door.workspace.config.init()
    return f"wrote {path}\nSet OPENAI_API_KEY before Jupyter starts, or edit the file; README.md beside it explains it."


@tree.command()
@click.pass_obj
def trust(door: Door) -> str:
    """Accept this project's config as it is now: where it sends keys, and where it keeps its cache."""
    store = door.workspace.config
    risks = store.trust()
    accepted = "\n".join(f"  {risk}" for risk in risks) or "  nothing that needed it"
    return f"trusted {store.path}:\n{accepted}"


@tree.command()
@click.pass_obj
def endpoints(door: Door) -> stats.Table:
    """List the endpoints."""
    return stats.endpoints(door.workspace)


@tree.command()
@click.pass_obj
def providers(door: Door) -> stats.Table:
    """List the providers; keys are masked."""
    return stats.providers(door.workspace)


@tree.command()
@click.argument("endpoint_id", metavar="ID")
@click.pass_obj
def default(door: Door, endpoint_id: str) -> str:
    """Make endpoint ID the one that is asked where none is named."""
    door.workspace.config.set_default_endpoint(endpoint_id)
    return f"default endpoint: {endpoint_id}"


@tree.group(cls=ShowGroup, invoke_without_command=True, context_settings=_CONTEXT)
@click.pass_context
def cache(context: click.Context) -> stats.Table | None:
    """List the packs in the cache; `cache SESSION` lists the files of one."""
    if context.invoked_subcommand is not None:
        return None
    context.obj.note(_cache_summary(context.obj.workspace))
    return stats.cache(context.obj.workspace)


@cache.command("status")
@click.pass_obj
def cache_status(door: Door) -> str:
    """Show how full the cache is."""
    return _cache_summary(door.workspace)


@cache.command("show")
@click.argument("session_id", metavar="SESSION")
@click.pass_obj
def show_pack(door: Door, session_id: str) -> stats.Table:
    """List the files of a pack, with how often each changed."""
    table = stats.pack_files(door.workspace, session_id)
    if not table.rows:
        raise _no_such_pack(session_id)
    return table


@cache.command("read")
@click.argument("session_id", metavar="SESSION")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Where to begin, in bytes.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many bytes; all where left out.")
@click.pass_obj
def read_pack(door: Door, session_id: str, offset: int, limit: int | None) -> str:
    """Show a pack's text, as it is sent."""
    page = door.workspace.cache.read(session_id, offset, sys.maxsize if limit is None else limit)
    if page is None:
        raise _no_such_pack(session_id)
    return page.text


@cache.command("release")
@click.argument("session_id", metavar="SESSION")
@click.pass_obj
def release_pack(door: Door, session_id: str) -> str:
    """Forget a pack."""
    if not door.workspace.cache.release(session_id):
        raise _no_such_pack(session_id)
    return f"released {session_id}"


@cache.command("clear")
@click.pass_obj
def clear_cache(door: Door) -> str:
    """Forget all packs."""
    return f"forgotten: {_packs(door.workspace.cache.clear())}, of all projects"


@cache.command("cleanup")
@click.pass_obj
def clean_cache(door: Door) -> str:
    """Forget the packs whose time is over."""
    return f"forgotten: {_packs(door.workspace.cache.cleanup())}"


def _cache_summary(workspace: Workspace) -> str:
    status = workspace.cache.status()
    used, limit = readable_size(status.size_bytes), readable_size(status.max_bytes)
    return f"{_packs(status.packs)}, {used} of {limit} ({status.directory or 'memory only'})"


def _packs(count: int) -> str:
    return "1 pack" if count == 1 else f"{count} packs"


def _no_such_pack(session_id: str) -> CcwError:
    return CcwError(f"no such pack: {session_id}", hint="`cache` lists the packs there are.")


@tree.group(context_settings=_CONTEXT)
def local() -> None:
    """The embedded model, which needs no key."""


@local.command()
@click.pass_obj
def install(door: Door) -> str:
    """Fetch the embedded model's weights (94 MB) and check them."""
    path = worker.watch(
        lambda emit: local_model.fetch(lambda note: emit("stderr", note)), lambda _, note: door.note(note), lambda: None
    )
    return f"the embedded model is at {path}"


def _directories(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser() for value in values for part in value.split(",") if part)


_ASK_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("endpoint_id", metavar="[ENDPOINT]", required=False),
    click.option("-p", "--prompt", help="The question; in a cell, its body."),
    click.option("--model", metavar="ID", help="The endpoint's id, as CCW's users type it."),
    click.option("--tool", type=click.Choice(["litellm"]), default="litellm", help="What answers."),
    click.option("--mode", type=click.Choice(["analysis"]), default="analysis", help="What it may do: read."),
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


def _ask_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_ASK_OPTIONS):
        command = option(command)
    return command


@tree.command("cli")
@_ask_options
@click.pass_obj
def ask(door: Door, /, endpoint_id: str | None, **options: Any) -> Reply:
    """Ask an endpoint; @ references in the question bring files along."""
    named = {name for name in (endpoint_id, options["model"]) if name}
    if len(named) > 1:
        raise click.UsageError(f"two endpoints are named: {' and '.join(sorted(named))}")
    if not (options["prompt"] or "").strip():
        raise click.UsageError('there is no question: -p "..." asks one')
    params = {name: options[name] for name in ("temperature", "max_tokens") if options[name] is not None}
    request = Request(
        prompt=options["prompt"],
        endpoint_id=next(iter(named), None),
        cwd=_directory(options["cd"]),
        include_dirs=options["include_dirs"],
        enable_cache=False if options["no_cache"] else None,
        repack=options["repack"],
        system=options["system"],
        stream=not options["no_stream"],
        retry_cut=options["retry_cut"],
        params=params,
    )
    return door.ask(request, AskOptions(raw=options["raw"], out=_name(options["out"])))


def _directory(path: Path | None) -> Path | None:
    if path is None:
        return None
    directory = path.expanduser()
    if not directory.is_dir():
        raise click.UsageError(f"--cd: no such directory: {path}")
    return directory.resolve()


def _name(out: str | None) -> str | None:
    if out is not None and (not out.isidentifier() or keyword.iskeyword(out)):
        raise click.UsageError(f"--out: not a Python name: {out}")
    return out

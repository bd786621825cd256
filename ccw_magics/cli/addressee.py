"""Whom a line asks: an endpoint, or a command-line agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast, get_args

import click

from ccw_magics.backends.base import Mode, Tool
from ccw_magics.errors import EndpointNotFound

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door

MODELS: Final = "litellm"
"""What CCW calls all endpoints together."""
AGENTS: Final[tuple[str, ...]] = get_args(Tool)
MODES: Final[tuple[str, ...]] = get_args(Mode)
NOT_FOR_AGENTS: Final = frozenset({
    "chat", "max_cost", "max_tokens", "no_cache", "repack", "replay", "retry_cut", "schema", "system", "table",
    "temperature",
})  # fmt: skip
"""Options that need a model that is asked directly: an agent has its own context, its own settings, its own bill."""


class ToolOrEndpoint(click.Choice[str]):
    """One of the tools, which are what is suggested; or, as CCW's users type it, an endpoint's id."""

    def __init__(self) -> None:
        super().__init__((MODELS, *AGENTS))

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> str:
        """Take any word: whether it is an endpoint's id, the config tells."""
        return str(value)


class Addressee(NamedTuple):
    """Who is to answer.

    Attributes:
        endpoint_id: None for the default endpoint, and for an agent.
        tool: The agent; empty for an endpoint.
        model: The model that the agent is to ask; empty for its own choice.
    """

    endpoint_id: str | None = None
    tool: Tool | Literal[""] = ""
    model: str = ""


def addressee(door: Door, context: click.Context, options: Mapping[str, Any]) -> Addressee:
    """Whom the options name.

    Raises:
        click.UsageError: They contradict each other.
        EndpointNotFound: `--tool` names neither an agent nor an endpoint.
    """
    tool = options["tool"]
    if "" in {tool, options["model"], options["endpoint_id"]}:
        raise click.UsageError("an empty name: is a variable of the line not set? Without one, the default is asked")
    if tool in AGENTS:
        return _agent(context, options)
    named = {name for name in (options["endpoint_id"], options["model"]) if name}
    if tool != MODELS:
        _require_endpoint(door, tool)
        named.add(tool)
    if len(named) > 1:
        raise click.UsageError(f"two endpoints are named: {' and '.join(sorted(named))}")
    if options["mode"] != "analysis":
        raise click.UsageError(
            f"--mode {options['mode']}: an endpoint can only answer; "
            f"a command-line agent can also change files: --tool {AGENTS[0]} --mode {options['mode']}"
        )
    return Addressee(next(iter(named), None))


def _agent(context: click.Context, options: Mapping[str, Any]) -> Addressee:
    tool = cast("Tool", options["tool"])
    if options["endpoint_id"]:
        raise click.UsageError(
            f"either {tool} is asked or endpoint {options['endpoint_id']}: --model names the model that {tool} asks"
        )
    given = [parameter for parameter in context.command.params if _is_given(context, parameter)]
    if unfit := [parameter.opts[-1] for parameter in given if parameter.name in NOT_FOR_AGENTS]:
        raise click.UsageError(f"{tool} takes no {', '.join(unfit)}: only an endpoint's model does")
    return Addressee(tool=tool, model=options["model"] or "")


def _is_given(context: click.Context, parameter: click.Parameter) -> bool:
    source = context.get_parameter_source(parameter.name or "")
    return source is click.core.ParameterSource.COMMANDLINE


def _require_endpoint(door: Door, name: str) -> None:
    from ccw_magics.calls.routing import known_endpoints

    ids = [endpoint.id for endpoint in known_endpoints(door.workspace.config.load())]
    if name not in ids:
        raise EndpointNotFound(
            f"neither an agent nor an endpoint: {name}",
            hint=f"Agents: {', '.join(AGENTS)}. Endpoints: {', '.join(ids) or 'none'}.",
        )

"""The verbs about what was asked, what it cost, and what it may cost: `history`, `stats` and `budget`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics import stats
from ccw_magics.cli.groups import ShowGroup
from ccw_magics.cli.shell.terminal import printable
from ccw_magics.errors import CcwError

if TYPE_CHECKING:
    from ccw_magics.cli.door import Door
    from ccw_magics.journal import Call, Entry

DEFAULT_LIMIT: Final = 100
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SIZES: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
"""As in the config, where a `maxSizeKB` of 512 is 512 x 1024 bytes."""


def span(text: str) -> timedelta:
    """Read a length of time: `90s`, `30m`, `24h`, `7d`, `2w`.

    Raises:
        click.BadParameter: It is none.
    """
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no length of time such as 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str) -> datetime:
    """Read a point in time: a length of time before now, or a local date, with or without a time of day.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        if re.fullmatch(r"\d+[a-z]", text.strip()):
            return datetime.now(UTC) - span(text)
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError, OSError):  # the last two for years that no calendar or no system has
        problem = f"{text!r} is neither a date such as 2026-01-31 nor a time ago such as 24h or 7d"
    raise click.BadParameter(problem)


def size_bytes(text: str) -> int:
    """Read a size: `50MB`, `200 KB`, `1G`.

    Raises:
        click.BadParameter: It is none.
    """
    found = re.fullmatch(r"(\d{1,12})\s*([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise click.BadParameter(f"{text!r} is no size such as 50MB")
    return int(found[1]) * _SIZES[found[2].upper()]


_since: Callable[[Any], Any] = click.option(
    "--since", metavar="WHEN", type=moment, help="Calls since then: 24h, 7d, or a date such as 2026-01-31."
)


@click.group(cls=ShowGroup, invoke_without_command=True)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="At most so many calls.",
)
@_since
@click.option("--endpoint", metavar="ID", help="Calls of this endpoint.")
@click.pass_context
def history(context: click.Context, limit: int, since: datetime | None, endpoint: str | None) -> stats.Table | None:
    """List the calls, newest first; `history ID` shows one."""
    if context.invoked_subcommand is not None:
        return None
    table = stats.history(context.obj.workspace, limit=limit, since=since, endpoint=endpoint)
    _tell_trouble(context.obj)
    return table


@history.command("show")
@click.argument("number", metavar="ID", type=int)
@click.pass_obj
def show_call(door: Door, number: int) -> str:
    """Show all that is recorded of a call."""
    entry = door.workspace.journal.get(number)
    _tell_trouble(door)
    if entry is None:
        raise CcwError(f"no such call: {number}", hint="`history` lists the calls there are.")
    return _described(entry)


@history.command("prune")
@click.option("--older-than", metavar="TIME", type=span, help="Forget calls older than this: 30d, 24h.")
@click.option(
    "--max-size",
    metavar="SIZE",
    type=size_bytes,
    help="Forget the oldest until the record has at most this size: 50MB.",
)
@click.pass_obj
def prune(door: Door, older_than: timedelta | None, max_size: int | None) -> str:
    """Forget calls, the oldest first."""
    if older_than is None and max_size is None:
        raise click.UsageError("nothing says which calls to forget: --older-than 30d, --max-size 50MB, or both")
    count = door.workspace.journal.prune(older_than=older_than, max_bytes=max_size)
    _tell_trouble(door)
    return f"forgotten: {count} {'call' if count == 1 else 'calls'}"


@click.command("stats")
@_since
@click.option(
    "--by",
    type=click.Choice(stats.USAGE_KEYS),
    multiple=True,
    default=stats.USAGE_KEYS,
    help="Sum by this; may be repeated. All of them where left out.",
)
@click.pass_obj
def usage(door: Door, since: datetime | None, by: tuple[str, ...]) -> stats.Table:
    """Sum calls, tokens and cost, and what the providers' caches saved."""
    table = stats.usage(door.workspace, since=since, by=by)
    _tell_trouble(door)
    return table


def limit(text: str) -> float | None:
    """Read a limit in US dollars: an amount, or `none`.

    Raises:
        click.BadParameter: It is neither.
    """
    if text.strip().lower() == "none":
        return None
    try:
        amount = float(text.strip().lstrip("$"))
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise click.BadParameter(f"{text!r} is no amount such as 0.50, nor `none`")
    return amount


@click.command("budget")
@click.option("--per-day", metavar="USD", help="For all calls of this project in a day; `none` takes the limit away.")
@click.option("--per-kernel", metavar="USD", help="For all calls of one kernel; `none` likewise.")
@click.pass_obj
def budget(door: Door, per_day: str | None, per_kernel: str | None) -> str:
    """Show what was spent, and what may be; or set the limits."""
    workspace = door.workspace
    given = {"per_day_usd": per_day, "per_kernel_usd": per_kernel}
    changes = {name: limit(text) for name, text in given.items() if text is not None}
    if changes:
        workspace.config.update_budget(changes)
    return "\n".join(stats.spending(workspace))


def _tell_trouble(door: Door) -> None:
    trouble = door.workspace.journal.take_trouble()
    if trouble:
        door.note(trouble)


def _described(entry: Entry) -> str:
    call = entry.call
    lines = {"id": str(entry.id)}
    for field in fields(call):
        if field.name not in {"files", "prompt", "answer"}:
            lines[field.name] = _value(call, field.name)
    known = [f"{name:<18} {value}" for name, value in lines.items() if value]
    files = [f"files ({len(call.files)})", *(f"  {path}" for path in call.files)] if call.files else []
    texts = [
        f"\n--- {name} ---\n{printable(text)}"
        for name, text in (("prompt", call.prompt), ("answer", call.answer))
        if text
    ]
    return "\n".join([*known, *files, *texts])


def _value(call: Call, name: str) -> str:
    value = getattr(call, name)
    return str(value or "") if name.endswith("_hash") else stats.shown(name, value)

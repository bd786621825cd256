"""How each command-line agent is called: a table, and the argument list made of it.

Flags were chosen from the tools' sources (gemini-cli 0.61.0, qwen-code 0.15.10, codex 0.169.0) and tried against a
model that asks for writes: `tests/agents/test_real_modes.py`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from ccw_magics.backends.base import AgentTask, Mode, ModelCall, Tool
from ccw_magics.backends.tool_codex import confined
from ccw_magics.errors import ToolError, ToolNotReady

_GEMINI_POLICY = Path(__file__).with_name("tool_gemini_policy.toml")
_NO_SERVER = f"none-{secrets.token_hex(8)}"
"""What no MCP server is called: gemini takes no empty list, and a project may call its servers what it likes."""

_CODEX_MODES: Final[Mapping[Mode, tuple[str, ...]]] = {
    # The sandbox holds for commands and patches alike. Rules of user or project may let a command out of it, which
    # was seen to write; so may an approval. `-s` and `-c` go before any config file.
    # The last one keeps from commands the variables that codex takes for keys.
    "analysis": (
        "--sandbox=read-only",
        "--ignore-rules",
        "--config=approval_policy=never",
        "--config=shell_environment_policy.ignore_default_excludes=false",
    ),
    "write": ("--sandbox=workspace-write", "--config=approval_policy=never"),
    "auto": ("--dangerously-bypass-approvals-and-sandbox",),
}
_GEMINI_MODES: Final[Mapping[Mode, tuple[str, ...]]] = {
    # Not `plan`: it tells the model to plan, writes plans, and may be left by `exit_plan_mode`. A policy of ours goes
    # before `tools.allowed` and the user's "always allow"; `--admin-policy` is ignored on a machine that has its own.
    # It denies what servers offer; the last option keeps them from being started.
    "analysis": (
        "--approval-mode=default",
        f"--admin-policy={_GEMINI_POLICY}",
        f"--policy={_GEMINI_POLICY}",
        f"--allowed-mcp-server-names={_NO_SERVER}",
    ),
    "write": ("--approval-mode=auto_edit",),
    "auto": ("--approval-mode=yolo",),
}
_QWEN_READS = ("read_file", "list_directory", "glob", "grep_search", "todo_write")
_QWEN_WRITES = ("run_shell_command", "monitor", "edit", "write_file", "notebook_edit", "agent", "skill", "save_memory")
_QWEN_MODES: Final[Mapping[Mode, tuple[str, ...]]] = {
    # Not `plan`, as above. Its own denials give way to `permissions.allow` of a settings file, `--exclude-tools` to
    # nothing; the list of tools keeps out those to come.
    "analysis": (
        "--approval-mode=default",
        *(f"--core-tools={name}" for name in _QWEN_READS),
        *(f"--exclude-tools={name}" for name in _QWEN_WRITES),
    ),
    "write": ("--approval-mode=auto-edit",),
    "auto": ("--approval-mode=yolo",),
}

_BREAKS_CMD: Final = frozenset('"%&|<>^!\r\n')
"""What `cmd.exe`, which runs npm's `.cmd` shims, may take for more than text."""


@dataclass(frozen=True)
class ToolFacts:
    """What is known of a tool.

    Attributes:
        name: Its executable.
        package: Its name in the npm registry.
        login: How to log in, as a sentence's end.
        version: The oldest release known to have all that is used here: gemini's `--admin-policy` came with 0.35.0
            (commit 6900fe55 of google-gemini/gemini-cli); of the others, the release that was tried.
        has_at_commands: Whether it takes `@word` in the prompt for a file to be read in.
    """

    name: Tool
    package: str
    login: str
    version: tuple[int, int, int]
    has_at_commands: bool

    @property
    def install(self) -> str:
        """The command that installs its newest release, or updates to it."""
        return f"npm install -g {self.package}@latest"


TOOLS: Final[Mapping[Tool, ToolFacts]] = {
    "codex": ToolFacts("codex", "@openai/codex", "run `codex login`, or set CODEX_API_KEY", (0, 169, 0), False),
    "gemini": ToolFacts(
        "gemini", "@google/gemini-cli", "run `gemini` once and choose how, or set GEMINI_API_KEY", (0, 35, 0), True
    ),
    "qwen": ToolFacts(
        "qwen", "@qwen-code/qwen-code", "run `qwen auth`, or set OPENAI_API_KEY and OPENAI_BASE_URL", (0, 15, 10), True
    ),
}


def tool_of(call: ModelCall) -> ToolFacts:
    """The tool that a call goes to: `gemini-cli` is gemini.

    Raises:
        ToolError: There is no such tool.
    """
    name = call.provider_type.removesuffix("-cli")
    if name not in TOOLS:
        raise ToolError(f"no such command-line agent: {name}", hint=f"There are {', '.join(sorted(TOOLS))}.")
    return TOOLS[cast("Tool", name)]


def task_of(call: ModelCall) -> AgentTask:
    """What the agent may do, and where; by default it reads in the current directory."""
    return call.agent or AgentTask("analysis", Path.cwd())


def search_path() -> str:
    """PATH without what is relative: the directory at hand may be a project's, with a `codex` or a `node` in it."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute())


def executable(tool: ToolFacts) -> str:
    """The path of a tool's executable.

    Raises:
        ToolNotReady: It is not on PATH.
    """
    found = shutil.which(tool.name, path=search_path())
    if found is None or not Path(found).is_absolute():  # Windows looks into the current directory first
        raise ToolNotReady(f"{tool.name} is not installed, or not on PATH", hint=f"Install it: `{tool.install}`.")
    return found


def command(call: ModelCall) -> tuple[str, ...]:
    """The argument list for a call, beginning with the tool's name; the prompt goes to standard input.

    Raises:
        ToolError: There is no such tool, a directory's name does not suit it, or codex's configuration cannot be read.
    """
    tool = tool_of(call)
    argv = (tool.name, *_ARGUMENTS[tool.name](call.model, task_of(call)))
    if sys.platform == "win32" and (broken := next((word for word in argv if _BREAKS_CMD & set(word)), "")):
        raise ToolError(f"{tool.name} cannot be given this on Windows: {broken!r}")
    return argv


def _codex(model: str, task: AgentTask) -> tuple[str, ...]:
    directory = str(task.directory.absolute())
    words = ["exec", "--json", "--color=never", "--skip-git-repo-check", *_CODEX_MODES[task.mode], f"--cd={directory}"]
    if task.mode == "analysis":
        words += confined(task.directory)
    else:
        # It makes them writable; to read, codex needs no permission.
        words += [f"--add-dir={path.absolute()}" for path in task.include_dirs]
    return (*words, *_model(model), "-")


def _gemini(model: str, task: AgentTask) -> tuple[str, ...]:
    included = (f"--include-directories={_no_comma(path)}" for path in task.include_dirs)
    return ("--output-format=stream-json", *_GEMINI_MODES[task.mode], *_model(model), *included)


def _qwen(model: str, task: AgentTask) -> tuple[str, ...]:
    included = (f"--include-directories={_no_comma(path)}" for path in task.include_dirs)
    output = ("--output-format=stream-json", "--include-partial-messages")
    return (*output, *_QWEN_MODES[task.mode], *_model(model), *included)


_ARGUMENTS: Final[Mapping[Tool, Callable[[str, AgentTask], tuple[str, ...]]]] = {
    "codex": _codex,
    "gemini": _gemini,
    "qwen": _qwen,
}


def _model(model: str) -> tuple[str, ...]:
    return (f"--model={model}",) if model else ()


def _no_comma(path: Path) -> str:
    text = str(path.absolute())
    if "," in text:
        raise ToolError(f"directory {text} cannot be included: the tool takes a comma for the end of a name")
    return text

"""What a command-line agent reads, and what surrounds it: the prompt, the environment, the settings of its own."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ccw_magics.backends.base import AgentTask, ModelCall
from ccw_magics.backends.tool_commands import search_path, task_of, tool_of
from ccw_magics.errors import ToolError

_AT = re.compile(r"(?<!\\)@(?=\S)")  # what gemini's and qwen's `parseAllAtCommands` look for
_ESCAPED = "(Here, a backslash before an at sign is not part of the text.)\n\n"

_CONFUSING: Final = re.compile(
    r"(JPY|IPYTHON|PYDEVD|CCW)_\w+"  # of the kernel, and ours
    r"|MPLBACKEND"  # the notebook's; fails in a plain Python that the agent runs
    r"|FORCE_COLOR|CLICOLOR(_FORCE)?"  # ipykernel sets them, and colours the tools' messages
    r"|DEBUG|DEBUG_MODE"  # make gemini and qwen talk on standard output
)

_FOLDER_TRUST: Final = re.compile(r'"folderTrust"\s*:\s*\{[^{}]*"enabled"\s*:\s*(true|false)')
_VARIABLE: Final = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|[^#\s]*)", re.MULTILINE
)
_GEMINI_LOGIN: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION")
"""What gemini takes from any folder's `.env`, where it is not set (`AUTH_ENV_VAR_WHITELIST`)."""
_GEMINI_SYSTEM_DIRECTORIES: Final = {
    "darwin": "/Library/Application Support/GeminiCli",
    "win32": r"C:\ProgramData\gemini-cli",
}
_QWEN_SYSTEM_DIRECTORIES: Final = {
    "darwin": "/Library/Application Support/QwenCode",
    "win32": r"C:\ProgramData\qwen-code",
}


def prompt(call: ModelCall) -> str:
    """What goes to standard input: all of the context and the prompt.

    gemini and qwen would read in a file for each `@word`, also in the middle of a file's contents, and take a first
    `/word` for a command of theirs: what is meant to be read was packed before.
    """
    text = call.asked
    if not tool_of(call).has_at_commands:
        return text
    escaped = _AT.sub(r"\\@", text)
    if escaped != text:
        return _ESCAPED + escaped
    return f"\n{text}" if text.startswith(("/", "?")) else text


@contextmanager
def surroundings(call: ModelCall) -> Iterator[dict[str, str]]:
    """The environment for an agent: the user's own, which holds its login, less what confuses it.

    In analysis mode, also what keeps a project's own settings out: the commands, hooks and servers that a cloned
    repository may name run as the user, whatever the agent's tools may do. But gemini works only in a folder that its
    user trusts, and takes its hooks then; a user's `GEMINI_CLI_TRUST_WORKSPACE=true` trusts any.

    Raises:
        ToolError: The machine's settings for qwen cannot be read.
    """
    tool, task = tool_of(call), task_of(call)
    environment = {name: text for name, text in os.environ.items() if not _CONFUSING.fullmatch(name)}
    environment |= {"NO_COLOR": "1", "PATH": search_path(), "PWD": str(task.directory.absolute())}
    if task.mode == "analysis" and tool.name == "qwen":
        with TemporaryDirectory(prefix="ccw-qwen-") as directory:
            yield environment | _qwen_distrust(Path(directory), task, environment)
        return
    if task.mode == "analysis" and tool.name == "gemini":
        environment |= _gemini_distrust(environment)
    yield environment


def _gemini_distrust(environment: Mapping[str, str]) -> dict[str, str]:
    """Where trust in folders is turned off, gemini would trust any; else it asks for trust itself.

    A folder that is not trusted gives gemini no settings, but a key: with `.env` it could have the user's prompts sent
    in its author's name. And the user's own `.gemini/.env` is not read then.
    """
    home = Path(environment.get("GEMINI_CLI_HOME") or Path.home())
    if not _has_trust_turned_off(home, environment):
        return {}
    own = next((found for path in (home / ".gemini/.env", home / ".env") if (found := _variables(path))), {})
    return {**dict.fromkeys(_GEMINI_LOGIN, ""), **own, **environment, "GEMINI_CLI_TRUST_WORKSPACE": "false"}


def _has_trust_turned_off(home: Path, environment: Mapping[str, str]) -> bool:
    """What the first of the machine's settings, the user's, and the machine's defaults says that says anything."""
    directory = Path(_GEMINI_SYSTEM_DIRECTORIES.get(sys.platform, "/etc/gemini-cli"))
    of_machine = Path(environment.get("GEMINI_CLI_SYSTEM_SETTINGS_PATH") or directory / "settings.json")
    defaults = environment.get("GEMINI_CLI_SYSTEM_DEFAULTS_PATH") or of_machine.with_name("system-defaults.json")
    for path in (of_machine, home / ".gemini/settings.json", Path(defaults)):
        if said := _FOLDER_TRUST.search(_text(path)):
            return said[1] == "false"
    return False


def _variables(path: Path) -> dict[str, str]:
    """What a `.env` file sets, without its finer points."""
    found = _VARIABLE.findall(_text(path))
    return {name: text.strip("\"'") for name, text in found if not _CONFUSING.fullmatch(name)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _qwen_distrust(directory: Path, task: AgentTask, environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of the machine, in addition to those that there are, that turn on trust in folders, and a list without.

    A folder that is not trusted gives qwen neither settings, nor hooks, servers or `.env`. What it learns of a talk
    for its own memory is a second request, as dear as the first.
    """
    named = environment.get("QWEN_CODE_SYSTEM_SETTINGS_PATH")
    settings_path = Path(named) if named else _qwen_system_directory() / "settings.json"
    settings = _read(settings_path)
    settings["security"] = {**settings.get("security", {}), "folderTrust": {"enabled": True}}
    settings["memory"] = {**settings.get("memory", {}), "enableManagedAutoMemory": False}
    trust = {os.path.realpath(task.directory): "DO_NOT_TRUST"}
    (directory / "settings.json").write_text(json.dumps(settings))
    (directory / "trustedFolders.json").write_text(json.dumps(trust))
    return {
        "QWEN_CODE_SYSTEM_SETTINGS_PATH": str(directory / "settings.json"),
        "QWEN_CODE_TRUSTED_FOLDERS_PATH": str(directory / "trustedFolders.json"),
        # Else looked for beside the settings.
        "QWEN_CODE_SYSTEM_DEFAULTS_PATH": environment.get("QWEN_CODE_SYSTEM_DEFAULTS_PATH")
        or str(settings_path.with_name("system-defaults.json")),
    }


def _qwen_system_directory() -> Path:
    return Path(_QWEN_SYSTEM_DIRECTORIES.get(sys.platform, "/etc/qwen-code"))


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ToolError(f"qwen's settings for this machine cannot be read: {path}: {error}") from None
    if not isinstance(settings, dict):
        raise ToolError(f"qwen's settings for this machine are not a JSON object: {path}")
    return settings

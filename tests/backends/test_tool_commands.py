from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccw_magics.backends import tool_commands
from ccw_magics.backends.base import AgentTask, Mode, ModelCall, Tool
from ccw_magics.backends.tool_commands import TOOLS, command, executable
from ccw_magics.backends.tool_prompt import prompt, surroundings
from ccw_magics.errors import ToolError

WHERE = Path("/project")
OTHER = (Path("/lib one"), Path("/lib2"))
POLICY = str(Path(tool_commands.__file__).with_name("tool_gemini_policy.toml"))
QWEN = ("qwen", "--output-format=stream-json", "--include-partial-messages")
GEMINI = ("gemini", "--output-format=stream-json")
CODEX = ("codex", "exec", "--json", "--color=never", "--skip-git-repo-check")


def call(tool: Tool, mode: Mode = "analysis", text: str = "Why?", model: str = "", where: Path = WHERE) -> ModelCall:
    return ModelCall(f"{tool}-cli", model, text, agent=AgentTask(mode, where, OTHER))


ARGV: dict[str, tuple[ModelCall, tuple[str, ...]]] = {
    "codex analysis": (
        call("codex"),
        (
            *CODEX,
            "--sandbox=read-only",
            "--ignore-rules",
            "--config=approval_policy=never",
            "--config=shell_environment_policy.ignore_default_excludes=false",
            "--cd=/project",
            "--config=projects={'/project'={trust_level='untrusted'},'/'={trust_level='untrusted'}}",
            "-",
        ),
    ),
    "codex write": (
        call("codex", "write", model="o9"),
        (
            *CODEX,
            "--sandbox=workspace-write",
            "--config=approval_policy=never",
            "--cd=/project",
            "--add-dir=/lib one",
            "--add-dir=/lib2",
            "--model=o9",
            "-",
        ),
    ),
    "gemini analysis": (
        call("gemini", model="g"),
        (
            *GEMINI,
            "--approval-mode=default",
            f"--admin-policy={POLICY}",
            f"--policy={POLICY}",
            f"--allowed-mcp-server-names={tool_commands._NO_SERVER}",
            "--model=g",
            "--include-directories=/lib one",
            "--include-directories=/lib2",
        ),
    ),
    "gemini write": (
        call("gemini", "write"),
        (*GEMINI, "--approval-mode=auto_edit", "--include-directories=/lib one", "--include-directories=/lib2"),
    ),
    "qwen auto": (
        call("qwen", "auto"),
        (*QWEN, "--approval-mode=yolo", "--include-directories=/lib one", "--include-directories=/lib2"),
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
@pytest.mark.parametrize(("asked", "argv"), ARGV.values(), ids=ARGV)
def test_argv(asked: ModelCall, argv: tuple[str, ...]) -> None:
    assert command(asked) == argv


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("mode", ["analysis", "write", "auto"])
@given(text=st.text(), model=st.text(min_size=1).filter(lambda model: "PROMPT" not in model))
def test_the_prompt_is_never_an_argument_and_the_model_never_an_option(
    tool: Tool, mode: Mode, text: str, model: str
) -> None:
    argv = command(call(tool, mode, f"PROMPT {text}", model))
    assert not any("PROMPT" in word for word in argv)
    assert [word for word in argv if word == f"--model={model}"]


def test_nothing_dangerous_in_analysis() -> None:
    for tool in TOOLS:
        words = " ".join(command(call(tool)))
        assert not any(word in words for word in ("yolo", "bypass", "trust-", "--skip-trust", "danger", "auto_edit"))


def settings(argv: tuple[str, ...], table: str) -> dict[str, Any]:
    """What an option sets of codex's configuration; empty where there is no such option."""
    set_by = [word.removeprefix("--config=") for word in argv if word.startswith(f"--config={table}=")]
    found: dict[str, Any] = tomllib.loads("".join(set_by)).get(table, {})
    return found


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1).filter(lambda text: text.strip(".")))
def test_codex_reads_any_directory_name(name: str) -> None:
    assert list(settings(command(call("codex", where=Path("/", name))), "projects")) == [f"/{name}", "/"]


def test_codex_is_told_of_the_directory_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    projects = settings(command(call("codex", where=tmp_path / "link")), "projects")
    assert projects[os.path.realpath(tmp_path / "real")] == {"trust_level": "untrusted"}


@pytest.mark.parametrize("mode", ["analysis", "write"])
def test_codex_starts_no_server_of_its_user_where_it_only_reads(mode: Mode, home: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text('[mcp_servers.a]\ncommand = "x"\n[mcp_servers."b.c\'"]\nurl = "y"\n')
    off = {"a": {"enabled": False}, "b.c'": {"enabled": False}}
    assert settings(command(call("codex", mode)), "mcp_servers") == (off if mode == "analysis" else {})


def test_codex_whose_configuration_cannot_be_read(home: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text("[")
    with pytest.raises(ToolError, match="configuration cannot be read"):
        command(call("codex"))


@pytest.mark.parametrize("entry", [".", "", "bin"])
def test_a_program_of_the_project_is_never_taken(entry: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / entry).mkdir(exist_ok=True)
    (tmp_path / entry / "codex").write_text("#!/bin/sh\n")
    (tmp_path / entry / "codex").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{entry}{os.pathsep}/nowhere")
    with pytest.raises(ToolError, match="codex is not installed"):
        executable(TOOLS["codex"])
    with surroundings(call("codex")) as environment:
        assert environment["PATH"] == "/nowhere"


@pytest.mark.parametrize("tool", ["gemini", "qwen"])
def test_a_comma_in_a_directory(tool: Tool) -> None:
    asked = ModelCall(f"{tool}-cli", "", "?", agent=AgentTask("analysis", WHERE, (Path("/a,b"),)))
    with pytest.raises(ToolError, match="cannot be included"):
        command(asked)


def test_no_such_tool() -> None:
    with pytest.raises(ToolError, match="claude"):
        command(ModelCall("claude-cli", "", "?"))


@pytest.mark.parametrize("tool", TOOLS)
def test_not_installed(tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=f"{tool} is not installed") as caught:
        executable(TOOLS[tool])
    assert "npm install -g @" in (caught.value.hint or "")


def test_the_policy_lets_gemini_read_only() -> None:
    rules = tomllib.loads(Path(POLICY).read_text())["rule"]
    assert [(rule["toolName"], rule["decision"]) for rule in rules if rule["toolName"] == "*"] == [("*", "deny")]
    assert min(rule["priority"] for rule in rules) > 950


PROMPTS: dict[str, tuple[Tool, str, str]] = {
    "plain": ("gemini", "Why?", "Why?"),
    "codex takes all": ("codex", "/help @a", "/help @a"),
    "slash": ("qwen", "/help", "\n/help"),
    "question mark": ("qwen", "?", "\n?"),
    "at": ("gemini", "x@y @a", "x\\@y \\@a"),
    "escaped already": ("gemini", "\\@a @ b", "\\@a @ b"),
}


@pytest.mark.parametrize(("tool", "text", "sent"), PROMPTS.values(), ids=PROMPTS)
def test_prompt(tool: Tool, text: str, sent: str) -> None:
    assert prompt(call(tool, text=text)).endswith(sent)


@given(st.text(alphabet="@\\/ a.\n"))
def test_nothing_is_left_for_gemini_to_read_in(text: str) -> None:
    sent = prompt(call("gemini", text=text))
    assert not any(
        sent[at] == "@" and sent[at - 1 : at] != "\\" and sent[at + 1 : at + 2].strip() for at in range(len(sent))
    )
    assert sent.replace("\\", "").endswith(text.replace("\\", ""))


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_PARENT_PID", "MPLBACKEND", "FORCE_COLOR", "DEBUG", "CCW_DEBUG"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("GEMINI_API_KEY", "kept")
    with surroundings(call("codex")) as environment:
        assert {"JPY_PARENT_PID", "MPLBACKEND", "FORCE_COLOR", "DEBUG", "CCW_DEBUG"}.isdisjoint(environment)
        assert environment["GEMINI_API_KEY"] == "kept"
        assert environment["NO_COLOR"] == "1"
        assert "GEMINI_CLI_TRUST_WORKSPACE" not in environment


def test_qwen_distrusts_the_folder_and_keeps_the_machines_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import json

    of_machine = tmp_path / "settings.json"
    of_machine.write_text('{"security": {"auth": {"enforcedType": "openai"}}, "proxy": "x"}')
    monkeypatch.setenv("QWEN_CODE_SYSTEM_SETTINGS_PATH", str(of_machine))
    with surroundings(call("qwen", where=tmp_path)) as environment:
        settings = json.loads(Path(environment["QWEN_CODE_SYSTEM_SETTINGS_PATH"]).read_text())
        trusted = Path(environment["QWEN_CODE_TRUSTED_FOLDERS_PATH"])
        assert json.loads(trusted.read_text()) == {os.path.realpath(tmp_path): "DO_NOT_TRUST"}
        assert environment["QWEN_CODE_SYSTEM_DEFAULTS_PATH"] == str(tmp_path / "system-defaults.json")
    assert not trusted.exists()
    assert settings["security"] == {"auth": {"enforcedType": "openai"}, "folderTrust": {"enabled": True}}
    assert settings["proxy"] == "x"
    with surroundings(call("qwen", "write", where=tmp_path)) as environment:
        assert "QWEN_CODE_TRUSTED_FOLDERS_PATH" not in environment


@pytest.mark.parametrize("content", ["{", "[]"])
def test_settings_of_the_machine_that_cannot_be_kept(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text(content)
    monkeypatch.setenv("QWEN_CODE_SYSTEM_SETTINGS_PATH", str(tmp_path / "s.json"))
    with pytest.raises(ToolError, match="settings for this machine"), surroundings(call("qwen")):
        pass


@pytest.mark.parametrize(("enabled", "distrusts"), [("false", True), ("true", False)])
def test_gemini_whose_user_turned_trust_off(enabled: str, distrusts: bool, home: Path) -> None:
    (home / ".gemini").mkdir()
    (home / ".gemini/settings.json").write_text(f'{{"security": {{"folderTrust": {{\n"enabled" : {enabled} }}}}}}')
    with surroundings(call("gemini")) as environment:
        assert (environment.get("GEMINI_CLI_TRUST_WORKSPACE") == "false") is distrusts


def without_trust(home: Path) -> None:
    (home / ".gemini").mkdir()
    (home / ".gemini/settings.json").write_text('{"security": {"folderTrust": {"enabled": false}}}')


def test_gemini_that_trusts_nobody_has_its_users_key_and_not_the_projects(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_trust(home)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "here")
    own = "# mine\nexport GEMINI_API_KEY=\"a key\" # mine\nGOOGLE_CLOUD_LOCATION=there\nDEBUG=1\nX='y'\n"
    (home / ".gemini/.env").write_text(own)
    with surroundings(call("gemini")) as environment:
        assert (environment["GEMINI_API_KEY"], environment["X"]) == ("a key", "y")
        assert environment["GOOGLE_CLOUD_LOCATION"] == "here"
        assert environment["GOOGLE_API_KEY"] == environment["GOOGLE_CLOUD_PROJECT"] == ""  # as set, so not looked for
        assert "DEBUG" not in environment


def test_the_machines_settings_count_before_the_users(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_trust(home)
    (tmp_path / "system.json").write_text('{"security": {"folderTrust": {"enabled": true}}}')
    monkeypatch.setenv("GEMINI_CLI_SYSTEM_SETTINGS_PATH", str(tmp_path / "system.json"))
    with surroundings(call("gemini")) as environment:
        assert "GEMINI_CLI_TRUST_WORKSPACE" not in environment

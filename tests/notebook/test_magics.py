"""`%ccw` and `%%ccw` in a real kernel, as nbclient runs a notebook, and in IPython's own shell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from wire_server import Answer, WireServer

from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import ProviderError

Run = Callable[..., list[Any]]


@pytest.fixture
def wired(project: Path, wire: WireServer) -> Path:
    (project / "a.py").write_text("answer = 42\n")
    (project / "src" / "auth").mkdir(parents=True)
    (project / "src" / "auth" / "login.ts").write_text("export const login = 1;\n")
    store = ConfigStore(project)
    provider = store.add_provider({"name": "W", "type": "openai", "apiKey": "sk-k-123456", "apiBase": f"{wire.url}/v1"})
    store.add_endpoint({"id": "my-gpt4o", "name": "", "providerId": provider.id, "model": "gpt-4o"})
    return project


@pytest.fixture
def run(project: Path) -> Run:
    """Execute cells in one new kernel; each cell's outputs."""

    def execute(*cells: str) -> list[Any]:
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in ("%load_ext ccw_magics", *cells)]
        NotebookClient(
            notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(project)}}
        ).execute()
        assert notebook.cells[0].outputs == []
        return [cell.outputs for cell in notebook.cells[1:]]

    return execute


def _text(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def _error(outputs: list[Any]) -> list[str]:
    return list(outputs[-1]["traceback"])


def test_a_cell_asks_shows_and_returns_its_reply(run: Run, wired: Path, wire: WireServer) -> None:
    wire.answers(Answer("**Fine.**"))
    asked, underscore, named, again = run(
        "%%ccw my-gpt4o --out reply\n@a.py Well?",
        "_.output, _.cached_files",
        "(reply.output, reply.endpoint, reply.usage.input_tokens)",
        "reply",
    )
    assert [output["output_type"] for output in asked] == ["display_data", "display_data"]
    assert asked[0]["data"]["text/markdown"] == "**Fine.**"
    assert "my-gpt4o · gpt-4o" in asked[1]["data"]["text/html"]
    assert "a.py" in asked[1]["data"]["text/html"]
    assert _text(underscore) == "('**Fine.**', ('a.py',))"
    assert _text(named) == "('**Fine.**', 'my-gpt4o', 12)"
    assert again[0]["data"]["text/markdown"] == "**Fine.**"


def test_ccws_own_line_works_verbatim(run: Run, wired: Path, wire: WireServer) -> None:
    line = '%ccw cli -p "@src/auth/**/*.ts Review security" --tool litellm --model my-gpt4o'
    cell = "%%ccw cli --tool litellm --model my-gpt4o --mode analysis\n@src/auth/**/*.ts Review security"
    shown, bound, body, _ = run(line, f"r = {line}\nprint(r.success)", cell, "py, md = 1, 2")
    assert shown[0]["data"]["text/markdown"] == "Hello from the wire."
    assert "True" in _text(bound)
    assert body[0]["data"]["text/markdown"] == "Hello from the wire."
    prompts = [request.json["messages"][-1]["content"] for request in wire.requests]
    assert all(prompt.endswith("---\n\n@src/auth/**/*.ts Review security") for prompt in prompts)
    assert all("export const login = 1;" in prompt for prompt in prompts)


def test_nothing_in_a_prompt_is_interpolated(run: Run, wired: Path, wire: WireServer) -> None:
    run("py, md, x = 1, 2, 3", "%%ccw my-gpt4o --system '{x} $x'\n@src/*.{py,md} {x} $x !ls")
    assert wire.requests[-1].json["messages"][-1]["content"] == "@src/*.{py,md} {x} $x !ls"
    assert wire.requests[-1].json["messages"][0]["content"] == "{x} $x"


ERRORS = {
    "endpoint not found": ("%%ccw my-gpt40\nHi", "EndpointNotFound", "Did you mean my-gpt4o?"),
    "unbalanced quote": ('%%ccw "my-gpt4o\nHi', "CcwError", "no closing quotation"),
    "unknown option": ("%%ccw my-gpt4o --bogus\nHi", "CcwError", "--bogus"),
    "--cd": ("%%ccw my-gpt4o --cd nowhere\nHi", "CcwError", "no such directory"),
    "--out": ("%%ccw my-gpt4o --out 1x\nHi", "CcwError", "not a Python name"),
    "empty body": ("%%ccw my-gpt4o\n\n", "CcwError", "asks nothing"),
    "two prompts": ("%%ccw my-gpt4o -p Hi\nHi", "CcwError", "both in the body and in -p"),
    "two endpoints": ("%%ccw my-gpt4o --model local\nHi", "CcwError", "two endpoints"),
    "a verb as a cell": ("%%ccw endpoints\nHi", "CcwError", "%ccw endpoints"),
    "unknown verb": ("%ccw bogus", "CcwError", "%ccw help"),
    "default of nothing": ("%ccw default bogus", "EndpointNotFound", "bogus"),
}


def test_an_error_is_one_line_and_a_next_step(run: Run, wired: Path) -> None:
    shown = run(*(cell for cell, _, _ in ERRORS.values()))
    for (case, (_, name, words)), outputs in zip(ERRORS.items(), shown, strict=True):
        lines = _error(outputs)
        assert lines[0].startswith(f"{name}: "), case
        assert len(lines) == 2, case
        assert words in "\n".join(lines), case
        assert len(outputs) == 1, f"{case}: no empty answer and no footer above it"


def test_a_failure_keeps_what_came_and_stops_run_all(run: Run, wired: Path, wire: WireServer) -> None:
    wire.answers(Answer("one two three", pieces=["one ", "two ", "three"], cut_after=2))
    outputs, kept = run("%%ccw my-gpt4o\nHi", "_.output, _.success")
    assert outputs[0]["data"]["text/markdown"] == "one two "
    assert "incomplete" in outputs[1]["data"]["text/html"]
    assert _error(outputs)[0].startswith("ProviderError: the stream from openai broke off")
    assert _text(kept) == "('one two ', False)"


def test_a_reply_that_failed_is_shown_with_its_error_as_often_as_it_is_asked_for(
    run: Run, wired: Path, wire: WireServer
) -> None:
    wire.answers(Answer(status=400, body={"error": {"message": "no <b>such</b> thing"}}))
    failed, *again = run("%%ccw my-gpt4o -o reply\nHi", "_", "reply")
    error = _error(failed)
    assert "no <b>such</b> thing" in error[0]
    for outputs in again:
        told, footer = (output["data"] for output in outputs)
        assert told["text/plain"] == "\n".join(error)
        assert "no &lt;b&gt;such&lt;/b&gt; thing" in told["text/html"]
        assert "<b>" not in told["text/html"]
        assert "failed" in footer["text/html"]


def test_a_reply_is_shown_once_in_its_cell_and_again_in_every_other(run: Run, wired: Path, wire: WireServer) -> None:
    line = "%ccw cli my-gpt4o -p Hi"
    bound, later, same_cell = run(f"r = {line}", "r", f"s = {line}\ns")
    for outputs in (bound, later, same_cell):
        assert [next(iter(output["data"])) for output in outputs] == ["text/markdown", "text/html"]


def test_verbs_show_where_things_stand(run: Run, wired: Path) -> None:
    status, endpoints, providers, cache, helped, option = run(
        "%ccw", "%ccw endpoints", "%ccw providers", "%ccw cache", "%ccw help", "%%ccw --help\nx"
    )
    assert str(wired) in _text(status)
    assert "my-gpt4o" in endpoints[0]["data"]["text/html"]
    assert "sk-k" not in json.dumps(providers)
    assert "…" in providers[0]["data"]["text/html"]
    assert "no packs yet" in _text(cache)
    assert "endpoints" in _text(helped)
    assert "--include-dirs" in _text(option)


def test_the_cache_is_shown_as_a_table(run: Run, wired: Path) -> None:
    _, listed, one, kind = run(
        "%%ccw my-gpt4o\n@a.py Hi",
        "%ccw cache",
        "from ccw_magics import Workspace, stats\nname = stats.cache_frame(Workspace()).session_id[0]\n"
        "get_ipython().run_line_magic('ccw', f'cache {name}')",
        "import pandas\nisinstance(_, pandas.DataFrame)",
    )
    assert "@a.py" in listed[-1]["data"]["text/html"]
    assert "a.py" in one[-1]["data"]["text/html"]
    assert _text(kind) == "True"


def test_init_writes_the_example_and_refuses_to_overwrite(run: Run, project: Path) -> None:
    first, second = run("%ccw init", "%ccw init")
    assert "wrote" in _text(first)
    assert ConfigStore(project).get_default_endpoint() == "my-gpt4o"
    assert _error(second)[0].startswith("ConfigError")


def test_the_default_can_be_set_and_is_asked_where_none_is_named(run: Run, wired: Path, wire: WireServer) -> None:
    _, outputs = run("%ccw default my-gpt4o", "%%ccw\nHi")
    assert outputs[0]["data"]["text/markdown"] == "Hello from the wire."


def test_an_interrupt_keeps_the_text_and_the_kernel(wired: Path, wire: WireServer) -> None:
    from jupyter_client.manager import start_new_kernel

    wire.answers(Answer("one two three", pieces=["one ", "two ", "three"], stall_after=2))
    manager, client = start_new_kernel(cwd=str(wired))
    try:
        client.execute_interactive("%load_ext ccw_magics", timeout=60)
        seen: list[dict[str, Any]] = []

        def listen(message: dict[str, Any]) -> None:
            seen.append(message)
            if "two" in json.dumps(message["content"].get("data", {})) and len(seen) < 100:
                manager.interrupt_kernel()

        asked = client.execute_interactive("%%ccw my-gpt4o -o reply\nHi", output_hook=listen, timeout=60)
        assert asked["content"]["status"] == "error"
        shown = json.dumps([message["content"] for message in seen if message["msg_type"] == "error"])
        assert "interrupted; what had come is kept" in shown
        assert wire.disconnects.wait(1)
        told: list[str] = []
        client.execute_interactive(
            "print(reply.output, _.output == reply.output)",
            output_hook=lambda message: told.append(message["content"].get("text", "")),
            timeout=60,
        )
        assert "one two  True" in "".join(told)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_in_ipythons_terminal_the_text_comes_plain(wired: Path, wire: WireServer) -> None:
    wire.answers(Answer("# Plain"))
    code = "%load_ext ccw_magics\n%ccw cli my-gpt4o -p 'Hi'\n"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"],
        input=code,
        capture_output=True,
        text=True,
        cwd=wired,
        timeout=60,
        check=True,
    )
    assert "# Plain\n" in done.stdout
    assert "<Reply my-gpt4o · gpt-4o" in done.stdout
    assert "object at 0x" not in done.stdout


def test_in_ipythons_terminal_a_reply_that_failed_tells_its_error(wired: Path, wire: WireServer) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    wire.answers(Answer(status=400, body={"error": {"message": "no such thing"}}))
    shell = InteractiveShell()
    with capture_output() as captured:
        for cell in ("%load_ext ccw_magics", "%ccw cli my-gpt4o -p Hi", "reply = _", "reply"):
            shell.run_cell(cell, store_history=True)
    assert isinstance(shell.user_ns["reply"].failure, ProviderError)
    account, error, *_ = captured.stdout.partition("<Reply my-gpt4o")[2].splitlines()
    assert account.endswith("failed>")
    assert error.startswith("ProviderError: ")
    assert "no such thing" in error


def test_the_extension_can_be_unloaded(run: Run, wired: Path) -> None:
    _, gone = run("%unload_ext ccw_magics", "%ccw")
    assert "not found" in json.dumps(gone)

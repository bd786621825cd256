"""`ccw` as a process of its own, in the current directory, as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wire_server import WireServer

from ccw_magics.config.store import ConfigStore

# A test run in the background has SIGINT ignored, which children inherit; a shell's own command has not.
PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
COMMAND = [sys.executable, "-c", PROGRAM + "from ccw_magics.cli.shell.command import main; main()"]
LIMIT_S = 60
ENDPOINT = "my-gpt4o"


def ccw(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a line to its end; nothing comes on standard input unless `input` or `stdin` says so."""
    given = {"stdin": subprocess.DEVNULL} if "input" not in more else {}
    options = {"capture_output": True, "text": True, "timeout": LIMIT_S, **given, **more}
    return subprocess.run([*COMMAND, *words], check=False, **options)


@contextmanager
def started(*words: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a line; it is killed where a test leaves it running."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    process = subprocess.Popen([*COMMAND, *words], **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def wired_project(root: Path, wire: WireServer) -> Path:
    """A project with a file, and one endpoint, the default, which asks the wire server."""
    (root / "a.py").write_text("answer = 42\n")
    store = ConfigStore(root)
    provider = store.add_provider({"name": "W", "type": "openai", "apiKey": "sk-k-123456", "apiBase": f"{wire.url}/v1"})
    store.add_endpoint({"id": ENDPOINT, "name": "", "providerId": provider.id, "model": "gpt-4o"})
    store.set_default_endpoint(ENDPOINT)
    return root


def without_locale(**more: str) -> dict[str, str]:
    """The environment with nothing in it that says how text is written."""
    names = ("PYTHONIOENCODING", "PYTHONUTF8", "LANG", "LANGUAGE")
    return {name: text for name, text in os.environ.items() if name not in names and not name.startswith("LC_")} | more

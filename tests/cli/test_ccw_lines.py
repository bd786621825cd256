"""The lines that CCW's users have in their fingers, run in a shell as they stand, against a server on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from wire_conversation import conversation
from wire_server import WireServer

from ccw_magics import ConfigStore, Workspace

AUDIT = """ccw cli -p "
PURPOSE: OWASP Top 10 security audit of authentication module
TASK: • Check SQL injection • Verify session management • Test XSS vectors
CONTEXT: @src/auth/**/*.ts @src/middleware/auth.ts
EXPECTED: Security report with severity levels and remediation steps
" --tool litellm --model my-security-scanner --mode analysis"""
FLOW = 'ccw cli -p "Analyze authentication flow" --tool litellm --model my-gpt4o'
REVIEW = 'ccw cli -p "@src/auth/**/*.ts Review security" --tool litellm --model my-gpt4o'
QUICK = 'ccw cli -p "Quick question" --tool litellm --model my-gpt4o --no-cache'
PIPE = 'git diff | ccw cli -p "Review this" --model local'
LOGIN, TOKENS, MIDDLEWARE = "src/auth/login.ts", "src/auth/jwt/tokens.ts", "src/middleware/auth.ts"


@pytest.fixture
def shop(project: Path, wire: WireServer) -> Path:
    """A project with TypeScript in it, under git, one file of it edited since; three endpoints ask the wire server."""
    for path in (LOGIN, TOKENS, MIDDLEWARE, "src/cart.ts"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(f"export const here = '{path}';\n")
    store = ConfigStore(project)
    provider = store.add_provider({"type": "openai", "apiKey": "sk-k-123456", "apiBase": f"{wire.url}/v1"})
    for endpoint_id in ("my-gpt4o", "my-security-scanner", "local"):
        store.add_endpoint({"id": endpoint_id, "providerId": provider.id, "model": "gpt-4o"})
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "src"], [*author, "commit", "-qm", "All of it"]):
        subprocess.run(["git", *words], check=True, cwd=project)
    (project / LOGIN).write_text("export const here = 'somewhere else';\n")
    return project


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell does whose user has just installed the package."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_PROXY": "*"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("line", "endpoint", "files", "said"),
    [
        pytest.param(FLOW, "my-gpt4o", (), "Analyze authentication flow", id="flow"),
        pytest.param(REVIEW, "my-gpt4o", (TOKENS, LOGIN), "@src/auth/**/*.ts Review security", id="review"),
        pytest.param(QUICK, "my-gpt4o", (), "Quick question", id="quick"),
        pytest.param(AUDIT, "my-security-scanner", (TOKENS, LOGIN, MIDDLEWARE), "• Test XSS vectors\n", id="audit"),
        pytest.param(PIPE, "local", (), "+export const here = 'somewhere else';", id="pipe"),
    ],
)
def test_it_does_what_it_always_did(
    shop: Path, wire: WireServer, line: str, endpoint: str, files: tuple[str, ...], said: str
) -> None:
    done = shell(line)
    assert (done.returncode, done.stdout) == (0, "Hello from the wire.\n"), done.stderr
    (message,) = conversation(wire.requests[0])
    assert said in message.text
    (entry,) = Workspace(shop).journal.calls()
    assert (entry.call.endpoint, entry.call.files, entry.call.mode) == (endpoint, files, "analysis")


def test_without_a_cache_nothing_is_kept(shop: Path) -> None:
    done = shell(REVIEW + " --no-cache")
    assert done.returncode == 0, done.stderr
    assert Workspace(shop).cache.rows() == []

"""Canary keys: put wherever a key may stand, echoed by the server in every way, and found nowhere afterwards.

One kernel runs one notebook of cells that succeed, fail, stall, are interrupted and hold the package's objects in frames
shown by `%xmode Verbose`, with every logger at DEBUG; it plans, replays, converses, and asks for shapes of answers; the
command line does the same in processes of its own, and `ccw serve` over HTTP. What they left behind is collected as bytes, place by place, databases
while they are in use as well, and searched for the canaries as they are and as encodings write them.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat.v4
import pytest
from canary import leaks, spellings
from nbclient import NotebookClient
from served import Served
from wire_server import Answer, Received, WireServer

pytestmark = pytest.mark.timeout(600)  # the first test waits for the whole notebook

CONFIG = Path(".ccw", "storage", "config", "litellm-api-config.json")
CANARIES = {
    "literal": "sk-7Qw9Zx4Lr2Tb8VnKd5Hm3Gy6Pc1Rf",
    "escaped": 'sk-Wq/3e+Rt=Yu"1i%Op&As\\2d/Fg+Hj=Kl',
    "environment": "sk-Bn6Mv0Cx9Zl8Kj7Hg5Fd4Sa3Po2Iu",
    "header": "hd-Ty4Ui8Op2As6Df0Gh3Jk7Lz1Xc5Vb",
    "header-environment": "hd-Mq5Nw1Be7Vr3Ct9Xy0Zu2Ai8So4Dp",
    "listed": "sk-Gf3Hd7Js1Ka9Lq5Pw0Oe8Iz2Uy6Tx",
    "proxy": "px-Rt8Ew2Qa6Sz0Dx4Cf9Vg1Bh5Nj7Mk",
}
VARIABLES = {"CANARY_KEY": CANARIES["environment"], "CANARY_HEADER": CANARIES["header-environment"]}


# ---- what is configured -----------------------------------------------------------------------------------------------


def provider(name: str, provider_type: str, base: str, key: str, **more: Any) -> dict[str, object]:
    """A provider that is asked once: tries wait for real in a kernel, and `several` has some."""
    settings = {"maxRetries": 0, **more.pop("advancedSettings", {})}
    return {
        "id": name,
        "name": name,
        "type": provider_type,
        "apiBase": base,
        "apiKey": key,
        "advancedSettings": settings,
        **more,
    }


def config(url: str) -> dict[str, object]:
    literal, variable = CANARIES["literal"], "${CANARY_KEY}"
    headers = {"X-Canary": CANARIES["header"], "X-Auth": "Bearer ${CANARY_HEADER}"}
    proxy = f"http://user:{CANARIES['proxy']}@127.0.0.1:9"
    providers = [
        provider("literal", "openai", f"{url}/v1", literal),
        provider("escaped", "openai", f"{url}/v1", CANARIES["escaped"]),
        provider("environment", "openai", f"{url}/v1", variable),
        provider("headers", "openai", f"{url}/v1", variable, advancedSettings={"customHeaders": headers}),
        provider("anthropic", "anthropic", url, variable, advancedSettings={"customHeaders": headers}),
        provider("google", "google", url, literal),
        provider("azure", "azure", url, literal, advancedSettings={"apiVersion": "2024-10-21"}),
        provider("custom", "custom", f"{url}/v1", literal),
        provider("ollama", "ollama", url, literal),
        provider("listed", "openai", f"{url}/v1", "", apiKeys=[{"id": "one", "key": CANARIES["listed"]}]),
        provider("proxied", "openai", f"{url}/v1", literal, advancedSettings={"proxy": proxy}),
        provider("hasty", "openai", f"{url}/v1", literal, advancedSettings={"timeout": 0.4}),
        provider("unreachable", "openai", "http://127.0.0.1:9/v1", literal),
        provider(
            "several",
            "openai",
            f"{url}/v1",
            literal,
            apiKeys=[{"id": "two", "key": variable}],
            advancedSettings={"maxRetries": 1},
        ),
        provider("disabled", "openai", f"{url}/v1", literal, enabled=False),
        provider("unset", "openai", f"{url}/v1", literal + "${CANARY_UNSET}"),
    ]
    models = {"anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}
    endpoints: list[dict[str, Any]] = [
        {"id": one["id"], "providerId": one["id"], "model": models.get(str(one["id"]), "gpt-4o")} for one in providers
    ]
    next(one for one in endpoints if one["id"] == "several")["fallback"] = ["environment", "nobody"]
    return {"version": 1, "providers": providers, "endpoints": endpoints, "defaultEndpoint": "literal"}


BY_FORMAT = ("headers", "anthropic", "google", "custom")
BY_OPENAI = ("literal", "escaped", "environment", "headers", "custom", "listed")
ANSWERED = (*BY_OPENAI, "anthropic", "google", "azure", "ollama")


def answer(received: Received) -> Answer:
    """What the prompt asks for, with all keys that came along said back."""
    names = ("Authorization", "x-api-key", "x-goog-api-key", "api-key", "X-Canary", "X-Auth")
    sent = [received.headers[name] for name in names if name in received.headers]
    said = f"You sent {' '.join(sent)} and {quote(' '.join(sent), safe='')} to me."
    refusal = {"error": {"message": said, "type": "refused", "code": "401"}}
    answers = {
        "REFUSE": Answer(status=401, body=refusal, headers={"X-Echo": sent[0]}),
        "ECHO-KEY": Answer(echo_key=True),
        "STALL": Answer(said, pieces=7, stall_after=len(said) // 14),
        "CUT": Answer(said, pieces=9, cut_after=4),
        "BREAK": Answer(said, pieces=9, error_after=4),
        "BUSY": Answer(status=429, body=refusal, headers={"Retry-After": "0"}),
        "GARBLE": Answer(body=f"<html>{said}"),
        "HALVES": Answer(said, pieces=23),
        "SMALL": Answer(said, pieces=7),
        **shapes(said, is_again="Answer with one JSON object" in received.body.decode()),
    }
    prompt = received.body.decode()
    if "NO-SCHEMA" in prompt and "Answer with one JSON object" not in prompt:
        return Answer(status=400, body=refusal)
    return next((answer for word, answer in answers.items() if word in prompt), Answer(said, pieces=1000))


def shapes(said: str, *, is_again: bool) -> dict[str, Answer]:
    """The same said in JSON: as it fits, hidden by escapes, as it never fits, as it fits at the second time."""
    title = json.dumps(said)
    hidden = '"' + "".join(f"\\u{ord(character):04x}" for character in said) + '"'
    row, misfit = f'{{"title": {title}, "line": 1}}', f'{{"title": {title}, "line": {title}}}'
    return {
        "ROWS": Answer(f'{{"items": [{row}, {{"title": {hidden}, "line": 2}}]}}', pieces=7),
        "HIDDEN": Answer(f'{{"title": {hidden}, "line": 1}}', pieces=11),
        "FENCED": Answer(f"I was sent {said}:\n```json\n{row}\n```", pieces=11),
        "MISFIT": Answer(misfit, pieces=11),
        "MEND": Answer(row if is_again else misfit, pieces=11),
        "SHAPE": Answer(row, pieces=11),
        "NO-SCHEMA": Answer(row, pieces=11),
    }


# ---- what is run ------------------------------------------------------------------------------------------------------

SET_UP = """
import asyncio, json, logging, os, pickle, pprint, signal, threading, traceback
from pathlib import Path
environment_before = {(name, hash(value)) for name, value in os.environ.items()}
logging.basicConfig(filename=Path.home() / "debug.log", level=logging.DEBUG, force=True)
%xmode Verbose
%load_ext ccw_magics
from ccw_magics import Workspace
workspace = Workspace()
"""
LOUD = """
for name in ("asyncio", "httpx", "httpcore", "openai", "aiohttp", "LiteLLM"):
    logging.getLogger(name).setLevel(logging.DEBUG)
"""
SHOWN = (
    "%ccw",
    "%ccw providers",
    "%ccw endpoints",
    "%ccw cache",
    "_",
    "workspace",
    "vars(workspace)",
    "vars(workspace.config)",
    "vars(workspace.executor)",
    "workspace.config.load()",
    "pprint.pprint(workspace.config.get_all_providers())",
    "[print(one, repr(one), vars(one)) for one in workspace.config.get_all_providers()]",
    "workspace.config.get_provider('headers')",
    "workspace.config.get_provider_with_resolved_env_vars('headers')",
    "workspace.config.get_provider_with_resolved_env_vars('headers').model_dump()",
    "print(workspace.config.load().model_dump_json(by_alias=True))",
    "workspace.config.load().model_json_schema()",
    "workspace.config.update_provider('literal', {'apiKey': []})",
    "workspace.config.update_provider('literal', {'enabled': {}})",
    "reply = workspace.run('@notes.md SMALL', endpoint='headers'); reply, vars(reply), str(reply)",
    "print(json.dumps([pickle.dumps(reply).hex(), pickle.dumps(workspace.config.load()).hex()]))",
    "Path('reply.pickle').write_bytes(pickle.dumps(reply))",
    "failed = workspace.run('REFUSE', endpoint='headers'); failed, vars(failed), str(failed), vars(failed.failure)",
    "Path('failed.pickle').write_bytes(pickle.dumps(failed))",
    "failed.failure.__cause__, failed.failure.__context__",
    "print(''.join(traceback.format_exception(failed.failure)))",
    "await workspace.arun('REFUSE', endpoint='environment')",
    "(await workspace.arun('SMALL', endpoint='environment')).raise_for_error()",
    "failed.raise_for_error()",
    "%tb Verbose",
    "workspace.run('SMALL', endpoint='headers', on_output=lambda kind, text: 1 / 0)",
    "%ccw cli -p 'REFUSE' --model environment",
    "%ccw cli -p 'SMALL' --model environment --out kept",
    "kept",
)
SHAPES = """
import pydantic
class Row(pydantic.BaseModel):
    title: str
    line: int
class Picky(pydantic.BaseModel):
    title: str
    @pydantic.field_validator("title")
    @classmethod
    def says_so(cls, title):
        raise ValueError(f"no title is {title}")
class Broken(pydantic.BaseModel):
    title: str
    @pydantic.field_validator("title")
    @classmethod
    def breaks(cls, title):
        wanted = workspace.config.get_provider_with_resolved_env_vars("headers")
        return {}[title]
"""
SNAPSHOT = """
import shutil, uuid
for number, top in enumerate((Path.home(), workspace.root)):
    for path in [*top.rglob("*.sqlite3*")]:
        copy = workspace.root / "in-use" / str(number) / uuid.uuid4().hex / path.name
        copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
"""


def remembered() -> list[str]:
    """Answers that are given again, conversations, plans and limits."""
    talks = [
        asked(endpoint, prompt, f"--chat {endpoint} --replay")
        for endpoint in BY_FORMAT
        for prompt in ("@notes.md SMALL one", "HALVES two", "REFUSE", "WHOLE three")
    ]
    return [
        *(asked(endpoint, "@notes.md SMALL again", "--replay") for endpoint in (*BY_FORMAT, *BY_FORMAT)),
        asked("headers", "@notes.md SMALL again", "--replay --no-cache"),
        asked("headers", "@notes.md SMALL again", "--no-replay"),
        asked("headers", "REFUSE again", "--replay"),
        asked("headers", "CUT again", "--replay"),
        *talks,
        asked("escaped", "SMALL", "--chat"),
        asked("headers", "CUT", "--chat headers"),
        INTERRUPTED.replace("literal", "headers --chat headers --replay"),
        "%ccw chat",
        "%ccw chat list",
        *(f"%ccw chat show {endpoint}" for endpoint in (*BY_FORMAT, "nobody")),
        "%ccw chat fork headers forked",
        "%ccw chat fork anthropic shorter --turns 1",
        asked("headers", "SMALL four", "--chat forked"),
        "%ccw chat clear shorter",
        "vars(workspace.journal.chats), [stored for stored in workspace.journal.chats.path('headers')]",
        "vars(workspace.executor.conversations), vars(workspace.executor.replies)",
        "%ccw cache replies",
        *(
            asked(endpoint, "@notes.md WHOLE", f"--dry-run --system brief {options}")
            for endpoint in ("headers", "escaped", "proxied", "unset", "disabled", "nobody", "several")
            for options in ("", "--chat headers", "--replay --schema 'title, line: int'")
        ),
        asked("headers", "@notes.md SMALL again", "--dry-run --replay"),
        "_, _.to_csv(), _.to_html()",
        "plan = workspace.plan('@notes.md SMALL', endpoint='headers', chat='headers'); plan, vars(plan)",
        "workspace.plan('SMALL', endpoint='unset')",
        "1 / 0 if workspace.plan('SMALL', endpoint='headers') else None",
        asked("headers", "WHOLE", "--max-cost 0.0000001"),
        asked("headers", "WHOLE", "--max-cost 0.5"),
        "%ccw budget",
        "%ccw budget --per-kernel 0.0000001 --per-day 0.0000001",
        asked("headers", "WHOLE"),
        asked("escaped", "WHOLE @notes.md"),
        "workspace.run('WHOLE', endpoint='headers').raise_for_error()",
        "%ccw budget",
        "%ccw budget --per-kernel none --per-day 5",
        asked("headers", "SMALL within the day"),
        "%ccw budget --per-day none",
    ]


def shaped() -> list[str]:
    """Answers of a shape, and those that are of none."""
    return [
        SHAPES,
        *(
            asked(endpoint, prompt, "--schema 'title, line: int'")
            for endpoint in BY_FORMAT
            for prompt in ("SHAPE", "HIDDEN", "MISFIT", "MEND", "REFUSE", "CUT", "NO-SCHEMA")
        ),
        "_, vars(_), _.data",
        asked("headers", "FENCED", "--schema Row"),
        asked("headers", "ROWS", "--schema Row --table --out rows"),
        "rows, rows.data, rows.data.to_csv(), vars(rows)",
        asked("headers", "ROWS", "--schema list[Row] --chat shaped --replay"),
        asked("headers", "HIDDEN", "--schema Row --chat shaped --replay"),
        "[(one, one.model_dump()) for one in _.data] if isinstance(_.data, list) else _.data.model_dump_json()",
        asked("headers", "SHAPE", "--schema Picky --raw"),
        asked("headers", "HIDDEN", "--schema Picky"),
        asked("headers", "HIDDEN", "--schema Broken"),
        asked("headers", "SHAPE", "--schema workspace.config"),
        asked("headers", "SHAPE", "--schema Nobody"),
        asked("headers", "SHAPE", "--schema 'title: nothing'"),
        "shaped = workspace.run('MISFIT', endpoint='headers', schema=Row); shaped, vars(shaped), vars(shaped.failure)",
        "shaped.raise_for_error()",
        "workspace.run('HIDDEN', endpoint='escaped', schema=Broken).raise_for_error()",
        "await workspace.arun('MEND', endpoint='environment', schema=Row)",
        "workspace.run('SHAPE', schema=workspace)",
        "%ccw chat show shaped",
    ]


VERBS = (
    "%ccw help",
    "%ccw help cli",
    "%ccw init",
    "%ccw trust",
    "%ccw default headers",
    "%ccw default literal",
    "%ccw cache status",
    "%ccw cache cleanup",
    "%ccw history prune --older-than 30d",
    "%ccw bogus",
)
RECORDED = (
    "%ccw history -n 500",
    "_.to_csv()",
    "%ccw history show 1",
    "[print(workspace.journal.get(entry.id)) for entry in workspace.journal.calls()]",
    "%ccw stats",
    "workspace.journal, vars(workspace.journal)",
)
HELD_IN_FRAMES = """
def broken():
    store = workspace.config
    provider, every = store.get_provider("headers"), store.get_all_providers()
    resolved = store.get_provider_with_resolved_env_vars("headers")
    settings, keys, dumped = resolved.advanced_settings, resolved.api_keys, resolved.model_dump()
    reply = workspace.run("REFUSE", endpoint="headers")
    return [store, provider, every, resolved, settings, keys, dumped, reply, workspace, workspace.executor][1 // 0]
"""
WITH_LOCALS = """
for attempt in (broken, failed.raise_for_error, lambda: workspace.run("SMALL", on_output=lambda kind, text: 1 / 0)):
    try:
        attempt()
    except Exception as error:
        print("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
"""
INTERRUPTED = """
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
get_ipython().run_cell_magic("ccw", "literal", "STALL")
"""
NOTHING_EXPORTED = """
print({name: value for name, value in os.environ.items() if (name, hash(value)) not in environment_before})
"""


def asked(endpoint: str, prompt: str, options: str = "") -> str:
    return f"%%ccw {endpoint} {options}\n{prompt}"


def failing_cells(refused: Sequence[str]) -> list[str]:
    return [
        *(asked(endpoint, prompt) for endpoint in refused for prompt in ("REFUSE", "ECHO-KEY")),
        *(
            asked(endpoint, prompt)
            for endpoint in ("literal", "anthropic", "google")
            for prompt in ("CUT", "BREAK", "GARBLE")
        ),
        asked("hasty", "STALL"),
        asked("several", "REFUSE"),
        asked("several", "BUSY"),
        asked("several", "CUT", "--retry-cut"),
        *(asked(endpoint, "Hello?") for endpoint in ("unreachable", "proxied", "disabled", "unset", "nobody")),
        asked("environment", "REFUSE", "--no-stream"),
        INTERRUPTED,
        "broken()",
        WITH_LOCALS,
    ]


def cells() -> list[str]:
    succeeding = [asked(endpoint, prompt) for endpoint in ANSWERED for prompt in ("WHOLE", "HALVES", "SMALL @notes.md")]
    return [
        SET_UP,
        HELD_IN_FRAMES,
        LOUD,
        "workspace.run('WHOLE')",
        LOUD,  # litellm's import sets levels of its own
        *succeeding,
        asked("headers", "WHOLE", "--no-stream"),
        asked("headers", "SMALL", "--raw"),
        *SHOWN,
        *remembered(),
        *shaped(),
        SNAPSHOT,
        *VERBS,
        *failing_cells(ANSWERED),
        "os.environ['CCW_DEBUG'] = '1'",
        *failing_cells(("literal", "escaped", "headers", "anthropic", "google")),
        "failed.raise_for_error()",
        "shaped.raise_for_error()",
        asked("headers", "MISFIT", "--schema 'title, line: int'"),
        asked("headers", "SHAPE", "--schema Broken"),
        asked("headers", "REFUSE debugged", "--chat headers --replay"),
        asked("headers", "WHOLE", "--max-cost 0.0000001"),
        SNAPSHOT,
        *RECORDED,
        "del os.environ['CCW_DEBUG']",
        NOTHING_EXPORTED,
    ]


COMMANDS = {
    "status": (["status"], {}),
    "providers": (["providers"], {}),
    "endpoints": (["endpoints"], {}),
    "history": (["history", "-n", "500"], {}),
    "history of one": (["history", "20"], {}),
    "stats": (["stats"], {}),
    "chat show": (["chat", "show", "headers"], {}),
    "plan": (["cli", "-p", "@notes.md WHOLE", "--model", "headers", "--dry-run", "--schema", "title, line: int"], {}),
    "talk": (["cli", "-p", "SMALL", "--model", "headers", "--chat", "--replay"], {"LITELLM_LOG": "DEBUG"}),
    "no shape": (
        ["cli", "-p", "MISFIT", "--model", "escaped", "--schema", "title, line: int"],
        {"CCW_DEBUG": "1", "LITELLM_LOG": "DEBUG"},
    ),
    "answer": (["cli", "-p", "@notes.md SMALL", "--model", "headers"], {"LITELLM_LOG": "DEBUG"}),
    "refused": (["cli", "-p", "REFUSE", "--model", "environment"], {}),
    "document": (["cli", "-p", "@notes.md WHOLE", "--model", "headers", "--json"], {"LITELLM_LOG": "DEBUG"}),
    "refused, as a document": (["cli", "-p", "REFUSE", "--model", "escaped", "--json"], {"CCW_DEBUG": "1"}),
    "plan, as a document": (["cli", "-p", "WHOLE", "--model", "proxied", "--json", "--dry-run"], {}),
    "agent that tells all": (["cli", "-p", "WHOLE", "--tool", "codex"], {}),
    "refused, debugged": (["cli", "-p", "REFUSE", "--model", "escaped"], {"CCW_DEBUG": "1", "LITELLM_LOG": "DEBUG"}),
}


@dataclass(frozen=True)
class Evidence:
    """What was left behind, place by place, and what must hold for the search to mean anything."""

    places: Mapping[str, bytes]
    config: bytes
    requests: list[Received]
    notebook: Any


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    folder = tmp_path_factory.mktemp("canary")
    home, root = folder / "home", folder / "root"
    home.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(WireServer())
        server.answers(answer)
        (root / CONFIG).parent.mkdir(parents=True)
        (root / CONFIG).write_text(json.dumps(config(server.url)))
        (root / "notes.md").write_text("Nothing secret.\n")
        environment = _environment(home)
        write_agent(home)
        notebook, output = run_notebook(root, environment)
        with ThreadPoolExecutor(2) as pool:  # each spends seconds on imports
            runs = {name: pool.submit(run_command, root, environment, *told) for name, told in COMMANDS.items()}
        printed = {f"ccw {name}": run.result() for name, run in runs.items()}
        answered = ask_over_http(folder)
        stored = (root / CONFIG).read_bytes()
        (root / CONFIG).unlink()
        written = {f"file {path.relative_to(top)}": path.read_bytes() for top in (home, root) for path in _files(top)}
        places = {
            "notebook": json.dumps(notebook).encode() + json.dumps(notebook, ensure_ascii=False).encode(),
            "kernel's own output": output,
            **printed,
            **answered,
            **written,
        }
        yield Evidence(places, stored, list(server.requests), notebook)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_API_BASE"))}
    path = f"{home}{os.pathsep}{os.environ['PATH']}"
    own = {"HOME": str(home), "USERPROFILE": str(home), "CCW_TRUST": "1", "PYTHONASYNCIODEBUG": "1", "PATH": path}
    return {**kept, **own, **VARIABLES}


AGENT = f"""#!{sys.executable}
import json, os, sys
sys.stderr.write(repr(dict(os.environ)))
for kind in ("agent_message", "reasoning"):
    print(json.dumps({{"type": "item.completed", "item": {{"type": kind, "text": repr(dict(os.environ))}}}}))
print(json.dumps({{"type": "turn.failed", "error": {{"message": repr(sorted(os.environ.values()))}}}}))
sys.exit(1)
"""


def write_agent(home: Path) -> None:
    """A command-line agent that tells the environment it was started in, and fails of it."""
    (home / "codex").write_text(AGENT)
    (home / "codex").chmod(0o755)


def _files(top: Path) -> list[Path]:
    return sorted(path for path in top.rglob("*") if path.is_file())


def run_notebook(root: Path, environment: Mapping[str, str]) -> tuple[Any, bytes]:
    """Execute the cells in a real kernel; gives the notebook, and what the kernel's process itself wrote."""
    new: Any = nbformat.v4  # has no types
    notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in cells()])
    client = NotebookClient(
        notebook, timeout=60, allow_errors=True, kernel_name="python3", resources={"metadata": {"path": str(root)}}
    )
    with (root / "kernel.log").open("wb") as output:
        client.execute(env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
    return notebook, (root / "kernel.log").read_bytes()


ROUTES = ("/providers", "/endpoints", "/config", "/config/cache", "/config/default-endpoint", "/cache/stats")
ASKED_OVER_HTTP = [
    *(
        {"prompt": prompt, "endpointId": "headers"}
        for prompt in ("@notes.md WHOLE", "HALVES", "REFUSE", "CUT", "SHAPE")
    ),
    {"prompt": "REFUSE", "endpointId": "escaped"},
    {"prompt": "MISFIT", "endpointId": "escaped", "schema": "title, line: int"},
    *({"prompt": "Hello?", "endpointId": name} for name in ("unset", "proxied", "unreachable", "disabled", "nobody")),
]


def ask_over_http(folder: Path) -> dict[str, bytes]:
    """Read, change and ask by the routes of `ccw serve`: what they answer, and what the server wrote."""
    more = {**VARIABLES, "CCW_TRUST": "1", "LITELLM_LOG": "DEBUG", "CCW_DEBUG": "1"}
    with Served(folder, "--port", "0", **more) as served:
        answers = {path: served.request("GET", path) for path in ROUTES}
        ids = [provider["id"] for provider in answers["/providers"].json()["providers"]]
        key = {"apiKey": CANARIES["literal"]}
        answers |= {f"one {name}": served.request("GET", f"/providers/{name}") for name in ids}
        answers |= {f"test {name}": served.request("POST", f"/providers/{name}/test") for name in ids}
        answers["add"] = served.request("POST", "/providers", json={"name": "P", "type": "openai", **key})
        answers["not added"] = served.request("POST", "/providers", json={"type": CANARIES["literal"], "apiKeys": key})
        answers["changed"] = served.request("PUT", "/providers/literal", json=key)
        answers["not changed"] = served.request("PUT", "/providers/literal", json={**key, "enabled": key})
        answers |= {f"asked {body}": served.request("POST", "/execute", json=body) for body in ASKED_OVER_HTTP}
    assert answers["changed"].status_code == 200
    told = {f"HTTP {name}": answer.content + repr(answer.headers).encode() for name, answer in answers.items()}
    return {**told, "HTTP log": served.log.read_bytes(), "HTTP said": served.said.encode()}


def run_command(root: Path, environment: Mapping[str, str], words: list[str], more: Mapping[str, str]) -> bytes:
    command = [sys.executable, "-X", "dev", "-c", "from ccw_magics.cli.shell.command import main; main()", *words]
    result = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=root,
        env={**environment, **more},
        timeout=100,
    )
    return result.stdout


# ---- what must hold ---------------------------------------------------------------------------------------------------


def test_no_canary_anywhere(evidence: Evidence) -> None:
    found = {place: leaks(content, CANARIES) for place, content in evidence.places.items()}
    assert {place: told for place, told in found.items() if told} == {}


def outputs(evidence: Evidence, source: str) -> str:
    """What the first cell with this source showed."""
    return next(json.dumps(cell.outputs) for cell in evidence.notebook.cells if cell.source == source)


def test_the_search_would_find_them(evidence: Evidence) -> None:
    in_config = {name for name in CANARIES if any(form in evidence.config for form in spellings(CANARIES[name]))}
    assert in_config == set(CANARIES) - {"environment", "header-environment"}
    sent = " ".join(f"{' '.join(one.credentials)} {' '.join(one.headers.values())}" for one in evidence.requests)
    assert {name for name, canary in CANARIES.items() if canary in sent} == set(CANARIES) - {"proxy"}


@pytest.mark.parametrize("endpoint", ANSWERED)
def test_the_server_was_asked_and_its_echo_masked(evidence: Evidence, endpoint: str) -> None:
    assert "You sent" in outputs(evidence, asked(endpoint, "WHOLE"))
    assert "(401)" in outputs(evidence, asked(endpoint, "ECHO-KEY"))
    assert "(401)" in outputs(evidence, asked(endpoint, "REFUSE"))


def test_the_databases_were_seen_in_use(evidence: Evidence) -> None:
    seen = {Path(place).name for place in evidence.places if "in-use" in place}
    assert {f"{name}.sqlite3{part}" for name in ("calls", "replies") for part in ("", "-wal")} <= seen
    kept = b"".join(content for place, content in evidence.places.items() if "replies.sqlite3" in place)
    assert b"You sent" in kept


def test_the_loggers_were_at_debug(evidence: Evidence) -> None:
    log = evidence.places["file debug.log"].decode()
    logged = {line.split(":")[1] for line in log.splitlines() if line.startswith(("DEBUG:", "INFO:"))}
    assert {"LiteLLM", "httpx", "openai._base_client", "asyncio"} <= logged


def test_nothing_was_exported(evidence: Evidence) -> None:
    exported = ast.literal_eval(json.loads(outputs(evidence, NOTHING_EXPORTED))[0]["text"])
    assert set(exported) <= {"LITELLM_LOCAL_MODEL_COST_MAP", "TIKTOKEN_CACHE_DIR"}  # the second is litellm's own doing


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("%ccw", "canary", id="status"),
        pytest.param("%ccw providers", "${CANARY_KEY}", id="providers"),
        pytest.param("%ccw providers", "sk-\\u20261Rf", id="providers-masked"),
        pytest.param("broken()", "resolved = ", id="verbose-traceback-with-locals"),
        pytest.param(WITH_LOCALS, "dumped = ", id="captured-locals"),
        pytest.param(INTERRUPTED, "KeyboardInterrupt", id="interrupt"),
        pytest.param(asked("hasty", "STALL"), "did not finish within 0.4 s", id="timeout"),
        pytest.param(
            asked("several", "REFUSE"), "environment: openai refused the key", id="several keys, and a fallback"
        ),
        pytest.param(asked("several", "BUSY"), "is limiting requests (429)", id="retries"),
        pytest.param("%ccw history -n 500", "several", id="history"),
        pytest.param("%ccw stats", "anthropic", id="stats"),
        pytest.param(asked("disabled", "Hello?"), "is disabled", id="disabled"),
        pytest.param(asked("headers", "SMALL four", "--chat forked"), "chat forked", id="conversation"),
        pytest.param("%ccw chat show headers", "HALVES two", id="conversation shown"),
        pytest.param("%ccw chat", "anthropic", id="conversations"),
        pytest.param("_, _.to_csv(), _.to_html()", "notes.md", id="plan"),
        pytest.param(asked("headers", "WHOLE", "--max-cost 0.0000001"), "BudgetExceeded", id="limit of the call"),
        pytest.param(asked("headers", "SHAPE", "--schema 'title, line: int'"), "You sent", id="shape"),
        pytest.param(asked("headers", "HIDDEN", "--schema 'title, line: int'"), "You sent", id="hidden by escapes"),
        pytest.param(asked("headers", "MEND", "--schema 'title, line: int'"), "1 retry", id="repair"),
        pytest.param(asked("headers", "NO-SCHEMA", "--schema 'title, line: int'"), "You sent", id="no schema mode"),
        pytest.param(asked("headers", "MISFIT", "--schema 'title, line: int'"), "SchemaError", id="misfit"),
        pytest.param(asked("headers", "SHAPE", "--schema Picky --raw"), "no title is You sent", id="quoting validator"),
        pytest.param(asked("headers", "HIDDEN", "--schema Broken"), "KeyError", id="broken validator"),
        pytest.param("rows, rows.data, rows.data.to_csv(), vars(rows)", "You sent", id="table"),
        pytest.param(asked("unset", "Hello?"), "CANARY_UNSET is not set", id="unset"),
        pytest.param(asked("proxied", "Hello?"), "cannot be reached", id="proxy"),
    ],
)
def test_the_cells_did_what_they_are_for(evidence: Evidence, source: str, expected: str) -> None:
    assert expected in outputs(evidence, source)

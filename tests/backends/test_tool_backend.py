"""The backend with stand-ins for the tools: scripts that do what the real ones do, and what they should not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from ccw_magics.backends import tool_backend, tool_guard, tool_process
from ccw_magics.backends.base import AgentTask, Done, Event, ModelCall, Note, Sent, Text, Usage
from ccw_magics.backends.tool_backend import ToolBackend
from ccw_magics.errors import ToolError, ToolNotReady

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stand-ins are scripts with a first line #!")
KEY = "canary-5d0f6a83c1e94b27"
HELLO = '{"type":"item.completed","item":{"type":"agent_message","text":"Hello."}}'
END = '{"type":"turn.completed","usage":{"input_tokens":9,"cached_input_tokens":4,"output_tokens":2}}'
SAYS_HELLO = f"print('{HELLO}'); print('{END}')"

StandIn = Callable[..., ModelCall]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Make a script a tool, and a call to it."""
    place, binaries = tmp_path / "place", tmp_path / "bin"
    place.mkdir()
    binaries.mkdir()
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")

    def make(body: str, tool: str = "codex", prompt: str = "Why?", **more: object) -> ModelCall:
        program = binaries / tool
        program.write_text(f"#!{sys.executable}\nimport json, os, signal, subprocess, sys, time\n{body}\n")
        program.chmod(0o755)
        task = AgentTask("analysis", place)
        return ModelCall(f"{tool}-cli", "", prompt, agent=task, **{"timeout_s": 30.0, **more})  # type: ignore[arg-type]  # a table's values

    return make


def ask(call: ModelCall) -> list[Event]:
    async def collected() -> list[Event]:
        async with aclosing(ToolBackend().stream(call)) as stream:
            return [event async for event in stream]

    return asyncio.run(collected())


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def test_an_answer(stand_in: StandIn) -> None:
    assert ask(stand_in(SAYS_HELLO)) == [
        Sent(),
        Text("Hello."),
        Done(Usage(9, cached_input_tokens=4, output_tokens=2)),
    ]


def test_the_prompt_comes_by_standard_input_and_the_directory_is_the_tasks(stand_in: StandIn, tmp_path: Path) -> None:
    body = """
asked = sys.stdin.read()
text = json.dumps([asked, os.getcwd(), sys.argv[1:3], os.environ["PWD"]])
print(json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": text}}))
print(json.dumps({"type": "turn.completed"}))
"""
    prompt = "$(touch x) `y` \"z\" 'w' @a \ud800 🎉\n" * 20_000
    asked, directory, words, named = json.loads(text_of(ask(stand_in(body, prompt=prompt))))
    assert asked == prompt.replace("\ud800", "?")
    assert directory == named == str(tmp_path / "place")
    assert words == ["exec", "--json"]


def test_held_back_where_nothing_is_to_be_streamed(stand_in: StandIn) -> None:
    events = ask(stand_in(f"print('{HELLO}');" + SAYS_HELLO, stream=False))
    assert [event for event in events if isinstance(event, Text)] == [Text("Hello.\n\nHello.")]


def test_what_is_not_known_is_passed_over(stand_in: StandIn) -> None:
    body = "print('npm notice'); print('{\"type\": \"new.thing\"}'); print('[1]'); print('{'); sys.stdout.buffer.write(b'\\xff{\\xfe\\n'); sys.stdout.flush();"
    assert text_of(ask(stand_in(body + SAYS_HELLO))) == "Hello."


def _refusing(words: str) -> str:
    return f"sys.stderr.write({words!r} + chr(10)); sys.exit(2)"


FAILURES = {
    "status": ("sys.stderr.write('first\\nlast words\\n'); sys.exit(3)", "codex failed with exit status 3: last words"),
    "signal": ("os.kill(os.getpid(), 9)", "codex was ended by SIGKILL"),
    "nothing": ("pass", "codex failed: it said nothing that is known here"),
    "no end": (f"print('{HELLO}')", "codex failed: it ended without an answer"),
    "told": ("print('{\"type\":\"turn.failed\",\"error\":{\"message\":\"overloaded\"}}'); sys.exit(1)", "codex failed with exit status 1: overloaded"),
    "login": ("print('{\"type\":\"turn.failed\",\"error\":{\"message\":\"401 Unauthorized\"}}'); sys.exit(1)", "codex is not logged in: 401 Unauthorized"),
    "line 401": ("sys.stderr.write('at x (a.js:401:12)\\nlast words\\n'); sys.exit(3)", "codex failed with exit status 3: last words"),
    "node too old": ("sys.stderr.write('SyntaxError: Unexpected token ?\\n    at wrap (x.js:1)\\n'); sys.exit(1)", "the Node.js on PATH is too old for codex"),
    "no node": ("sys.stderr.write(\"/usr/bin/env: 'node': No such file or directory\\n\"); sys.exit(127)", "codex needs Node.js"),
    "too old": ("print('codex-cli 0.20.0') if '--version' in sys.argv else (sys.stderr.write(\"error: unexpected argument '--ignore-rules' found\\n\"), sys.exit(2))", "codex 0.20.0 does not know an option that is needed; 0.169.0 does"),
    "too old and silent": ("'--version' in sys.argv or sys.stderr.write('Unknown argument: policy\\n'); sys.exit(1)", "this codex does not know an option"),
    "too old, newer clap": (_refusing("error: unexpected argument '--json' found"), "this codex does not know an option"),
    "too old, older clap": (_refusing("error: unknown option --json"), "this codex does not know an option"),
    "too old, lower case": (_refusing("unknown option"), "this codex does not know an option"),
    "too old, upper case": (_refusing("Unknown option: --admin-policy"), "this codex does not know an option"),
    "too old, getopt": (_refusing("codex: unrecognized option '--json'"), "this codex does not know an option"),
    "no option of its own": (_refusing("Invalid argument (os error 22)"), "codex failed with exit status 2: Invalid argument"),
    "key": (f"sys.stderr.write('bad key {KEY} or sk-abcdefghijklmnopqrs\\n'); sys.exit(1)", "bad key can…b27 or sk-…qrs"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), FAILURES.values(), ids=FAILURES)
def test_failures(body: str, message: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ToolError) as caught:
        ask(stand_in(body))
    assert message in caught.value.message
    assert caught.value.hint
    assert KEY not in str(caught.value)


NOT_READY = [name for name in FAILURES if name.startswith(("login", "too old", "node", "no node"))]


@pytest.mark.parametrize("name", FAILURES)
def test_which_failures_are_of_the_set_up(name: str, stand_in: StandIn) -> None:
    with pytest.raises(ToolError) as caught:
        ask(stand_in(FAILURES[name][0]))
    assert isinstance(caught.value, ToolNotReady) == (name in NOT_READY)
    assert ("npm install -g @openai/codex@latest" in str(caught.value)) == name.startswith("too old")


@pytest.mark.parametrize(("status", "words"), [(55, "does not trust the folder"), (41, "gemini is not logged in")])
def test_geminis_own_exit_codes(status: int, words: str, stand_in: StandIn) -> None:
    with pytest.raises(ToolError, match=words):
        ask(stand_in(f"sys.stderr.write('x\\n'); sys.exit({status})", tool="gemini"))


def test_what_was_used_is_told_before_the_failure(stand_in: StandIn) -> None:
    async def last_two() -> tuple[Event, ...]:
        stream = ToolBackend().stream(stand_in(SAYS_HELLO + "; sys.stdout.flush(); os._exit(7)"))
        said = await anext(stream), await anext(stream), await anext(stream)
        with pytest.raises(ToolError):
            await anext(stream)
        return said[-2:]

    assert [type(event) for event in asyncio.run(last_two())] == [Text, Done]


def test_not_installed(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    call = stand_in("pass")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolNotReady, match="not installed"):
        ask(call)


def test_a_directory_that_is_not_there(stand_in: StandIn, tmp_path: Path) -> None:
    call = stand_in("pass")
    gone = ModelCall(call.provider_type, "", "?", agent=AgentTask("analysis", tmp_path / "gone"))
    with pytest.raises(ToolError, match="could not be started"):
        ask(gone)


def test_a_program_that_cannot_run(stand_in: StandIn, tmp_path: Path) -> None:
    call = stand_in("pass")
    (tmp_path / "bin" / "codex").write_text("#!/nowhere/at/all\n")
    with pytest.raises(ToolError, match="exit status 127"):
        ask(call)


def test_keys_of_the_environment_are_masked_in_text_and_notes(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    body = """
key = os.environ["GEMINI_API_KEY"]
for piece in ("The key is " + key[:9], key[9:], " indeed."):
    print(json.dumps({"type": "message", "role": "assistant", "content": piece}))
print(json.dumps({"type": "tool_use", "tool_name": "run\\x1b[31m", "parameters": {"command": "echo " + key}}))
print(json.dumps({"type": "result", "status": "success"}))
"""
    events = ask(stand_in(body, tool="gemini"))
    assert text_of(events) == "The key is can…b27 indeed."
    assert Note("run echo can…b27") in events


FLOODS = {
    "stderr": "sys.stderr.write('x' * 20_000_000);",
    "lines": f"print(('{HELLO[:-3]}' + 'x' * 1000 + '\"}}}}\\n') * 50_000);",
    "a long line": 'print(\'{"type":"x","y":"\' + \'x\' * 10_000_000 + \'"}\');',
    "one beyond the limit": "sys.stdout.write('x' * 5_000_000 + '\\n');",
    "never reads": "",
}


@pytest.mark.parametrize("body", FLOODS.values(), ids=FLOODS)
def test_floods(body: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    if "5_000_000" in body:
        monkeypatch.setattr(tool_process, "LONGEST_LINE_BYTES", 1_000_000)
    events = ask(stand_in(body + SAYS_HELLO, prompt="x" * 2_000_000))
    assert text_of(events).endswith("Hello.")
    assert isinstance(events[-1], Done)


def test_a_long_message_comes_whole(stand_in: StandIn) -> None:
    body = "print(json.dumps({'type': 'item.completed', 'item': {'type': 'agent_message', 'text': 'x' * 10_000_000}}));"
    assert len(text_of(ask(stand_in(body + f"print('{END}')")))) == 10_000_000


def test_closes_standard_output_and_lives_on(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_backend, "LINGER_S", 0.2)
    body = SAYS_HELLO + "; sys.stdout.flush(); os.close(1); os.close(2); time.sleep(60)"
    assert text_of(ask(stand_in(body))) == "Hello."


def test_too_slow(stand_in: StandIn) -> None:
    with pytest.raises(ToolError, match=r"was not done after 0\.3 s"):
        ask(stand_in("time.sleep(60)", timeout_s=0.3))


# What is started: a child in its own session, one that ignores SIGTERM, and one whose parent has gone.
FAMILY = """
ignores = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
orphans = "import subprocess, sys; subprocess.Popen(['sleep', '60'], start_new_session=True)"
subprocess.Popen(["sleep", "60"], start_new_session=True)
subprocess.Popen([sys.executable, "-S", "-c", ignores])
subprocess.run([sys.executable, "-S", "-c", orphans])
signal.signal(15, signal.SIG_IGN)
print('{"type":"item.started","item":{"type":"command_execution","command":"started"}}', flush=True)
"""
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def at_work(place: Path) -> set[int]:
    """Processes in the directory, zombies left out."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (directory / "cwd").readlink() == place:
                found.add(int(directory.name))
    return found


def zombies() -> list[str]:
    """Children of this process that ended without it taking leave of them."""
    stats = [
        path.read_text().rpartition(")")[2].split()[:2] for path in Path("/proc").glob("[0-9]*/stat") if path.exists()
    ]
    return [parent for state, parent in stats if state == "Z" and parent == str(os.getpid())]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def started(stream: AsyncGenerator[Event, None]) -> None:
    async for event in stream:
        if event == Note("runs started"):
            return


@LINUX_ONLY
@pytest.mark.parametrize("floods", [False, True], ids=["silent", "flooding"])
def test_closing_ends_the_whole_family(stand_in: StandIn, tmp_path: Path, *, floods: bool) -> None:
    after = "while True: print('x' * 100_000)" if floods else "time.sleep(60)"
    gc.collect()  # what other tests left
    before = descriptors()

    async def interrupted() -> int:
        stream = ToolBackend().stream(stand_in(FAMILY + after, prompt="x" * 2_000_000))
        await started(stream)
        running = len(at_work(tmp_path / "place"))
        await stream.aclose()
        assert at_work(tmp_path / "place") == set()
        return running

    assert asyncio.run(interrupted()) >= 4
    gc.collect()
    assert descriptors() == before
    assert zombies() == []


@LINUX_ONLY
def test_cancelling_ends_the_whole_family(stand_in: StandIn, tmp_path: Path) -> None:
    async def interrupted() -> None:
        begun = asyncio.Event()

        async def reading() -> None:
            async with aclosing(ToolBackend().stream(stand_in(FAMILY + "time.sleep(60)"))) as stream:
                await started(stream)
                begun.set()
                async for _ in stream:
                    pass

        task = asyncio.create_task(reading())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert at_work(tmp_path / "place") == set()

    asyncio.run(interrupted())


@LINUX_ONLY
def test_nothing_outlives_an_agent_that_is_done(stand_in: StandIn, tmp_path: Path) -> None:
    assert text_of(ask(stand_in(FAMILY + SAYS_HELLO))) == "Hello."
    assert at_work(tmp_path / "place") == set()


def test_what_is_left_is_killed_however_long_a_look_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sent = iter(range(100)), list[tuple[int, int]]()
    monkeypatch.setattr(tool_guard.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(tool_guard, "_descendants", lambda: {7})
    monkeypatch.setattr(tool_guard, "_reaped", lambda _: None)
    monkeypatch.setattr(tool_guard.os, "kill", lambda *told: sent.append(told))
    tool_guard._end()
    assert sent == [(7, signal.SIGKILL)]


KERNEL = """
import asyncio, sys
from pathlib import Path
from ccw_magics.backends.base import AgentTask, ModelCall, Note
from ccw_magics.backends.tool_backend import ToolBackend

async def main():
    call = ModelCall("codex-cli", "", "?", agent=AgentTask("analysis", Path(sys.argv[1])))
    async for event in ToolBackend().stream(call):
        if isinstance(event, Note):
            print("started", flush=True)

asyncio.run(main())
"""


@LINUX_ONLY
def test_nothing_outlives_a_kernel_that_is_killed(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in(FAMILY + "time.sleep(60)")
    place = tmp_path / "place"
    with subprocess.Popen([sys.executable, "-c", KERNEL, str(place)], stdout=subprocess.PIPE) as kernel:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == b"started\n"
        assert len(at_work(place)) >= 4
        kernel.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + 10
    while at_work(place) and time.monotonic() < deadline_s:
        os.sched_yield()
    assert at_work(place) == set()


def test_nothing_is_known_of_the_model(stand_in: StandIn) -> None:
    call, backend = stand_in("pass"), ToolBackend()

    async def asked() -> list[object]:
        await backend.warm(call)
        return [
            await backend.context_window_tokens(call),
            await backend.count_tokens(call, "x"),
            await backend.max_output_tokens(call),
            await backend.price_usd(call, Usage(1)),
        ]

    assert asyncio.run(asked()) == [None] * 4
    assert not asyncio.run(backend.has_schema_mode(call))

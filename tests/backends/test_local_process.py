from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ccw_magics.backends import local_process
from ccw_magics.backends.local_process import ModelSettings, processes
from ccw_magics.errors import ToolError

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ended(pid: int) -> bool:
    """Whether a process has ended or ends within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def break_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(program)
    monkeypatch.setattr(local_process, "_SERVER_PROGRAM", path)


def test_one_child_for_each_file(stand_in: Path) -> None:
    first = processes.start(ModelSettings(stand_in))
    assert processes.start(ModelSettings(stand_in)) is first
    assert processes.running(stand_in) is first
    assert processes.running(stand_in.parent) is None


def test_stopped_children_end_and_start_anew(stand_in: Path) -> None:
    first = processes.start(ModelSettings(stand_in))
    processes.stop()
    assert not first.is_alive()
    assert first._process.returncode == 0
    assert processes.running(stand_in) is None
    assert processes.start(ModelSettings(stand_in)).pid != first.pid


def test_stopping_twice_is_fine(stand_in: Path) -> None:
    process = processes.start(ModelSettings(stand_in))
    process.stop()
    process.stop()


def test_a_dead_child_is_replaced(stand_in: Path) -> None:
    first = processes.start(ModelSettings(stand_in))
    first._process.kill()
    assert first.wait(10)
    assert processes.running(stand_in) is None
    assert processes.start(ModelSettings(stand_in)).is_alive()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param("raise SystemExit(5)", "ended with exit code 5", id="exits"),
        pytest.param("import nosuchmodule", "No module named 'nosuchmodule'", id="traceback"),
        pytest.param(
            "import sys; sys.stderr.write('0.00.002 W x: fine\\n0.00.003 E gguf: bad version\\n0.00.004 E srv: exiting\\n'); sys.exit(1)",
            "exit code 1 (gguf: bad version)",
            id="first error counts",
        ),
    ],
)
def test_a_child_that_does_not_start_says_why(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    break_start(monkeypatch, tmp_path, program)
    with pytest.raises(ToolError) as raised:
        processes.start(ModelSettings(stand_in))
    assert message in raised.value.message
    assert "tiny.gguf" in (raised.value.hint or "")


def test_a_missing_openmp_library_has_its_own_hint(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_start(monkeypatch, tmp_path, "raise ImportError('libgomp.so.1: cannot open shared object file')")
    with pytest.raises(ToolError) as raised:
        processes.start(ModelSettings(stand_in))
    assert "libgomp1" in (raised.value.hint or "")


def test_a_child_that_never_answers_is_given_up(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_process, "START_TIMEOUT_S", 0.2)
    break_start(monkeypatch, tmp_path, "import threading; threading.Event().wait()")
    with pytest.raises(ToolError, match="did not start"):
        processes.start(ModelSettings(stand_in))


def test_what_the_child_writes_is_bounded(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_start(
        monkeypatch, tmp_path, "import sys; sys.stderr.write('x' * 100_000 + '\\n' + 'error y\\n' * 1000); sys.exit(1)"
    )
    with pytest.raises(ToolError) as raised:
        processes.start(ModelSettings(stand_in))
    assert len(raised.value.message) < 300


def test_the_environment_holds_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MY_LLM", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    environment = local_process._environment()
    assert "canary" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment["OMP_WAIT_POLICY"] == "passive"


@LINUX_ONLY
def test_the_key_is_in_neither_arguments_nor_environment(stand_in: Path) -> None:
    process = processes.start(ModelSettings(stand_in))
    key = process._key.reveal()
    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
    assert key.encode() not in shown
    assert key not in repr(process)
    assert key not in repr(vars(process))


@POSIX_ONLY
def test_an_interrupt_of_the_kernel_does_not_reach_the_child(stand_in: Path) -> None:
    process = processes.start(ModelSettings(stand_in))
    assert os.getpgid(process.pid) != os.getpgid(0)


@POSIX_ONLY
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_leaves_the_child_to_its_parent(stand_in: Path) -> None:
    process = processes.start(ModelSettings(stand_in))
    forked = os.fork()
    if forked == 0:
        pipe = process._process.stdin
        os._exit(0 if processes.running(stand_in) is None and pipe is not None and pipe.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert processes.running(stand_in) is process


@pytest.mark.embedded
class TestWithModel:
    @pytest.fixture
    def program(self, embedded_model: Path) -> str:
        return (
            "import sys, pathlib\n"
            "from ccw_magics.backends.local_process import ModelSettings, processes\n"
            f"process = processes.start(ModelSettings(pathlib.Path({str(embedded_model)!r})))\n"
            "print(process.pid, flush=True)\n"
        )

    @LINUX_ONLY
    def test_the_child_ends_with_a_kernel_killed(self, program: str) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", program + "sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as kernel:
            assert kernel.stdout is not None
            child = int(kernel.stdout.readline())
            os.kill(child, 0)
            kernel.send_signal(signal.SIGKILL)
            kernel.wait()
            assert ended(child)

    @LINUX_ONLY
    def test_the_child_ends_with_its_process_and_nothing_is_printed(self, program: str) -> None:
        done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, check=True)
        assert ended(int(done.stdout))
        assert done.stderr == ""

    def test_without_the_key_the_server_says_nothing(self, embedded_model: Path) -> None:
        process = processes.start(ModelSettings(embedded_model))
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
        request = urllib.request.Request(process.url + "/v1/chat/completions", body, {"Origin": "http://elsewhere"})
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request)
        assert raised.value.code == 401
        assert not raised.value.headers["Access-Control-Allow-Origin"]
        raised.value.close()
        assert process.url.startswith("http://127.0.0.1:")

    @LINUX_ONLY
    def test_the_key_is_in_neither_arguments_nor_environment(
        self, embedded_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
        process = processes.start(ModelSettings(embedded_model))
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
        assert process._key.reveal().encode() not in shown
        assert b"sk-canary" not in shown

    def test_a_file_that_is_no_model_says_so(self, tmp_path: Path, embedded_model: Path) -> None:
        path = tmp_path / "broken.gguf"
        path.write_bytes(b"GGUF" + bytes(5000))
        with pytest.raises(ToolError, match=r"did not start.*GGUF"):
            processes.start(ModelSettings(path))

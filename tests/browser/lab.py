"""A real JupyterLab on loopback, and one of its notebooks in a headless Chromium."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
CELL_TIMEOUT_S: Final = 90.0
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")

KERNEL_IDLE: Final = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel?.status === "idle";
}"""
"""The status icon says idle while the kernel is still starting; its own connection does not."""

_OPTIONS: Final = {
    "lab": ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"],
    "notebook": ["--JupyterNotebookApp.expose_app_in_browser=True"],
}
_MODULES: Final = {"lab": "jupyterlab", "notebook": "notebook"}
NO_NEWS: Final = {"fetchNews": "false", "checkForUpdates": False}


class Lab:
    """A JupyterLab process of its own, which ends with the `with` block.

    Args:
        directory: Where notebooks are; the kernels' current directory.
        home: The home directory of server and kernels.
        environment: Further environment variables for both.
        app: `lab`, or `notebook` for Notebook 7.
        options: Further options of the command line.

    Attributes:
        directory: As given.
        home: As given.
        environment: Of server and kernels.
        log_path: What server and kernels write.
    """

    def __init__(
        self,
        directory: Path,
        home: Path,
        environment: dict[str, str] | None = None,
        *,
        app: Literal["lab", "notebook"] = "lab",
        options: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._options = options
        self.directory = directory
        self.home = home
        self.log_path = home / "lab.log"
        self._token = secrets.token_hex(16)
        self._port = free_port()
        own = {"HOME": str(home), "USERPROFILE": str(home), "JUPYTER_TOKEN": self._token}
        self.environment = {**_without_keys(os.environ), **(environment or {}), **own}

    def __enter__(self) -> Self:
        settings = self.home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS))
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self._port}", "--port-retries=0"]
        lab = [*_OPTIONS[self._app], *self._options]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULES[self._app], *options, *lab, f"--ServerApp.root_dir={self.directory}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def url(self, notebook: str) -> str:
        """The address of a notebook as a single document, without side bars."""
        place = {"lab": "doc/tree", "notebook": "notebooks"}[self._app]
        return f"http://127.0.0.1:{self._port}/{place}/{notebook}?token={self._token}"

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            try:
                urllib.request.urlopen(
                    f"http://127.0.0.1:{self._port}/api/status?token={self._token}", timeout=5
                ).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"JupyterLab did not start:\n{self.log_path.read_text(errors='replace')}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class NotebookPage:
    """One notebook in the browser.

    Args:
        page: A fresh page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))

    def open(self, url: str) -> None:
        """Load the notebook and wait until its kernel is there."""
        self.page.goto(url)
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=START_TIMEOUT_S * 1000)
        self.wait_idle(START_TIMEOUT_S)

    def wait_idle(self, timeout_s: float = CELL_TIMEOUT_S) -> None:
        """Wait until the kernel is connected and has nothing to do."""
        self.page.wait_for_function(KERNEL_IDLE, timeout=timeout_s * 1000)

    def cell(self, index: int) -> Locator:
        """One cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """What stands below one cell."""
        return self.cell(index).locator(".jp-OutputArea")

    def run(self, index: int) -> None:
        """Press Shift+Enter in a cell."""
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def finish(self, index: int) -> Locator:
        """Run a cell to its end and return its output, once the kernel has nothing to do."""
        before = self._prompt(index)
        self.run(index)
        self.wait_prompt(index, unlike=before)
        return self.output(index)

    def interrupt(self) -> None:
        """Press the toolbar's button."""
        self.page.locator("[data-command='notebook:interrupt-kernel']").click()

    def wait_prompt(self, index: int, timeout_s: float = CELL_TIMEOUT_S, *, unlike: str = "") -> None:
        """Wait until a cell has its number, another than it had: it was run, and is over."""
        self.page.wait_for_function(
            "([index, before]) => { const prompt = document.querySelectorAll('.jp-Notebook .jp-Cell')[index]"
            ".querySelector('.jp-InputPrompt').textContent.trim();"
            " return prompt !== before && /^\\[\\d+\\]:$/.test(prompt); }",
            arg=[index, unlike],
            timeout=timeout_s * 1000,
        )

    def _prompt(self, index: int) -> str:
        return self.cell(index).locator(".jp-InputPrompt").inner_text().strip()

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.problems.append(text)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def write_notebook(path: Path, *sources: str) -> None:
    """Write a notebook of code cells without outputs."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    metadata: dict[str, Any] = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    ours = ("CCW_", "JUPYTER_")
    ends = ("_API_KEY", "_API_BASE")
    return {name: value for name, value in environment.items() if not name.endswith(ends) and not name.startswith(ours)}


def free_port() -> int:
    """A port of loopback at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])

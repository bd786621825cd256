"""A canary key is typed into the panel, with everything logged and everything saved; then it is looked for.

Two notebooks in one JupyterLab, whose server and kernels log at DEBUG: in the first the key goes to the config file; in
the second, where widget states are saved too, to a keyring. Each is saved while the key stands in the input, once it has
left it, and once it is stored. A third, without a browser, is run by nbclient and exported by nbconvert.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nbformat.v4
import pytest
from browser.lab import Lab
from browser.panel_page import NOTEBOOK, VIEWPORT, PanelPage, make_project
from browser.provider_server import ProviderServer
from canary import leaks
from nbclient import NotebookClient
from nbconvert import HTMLExporter

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CONFIG: Final = Path(".ccw", "storage", "config", "litellm-api-config.json")
CANARIES: Final = {
    "file": "sk-Wq/3e+RtÉYu7Qw9Zx4Lr2Tb8VnKd5Hm",
    "keyring": "sk-Bn6/Mv0+Cx9ÜZl8Kj7Hg5Fd4Sa3Po2Iu",
    "client": "sk-Gf3/Hd7+Js1ÖKa9Lq5Pw0Oe8Iz2Uy6Tx",
}
VARIABLE: Final = "CANARY_OF_THE_CLIENT"
LOUD: Final = "c.IPKernelApp.log_level = 10\nc.Application.log_level = 10\n"
SAVE_STATE: Final = Path(".jupyter/lab/user-settings/@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings")
STATE: Final = "application/vnd.jupyter.widget-state+json"
WITH_A_KEYRING: Final = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import pytest
from fake_keyring import FakeKeyring
kept = FakeKeyring().install(pytest.MonkeyPatch())
"""
PROCESS: Final = "import os\nos.getpid()"
FED: Final = f"""
import os
from ipywidgets.widgets import widget
shown = list(widget._instances.values())
def the(name, **traits):
    return next(w for w in shown if type(w).__name__ == name and all(getattr(w, t) == v for t, v in traits.items()))
the("Dropdown", description="Key").value = "typed"
content = {{"method": "custom", "content": {{"kind": "typed"}}}}
key = memoryview(os.environ[{VARIABLE!r}].encode())
the("SecretInput", label="Key itself").comm.handle_msg({{"content": {{"data": content}}, "buffers": [key]}})
the("Button", description="Add", button_style="primary").click()
"""


@dataclass
class Evidence:
    """What was left behind.

    Attributes:
        places: What a key must not stand in, by a name for it.
        configs: The config files, by canary.
        sent: The websocket's frames that the pages sent.
        received: Those that they received.
        log: What server and kernels logged.
    """

    places: dict[str, bytes] = field(default_factory=dict)
    configs: dict[str, Path] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    log: bytes = b""

    def listen(self, page: Page) -> None:
        """Record the frames of a page that was not yet loaded."""

        def opened(socket: Any) -> None:
            socket.on("framesent", lambda frame: self.sent.append(_bytes(frame)))
            socket.on("framereceived", lambda frame: self.received.append(_bytes(frame)))

        page.on("websocket", opened)

    def keep_files(self, when: str, *tops: Path) -> None:
        """Keep what all files hold now, but for the config files."""
        for path in (path for top in tops for path in top.rglob("*")):
            if path.is_file() and path not in self.configs.values():
                self.places[f"{when}: {path}"] = path.read_bytes()


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


@pytest.fixture(scope="module")
def evidence(window: Browser, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    found = Evidence()
    root, home = tmp_path_factory.mktemp("canary-projects"), tmp_path_factory.mktemp("canary-home")
    profile = home / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(LOUD)
    with ProviderServer([]) as server, Lab(root, home, options=["--debug"]) as lab:
        for name, cell in (("file", PROCESS), ("keyring", WITH_A_KEYRING)):
            found.configs[name] = root / name / CONFIG
            make_project(root / name, cell, PROCESS, "%%ccw asked\n@README.md How many cabins?", "the_last_cell = 1")
            with window.new_page(viewport=VIEWPORT) as page:
                found.listen(page)
                panel = PanelPage(page)
                panel.open(lab.url(f"{name}/{NOTEBOOK}"))
                panel.finish(2)
                type_and_save(panel, found, name, f"{server.url}/v1")
                use(panel, found, name)
                assert panel.problems == []
            (home / SAVE_STATE).parent.mkdir(parents=True, exist_ok=True)
            (home / SAVE_STATE).write_text(json.dumps({"saveState": True}))
        run_by_client(found, root / "client", home)
    found.keep_files("at the end", root, home)
    found.log = lab.log_path.read_bytes()
    return found


def type_and_save(panel: PanelPage, found: Evidence, name: str, base: str) -> None:
    """Set a provider up, and save the notebook at each step of its key."""
    project = found.configs[name].parents[3]
    panel.show()
    panel.pick("Type", "custom")
    panel.field("Name").fill("Loop")
    panel.field("Base URL").fill(base)
    panel.pick("Key", "typed here")
    secret = panel.field("Key itself")
    secret.press_sequentially(CANARIES[name])
    panel.save_notebook()
    assert secret.input_value() == CANARIES[name]
    found.keep_files(f"{name}, in the input", project)
    secret.press("Tab")
    panel.says("was typed")
    panel.button("Test").focus()  # ipywidgets' own text inputs keep Ctrl+S to themselves
    panel.save_notebook()
    found.keep_files(f"{name}, before it is stored", project)
    panel.button("Test").click()
    panel.says(re.compile("refused|ASCII|header"))
    panel.button("Add").click()
    panel.says(re.compile("^Saved custom-"))


def use(panel: PanelPage, found: Evidence, name: str) -> None:
    """Let the key be sent, look at every tab, and save."""
    panel.choose("Endpoints")
    panel.field("Id").fill("asked")
    panel.pick("Provider", "Loop")
    panel.field("Model").fill("gpt-4o")
    panel.button("Add").click()
    panel.says(re.compile("^Saved asked"))
    assert panel.finish(4).inner_text()
    panel.choose("Cache")
    panel.choose("History")
    process = int(panel.finish(3).inner_text().split()[-1])
    found.places[f"{name}: environment of the kernel"] = Path(f"/proc/{process}/environ").read_bytes()
    found.places[f"{name}: page"] = panel.page.content().encode()
    panel.save_notebook()
    found.keep_files(f"{name}, stored", found.configs[name].parents[3])


def run_by_client(found: Evidence, project: Path, home: Path) -> None:
    """Open a panel and feed it a key where there is no browser, and export what came of it."""
    (project / ".git").mkdir(parents=True)
    found.configs["client"] = project / CONFIG
    new: Any = nbformat.v4  # has no types
    sources = ("%load_ext ccw_magics", "%ccw panel", FED)
    notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(project)}})
    client.execute(env={**os.environ, "HOME": str(home), VARIABLE: CANARIES["client"]})
    found.places["nbclient"] = nbformat.writes(notebook).encode()
    found.places["nbconvert"] = HTMLExporter().from_notebook_node(notebook)[0].encode()


def test_it_is_in_no_place_but_its_own(evidence: Evidence) -> None:
    looked = {place: leaks(content, CANARIES) for place, content in evidence.places.items()}
    assert {place: told for place, told in looked.items() if told} == {}


@pytest.mark.parametrize("name", ["file", "keyring"])
def test_one_frame_carries_it_to_the_kernel_and_none_comes_back(evidence: Evidence, name: str) -> None:
    canary = {name: CANARIES[name]}
    carrying = [frame for frame in evidence.sent if leaks(frame, canary)]
    assert len(carrying) == 1
    assert CANARIES[name].encode() in carrying[0]
    assert len(evidence.received) > len(evidence.sent) > 0
    assert [frame for frame in evidence.received if leaks(frame, canary)] == []


def test_the_logs_do_hold_the_messages(evidence: Evidence) -> None:
    assert leaks(evidence.log, CANARIES) == []
    assert b"'method': 'custom', 'content': {'kind': 'typed'}" in evidence.log


def test_the_config_file_is_its_owners_alone(evidence: Evidence) -> None:
    for name, path in evidence.configs.items():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (provider,) = json.loads(path.read_text(encoding="utf-8"))["providers"]
        if name == "keyring":
            assert re.fullmatch(r"keyring:\S+", provider["apiKey"])
            assert leaks(path.read_bytes(), CANARIES) == []
        else:
            assert provider["apiKey"] == CANARIES[name]


def test_what_was_saved_does_hold_the_panel(evidence: Evidence) -> None:
    def states(when: str) -> list[str]:
        saved = [content for place, content in evidence.places.items() if place.startswith(f"{when}: ")]
        notebooks = [content for content in saved if b'"nbformat"' in content]
        assert len(notebooks) == 2  # it and its checkpoint
        return [json.dumps(json.loads(content)["metadata"].get("widgets", {})) for content in notebooks]

    assert not any(STATE in state for state in states("file, stored"))
    assert all(STATE in state and "Key itself" in state for state in states("keyring, before it is stored"))
    for place in ("nbclient", "nbconvert"):
        assert b"Key itself" in evidence.places[place]
    for name in ("history.sqlite", "calls.sqlite3", "lab.log"):
        assert any(place.endswith(f"/{name}") for place in evidence.places)

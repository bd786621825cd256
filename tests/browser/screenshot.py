"""Make the README's pictures, nothing retouched: a small project, a real JupyterLab, the embedded model, the panel.

    python tests/browser/screenshot.py [cell|panel] [FILE]
    python tests/browser/screenshot.py tabs|terminal FOLDER

`cell` and `panel` write `notebooks/images/NAME.png` unless another FILE is given; without a name, both are made. `tabs`
puts pictures of all tabs of the panel, in both themes and two widths, into a folder, to be looked at; `terminal` one of
each command of a session with `ccw` in JupyterLab's terminal. Needs the
`dev` extra and Chromium; `cell` needs the model's weights too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser.lab import Lab, NotebookPage, chromium, write_notebook
from browser.panel_page import PANEL_CELLS, PanelPage
from browser.provider_server import GOOD_KEY, ProviderServer
from wire_server import Answer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

IMAGES: Final = Path(__file__).parents[2] / "notebooks" / "images"
THEMES: Final = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
THEME_FILE: Final = Path(".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings")
WIDTHS_PX: Final = (600, 1200)
CHROME_PX: Final = 130
"""What JupyterLab shows beside a cell's output."""
PANEL_WIDTH_PX: Final = 1000
HEIGHT_PX: Final = 1400
MARGIN_PX: Final = 4
SETTLE_S: Final = 0.7
COMMAND_S: Final = 8
"""How long a command in a terminal may take."""
TABS: Final = {"Providers": "OpenAI", "Endpoints": "my-gpt4o", "Cache": "", "History": ""}
"""And what is selected in the tab's list."""
FILES: Final = {
    "README.md": "# Bike forecast\n\nHow many bikes will pass eleven places of the city, hour by hour, tomorrow?\n",
    "docs/data.md": """# The data

The city counts cyclists with eleven induction loops in the street. Each loop reports one number an hour since January 2019.

A reading is removed when it is negative, when it is above 2,500 bikes an hour, or when its counter has stood still for
a whole day. Gaps of up to three hours are filled by linear interpolation. Longer gaps stay empty.

Weather comes from the airport station, twelve kilometres away: temperature, rain and wind, every hour.
""",
    "docs/model.md": """# The model

One gradient boosting model is fitted for each counter. It forecasts the 24 hours of the next day.

The features are the hour, the weekday, public holidays, temperature, rain, and the counts of yesterday and of a week ago.

The last four weeks are kept for the test. There the mean error is 38 bikes an hour, against 61 for the plain guess that
tomorrow is like a week ago. The largest errors come on the first warm days of spring.
""",
}
CELLS: Final = ("%load_ext ccw_magics", "%%ccw\n@docs/*.md What is the mean error of the forecast?")
ASKED: Final = (
    "%%ccw my-gpt4o\n@docs/*.md What is the mean error of the forecast?",
    "%%ccw my-gpt4o\n@docs/data.md Which readings are removed?",
    "%%ccw claude\n@docs/model.md Which features are there?",
)
COMMANDS: Final = {
    "help": "ccw --help",
    "verb": "ccw help endpoint add | head -20",
    "status": "ccw status",
    "endpoints": "ccw endpoints",
    "dry-run": "ccw cli -p '@docs/*.md What is the mean error?' --dry-run",
    "answer": "ccw cli -p '@docs/*.md What is the mean error?' --model my-gpt4o",
    "pipe": "git diff | ccw cli -p 'Review this' --model my-gpt4o > answer.txt; cat answer.txt",
    "json": "ccw cli -p 'What is the mean error?' --json 2>/dev/null | head -c 400",
    "errors": "ccw cli -p Hi --model my-gpt4; echo exit $?; ccw cli -p Hi --mode write; echo exit $?",
    "agent": "ccw cli -p Hi --tool codex; echo exit $?",
    "no-color": "NO_COLOR=1 ccw cli -p Hi --model nobody",
    "history": "ccw history | head -5",
}
ANSWER: Final = Answer("The mean error is 38 bikes an hour.", input_tokens=2480, cached_tokens=1792, output_tokens=96)


def main() -> None:
    """Take the pictures that the command line names."""
    name, place = [*sys.argv[1:], None, None][:2]
    if name in {"tabs", "terminal"}:
        (_take_tabs if name == "tabs" else _take_terminal)(Path(place or "."))
        return
    for picture, take in (("cell", _take_cell), ("panel", _take_panel)):
        if name in {None, picture}:
            take(Path(place) if place else IMAGES / f"{picture}.png")


def _take_cell(picture: Path) -> None:
    with _project(*CELLS, "") as (project, home):
        shutil.copytree(Path.home() / ".ccw" / "models", home / ".ccw" / "models")
        with Lab(project, home) as lab, chromium() as browser:
            page = browser.new_page(viewport={"width": 900, "height": 700}, device_scale_factor=2)
            notebook = NotebookPage(page)
            notebook.open(lab.url("forecast.ipynb"))
            for index in range(len(CELLS)):
                output = notebook.finish(index)
            output.locator("summary").click()
            _leave(notebook, len(CELLS))
            _picture(notebook, output, picture)
            print(output.inner_text())


def _take_panel(picture: Path) -> None:
    with _filled_lab() as lab, chromium() as browser:
        panel = _opened(browser, lab, PANEL_WIDTH_PX)
        panel.select(TABS["Providers"])
        panel.button("Test").click()
        panel.says(re.compile("reachable in"))
        _leave(panel, len(PANEL_CELLS) + len(ASKED))
        _picture(panel, panel.panel, picture)


def _take_tabs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _filled_lab() as lab, chromium() as browser:
        (lab.home / THEME_FILE).parent.mkdir(parents=True, exist_ok=True)
        for theme, title in THEMES.items():
            (lab.home / THEME_FILE).write_text(json.dumps({"theme": title}))
            panel = _opened(browser, lab, max(WIDTHS_PX) + CHROME_PX)
            for width_px in WIDTHS_PX:
                panel.page.set_viewport_size({"width": width_px + CHROME_PX, "height": HEIGHT_PX})
                for tab, row in TABS.items():
                    panel.choose(tab)
                    if row:
                        panel.select(row)
                    panel.page.wait_for_timeout(SETTLE_S * 1000)
                    panel.panel.screenshot(path=folder / f"{tab.lower()}-{theme}-{width_px}.png")
            panel.page.close()


def _take_terminal(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _filled_lab() as lab, chromium() as browser:
        page = browser.new_page(viewport={"width": max(WIDTHS_PX), "height": 800})
        page.goto(lab.url("forecast.ipynb").replace("doc/tree/forecast.ipynb", "lab"))
        page.wait_for_function("window.jupyterapp?.commands.hasCommand('terminal:create-new')")
        page.evaluate("window.jupyterapp.commands.execute('terminal:create-new')")
        terminal = page.locator(".xterm-screen")
        terminal.click()
        _type(page, "git init -q && git add docs && echo '# New' >> docs/data.md")
        _type(page, f"export PS1='$ ' PATH={Path(sys.executable).parent}:$PATH")
        for name, command in COMMANDS.items():
            _type(page, "clear")
            _type(page, command)
            page.wait_for_timeout(COMMAND_S * 1000)
            terminal.screenshot(path=folder / f"{name}.png")


def _type(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")
    page.wait_for_timeout(SETTLE_S * 1000)


@contextmanager
def _filled_lab() -> Iterator[Lab]:
    """A JupyterLab with a project that has something to show in each tab."""
    with _project(*PANEL_CELLS, *ASKED, "") as (project, home), _providers(project, home), Lab(project, home) as lab:
        yield lab


def _opened(browser: Browser, lab: Lab, width_px: int) -> PanelPage:
    """The notebook with the panel, its questions asked."""
    panel = PanelPage(browser.new_page(viewport={"width": width_px, "height": HEIGHT_PX}))
    panel.open(lab.url("forecast.ipynb"))
    panel.finish(0)
    for index in range(len(ASKED)):
        panel.finish(len(PANEL_CELLS) + index)
    panel.show_again()
    return panel


@contextmanager
def _providers(project: Path, home: Path) -> Iterator[None]:
    """A config whose providers are on loopback, and trusted by who lives in this home."""
    from ccw_magics import Workspace

    with ProviderServer([GOOD_KEY]) as server, patch.dict(os.environ, HOME=str(home)):
        server.answers(ANSWER)
        config = Workspace(project).config
        base = f"{server.url}/v1"
        openai = config.add_provider({"name": "OpenAI", "type": "openai", "apiKey": GOOD_KEY, "apiBase": base})
        ours = config.add_provider(
            {"name": "Anthropic", "type": "anthropic", "apiKey": GOOD_KEY, "apiBase": server.url}
        )
        config.add_provider({"name": "At home", "type": "ollama", "enabled": False})
        config.add_endpoint({"id": "my-gpt4o", "name": "GPT-4o", "providerId": openai.id, "model": "gpt-4o"})
        config.add_endpoint({"id": "mini", "name": "GPT-4o mini", "providerId": openai.id, "model": "gpt-4o-mini"})
        config.add_endpoint({"id": "claude", "name": "Claude", "providerId": ours.id, "model": "claude-sonnet-4-5"})
        config.set_default_endpoint("my-gpt4o")
        yield


def _leave(notebook: NotebookPage, index: int) -> None:
    """Go on in an empty cell: JupyterLab shows the tool bar of the selected one."""
    notebook.cell(index).locator(".cm-content").click()
    notebook.page.wait_for_timeout(300)


def _picture(notebook: NotebookPage, last: Locator, picture: Path) -> None:
    """From the notebook's tool bar to the lower edge of an element."""
    around, end = notebook.page.locator(".jp-NotebookPanel").bounding_box(), last.bounding_box()
    assert around is not None
    assert end is not None
    height = end["y"] + end["height"] + MARGIN_PX - around["y"]
    clip = {"x": around["x"], "y": around["y"], "width": around["width"], "height": height}
    notebook.page.screenshot(path=picture, clip=clip)


@contextmanager
def _project(*cells: str) -> Iterator[tuple[Path, Path]]:
    """A project with its notebook, and a home directory."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory, "home")
        project = home / "bike-forecast"
        (project / ".git").mkdir(parents=True)  # what makes it a project
        for name, text in FILES.items():
            (project / name).parent.mkdir(exist_ok=True)
            (project / name).write_text(text)
        write_notebook(project / "forecast.ipynb", *cells)
        yield project, home


if __name__ == "__main__":
    main()

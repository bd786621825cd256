"""Make the README's picture: a small project, a real JupyterLab, the embedded model, nothing retouched.

    python tests/browser/screenshot.py [FILE]

Writes notebooks/images/cell.png unless another FILE is given. Needs the `dev` extra, Chromium and the model's weights.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser.lab import Lab, NotebookPage, chromium, write_notebook

PICTURE: Final = Path(__file__).parents[2] / "notebooks" / "images" / "cell.png"
MARGIN_PX: Final = 4
FILES: Final = {
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


def main() -> None:
    """Take the picture."""
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as directory:
        project, home = Path(directory, "project"), Path(directory, "home")
        _write_project(project)
        shutil.copytree(Path.home() / ".ccw" / "models", home / ".ccw" / "models")
        with Lab(project, home) as lab, chromium() as browser:
            page = browser.new_page(viewport={"width": 900, "height": 700}, device_scale_factor=2)
            notebook = NotebookPage(page)
            notebook.open(lab.url("forecast.ipynb"))
            for index in range(len(CELLS)):
                output = notebook.finish(index)
            output.locator("summary").click()
            notebook.cell(len(CELLS)).locator(".cm-content").click()  # it shows the tool bar of the selected cell
            page.wait_for_timeout(300)
            panel, last = page.locator(".jp-NotebookPanel").bounding_box(), output.bounding_box()
            assert panel is not None
            assert last is not None
            bottom = last["y"] + last["height"] + MARGIN_PX
            clip = {"x": panel["x"], "y": panel["y"], "width": panel["width"], "height": bottom - panel["y"]}
            page.screenshot(path=picture, clip=clip)
            print(output.inner_text())


def _write_project(project: Path) -> None:
    (project / ".git").mkdir(parents=True)  # what makes it a project
    for name, text in FILES.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    write_notebook(project / "forecast.ipynb", *CELLS, "")


if __name__ == "__main__":
    main()

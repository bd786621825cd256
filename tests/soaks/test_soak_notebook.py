"""The short form of the notebook that is run again and again; README.md has the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("soak_notebook.py")
HANG_S = 200


@pytest.mark.embedded
@pytest.mark.timeout(240)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the soaks are for Linux")
def test_run_again_only_what_changed_is_asked_and_after_a_restart_nothing(embedded_model: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"

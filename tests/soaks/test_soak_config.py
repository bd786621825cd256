"""A short form of the config's soak; README.md has the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("soak_config.py")
HANG_S = 110


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the soaks are for Linux")
def test_edits_of_two_kernels_and_a_process_lose_nothing() -> None:
    command = [sys.executable, str(SCRIPT), "150"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"

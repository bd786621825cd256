"""A short form of each soak. No seconds are judged here, only that nothing hangs; README.md has the long forms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HANG_S = 110

SHORT = {
    "cells": ("soak_cells.py", "40", "--untimed"),
    "interrupts": ("soak_interrupts.py", "10", "--untimed"),
    "kills": ("soak_kills.py", "8"),
    "budget": ("soak_budget.py", "1"),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("script", SHORT.values(), ids=SHORT)
def test_a_short_soak_finds_nothing(script: tuple[str, ...]) -> None:
    name, *arguments = script
    command = [sys.executable, str(HERE / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"

"""What a provider's prefix cache saves on recorded edit histories: `bench_replay.py REPLAY.py TRACE.jsonl.gz ...`.

REPLAY.py is the scorer that comes with the traces: it lays out one version of a project after the other in a real
directory and asks a packer for its text. Here the packer is the public one, `Workspace.pack`, once for each layout.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from ccw_magics import Workspace

LIMIT_KB = 64 * 1024
SCORES = ("reuse", "cost", "sent", "median_pack_s")


def main() -> None:
    """Print a row for each trace and layout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("replay", type=Path)
    parser.add_argument("traces", type=Path, nargs="+")
    arguments = parser.parse_args()
    replay = _load(arguments.replay)
    print(f"{'trace':<24}{'layout':<10}" + "".join(f"{name:>15}" for name in SCORES))
    for trace in arguments.traces:
        for layout in ("stable", "fresh"):
            figures = replay.replay(trace, _packer(layout))
            scores = "".join(f"{figures[name]:>15.3f}" for name in SCORES)
            print(f"{trace.name.removesuffix('.jsonl.gz'):<24}{layout:<10}{scores}", flush=True)


def _packer(layout: str) -> Callable[[Path], str]:
    """A packer of a workspace of its own; the project is where the scorer lays it."""
    workspaces: dict[Path, Workspace] = {}

    def pack(root: Path) -> str:
        if root not in workspaces:
            workspaces[root] = _workspace(root, layout)
        return workspaces[root].pack(["@."], endpoint="replayed").text

    return pack


def _workspace(root: Path, layout: str) -> Workspace:
    # The config must not lie in the project, which is scored file by file.
    settings = Workspace(tempfile.mkdtemp(prefix="replay-config-")).config
    strategy = {"layout": layout, "maxSizeKB": LIMIT_KB, "ttlMinutes": 24 * 60}
    settings.add_endpoint({"id": "replayed", "providerId": "local", "model": "", "cacheStrategy": strategy})
    workspace = Workspace(root)
    workspace.__dict__["config"] = settings
    return workspace


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["replay"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()

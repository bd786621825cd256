"""Which folders can be reached, whatever leads to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccw_magics.server.places import MOST_KEPT, Places
from ccw_magics.server.refusal import Refusal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root beside a folder whose name begins with its own."""
    for name in ("root/src/deep", "root/other", "root-old/src"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ""),
        (".", ""),
        ("/", ""),
        ("src", "src"),
        ("/src/", "src"),
        ("src/../other", "other"),
        ("src//deep", "src/deep"),
    ],
)
def test_what_is_below_is_found(root: Path, path: str, found: str) -> None:
    assert Places(root).folder(path) == root / found


@pytest.mark.parametrize(
    "path",
    ["..", "../root-old", "src/../../root-old/src", "../root/../root-old", "out", "out/src", "loop", "a\0b", "x" * 300],
)
def test_what_is_elsewhere_is_not(root: Path, path: str) -> None:
    (root / "out").symlink_to(root.parent / "root-old")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(Refusal) as caught:
        Places(root).folder(path)
    assert "root-old" not in caught.value.message


@pytest.mark.parametrize("path", ["..\\..", "C:\\", "C:/", "~", "%2e%2e", "\u2025"])
def test_what_is_a_way_out_elsewhere_is_the_name_of_a_folder_here(root: Path, path: str) -> None:
    with pytest.raises(Refusal, match="there is no such folder"):
        Places(root).folder(path)


def test_a_root_may_be_a_link_and_a_link_inside_may_stay_inside(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    (root / "short").symlink_to(root / "src" / "deep")
    assert Places(link).folder("short") == root / "src" / "deep"


def test_a_root_that_has_gone_is_said(root: Path) -> None:
    places = Places(root / "src" / "deep")
    (root / "src" / "deep").rmdir()
    with pytest.raises(Refusal, match="there is no such folder"):
        places.folder("")


def test_a_workspace_is_kept_until_many_others_were_asked_for(root: Path) -> None:
    (root / ".git").mkdir()
    places = Places(root)
    first = places.workspace(root)
    for number in range(MOST_KEPT):
        (root / str(number) / ".git").mkdir(parents=True)
        assert places.workspace(root / str(number)).root == root / str(number)
    again = places.workspace(root)
    assert again is not first
    assert again is places.workspace(root / "src")

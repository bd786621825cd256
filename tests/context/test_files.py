from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ccw_magics.context.files import SKIPPED_SHOWN, Found, ReadResult, find_files, read_text
from ccw_magics.context.names import read_name
from ccw_magics.errors import PatternError


def plant(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")


def paths(found: Found) -> list[str]:
    return [file.path for file in found.files]


def reasons(found: Found) -> dict[str, str]:
    return dict(found.skipped)


def test_sorted_each_once_with_size(tmp_path: Path) -> None:
    plant(tmp_path, "b.py", "a/z.py", "a.py", "é.py")
    found = find_files(["@**/*.py", "@a.py", "@./"], root=tmp_path)
    assert paths(found) == ["a.py", "a/z.py", "b.py", "é.py"]
    assert found.files[0].size_bytes == 5
    assert found.files[0].location == os.fsencode(tmp_path.resolve() / "a.py")
    assert found.matches["@a.py"].paths == ("a.py",)


def test_prose_matches_nothing_and_is_reported(tmp_path: Path) -> None:
    plant(tmp_path, "a.py")
    found = find_files(["@property", '@app.route("/x")', "@*.md", "@../nowhere", "@a.py"], root=tmp_path)
    assert paths(found) == ["a.py"]
    assert found.unmatched == ("@property", '@app.route("/x")', "@*.md", "@../nowhere")


@pytest.mark.parametrize(
    "reference",
    ["@", "@\0", "@" + "a" * 300, "@" + "[" * 100_000, "@\ud800", "@*\ud800", "@a.py/x", "@a.py/", "@~x", "@//"],
)
def test_odd_references_match_nothing(reference: str, tmp_path: Path) -> None:
    plant(tmp_path, "a.py")
    if reference == "@//":
        with pytest.raises(PatternError):
            find_files([reference], root=tmp_path)
    else:
        assert find_files([reference], root=tmp_path).unmatched == (reference,)


def test_cwd_first_then_root(tmp_path: Path) -> None:
    plant(tmp_path, "a.py", "sub/a.py", "b.py", "sub/deep/c.py")
    found = find_files(["@a.py", "@b.py", "@*/c.py", "@../b.py"], root=tmp_path, cwd=tmp_path / "sub")
    assert found.matches == {
        "@a.py": ("cwd", ("sub/a.py",)),
        "@b.py": ("root", ("b.py",)),
        "@*/c.py": ("cwd", ("sub/deep/c.py",)),
        "@../b.py": ("cwd", ("b.py",)),
    }


def test_a_literal_name_beats_a_glob(tmp_path: Path) -> None:
    plant(tmp_path, "app/[id]/page.tsx", "app/i/page.tsx", "a*b", "axb")
    assert paths(find_files(["@app/[id]/page.tsx"], root=tmp_path)) == ["app/[id]/page.tsx"]
    assert paths(find_files(["@a*b"], root=tmp_path)) == ["a*b"]
    assert paths(find_files([r"@app/\[id\]/*"], root=tmp_path)) == ["app/[id]/page.tsx"]


def test_absolute_and_home(tmp_path: Path, home: Path) -> None:
    root = home / "project"
    plant(root, "a.py")
    found = find_files([f"@{root}/a.py", "@~/project/*.py"], root=root)
    assert paths(found) == ["a.py"]
    assert [match.base for match in found.matches.values()] == ["absolute", "absolute"]


def test_root_behind_a_link(tmp_path: Path) -> None:
    plant(tmp_path / "real", "a.py")
    (tmp_path / "link").symlink_to("real")
    assert paths(find_files(["@a.py", f"@{tmp_path}/link/*.py"], root=tmp_path / "link")) == ["a.py"]


@pytest.mark.parametrize(
    "reference", ["@../proj-old/a.py", "@../proj-old/", "@../proj-old/*.py", "@{abs}/proj-old/a.py"]
)
def test_outside_is_an_error(reference: str, tmp_path: Path) -> None:
    plant(tmp_path, "proj/a.py", "proj-old/a.py")
    reference = reference.format(abs=tmp_path)
    with pytest.raises(PatternError, match="leads outside") as caught:
        find_files([reference], root=tmp_path / "proj")
    assert reference in caught.value.message
    assert "--include-dirs" in str(caught.value)
    found = find_files([reference], root=tmp_path / "proj", include_dirs=[tmp_path / "proj-old"])
    assert paths(found) == ["../proj-old/a.py"]


def test_include_dirs_are_tried_last(tmp_path: Path) -> None:
    plant(tmp_path, "proj/a.py", "lib/a.py", "lib/b/c.py")
    found = find_files(["@a.py", "@b/*.py"], root=tmp_path / "proj", include_dirs=[tmp_path / "lib"])
    assert paths(found) == ["../lib/b/c.py", "a.py"]
    assert found.matches["@b/*.py"].base == str(tmp_path / "lib")


def test_include_dir_above_the_root_gives_each_file_once(tmp_path: Path) -> None:
    plant(tmp_path, "proj/a.py", "lib/a.py")
    found = find_files(["@../**/*.py", "@a.py"], root=tmp_path / "proj", include_dirs=[tmp_path])
    assert paths(found) == ["../lib/a.py", "a.py"]


def test_directories_left_out_unless_named(tmp_path: Path) -> None:
    kept = ["vendor/a.py", "build/a.py", "dist/a.py", "bin/a.py", ".github/a.py"]
    names = (".git", ".ccw", "node_modules", "__pycache__", ".ipynb_checkpoints", ".venv", "venv")
    left = [f"{name}/x/a.py" for name in names]
    plant(tmp_path, *kept, *left)
    found = find_files(["@./"], root=tmp_path)
    assert paths(found) == sorted(kept)
    assert set(reasons(found)) == {name.split("/")[0] + "/" for name in left}
    for name in left:
        directory = name.split("/")[0]
        for reference in (
            name,
            f"{directory}/**",
            f"{directory}/",
            directory,
            f"{directory}/**/*.py",
            f"{directory}/x",
        ):
            assert paths(find_files([reference], root=tmp_path)) == [name], reference


def test_spelled_behind_a_wildcard(tmp_path: Path) -> None:
    plant(tmp_path, "p/node_modules/m/a.js", "q/node_modules/m/node_modules/n/a.js")
    assert paths(find_files(["@*/node_modules/*/*.js"], root=tmp_path)) == ["p/node_modules/m/a.js"]
    assert paths(find_files(["@**/*.js"], root=tmp_path)) == []


def test_ignored_comes_in_when_named(tmp_path: Path) -> None:
    plant(tmp_path, "a.log", "out/b.txt", "out/c.pyc", "d.txt")
    (tmp_path / ".gitignore").write_text("*.log\nout/\n*.pyc\n")
    found = find_files(["@**"], root=tmp_path)
    assert paths(found) == ["d.txt"]
    assert reasons(found) == {"a.log": "ignored by git's rules", "out/": "ignored by git's rules"}
    assert paths(find_files(["@a.log", "@out/b.txt"], root=tmp_path)) == ["a.log", "out/b.txt"]
    assert paths(find_files(["@out/"], root=tmp_path)) == ["out/b.txt"]


SECRETS = [
    ".env", ".env.local", "a.pem", "b.KEY", "c.p12", "d.pfx", "id_rsa", "id_ed25519", ".netrc", "_netrc", ".npmrc",
    ".pypirc", ".pgpass", ".htpasswd", "credentials", "credentials.json", "e.keystore", "f.jks",
    "litellm-api-config.json", "litellm-api-config.v0-2.json", ".litellm-api-config.json.0f.tmp",
]  # fmt: skip
HARMLESS = ["credentials.py", "id_map.py", "id_rsa.pub", "environment.py", "keys.py", "env", "my.credentials.md"]


def test_secrets_left_out_unless_named(tmp_path: Path) -> None:
    plant(tmp_path, *SECRETS, *HARMLESS)
    found = find_files(["@./", "@.env*", "@{.env,.netrc}"], root=tmp_path)
    assert paths(found) == sorted(HARMLESS)
    assert set(reasons(found)) == set(SECRETS)
    named = find_files([f"@{name}" for name in SECRETS], root=tmp_path)
    assert paths(named) == sorted(SECRETS)
    assert len(named.warnings) == len(SECRETS)
    assert not named.skipped


def test_secret_behind_a_link(tmp_path: Path) -> None:
    plant(tmp_path, ".env", ".git/config")
    (tmp_path / "notes.txt").symlink_to(".env")
    (tmp_path / "config.txt").symlink_to(".git/config")
    found = find_files(["@*.txt"], root=tmp_path)
    assert paths(found) == []
    assert set(reasons(found)) == {"notes.txt", "config.txt"}
    assert find_files(["@notes.txt"], root=tmp_path).warnings


@pytest.mark.timeout(20)
def test_odd_things_do_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a.py")
    os.mkfifo(tmp_path / "x.py")
    os.mkfifo(tmp_path / ".gitignore")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.py")
        found = find_files(["@*.py", "@./", "@x.py", "@s.py"], root=tmp_path)
    assert paths(found) == ["a.py"]
    assert reasons(found) == {"x.py": "a FIFO", "s.py": "a socket", ".gitignore": "a FIFO"}
    assert not found.unmatched


def test_links(tmp_path: Path) -> None:
    plant(tmp_path, "out/secret.py", "proj/a.py", "proj/d/b.py")
    root = tmp_path / "proj"
    (root / "up").symlink_to("..")
    (root / "d" / "loop").symlink_to("..")
    (root / "away.py").symlink_to("../out/secret.py")
    (root / "broken.py").symlink_to("nothing")
    (root / "self.py").symlink_to("self.py")
    (root / "same.py").symlink_to("a.py")
    (root / "dir").symlink_to("d")
    found = find_files(["@./"], root=root)
    assert paths(found) == ["a.py", "d/b.py", "same.py"]
    assert set(reasons(found)) == {"up", "d/loop", "away.py", "broken.py", "self.py", "dir"}
    assert found.files[2].location == os.fsencode(root.resolve() / "a.py")
    assert paths(find_files(["@dir/*.py"], root=root)) == ["d/b.py"]
    for reference in ("@away.py", "@up/out/secret.py", "@up/out/*.py", "@up/"):
        outside = find_files([reference], root=root)
        assert paths(outside) == []
        assert "a symbolic link that leads outside" in reasons(outside).values(), reference


def test_names_of_any_bytes(tmp_path: Path) -> None:
    raw = [b"new\nline.py", b"\xff\xfe.py", "naïve 日本.py".encode(), b"back\\slash.py", b"a b.py", b"-x.py"]
    for name in raw:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    found = find_files(["@*.py"], root=tmp_path)
    assert {read_name(file.path) for file in found.files} == set(raw)
    assert all("\n" not in file.path for file in found.files)
    assert "".join(paths(found)).encode()
    contents = [read_text(file) for file in found.files]
    assert sum(isinstance(content, ReadResult) and content.replaced for content in contents) == 1


def test_file_patterns_filter_directories_only(tmp_path: Path) -> None:
    plant(tmp_path, "src/a.md", "src/b.py", "src/deep/c.md", "docs/d.rst", "e.py")
    found = find_files(["@src/", "@e.py", "@docs/*"], root=tmp_path, file_patterns=["*.md"])
    assert paths(found) == ["docs/d.rst", "e.py", "src/a.md", "src/deep/c.md"]
    found = find_files(["@./"], root=tmp_path, file_patterns=["src/**/*.md", "*.rst"])
    assert paths(found) == ["docs/d.rst", "src/a.md", "src/deep/c.md"]


def test_many_skipped_are_counted(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{number}.log" for number in range(SKIPPED_SHOWN + 50)))
    (tmp_path / ".gitignore").write_text("*.log\n")
    found = find_files(["@*.log"], root=tmp_path)
    assert len(found.skipped) == SKIPPED_SHOWN
    assert sum(row.path == "... and 51 more" for row in found.skipped) == 1
    assert not found.unmatched


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_directory_is_reported(tmp_path: Path) -> None:
    plant(tmp_path, "closed/a.py", "b.py")
    (tmp_path / "closed").chmod(0)
    found = find_files(["@**"], root=tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert paths(found) == ["b.py"]
    assert "Permission" in reasons(found)["closed/"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root may give a folder away")
def test_repository_of_another_owner(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    plant(tmp_path, "a.py", "b.log")
    (tmp_path / ".gitignore").write_text("*.log\n")
    subprocess.run(["chown", "-R", "12345", tmp_path], check=True)
    assert subprocess.run(["git", "-C", tmp_path, "ls-files"], check=False, capture_output=True).returncode
    assert paths(find_files(["@*"], root=tmp_path)) == ["a.py"]


def test_too_many_alternatives(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="alternatives"):
        find_files(["@" + "{a,b}" * 30], root=tmp_path)

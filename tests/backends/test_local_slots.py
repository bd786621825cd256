from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccw_magics.backends import local_process, local_slotfiles, local_slots
from ccw_magics.backends.base import Done, ModelCall, Text, Usage
from ccw_magics.backends.local_backend import LocalBackend
from ccw_magics.backends.local_process import ModelProcess, processes
from ccw_magics.backends.local_slotfiles import MARK_BYTES, Origin, Prefix, SlotFiles, origin_of
from ccw_magics.backends.local_slots import Action, Slots

ORIGIN: Origin = {"model_bytes": 1, "model_mtime_ns": 2, "xllamacpp": "2026.10", "context_tokens": 8192}
POSIX_ONLY = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")


def text(name: str, size: int = 8192) -> str:
    return (f"the file {name} says so\n" * (size // 16))[:size]


def files_in(directory: Path) -> list[str]:
    return sorted(path.suffix for path in directory.iterdir()) if directory.exists() else []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "slots"


def saved(directory: Path, prefix: Prefix, *, origin: Origin = ORIGIN, content: bytes = b"slot", **limits: int) -> bool:
    files = SlotFiles(directory, origin, **limits)
    partial = files.partial()
    partial.write_bytes(content)
    kept = files.keep(partial, prefix)
    partial.unlink(missing_ok=True)
    return kept


def grow_older(directory: Path, by_s: float = 10) -> None:
    for path in directory.iterdir():
        os.utime(path, (path.stat().st_atime - by_s, path.stat().st_mtime - by_s))


class TestPrefix:
    @given(st.text(max_size=2000), st.text(max_size=900), st.text(max_size=900))
    @settings(max_examples=50)
    def test_what_two_texts_share_is_measured_to_a_mark(self, common: str, one: str, other: str) -> None:
        shared = Prefix.of(common, one).shared_bytes(Prefix.of(common, other))
        texts = [(common + end).encode(errors="surrogatepass") for end in (one, other)]
        assert all(text[:shared] == texts[0][:shared] for text in texts)
        beyond = [text[: shared + MARK_BYTES] for text in texts]
        assert beyond[0] != beyond[1] or len(beyond[0]) < shared + MARK_BYTES

    def test_the_text_itself_is_not_held(self) -> None:
        assert "secret" not in repr(Prefix.of("secret" * 1000))

    @pytest.mark.parametrize(
        ("later", "continues"),
        [
            pytest.param(Prefix.of(text("a") + text("b"), "?"), True, id="grown"),
            pytest.param(Prefix.of(text("a"), "another question"), True, id="the same"),
            pytest.param(Prefix.of(text("b"), "?"), False, id="another"),
            pytest.param(Prefix.of(text("a")[:4096], "?"), False, id="shorter"),
        ],
    )
    def test_a_grown_pack_continues_what_was_kept(self, later: Prefix, continues: bool) -> None:
        assert later.continues(Prefix.of(text("a"), text("question"))) is continues


class TestFiles:
    def test_the_longest_shared_beginning_is_found(self, directory: Path) -> None:
        for prefix in (Prefix.of(text("a") + text("b")), Prefix.of(text("a") + text("c")), Prefix.of(text("d"))):
            assert saved(directory, prefix)
        wanted = Prefix.of(text("a") + text("c") + text("e"))
        best = SlotFiles(directory, ORIGIN).best(wanted)
        assert best is not None
        assert wanted.shared_bytes(best.prefix) == 16384
        assert best.is_whole()

    def test_nothing_shared_is_nothing_found(self, directory: Path) -> None:
        saved(directory, Prefix.of(text("a")))
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("b"))) is None
        assert SlotFiles(directory / "absent", ORIGIN).best(Prefix.of(text("b"))) is None

    @POSIX_ONLY
    def test_nobody_else_can_read_them(self, directory: Path) -> None:
        directory.mkdir(parents=True, mode=0o755)
        saved(directory, Prefix.of(text("a")))
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
        assert all(b"the file a" not in path.read_bytes() for path in directory.iterdir())

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"model_bytes": 3}, id="another model"),
            pytest.param({"model_mtime_ns": 3}, id="a changed model"),
            pytest.param({"xllamacpp": "2026.11"}, id="another version"),
            pytest.param({"context_tokens": 4096}, id="another context size"),
        ],
    )
    def test_a_slot_of_another_origin_is_not_looked_at(self, directory: Path, change: dict[str, int | str]) -> None:
        saved(directory, Prefix.of(text("a")), origin={**ORIGIN, **change})
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("a"))) is None
        assert len(files_in(directory)) == 2

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda slot: slot.write_bytes(slot.read_bytes()[:-1]), id="truncated"),
            pytest.param(lambda slot: slot.write_bytes(b"\xff" + slot.read_bytes()[1:]), id="one byte"),
            pytest.param(lambda slot: slot.write_bytes(b""), id="empty"),
            pytest.param(lambda slot: slot.write_bytes(slot.read_bytes() * 2), id="longer"),
            pytest.param(lambda slot: slot.unlink(), id="gone"),
        ],
    )
    def test_a_damaged_slot_is_not_whole(self, directory: Path, damage: Callable[[Path], object]) -> None:
        saved(directory, Prefix.of(text("a")), content=bytes(range(256)))
        best = SlotFiles(directory, ORIGIN).best(Prefix.of(text("a")))
        assert best is not None
        damage(best.path)
        assert not best.is_whole()

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"marks": 1, "kept_marks": 1}', b"[" * 100_000],
        ids=["empty", "half", "list", "null", "nothing in it", "no text", "wrong types", "deep"],
    )
    def test_a_damaged_sidecar_takes_its_slot_along(self, directory: Path, content: bytes) -> None:
        saved(directory, Prefix.of(text("a")))
        next(directory.glob("*.json")).write_bytes(content)
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("a"))) is None
        assert files_in(directory) == []

    @given(st.data())
    @settings(max_examples=30, deadline=None)
    def test_whatever_the_damage_nothing_wrong_passes(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        directory = tmp_path_factory.mktemp("slots")
        content = bytes(range(256)) * 4
        saved(directory, Prefix.of(text("a")), content=content)
        for path in sorted(directory.iterdir(), key=lambda path: path.suffix):
            old = path.read_bytes()
            start = data.draw(st.integers(0, len(old)))
            path.write_bytes(
                old[:start] + data.draw(st.binary(max_size=8)) + old[start + data.draw(st.integers(0, 99)) :]
            )
        best = SlotFiles(directory, ORIGIN).best(Prefix.of(text("a")))
        assert best is None or not best.is_whole() or best.path.read_bytes() == content

    def test_a_sidecar_without_its_slot_is_deleted(self, directory: Path) -> None:
        saved(directory, Prefix.of(text("a")))
        next(directory.glob("*.slot")).unlink()
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("a"))) is None
        assert files_in(directory) == []

    def test_a_longer_one_takes_the_place_of_those_it_continues(self, directory: Path) -> None:
        saved(directory, Prefix.of(text("a"), "first question" * 100))
        saved(directory, Prefix.of(text("b")))
        saved(directory, Prefix.of(text("a") + text("c"), "second question"))
        assert len(list(directory.glob("*.slot"))) == 2
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("b"))) is not None

    def test_the_least_recently_used_go_first(self, directory: Path) -> None:
        for name in "abc":
            saved(directory, Prefix.of(text(name)))
            grow_older(directory)
        used = SlotFiles(directory, ORIGIN).best(Prefix.of(text("a")))
        assert used is not None
        used.touch()
        saved(directory, Prefix.of(text("d")))
        left = [name for name in "abcd" if SlotFiles(directory, ORIGIN).best(Prefix.of(text(name)))]
        assert left == ["a", "c", "d"]

    def test_the_limit_counts_all_of_them(self, directory: Path) -> None:
        for name in "ab":
            saved(directory, Prefix.of(text(name)), content=bytes(600), max_bytes=1000)
            grow_older(directory)
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("a"))) is None
        assert SlotFiles(directory, ORIGIN).best(Prefix.of(text("b"))) is not None

    def test_one_over_the_limit_is_not_kept(self, directory: Path) -> None:
        saved(directory, Prefix.of(text("a")), content=bytes(600), max_bytes=1000)
        assert not saved(directory, Prefix.of(text("b")), content=bytes(1001), max_bytes=1000)
        assert files_in(directory) == [".json", ".slot"]

    def test_what_killed_processes_left_goes_once_it_is_old(self, directory: Path) -> None:
        left = [SlotFiles(directory, ORIGIN).partial(), directory / "1.slot", directory / "1.json.part"]
        for path in left:
            path.write_bytes(b"half")
        saved(directory, Prefix.of(text("a")))
        assert all(path.exists() for path in left)
        grow_older(directory, local_slotfiles.STALE_S + 1)
        saved(directory, Prefix.of(text("b")))
        assert not any(path.exists() for path in left)
        assert len(files_in(directory)) == 4

    def test_files_may_vanish_at_any_moment(self, directory: Path) -> None:
        ending = threading.Event()

        def delete() -> None:
            rng = random.Random(1)
            while not ending.is_set():
                for path in list(directory.glob("*")):
                    if rng.random() < 0.3:
                        path.unlink(missing_ok=True)

        thread = threading.Thread(target=delete)
        thread.start()
        try:
            for number in range(150):
                prefix = Prefix.of(text(str(number % 5)))
                try:
                    saved(directory, prefix)
                except OSError:
                    continue
                if best := SlotFiles(directory, ORIGIN).best(prefix):
                    best.is_whole()
                    best.touch()
        finally:
            ending.set()
            thread.join()

    def test_the_origin_follows_the_model_file(self, tmp_path: Path) -> None:
        model = tmp_path / "model.gguf"
        model.write_bytes(b"GGUF")
        before = origin_of(model, 8192)
        assert origin_of(model, 8192) == before
        model.write_bytes(b"GGUF2")
        assert origin_of(model, 8192) != before
        model.unlink()
        assert origin_of(model, 8192) != before


class FakeChild:
    """Stands for a child: its slot is a text, and it counts what it is told."""

    def __init__(self) -> None:
        self.slot = b""
        self.told: list[Action] = []
        self.works = True
        self.during: Callable[[], None] = lambda: None
        self.slots = Slots(self.act, ORIGIN, idle_sleep_s=100)

    def act(self, action: Action, path: Path) -> int:
        self.told.append(action)
        self.during()
        if not self.works:
            return 0
        if action == "save":
            return path.write_bytes(self.slot)
        self.slot = path.read_bytes()
        return len(self.slot)

    def ask(self, directory: Path, prefix: Prefix) -> None:
        self.slots.bring_back(directory, prefix)
        with self.slots.answering():
            self.slot = repr(prefix).encode()
            self.slots.has_read(prefix)
        self.slots.keep(directory, prefix)
        self.slots.flush()


class TestSlots:
    def test_what_one_child_has_read_the_next_brings_back(self, directory: Path) -> None:
        first, second = FakeChild(), FakeChild()
        first.ask(directory, Prefix.of(text("a"), "What?"))
        second.ask(directory, Prefix.of(text("a"), "Why?"))
        assert (first.told, second.told) == (["save"], ["restore"])

    def test_it_is_saved_once_and_again_when_the_kept_text_has_grown(self, directory: Path) -> None:
        child = FakeChild()
        for question in ("What?", "Why?", "Whence?"):
            child.ask(directory, Prefix.of(text("a"), question))
        child.ask(directory, Prefix.of(text("a") + text("edit", 400), "What?"))
        assert child.told == ["save"]
        child.ask(directory, Prefix.of(text("a") + text("edit", 2000), "What?"))
        assert child.told == ["save", "save"]
        assert files_in(directory) == [".json", ".slot"]

    @pytest.mark.parametrize(
        "prefix",
        [
            pytest.param(Prefix.of("", text("a")), id="nothing is kept"),
            pytest.param(Prefix.of(text("a", 1000), text("a")), id="little is kept"),
        ],
    )
    def test_what_is_not_worth_it_is_not_saved(self, directory: Path, prefix: Prefix) -> None:
        FakeChild().ask(directory, prefix)
        assert files_in(directory) == []

    def test_what_the_child_holds_is_not_brought_back(self, directory: Path) -> None:
        child = FakeChild()
        for name in "aba":
            child.ask(directory, Prefix.of(text(name), "What?"))
        assert "restore" not in child.told

    def test_a_short_prompt_before_does_not_keep_the_long_one_from_coming_back(self, directory: Path) -> None:
        FakeChild().ask(directory, Prefix.of(text("a"), "What?"))
        child = FakeChild()
        child.ask(directory, Prefix.of("hello"))
        child.ask(directory, Prefix.of(text("a"), "What?"))
        assert child.told == ["restore"]

    def test_a_child_that_slept_has_forgotten(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        child = FakeChild()
        child.ask(directory, Prefix.of(text("a"), "What?"))
        later = time.monotonic() + 101
        monkeypatch.setattr(local_slots.time, "monotonic", lambda: later)
        child.ask(directory, Prefix.of(text("a"), "What?"))
        assert child.told == ["save", "restore"]

    def test_a_damaged_slot_is_deleted_and_the_next_best_taken(self, directory: Path) -> None:
        saved(directory, Prefix.of(text("a") + text("b")))
        saved(directory, Prefix.of(text("a") + text("c")))
        best = SlotFiles(directory, ORIGIN).best(Prefix.of(text("a") + text("b")))
        assert best is not None
        best.path.write_bytes(b"s1ot")
        child = FakeChild()
        child.slots.bring_back(directory, Prefix.of(text("a") + text("b"), "What?"))
        assert child.told == ["restore"]
        assert files_in(directory) == [".json", ".slot"]

    def test_a_slot_that_the_child_does_not_take_is_deleted(self, directory: Path) -> None:
        saved(directory, Prefix.of(text("a")))
        child = FakeChild()
        child.works = False
        child.slots.bring_back(directory, Prefix.of(text("a"), "What?"))
        assert files_in(directory) == []

    def test_nothing_is_saved_while_another_call_is_under_way(self, directory: Path) -> None:
        child = FakeChild()
        with child.slots.answering():
            child.ask(directory, Prefix.of(text("a"), "What?"))
        assert child.told == []

    def test_a_call_that_begins_while_saving_makes_it_void(self, directory: Path) -> None:
        child = FakeChild()
        child.during = lambda: child.slots.answering().__enter__() and None
        child.ask(directory, Prefix.of(text("a"), "What?"))
        assert child.told == ["save"]
        assert files_in(directory) == []

    def test_a_failed_save_leaves_nothing(self, directory: Path) -> None:
        child = FakeChild()
        child.works = False
        child.ask(directory, Prefix.of(text("a"), "What?"))
        assert child.told == ["save"]
        assert files_in(directory) == []

    def test_a_file_shorter_than_was_said_is_not_kept(self, directory: Path) -> None:
        child = FakeChild()
        child.slots = Slots(lambda action, path: child.act(action, path) + 1, ORIGIN, idle_sleep_s=100)
        child.ask(directory, Prefix.of(text("a"), "What?"))
        assert files_in(directory) == []

    def test_one_too_large_is_not_tried_again(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(SlotFiles.__init__, "__kwdefaults__", {"max_bytes": 10})
        child = FakeChild()
        for question in ("What?", "Why?"):
            child.ask(directory, Prefix.of(text("a"), question))
        assert child.told == ["save"]
        assert files_in(directory) == []

    @pytest.mark.parametrize("obstacle", ["file", "file above"])
    def test_where_nothing_can_be_written_nothing_is_kept(self, directory: Path, obstacle: str) -> None:
        place = directory if obstacle == "file" else directory.parent
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("in the way")
        child = FakeChild()
        child.ask(directory, Prefix.of(text("a"), "What?"))
        assert child.told == []
        assert place.read_text() == "in the way"


STAND_IN = r"""
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

order = json.loads(sys.stdin.buffer.readline())
slot = ""

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        global slot
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer " + order["api_key"]:
            return self.reply(401, "{}")
        if self.path == "/slots/0?action=save":
            with open(body["filename"], "w") as file:
                return self.reply(200, json.dumps({"n_written": file.write(slot)}))
        if self.path == "/slots/0?action=restore":
            with open(body["filename"]) as file:
                slot = file.read()
            if "CRASH" in slot:
                os._exit(3)
            return self.reply(200, json.dumps({"n_read": len(slot)}))
        prompt = body["messages"][-1]["content"]
        usage = {"prompt_tokens": len(prompt), "completion_tokens": 1}
        usage["prompt_tokens_details"] = {"cached_tokens": len(os.path.commonprefix([slot, prompt]))}
        slot = prompt
        lines = [{"choices": [{"delta": {"content": "yes"}}]}, {"choices": [], "usage": usage}]
        self.reply(200, "".join("data: %s\n\n" % json.dumps(line) for line in lines))

    def reply(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"url": "http://127.0.0.1:%d" % server.server_port}), flush=True)
for line in sys.stdin.buffer:
    os.chdir(json.loads(line)["slots_dir"])
    print(json.dumps({"entered": True}), flush=True)
os._exit(0)
"""
"""A child without a model, whose slot is the text it was last asked."""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file whose child is the stand-in."""
    program, path = tmp_path / "stand_in.py", tmp_path / "tiny.gguf"
    program.write_text(STAND_IN)
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(local_process, "_SERVER_PROGRAM", program)
    spec = importlib.util.spec_from_loader("json", None, origin=json.__file__)
    monkeypatch.setattr(local_process, "find_spec", lambda _: spec)
    return path


def ask(call: ModelCall) -> Usage:
    async def run() -> Any:
        async with aclosing(LocalBackend().stream(call)) as events:
            return [event async for event in events]

    events = asyncio.run(run())
    assert any(isinstance(event, Text) for event in events)
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage is not None
    return done.usage


def flushed(model: Path) -> ModelProcess:
    """The model's child, once what it had to save is saved."""
    process = processes.running(model)
    assert process is not None
    process.slots.flush()
    return process


class TestWithoutModel:
    """The whole way, with the stand-in."""

    def asked(self, model: Path, directory: Path | None, **fields: Any) -> ModelCall:
        return ModelCall("local", str(model), "What?", **{"blocks": (text("a"),), **fields}, slots_dir=directory)

    def test_a_new_child_knows_what_the_last_one_had_read(self, model: Path, directory: Path) -> None:
        assert ask(self.asked(model, directory)).cached_input_tokens == 0
        process = flushed(model)
        process._process.kill()
        process.wait(10)
        assert ask(self.asked(model, directory, tail="new")).cached_input_tokens > 8000

    def test_ending_the_child_waits_for_its_slot(self, model: Path, directory: Path) -> None:
        ask(self.asked(model, directory))
        processes.stop()
        assert files_in(directory) == [".json", ".slot"]

    def test_each_call_says_where(self, model: Path, directory: Path, tmp_path: Path) -> None:
        ask(self.asked(model, None))
        ask(self.asked(model, directory))
        flushed(model)
        ask(self.asked(model, tmp_path / "elsewhere"))
        flushed(model)
        assert files_in(directory) == files_in(tmp_path / "elsewhere") == [".json", ".slot"]

    def test_nowhere_means_nowhere(self, model: Path, tmp_path: Path, home: Path) -> None:
        before = set(tmp_path.rglob("*"))
        ask(self.asked(model, None))
        flushed(model)
        assert set(tmp_path.rglob("*")) == before
        assert list(home.rglob("*")) == []

    def test_a_slot_that_kills_the_child_costs_no_answer(self, model: Path, directory: Path) -> None:
        call = self.asked(model, directory, blocks=(text("a"), "CRASH"))
        ask(call)
        first = flushed(model)
        processes.stop()
        assert ask(call).cached_input_tokens == 0
        assert processes.running(model) not in {None, first}

    def test_another_system_prompt_is_another_beginning(self, model: Path, directory: Path) -> None:
        ask(self.asked(model, directory))
        processes.stop()
        assert ask(self.asked(model, directory, system="be brief")).cached_input_tokens == 0


@pytest.mark.embedded
class TestWithModel:
    """SmolLM2 itself."""

    @pytest.fixture
    def call(self, embedded_model: Path, directory: Path) -> ModelCall:
        block = "".join(
            f"## {name}.md\n\nThe harbour of {name} opens at {len(name)}.\n" for name in "abcdefghijklmnop" * 3
        )
        return ModelCall("local", "", "What opens?", (block,), params={"max_tokens": 4}, slots_dir=directory)

    def test_a_killed_child_is_followed_by_one_that_knows(self, embedded_model: Path, call: ModelCall) -> None:
        first = ask(call)
        assert first.cached_input_tokens == 0
        assert call.slots_dir is not None
        process = flushed(embedded_model)
        assert files_in(call.slots_dir) == [".json", ".slot"]
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (call.slots_dir, *call.slots_dir.iterdir())]
        assert modes == [0o700, 0o600, 0o600] or os.name != "posix"
        process._process.kill()
        process.wait(10)
        second = ask(replace(call, tail="One more file.", prompt="Where is it?"))
        kept = len("".join(call.blocks)) / len(call.text) * first.input_tokens
        assert second.cached_input_tokens >= 0.9 * kept

    @pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "given to llama.cpp, which aborts"])
    def test_a_damaged_slot_costs_no_answer(self, embedded_model: Path, call: ModelCall, noticed: bool) -> None:
        ask(call)
        processes.stop()
        assert call.slots_dir is not None
        slot = next(call.slots_dir.glob("*.slot"))
        os.truncate(slot, slot.stat().st_size // 2)
        if not noticed:
            sidecar = slot.with_suffix(".json")
            whole = {"size_bytes": slot.stat().st_size, "digest": local_slotfiles._digest(slot)}
            sidecar.write_text(json.dumps(json.loads(sidecar.read_bytes()) | whole))
        assert ask(call).cached_input_tokens == 0
        assert not slot.exists()

    def test_a_sleeper_that_wakes_knows(
        self, embedded_model: Path, call: ModelCall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local_process, "IDLE_SLEEP_S", 1)
        first = ask(call)
        flushed(embedded_model)
        time.sleep(2.5)  # the server's own clock
        assert ask(call).cached_input_tokens >= 0.9 * first.input_tokens


SAVING_WITHOUT_END = f"""
import itertools, pathlib, sys
from ccw_magics.backends.local_slotfiles import Prefix, SlotFiles

files = SlotFiles(pathlib.Path(sys.argv[1]), {ORIGIN!r})
for number in itertools.count():
    partial = files.partial()
    partial.write_bytes(bytes([number % 256]) * 300_000)
    files.keep(partial, Prefix.of(f"file {{number % 7}} " * 900))
    print(number, flush=True)
"""


def kill_while_saving(directory: Path, after_s: float) -> None:
    command = [sys.executable, "-c", SAVING_WITHOUT_END, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        threading.Event().wait(after_s)
        process.kill()


def test_a_process_killed_while_saving_leaves_nothing_half_made_in_use(directory: Path) -> None:
    rng = random.Random(2)
    for _ in range(int(os.environ.get("CCW_FUZZ_EXAMPLES", "1")) * 5):
        kill_while_saving(directory, rng.uniform(0, 0.05))
        found = 0
        for number in range(7):
            slot = SlotFiles(directory, ORIGIN).best(Prefix.of(f"file {number} " * 900))
            if slot is not None:
                found += 1
                assert slot.is_whole()
                assert len(set(slot.path.read_bytes())) == 1
        assert found

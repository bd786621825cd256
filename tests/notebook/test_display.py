"""How often a reply is redrawn, and what stands below it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ccw_magics.calls.reply import Reply
from ccw_magics.context.found import Skipped
from ccw_magics.context.pack import PackHandle
from ccw_magics.errors import ProviderError
from ccw_magics.notebook import display as display_module
from ccw_magics.notebook.display import NotebookDisplay, footer_html, interval_s, show_again

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HANDLE = PackHandle(
    session_id="s",
    revision=1,
    references=("@*",),
    files=("a<b>.py",),
    sizes_bytes=(3,),
    skipped=(Skipped(".env", "may hold secrets"),),
    unmatched=("@gone",),
    found_in=(),
    warnings=(),
    size_bytes=3,
    reused_bytes=0,
    created_at=NOW,
    expires_at=NOW,
    status="rebuilt",
)
REPLY = Reply(success=True, output="Hi", endpoint="e", model="m<1>", cached_files=("a<b>.py",), pack=HANDLE)


class Screen:
    """Stands for the front end: every display and update that reaches it."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, content: Any, display_id: bool = False) -> Screen:
        self.shown.append(content._repr_mimebundle_())
        return self

    def update(self, content: Any) -> None:
        self.shown.append(content._repr_mimebundle_())


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(display_module, "display", screen.display)
    return screen


@pytest.mark.parametrize(
    ("size", "updates_a_second"),
    [(0, 10), (8_192, 10), (20_480, 4), (1_000_000, 4)],
    ids=["nothing yet", "8 kB", "20 kB", "1 MB"],
)
def test_updates_a_second(size: int, updates_a_second: float) -> None:
    assert 1 / interval_s(size) == pytest.approx(updates_a_second)


def test_pieces_are_gathered_between_updates_and_the_last_is_always_shown(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(n / 1000 for n in range(100_000))
    monkeypatch.setattr(display_module.time, "monotonic", lambda: next(times) + 100)
    view = NotebookDisplay()
    for number in range(1000):
        view.add("stdout", f"{number} ")
    whole = "".join(f"{number} " for number in range(1000))
    view.finish(replace(REPLY, output=whole))
    assert len(screen.shown) < 25
    assert screen.shown[-2]["text/markdown"] == whole


def test_of_an_answer_that_was_asked_for_again_only_the_last_stays(screen: Screen) -> None:
    view = NotebookDisplay()
    for piece in ("broken ", "off", "\n\n---\n\n", "Hi"):
        view.add("stdout", piece)
    view.finish(REPLY)
    assert screen.shown[-2] == {"text/markdown": "Hi", "text/plain": "Hi"}


def test_a_note_stands_until_the_answer_comes_and_is_not_kept(screen: Screen) -> None:
    view = NotebookDisplay()
    view.add("stderr", "starting the embedded model…")
    view.add("stdout", "Hi")
    view.finish(REPLY)
    assert "starting" in screen.shown[0]["text/markdown"]
    assert screen.shown[-2] == {"text/markdown": "Hi", "text/plain": "Hi"}


def test_raw_is_plain_text_alone(screen: Screen) -> None:
    view = NotebookDisplay(raw=True)
    view.add("stdout", "# no heading")
    view.finish(replace(REPLY, output="# no heading"))
    assert screen.shown[-2] == {"text/plain": "# no heading"}


def test_the_footer_is_escaped_and_unfolds_to_the_files() -> None:
    footer = footer_html(REPLY)
    assert "m&lt;1&gt;" in footer
    assert "<code>a&lt;b&gt;.py</code>" in footer
    assert "left out: <code>.env</code> (may hold secrets)" in footer
    assert "@gone matched no file" in footer
    assert "<b>" not in footer


def test_a_reply_is_shown_again_with_its_error_and_without_an_empty_answer(screen: Screen) -> None:
    failed = replace(REPLY, success=False, output="", failure=ProviderError("<i>no</i>", hint="Ask again."))
    show_again(failed)
    show_again(replace(failed, output="a part"))
    show_again(REPLY)
    error = {
        "text/html": '<div style="white-space: pre-wrap">ProviderError: &lt;i&gt;no&lt;/i&gt;\nAsk again.</div>',
        "text/plain": "ProviderError: <i>no</i>\nAsk again.",
    }
    first, footer, part, second, _, answer, _ = screen.shown
    assert (first, second) == (error, error)
    assert "failed" in footer["text/html"]
    assert (part["text/markdown"], answer["text/markdown"]) == ("a part", "Hi")


def test_a_long_manifest_is_cut_and_says_so() -> None:
    reply = replace(REPLY, pack=replace(HANDLE, files=tuple(f"f{n}" for n in range(1000)), skipped=()))
    assert "and 800 more" in footer_html(reply)

"""What is read by a short form: equal where it is read twice, and through a pickle, here and in another process."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ccw_magics.schema import Schema
from ccw_magics.schema.short_form import parse

ANSWERS: dict[str, tuple[str, str]] = {
    "flat": ("title, line?: int", '{"title": "a"}'),
    "nested": (
        "a: {b: {c: int}[]}, d?: {b: x|y}",
        '{"a": {"b": [{"c": 1}, {"c": 2}]}, "d": {"b": "x"}}',
    ),
    "list": ("[{title, when: date}]", '[{"title": "a", "when": "2024-02-29"}]'),
    "dunder": ("copy, json: any, Answer: {Answer: int}", '{"copy": "", "json": [null], "Answer": {"Answer": 1}}'),
}
each = pytest.mark.parametrize(("text", "answer"), ANSWERS.values(), ids=ANSWERS)
ELSEWHERE = """
import pickle, sys
from ccw_magics.schema import Schema
text, answer, pickled = pickle.load(sys.stdin.buffer)
data = pickle.loads(pickled)
assert data == Schema.of(text).read(answer), data
sys.stdout.buffer.write(pickle.dumps(data))
"""


@each
def test_of_one_short_form_it_is_equal(text: str, answer: str) -> None:
    once, again = Schema.of(text).read(answer), Schema.of(text).read(answer)
    assert once == again
    assert type(once) is type(again)


@each
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_through_a_pickle_it_is_equal(text: str, answer: str, protocol: int) -> None:
    data = Schema.of(text).read(answer)
    through = pickle.loads(pickle.dumps(data, protocol))
    assert through == data == copy.deepcopy(data) == copy.copy(data)
    assert repr(through) == repr(data)


def test_a_table_goes_through_a_pickle() -> None:
    data = Schema.of("title, line: int", is_table=True).read('[{"title": "a", "line": 3}]')
    assert pickle.loads(pickle.dumps(data)) == data


def test_which_fields_were_set_goes_along() -> None:
    data = Schema.of("title, line?: int").read('{"title": "a"}')
    assert pickle.loads(pickle.dumps(data)).model_fields_set == {"title"}


def test_in_another_process_it_is_equal_to_what_is_read_there() -> None:
    for text, answer in (ANSWERS["nested"], ANSWERS["list"]):
        data = Schema.of(text).read(answer)
        sent = pickle.dumps((text, answer, pickle.dumps(data)))
        done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=sent, capture_output=True, check=True)
        assert pickle.loads(done.stdout) == data


def test_threads_get_the_same_class() -> None:
    def of(_: int) -> Any:
        return parse("of_threads: int, all_of_them: {at: {once}}")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(of, range(32)))) == 1

"""From a model's answer to the object that it holds, or to what is wrong with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Container, Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ccw_magics.errors import SchemaError
from ccw_magics.schema.extraction import Found, Piece, find_json
from ccw_magics.schema.wanted import Wanted

MAX_PROBLEMS: Final = 3
"""More are counted, not told."""

MAX_WORDS: Final = 160
"""Characters of one problem: a validator's own message may be long."""

_ASK_AGAIN: Final = "Ask again, or make the field optional (`line?: int`); the reply keeps the text"
_PREFIXES: Final = ("Input ", "Value error, ", "Assertion failed, ")


def read_answer(text: str, wanted: Wanted) -> tuple[Any, str]:
    """The object that an answer holds, and the JSON that says so.

    Raises:
        SchemaError: It holds none that fits; the message says why in one line, and never holds the answer.
    """
    found = find_json(text)
    problems: list[tuple[int, str]] = []
    for piece in found.pieces:
        try:
            return _validated(piece.value, wanted), _json(piece)
        except _Misfit as misfit:
            problems.append((len(piece.text), str(misfit)))
    raise _refusal(found, problems, is_empty=not text.strip())


def _json(piece: Piece) -> str:
    """A piece as it stands there; written anew where it is not quite JSON: a model's line end within a text."""
    try:
        json.loads(piece.text)
    except ValueError:
        return json.dumps(piece.value, ensure_ascii=False)
    return piece.text


class _Misfit(Exception):
    """A JSON is not of the wanted shape; says why."""


def _refusal(found: Found, problems: list[tuple[int, str]], *, is_empty: bool) -> SchemaError:
    """The error for an answer of which nothing fits: it tells of the largest JSON there is."""
    if found.is_cut:
        return SchemaError(
            "The answer's JSON ends early", hint="Allow a longer answer (max_tokens), or ask for less; the text is kept"
        )
    if problems:
        return SchemaError(f"The answer does not fit the schema: {max(problems)[1]}", hint=_ASK_AGAIN)
    if found.fault:
        return SchemaError(f"The answer's JSON cannot be read: {found.fault}", hint="Ask again; the text is kept")
    what = "The answer is empty" if is_empty else "There is no JSON in the answer"
    return SchemaError(what, hint="Ask again, or see in the reply's text whether the model refused")


def _validated(value: Any, wanted: Wanted) -> Any:
    """A JSON as the wanted type, whether or not it is wrapped as the schema asks for.

    Raises:
        _Misfit: It is not of this type.
    """
    is_wrapped = isinstance(value, dict) and wanted.field in value
    try:
        return _fitted(value[wanted.field] if is_wrapped else value, wanted)
    except _Misfit:
        if not is_wrapped:
            raise
        try:
            return _fitted(value, wanted)
        except _Misfit:
            pass
        raise


def _fitted(value: Any, wanted: Wanted) -> Any:
    """A value as the wanted type.

    Raises:
        _Misfit: It is not of this type, or a validator failed, in whichever way.
        KeyboardInterrupt: The user's.
    """
    try:
        return _nearly_fitted(value, wanted)
    except _Misfit:
        raise
    except BaseException as error:  # a validator is the user's code, and may well exit
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # only here does Python raise the one at the keyboard
        told = _told(error)
    raise _Misfit(_one_line(f"a validator failed: {told}"))


def _told(failure: BaseException) -> str:
    """An exception's type and words; its type alone where the words fail, too."""
    try:
        return f"{type(failure).__name__}: {failure}".removesuffix(": ")
    except Exception:  # noqa: BLE001  # `__str__` is the user's code as well
        return type(failure).__name__


def _nearly_fitted(value: Any, wanted: Wanted) -> Any:
    """A value as the wanted type; a null where it may be missing and not null counts as missing.

    Raises:
        _Misfit: It is not of this type.
        BaseException: Whatever a validator of the user's raises.
    """
    try:
        return _checked(value, wanted)
    except ValidationError as error:
        misfit = _Misfit(_problems(error, value))
        nulls = [path for problem in error.errors(include_url=False) if (path := _null_path(value, problem))]
    if nulls:
        try:
            return _checked(_without(value, nulls), wanted)
        except ValidationError:
            pass
    raise misfit


def _checked(value: Any, wanted: Wanted) -> Any:
    """What pydantic makes of a value, read as JSON: a date is a text there.

    Raises:
        ValidationError: It is not of this type.
    """
    return wanted.adapter.validate_json(json.dumps(value))


def _problems(error: ValidationError, value: Any) -> str:
    """What is wrong, with its places, in one line."""
    said = [_problem(problem, value) for problem in error.errors(include_url=False, include_context=False)]
    different = list(dict.fromkeys(said))
    more = len(different) - MAX_PROBLEMS
    return "; ".join(different[:MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")


def _problem(problem: ErrorDetails, value: Any) -> str:
    """One problem, such as `where.line: should be a valid integer`."""
    words = {"missing": "is missing", "json_invalid": "is not JSON that pydantic reads"}.get(
        problem["type"], problem["msg"]
    )
    for prefix in _PREFIXES:
        words = words.removeprefix(prefix)
    steps = list(_steps(value, problem["loc"]))
    if problem["type"] == "missing":
        steps.append(problem["loc"][-1])
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    return _one_line(f"{_one_line(place)}: {words}" if place else f"it {words}")


def _steps(value: Any, location: Sequence[int | str]) -> Iterator[int | str]:
    """Those parts of a location that lead into the value: pydantic also names the branches of a union there."""
    for step in location:
        known: Container[int | str] = ()
        if isinstance(value, dict):
            known = value
        elif isinstance(value, list):
            known = range(len(value))
        if step in known:
            value = value[step]
            yield step


def _null_path(value: Any, problem: ErrorDetails) -> list[int | str]:
    """Where the null is that a problem is about; empty where it is about something else."""
    path = list(_steps(value, problem["loc"]))
    return path if problem["input"] is None and path and isinstance(path[-1], str) else []


def _without(value: Any, paths: list[list[int | str]]) -> Any:
    """The value without the entries at these paths."""
    copy = json.loads(json.dumps(value))
    for *steps, last in paths:
        holder = copy
        for step in steps:
            holder = holder[step]
        holder.pop(last, None)
    return copy


def _one_line(words: str) -> str:
    """Words without line ends, cut where they are too many."""
    line = " ".join(words.split())
    return line if len(line) <= MAX_WORDS else f"{line[: MAX_WORDS - 3]}..."

"""What a request sends, read: JSON of the right shape, and numbers of a query, or a refusal in plain words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ccw_magics.config import entries
from ccw_magics.config.configfile import in_words
from ccw_magics.server.operation import LARGEST, Body, Number
from ccw_magics.server.refusal import Refusal

DEEPEST: Final = 32
"""Levels of a body: no config has a quarter of that, and pydantic gives up at some 250."""
_LONGEST_NUMBER: Final = 16
"""Digits of a number in the query; of `operation.LARGEST`."""
_MOST_SAID: Final = 5


def read_body(content: bytes, body: Body) -> dict[str, Any]:
    """The body under the file's names.

    Raises:
        Refusal: It is no JSON object, or not of the model's shape; in the model's words, without any of the values.
    """
    data = _parsed(content)
    _check_values(data)
    _check_names(body.model, data)
    given = entries.canonical(body.model, data)
    present = {name: value for name, value in given.items() if value is not None or not body.is_change}
    _validate(body.model, {**body.filler, **present} if body.is_change else present)
    return given


def read_number(number: Number, text: str | None) -> int:
    """A number of the query.

    Raises:
        Refusal: It is none, or out of its range.
    """
    if text is None:
        return number.default
    is_number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    if not is_number or not number.least <= int(text) <= number.most:
        raise Refusal(f"{number.name}: should be a whole number from {number.least:,} to {number.most:,}")
    return int(text)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(
            content.decode(), parse_constant=_refuse, parse_float=_number, object_pairs_hook=_without_repeats
        )
    except UnicodeDecodeError:
        problem = "the body is not UTF-8 text"
    except json.JSONDecodeError as error:
        problem = f"the body is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}"
    except RecursionError:
        problem = "the body is nested too deeply"
    except ValueError:  # NaN, Infinity, or an integer of thousands of digits
        problem = "the body is not valid JSON: a number that JSON does not have, or a far too long one"
    else:
        if isinstance(data, dict):
            return data
        problem = "the body should be a JSON object ({...})"
    raise Refusal(problem)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two is meant, readers of JSON do not agree on: what one has checked, another would not have used."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refusal("the body has the same name twice in one object")
    return found


def _check_names(model: type[BaseModel], data: dict[str, Any]) -> None:
    """Refuse a field under both of its names, the file's and Python's."""
    for name, field in model.model_fields.items():
        if field.alias is not None and field.alias != name and {field.alias, name} <= data.keys():
            raise Refusal(f"{field.alias}: given twice, the other time as {name}")


def _number(text: str) -> float:
    """JSON knows one kind of number: 5.0 is as whole as 5."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= LARGEST else number


def _check_values(data: Any) -> None:
    """Refuse what JSON can spell and nothing else can hold."""
    level = [data]
    for _ in range(DEEPEST):
        if not level:
            return
        level = [item for value in level for item in _below(value)]
    raise Refusal("the body is nested too deeply")


def _below(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refusal("the body holds half a surrogate pair, which is no text") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise Refusal("the body holds a number that is too large")
    elif isinstance(value, dict):
        return [*value.keys(), *value.values()]
    elif isinstance(value, list):
        return value
    return []


def _validate(model: type[BaseModel], data: dict[str, Any]) -> None:
    found = _errors(model, data)
    if not found:
        return
    said = [f"{_name(item['loc'])}: {in_words(item['msg'])}".removeprefix(": ") for item in found]
    more = f" (and {len(said) - _MOST_SAID} more)" if len(said) > _MOST_SAID else ""
    raise Refusal("; ".join(said[:_MOST_SAID]) + more, hint=_known(model, found))


def _errors(model: type[BaseModel], data: dict[str, Any]) -> list[ErrorDetails]:
    try:
        model.model_validate(data, strict=True)  # in JSON a number is a number, and "5" is none
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False, include_input=False)
    return []


def _known(model: type[BaseModel], found: list[ErrorDetails]) -> str | None:
    """A hint with the names that there are where the first unknown one stands; None where none is unknown."""
    unknown = next((item["loc"] for item in found if item["type"] == "extra_forbidden"), None)
    if unknown is None:
        return None
    known = [name for name in _names(model) if name.startswith(_name((*unknown[:-1], "")))]
    return f"Known are {', '.join(known)}."


def _names(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """The fields that may be sent, those of an object within as `params.seed`."""
    for name, field in model.model_fields.items():
        full = f"{before}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{full}.")
        else:
            yield full


def _name(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))

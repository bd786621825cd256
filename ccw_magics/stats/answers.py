"""A list of structured answers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ccw_magics.stats.table import Table

if TYPE_CHECKING:
    import pandas as pd


def answers(data: Sequence[Any]) -> Table:
    """One row per answer, one column per field, in the order of the fields.

    Args:
        data: A reply's `data` that is a list of pydantic models, dataclasses or dicts.
    """
    records = [_record(answer) for answer in data]
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    rows = [tuple(record.get(name) for name in columns) for record in records]
    return Table(columns, rows, empty="an empty list", is_data=True)


def answers_frame(data: Sequence[Any]) -> pd.DataFrame:
    """`answers` as a DataFrame."""
    return answers(data).frame()


def _record(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping):
        return dict(answer)
    if is_dataclass(answer):
        return {field.name: getattr(answer, field.name) for field in fields(answer)}
    return {name: getattr(answer, name) for name in type(answer).model_fields}

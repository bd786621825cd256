"""A schema as calls use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schema:
    """The shape that an answer must have.

    Attributes:
        name: Letters, digits, `_` and `-`; at most 64.
        json_schema: A JSON Schema whose root is an object.
        is_strict: Whether it keeps to what OpenAI calls strict: every property required, none beside them.
    """

    name: str
    json_schema: Mapping[str, Any]
    is_strict: bool

    @classmethod
    def of(cls, wanted: Any, *, is_table: bool = False) -> Schema:
        """The schema of a type, or of a short form.

        Raises:
            SchemaError: It cannot be understood.
        """
        raise NotImplementedError

    def instructions(self) -> str:
        """What a model is told whose provider cannot hold it to a schema."""
        raise NotImplementedError

    def read(self, text: str) -> Any:
        """The object that an answer holds.

        Raises:
            SchemaError: It holds none of this shape.
        """
        raise NotImplementedError

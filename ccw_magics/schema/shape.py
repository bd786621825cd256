"""A schema as calls use it.

pydantic is imported where a schema is first made: who never asks for one does not wait for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccw_magics.schema.wanted import Wanted


@dataclass(frozen=True, eq=False)
class Schema:
    """The shape that an answer must have.

    Two schemas are equal where a model is told the same: their names do not count.

    Attributes:
        name: Letters, digits, `_` and `-`; at most 64.
        json_schema: A JSON Schema whose root is an object. It has `$defs` only where the shape holds itself (or would
            be enormous without).
        is_strict: Whether it keeps to what OpenAI calls strict: every property required, none beside them.
        is_table: Whether it was asked for as a table: what is read is a list of objects.
    """

    name: str
    json_schema: Mapping[str, Any]
    is_strict: bool
    is_table: bool = False
    _wanted: Wanted | None = field(default=None, repr=False)

    @classmethod
    def of(cls, wanted: Any, *, is_table: bool = False) -> Schema:
        """The schema of a type, or of a short form.

        Args:
            wanted: A pydantic model, a dataclass, a TypedDict, an Enum, `list[...]` of one, any other type that
                pydantic reads from JSON, or a short form (`ccw_magics.schema.short_form` has its grammar).
            is_table: Make it a list, unless it is one already; its items must be objects.

        Raises:
            SchemaError: It cannot be understood.
        """
        from ccw_magics.schema.dialect import strict_schema
        from ccw_magics.schema.wanted import Wanted

        shape = Wanted.of(wanted, is_table=is_table)
        json_schema, is_strict = strict_schema(shape.json_schema())
        return cls(shape.name, json_schema, is_strict, is_table, shape)

    def instructions(self) -> str:
        """What a model is told whose provider cannot hold it to a schema."""
        schema = json.dumps(self.json_schema, ensure_ascii=False, separators=(",", ":"))
        return (
            "Answer with one JSON object and nothing else: no prose before or after it, no code fence. "
            f"It must be valid against this JSON Schema:\n{schema}"
        )

    def read(self, text: str) -> Any:
        """The object that an answer holds; see `find`."""
        return self.find(text)[0]

    def find(self, text: str) -> tuple[Any, str]:
        """The object that an answer holds, and the JSON that it is read from, without what is around that.

        Read is the whole text, else the last fenced block that fits, else the last JSON within the prose that fits;
        never what a model wrote while thinking, and never a piece of a JSON that ends early.

        Returns:
            What the wanted type validates to: an instance of the model, a list of them, a value; and the JSON's text.

        Raises:
            SchemaError: It holds none of this shape.
        """
        from ccw_magics.schema.answer import read_answer

        if self._wanted is None:
            raise TypeError("only a schema made by Schema.of can read")
        return read_answer(text, self._wanted)

    def digest(self) -> str:
        """Says whether two schemas are the same: 64 hexadecimal digits, the same in every process."""
        told = json.dumps([self.json_schema, self.is_table], separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())

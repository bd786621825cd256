"""From what a user asks for to a type that pydantic can read from JSON."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Final, get_args

from pydantic import TypeAdapter
from pydantic.errors import PydanticErrorMixin

from ccw_magics.errors import SchemaError
from ccw_magics.schema import short_form
from ccw_magics.schema.tokens import EXAMPLE

NAME_LENGTH: Final = 64
"""OpenAI's limit, in characters."""

_DEFINE_FIRST: Final = "Define the missing type first, or run that cell again"
_SAY_A_TYPE: Final = f"A pydantic model, a dataclass, a TypedDict, list[...] of one, or a short form: {EXAMPLE}"


@dataclass(frozen=True)
class Wanted:
    """A type that answers are read into.

    Attributes:
        name: The type's, of letters, digits, `_` and `-`.
        adapter: Reads and validates.
        field: The field that holds the value where the type is no object, or None: the root of an answer is an object.
    """

    name: str
    adapter: TypeAdapter[Any]
    field: str | None

    @classmethod
    def of(cls, wanted: Any, *, is_table: bool) -> Wanted:
        """The type that is asked for, in whichever way; as a table, a list of it.

        Raises:
            SchemaError: pydantic knows no way to read it from JSON, or a table's rows would not be objects.
        """
        kind: Any = short_form.parse(wanted) if isinstance(wanted, str) else _checked(wanted)
        adapter = _adapter(kind)
        root = _root(_described(adapter))
        if is_table and root.get("type") != "array":
            adapter = _adapter(GenericAlias(list, (kind,)))
            root = _root(_described(adapter))
        if is_table:
            _check_rows(root)
        field = {"object": None, "array": "items"}.get(str(root.get("type")), "value")
        return cls(_name(kind), adapter, field)

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema that pydantic makes, with an object as its root; it may hold `$defs`."""
        schema = _described(self.adapter)
        definitions = schema.pop("$defs", {})
        root = _resolved(schema, definitions) if self.field is None else _wrapped(self.field, schema)
        return {**root, "$defs": definitions} if definitions else root


def _checked(wanted: Any) -> Any:
    """What was asked for, unless it is plainly no type: pydantic takes a function for one, and None."""
    if wanted is None or inspect.isroutine(wanted) or inspect.ismodule(wanted) or isinstance(wanted, dict):
        raise SchemaError(f"{_called(wanted)} is not the shape of an answer", hint=_SAY_A_TYPE)
    return wanted


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads this type.

    A type is a stranger's code: making its validator may raise anything.
    """
    try:
        return TypeAdapter(kind)
    except Exception as error:
        raise _not_understood(kind, error) from error


def _described(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON Schema that pydantic makes of a type, as it is read."""
    try:
        return adapter.json_schema(mode="validation")
    except Exception as error:  # a type's own JSON Schema is a stranger's code, too
        raise _not_understood(adapter._type, error) from error  # noqa: SLF001  # it has no public name


def _not_understood(kind: Any, error: Exception) -> SchemaError:
    """Says why a type cannot be used, in pydantic's words where they are meant for a user."""
    code = getattr(error, "code", None)
    if code in ("class-not-fully-defined", "undefined-annotation"):
        missing = _missing_name(kind, error)
        names = f"{missing!r}, which is not defined" if missing else "a type that is not defined"
        return SchemaError(f"{_called(kind)} names {names}", hint=_DEFINE_FIRST)
    if code == "schema-for-unknown-type" and not isinstance(kind, type) and not get_args(kind):
        return SchemaError(f"{_called(kind)} is not the shape of an answer", hint=_SAY_A_TYPE)
    reason = error.message if isinstance(error, PydanticErrorMixin) else f"{type(error).__name__}: {error}"
    first_line = (reason.splitlines() or [""])[0].partition(". Set `arbitrary")[0]
    return SchemaError(f"{_called(kind)} cannot be read from JSON: {first_line[:200]}", hint=_SAY_A_TYPE)


def _missing_name(kind: Any, error: Exception) -> str | None:
    """The name that a type refers to in vain, where pydantic says it."""
    for model in (kind, *get_args(kind)):
        try:
            if isinstance(model, type) and hasattr(model, "model_rebuild"):
                model.model_rebuild()
        except Exception as undefined:  # noqa: BLE001  # only its name is looked for
            return str(getattr(undefined, "name", "")) or None
    return str(getattr(error, "name", "")) or None


def _called(kind: Any) -> str:
    """What to call a thing in a message: never its `repr`, which may be long."""
    if isinstance(kind, type) or inspect.isroutine(kind) or inspect.ismodule(kind):
        return f"`{kind.__name__}`"
    if get_args(kind):
        return f"`{str(kind)[:60]}`"
    return "None" if kind is None else f"An object of type `{type(kind).__name__}`"


def _name(kind: Any) -> str:
    """A provider's name for the type: its class's, or that of the class it holds."""
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and not get_args(candidate) and candidate.__module__ != "builtins":
            return re.sub(r"[^A-Za-z0-9_-]", "_", candidate.__name__)[:NAME_LENGTH] or "Answer"
    return "Answer"


def _wrapped(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object with one field."""
    return {"type": "object", "properties": {field: schema}, "required": [field]}


def _root(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema's root, with a list's items at hand: without a reference in either."""
    definitions = schema.get("$defs", {})
    root = _resolved(schema, definitions)
    if isinstance(root.get("items"), dict):
        root = {**root, "items": _resolved(root["items"], definitions)}
    return {**root, "$defs": definitions}


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema, or what it refers to."""
    while "$ref" in schema:
        schema = definitions.get(schema["$ref"].removeprefix("#/$defs/"), {})
    return schema


def _check_rows(root: dict[str, Any]) -> None:
    """See that a list's items are objects.

    Raises:
        SchemaError: They are not.
    """
    row = root.get("items") or {}
    kinds = [_resolved(kind, root["$defs"]) for kind in row.get("anyOf", row.get("oneOf", [row]))]
    if not all(kind.get("type") == "object" for kind in kinds):
        raise SchemaError(
            "A table's rows must be objects: their fields are its columns", hint="For example: {title, line: int}[]"
        )

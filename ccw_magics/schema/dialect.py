"""pydantic's JSON Schema to the dialect that every provider's schema mode takes.

What OpenAI calls strict is the narrowest: each object closed, each of its properties required, what may be missing
nullable (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas). Beside it:

- References are replaced by what they refer to: Anthropic and Gemini 1.5 take none. A shape that holds itself keeps
  `$defs`; no schema mode but OpenAI's takes that in every case.
- `oneOf`, `allOf`, `const`, `prefixItems` and an `enum` of mixed types are said with `anyOf`, `enum` and `items`.
- Gemini, llama.cpp or Anthropic refuse or misread constraints such as `pattern`, `minLength` or `exclusiveMinimum`:
  they are put into the description in words. pydantic holds the answer to them in any case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

MAX_NODES: Final = 5000
"""Above so many, the references stay: OpenAI's limit of properties."""

_KEPT: Final = ("type", "description", "enum", "format", "minimum", "maximum", "minItems", "maxItems")
_FORMATS: Final = frozenset(
    {"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)  # OpenAI's; Anthropic's and llama.cpp's hold the ones that matter
_IN_WORDS: Final = {
    "format": "format: {}",
    "pattern": "must match the regular expression {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries",
    "uniqueItems": "no item twice",
}
_REF: Final = "#/$defs/"
_NULL: Final = {"type": "null"}


def strict_schema(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A JSON Schema in the common dialect, and whether it is strict throughout.

    Not strict are values of any type, and objects whose keys are not known beforehand.

    Args:
        schema: As pydantic makes it, with an object as its root and references to `#/$defs/` only.
    """
    definitions = schema.get("$defs", {})
    try:
        return _Writer(definitions, kept=_recursive(definitions)).whole(schema)
    except _TooLarge:
        return _Writer(definitions, kept=set(definitions)).whole(schema)


class _TooLarge(Exception):
    """The schema with its references replaced has too many nodes."""


class _Writer:
    """Writes one schema.

    Args:
        definitions: What is referred to.
        kept: The names of those that are not put in place of their references.
    """

    def __init__(self, definitions: dict[str, Any], kept: set[str]) -> None:
        self._definitions = definitions
        self._kept = kept
        self._names: dict[str, str] = {}
        self._is_strict = True
        self._nodes = 0

    def whole(self, schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The schema in the common dialect, and whether it is strict."""
        root = self._node(schema)
        written: dict[str, Any] = {}
        while missing := [name for name in self._names if self._names[name] not in written]:
            for name in missing:
                written[self._names[name]] = self._node(self._definitions[name])
        return ({**root, "$defs": written} if written else root), self._is_strict

    def _node(self, schema: Any) -> dict[str, Any]:
        """Any schema."""
        self._nodes += 1
        if self._nodes > MAX_NODES and len(self._kept) < len(self._definitions):
            raise _TooLarge
        if not isinstance(schema, dict):  # true: anything
            self._is_strict = False
            return {}
        if "$ref" in schema:
            return self._reference(schema)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return _described({"anyOf": self._alternatives(schema[keyword])}, schema)
        if "allOf" in schema:
            return self._node(_merged(schema))
        if "enum" in schema or "const" in schema:
            return _described(_choice(schema.get("enum", [schema.get("const")])), schema)
        return self._plain(schema)

    def _reference(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What is referred to, or a reference under a name that does not tell the class's."""
        name = schema["$ref"].removeprefix(_REF)
        if name not in self._kept:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self._node({**self._definitions.get(name, {}), **beside})
        return {"$ref": _REF + self._names.setdefault(name, f"shape{len(self._names) + 1}")}

    def _alternatives(self, schemas: list[Any]) -> list[dict[str, Any]]:
        """The alternatives, one within another put beside it, none twice."""
        found: list[dict[str, Any]] = []
        for node in map(self._node, schemas):
            found += [one for one in node.get("anyOf", [node]) if one not in found]
        return found

    def _plain(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema of one type, or of none."""
        kind = schema.get("type")
        if not isinstance(kind, str):
            self._is_strict = False
        node: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
        if schema.get("format") not in _FORMATS:
            node.pop("format", None)
        _say_constraints(node, schema)
        if kind == "object":
            self._say_object(node, schema)
        if kind == "array":
            self._say_array(node, schema)
        return node

    def _say_object(self, node: dict[str, Any], schema: dict[str, Any]) -> None:
        """Add an object's properties: all required, what may be missing nullable."""
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", "properties" not in schema)
        required = set(schema.get("required", ()))
        node["properties"] = {
            key: self._node(value) if key in required else _nullable(self._node(value))
            for key, value in properties.items()
        }
        node["required"] = list(properties)
        node["additionalProperties"] = False
        if others is not False:
            self._is_strict = False
            node["additionalProperties"] = self._node(others) if isinstance(others, dict) else True

    def _say_array(self, node: dict[str, Any], schema: dict[str, Any]) -> None:
        """Add an array's items; those of a tuple as the choice of them all."""
        places = schema.get("prefixItems")
        alternatives = self._alternatives(places) if places else [self._node(schema.get("items", True))]
        node["items"] = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _say_constraints(node: dict[str, Any], schema: dict[str, Any]) -> None:
    """Put the constraints that not every provider takes into the description."""
    schema = dict(schema)
    if schema.get("type") == "integer":
        for key, bound, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            if isinstance(schema.get(key), int) and bound not in schema:
                node[bound] = schema.pop(key) + step
    said = [
        words.format(schema[key])
        for key, words in _IN_WORDS.items()
        if key in schema and schema[key] is not False and key not in node
    ]
    if said:
        node["description"] = " ".join(filter(None, (schema.get("description"), f"({'; '.join(said)})")))


def _described(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A node with the description of the schema that it is made from."""
    return {"description": schema["description"], **node} if schema.get("description") else node


def _choice(values: list[Any]) -> dict[str, Any]:
    """One of these values: an `enum` for each type, since no provider takes one of mixed types."""
    by_type: dict[str, list[Any]] = {}
    for value in values:
        by_type.setdefault(_type_of(value), []).append(value)
    nodes = [dict(_NULL) if kind == "null" else {"type": kind, "enum": of} for kind, of in by_type.items()]
    return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}


def _type_of(value: Any) -> str:
    """JSON Schema's name for the type of a value."""
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    """A schema that null fits too."""
    if not node or node.get("type") == "null":
        return node
    alternatives = node.get("anyOf", [{key: value for key, value in node.items() if key != "description"}])
    return _described({"anyOf": [*(one for one in alternatives if one != _NULL), dict(_NULL)]}, node)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with the parts of its `allOf` in it, the earlier over the later."""
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        merged = {**part, **merged}
    return merged


def _recursive(definitions: dict[str, Any]) -> set[str]:
    """The names of the definitions that hold themselves, directly or through others."""
    holds = {name: set(_references(definition)) for name, definition in definitions.items()}
    return {name for name in holds if name in _reachable(name, holds)}


def _reachable(start: str, holds: dict[str, set[str]]) -> set[str]:
    """All that a definition holds, at any depth."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = holds.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def _references(schema: Any) -> Iterator[str]:
    """The names that a schema refers to."""
    for found in json.dumps(schema).split(f'"$ref": "{_REF}')[1:]:
        yield found.partition('"')[0]

"""The table of operations as an OpenAPI 3.1 description (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ccw_magics.server.answers import Problem
from ccw_magics.server.operation import Body, Number, Operation

_REFERENCE: Final = "#/components/schemas/{model}"
_REFUSALS: Final = {
    "400": "What was sent is not understood; in words.",
    "403": "Nobody is logged in, or the config is not trusted.",
    "404": "There is no such provider, endpoint, pack or folder.",
    "409": "The id is taken, or the config's file cannot be used as it is.",
    "503": "The config's file cannot be written now: another process holds it, or the disk does not take it.",
}
_TOO_LARGE: Final = {"413": "The body is too large."}
_ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_PATH: Final = {
    "name": "path",
    "in": "query",
    "description": "A folder below the server's root, whose project is meant; the root's where it is left out.",
    "schema": {"type": "string"},
}
_EVENT: Final = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["stdout", "stderr", "reply"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_ABOUT: Final = (
    "Providers, endpoints, the cache and questions of a project, as its notebooks and shells have them. "
    "Every request needs the server's token."
)


def description(operations: Sequence[Operation]) -> dict[str, Any]:
    """Describe the operations.

    Args:
        operations: All of them.
    """
    models = {operation.answer for operation in operations} | {
        operation.body.model for operation in operations if operation.body is not None
    }
    ordered = sorted(models | {Problem}, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REFERENCE)
    shapes, paths = schemas["$defs"], dict[str, dict[str, Any]]()
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.verb] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ccw_magics", "version": version("ccw_magics"), "description": _ABOUT},
        "servers": [{"url": "."}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": {**shapes, **_changes(operations, shapes)}, "securitySchemes": _token()},
    }


def _token() -> dict[str, Any]:
    about = "`token …`, with the token that the server shows at its start."
    return {"token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": about}}


def _described(operation: Operation) -> dict[str, Any]:
    has_id = "{id}" in operation.path
    refusals = _REFUSALS if operation.body is None else {**_REFUSALS, **_TOO_LARGE}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*([_ID] if has_id else []), _PATH, *map(_number, operation.numbers)],
        "responses": {
            "200": _answer(operation),
            **{status: _response(about, _reference(Problem)) for status, about in refusals.items()},
        },
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _sent(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(operation: Operation) -> dict[str, Any]:
    if not inspect.isasyncgenfunction(operation.run):
        return _response("Done.", _reference(operation.answer))
    about = (
        'Events `stdout` and `stderr` whose data is `{"text": …}`, and at the end `reply`, whose data is a '
        f"{operation.answer.__name__}."
    )
    return {"description": about, "content": {"text/event-stream": {"schema": _EVENT}}}


def _response(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _sent(body: Body) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=_change_name(body))} if body.is_change else _reference(body.model)


def _change_name(body: Body) -> str:
    return f"{body.model.__name__}Change"


def _changes(operations: Iterable[Operation], schemas: dict[str, Any]) -> dict[str, Any]:
    """For each model that is changed in parts: the same without what is required, and null takes a value away."""
    bodies = [operation.body for operation in operations if operation.body is not None and operation.body.is_change]
    return {_change_name(body): _change(schemas[body.model.__name__]) for body in bodies}


def _change(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _nullable(field) for name, field in schema["properties"].items()}
    return {**{name: value for name, value in schema.items() if name != "required"}, "properties": properties}


def _nullable(field: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [field, {"type": "null"}]}


def _number(number: Number) -> dict[str, Any]:
    schema = {"type": "integer", "default": number.default, "minimum": number.least, "maximum": number.most}
    return {"name": number.name, "in": "query", "description": number.summary, "schema": schema}

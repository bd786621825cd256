"""The table that handlers and description are made from."""

from __future__ import annotations

import json

import jsonschema
import pytest
from jsonschema.validators import validator_for
from served import Site

from ccw_magics.server.openapi import description
from ccw_magics.server.operation import Operation
from ccw_magics.server.table import OPERATIONS

ROUTES = """
get /providers, post /providers, get /providers/{id}, put /providers/{id}, delete /providers/{id},
post /providers/{id}/test, get /models/{id},
get /endpoints, post /endpoints, get /endpoints/{id}, put /endpoints/{id}, delete /endpoints/{id},
get /cache/stats, post /cache/clear, get /cache/{id},
get /config, get /config/cache, put /config/cache, get /config/default-endpoint, put /config/default-endpoint,
post /execute, get /openapi.json
"""


def test_it_has_all_routes() -> None:
    wanted = [route.strip() for route in ROUTES.replace("\n", " ").split(",")]
    assert sorted(f"{operation.verb} {operation.path}" for operation in OPERATIONS) == sorted(wanted)


def test_names_are_unique() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("operation", [pytest.param(operation, id=operation.name) for operation in OPERATIONS])
def test_every_operation_says_what_it_does(operation: Operation) -> None:
    assert operation.summary.endswith(".")


def test_the_served_description_is_the_tables(site: Site) -> None:
    assert site.get("/openapi.json") == json.loads(json.dumps(description(OPERATIONS)))


def test_every_schema_is_a_json_schema_and_every_reference_leads_somewhere() -> None:
    described = description(OPERATIONS)
    schemas = described["components"]["schemas"]
    for schema in schemas.values():
        validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    text = json.dumps(described)
    wanted = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= schemas.keys()
    assert "…" in described["components"]["securitySchemes"]["token"]["description"]


PLAIN = [operation for operation in OPERATIONS if operation.verb == "get" and "{id}" not in operation.path]


@pytest.mark.parametrize("operation", [pytest.param(operation, id=operation.name) for operation in PLAIN])
def test_answers_are_of_the_described_shape(site: Site, operation: Operation) -> None:
    site.store.add_provider({"id": "p", "type": "openai", "apiKey": "sk-canary-0123456789abcdef"})
    site.store.add_endpoint({"id": "e", "providerId": "p", "model": "gpt-4o"})
    described = description(OPERATIONS)
    schema = described["paths"][operation.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(site.get(operation.path), {**schema, "components": described["components"]})

"""The routes tried by their description: no fault of ours, no answer of another shape, no key in any."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from served import Served, Site

from ccw_magics.server.openapi import description
from ccw_magics.server.table import OPERATIONS

schemathesis = pytest.importorskip("schemathesis", reason="a part of the `dev` extra")
schemathesis.checks.load_all_checks()

EXAMPLES = 8 * int(os.environ.get("CCW_FUZZ_EXAMPLES", "1"))
CANARY = "sk-canary-0123456789abcdef"
NAMED = [pytest.param(operation, id=operation.name) for operation in OPERATIONS]
SENDING = [pytest.param(operation, id=operation.name) for operation in OPERATIONS if operation.body is not None]
QUICK = {"advancedSettings": {"maxRetries": 0, "timeout": 5}}
LENIENT = ("positive_data_acceptance",)
"""A description cannot say that ids are unique, nor that a provider must be there."""


@pytest.fixture(scope="module")
def described(served: Served) -> Site:
    """A project that holds a key, an endpoint, and nobody who answers."""
    site = Site(served, "described")
    site.store.add_provider(
        {"id": "openai-1", "type": "openai", "apiKey": CANARY, "apiBase": "http://127.0.0.1:9/v1", **QUICK}
    )
    site.store.add_endpoint({"id": "wired", "providerId": "openai-1", "model": "gpt-4o"})
    site.store.set_default_endpoint("wired")
    return site


def try_out(operation: Any, site: Site, mode: Any) -> None:
    schema = schemathesis.openapi.from_dict(description(OPERATIONS))
    cases = schema[operation.path][operation.verb.upper()].as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(case=cases)
    def run(case: Any) -> None:
        # Headers and the query may be broken too, and are then replaced by good ones here.
        is_body_broken = any(
            place.value == "body" and part.mode.is_negative for place, part in case.meta.components.items()
        )
        case.query["path"] = site.name
        answer = case.call(base_url=site.served.url, headers=site.served.headers)
        names = LENIENT if is_body_broken else (*LENIENT, "negative_data_rejection")
        excluded = [schemathesis.checks.CHECKS.get_one(name) for name in names]
        case.validate_response(answer, excluded_checks=excluded, headers=site.served.headers)
        assert answer.status_code < 500
        assert CANARY not in answer.text
        assert CANARY not in json.dumps(dict(answer.headers))

    run()


@pytest.mark.parametrize("operation", NAMED)
def test_every_operation_keeps_to_its_description(operation: Any, described: Site) -> None:
    try_out(operation, described, schemathesis.GenerationMode.POSITIVE)


@pytest.mark.parametrize("operation", SENDING)
def test_what_the_description_does_not_allow_is_refused(operation: Any, described: Site) -> None:
    try_out(operation, described, schemathesis.GenerationMode.NEGATIVE)

"""The exit codes: which error has which, and that the help says what they mean."""

from __future__ import annotations

import inspect

import pytest

from ccw_magics import errors
from ccw_magics.cli.ask import ask
from ccw_magics.cli.shell import exits
from ccw_magics.cli.shell.exits import exit_code

CODES = {
    errors.CcwError: 1,
    errors.ConfigError: 3,
    errors.ConfigConflict: 3,
    errors.ConfigUnsure: 3,
    errors.ConfigUnwritable: 3,
    errors.EndpointNotFound: 3,
    errors.ProviderNotFound: 3,
    errors.AlreadyExists: 3,
    errors.NotTrusted: 3,
    errors.SecretMissing: 3,
    errors.PatternError: 4,
    errors.ContextTooLarge: 4,
    errors.BudgetExceeded: 4,
    errors.NotAgreed: 4,
    errors.SchemaError: 1,
    errors.ProviderError: 1,
    errors.ToolError: 1,
    errors.ToolNotReady: 3,
    errors.CallInterrupted: 1,
}


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_an_error_has_its_code(kind: type[errors.CcwError]) -> None:
    assert exit_code(kind("what happened")) == CODES[kind]


def test_every_error_has_one() -> None:
    found = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CcwError)}
    assert found == {*CODES}


@pytest.mark.parametrize(("retryable", "code"), [(True, 75), (False, 1)], ids=["may work later", "will not"])
def test_a_provider_that_may_answer_later(retryable: bool, code: int) -> None:
    assert exit_code(errors.ProviderError("busy", retryable=retryable)) == code


def test_the_codes_are_what_scripts_rely_on() -> None:
    assert sorted(exits.MEANINGS) == [0, 1, 2, 3, 4, 75, 130, 141]
    assert all(f"  {code:>3}  {meaning}" in (ask.epilog or "") for code, meaning in exits.MEANINGS.items())

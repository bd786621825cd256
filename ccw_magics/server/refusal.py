"""What went wrong, as a status and two lines."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ccw_magics.errors import (
    AlreadyExists,
    CcwError,
    ConfigConflict,
    ConfigUnsure,
    ConfigUnwritable,
    EndpointNotFound,
    NotTrusted,
    ProviderNotFound,
)

_STATUS: Final[tuple[tuple[type[CcwError], HTTPStatus], ...]] = (
    (EndpointNotFound, HTTPStatus.NOT_FOUND),
    (ProviderNotFound, HTTPStatus.NOT_FOUND),
    (AlreadyExists, HTTPStatus.CONFLICT),
    (ConfigConflict, HTTPStatus.CONFLICT),
    (NotTrusted, HTTPStatus.FORBIDDEN),
    (ConfigUnwritable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ConfigUnsure, HTTPStatus.INTERNAL_SERVER_ERROR),
)


class Refusal(CcwError):
    """A request that is not answered as it was meant.

    Args:
        message: What is wrong with it, in one line, without keys.
        hint: The next step, in one line.
        status: The HTTP status.
    """

    def __init__(self, message: str, *, hint: str | None = None, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def status_of(error: CcwError) -> HTTPStatus:
    """The status that an error of this package stands for; one alone is no fault of the client's: a disk that fails."""
    if isinstance(error, Refusal):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)


def without_cell(hint: str) -> str:
    """A hint without what is done in a notebook's cell: a variable that is set there does not reach a server."""
    kept, cell, _ = hint.partition("; in a cell:")
    return f"{kept}." if cell else hint

"""What can go wrong for a reason that a person or a device can act on, and how it is told over HTTP."""

from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response


class ConfigurationError(Exception):
    """The settings do not let the program start; the message lists all that is wrong."""


class FleetError(Exception):
    """A rule was broken. ``code`` is stable and for programs; ``detail`` is French and says what to do."""

    status: ClassVar[int] = 400

    def __init__(self, code: str, detail: str, *, keeps_changes: bool = False) -> None:
        """``keeps_changes``: what the session holds is committed all the same, such as the trace of a wrong guess."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.keeps_changes = keeps_changes


class Unauthenticated(FleetError):
    """No valid session or credential came with the request."""

    status = 401


class NotAllowed(FleetError):
    """The caller is known and may not do this."""

    status = 403


class NotFound(FleetError):
    """It does not exist, or the caller may not see it: no difference is told."""

    status = 404


class Conflict(FleetError):
    """The present state forbids it."""

    status = 409


class Invalid(FleetError):
    """The input breaks a rule that its shape alone does not show."""

    status = 422


class TooMany(FleetError):
    """A limit was reached; try later."""

    status = 429


def answer_fleet_error(_request: Request, error: Exception) -> Response:
    """Turn a FleetError into ``{"code", "detail"}`` with its status."""
    if not isinstance(error, FleetError):
        raise error
    headers = {"Retry-After": "60"} if isinstance(error, TooMany) else None
    return JSONResponse({"code": error.code, "detail": error.detail}, error.status, headers)


def install(app: FastAPI) -> None:
    """Register the one handler."""
    app.add_exception_handler(FleetError, answer_fleet_error)

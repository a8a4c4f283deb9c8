"""What can go wrong for a reason that a person or a device can act on, and how it is told over HTTP."""

import logging
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)


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


class Outdated(FleetError):
    """What the change was made from is no longer what there is: read it again first."""

    status = 412


class Invalid(FleetError):
    """The input breaks a rule that its shape alone does not show."""

    status = 422


class TooMany(FleetError):
    """A limit was reached; try later."""

    status = 429


class Unavailable(FleetError):
    """Somebody else’s server, without which this cannot be done, does not answer."""

    status = 503


def answer_fleet_error(_request: Request, error: Exception) -> Response:
    """Turn a FleetError into ``{"code", "detail"}`` with its status."""
    if not isinstance(error, FleetError):
        raise error
    headers = {"Retry-After": "60"} if isinstance(error, TooMany) else None
    return JSONResponse({"code": error.code, "detail": error.detail}, error.status, headers)


def answer_validation_error(_request: Request, error: Exception) -> Response:
    """Say which fields of a request have the wrong shape. What was sent is not echoed: it may not even be text."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [{"field": _as_text(".".join(map(str, e["loc"]))), "reason": _as_text(e["msg"])} for e in error.errors()]
    told = ", ".join(problem["field"] for problem in problems[:5])
    return JSONResponse(
        {"code": "request.invalid", "detail": f"Demande mal formée : {told}.", "problems": problems[:50]}, 422
    )


HTTP_DETAILS = {
    400: "Demande mal formée.",
    404: "Cette adresse n’existe pas : vérifiez le chemin.",
    405: "Cette adresse n’accepte pas cette méthode.",
    413: "Envoi trop volumineux.",
    415: "Ce type de contenu n’est pas accepté : envoyez du JSON.",
}


def answer_http_error(_request: Request, error: Exception) -> Response:
    """What the router itself refuses (no such address, no such method), in the shape of every refusal."""
    if not isinstance(error, HTTPException):
        raise error
    detail = HTTP_DETAILS.get(error.status_code, "La demande a été refusée.")
    return JSONResponse({"code": f"http.{error.status_code}", "detail": detail}, error.status_code, error.headers)


def _as_text(text: str) -> str:
    """Names of unknown fields come from outside, and JSON may hold halves of characters that UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()[:200]


HeldBack = ProgrammingError
"""What an application's handler is registered for; see as_not_found."""


def as_not_found(error: Exception) -> FleetError:
    """What PostgreSQL alone held back: the row or table is not the caller's, and a check above it is missing.

    Raise the error itself when it is anything else.
    """
    if not (isinstance(error, ProgrammingError) and isinstance(error.orig, InsufficientPrivilege)):
        raise error
    log.error("held back by the database alone", extra={"reason": str(error.orig).splitlines()[0]})
    return NotFound("rights.held_back", "Cet élément n’existe pas ou ne vous est pas ouvert.")


def answer_held_back(request: Request, error: Exception) -> Response:
    """A row or table that the transaction's door does not open, as a row that does not exist."""
    return answer_fleet_error(request, as_not_found(error))


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(HeldBack, answer_held_back)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(FleetError, answer_fleet_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)

"""Errors as pages: what happened, in French, and what to do next. Programs keep their JSON."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from dashboards.portal import unknown_values
from dashboards.portal.person import confirm_path, landing, sign_in_path
from dashboards.portal.rendering import render
from dashboards.portal.security import HEADERS
from fleet.accounts import sessions
from fleet.accounts.access import COOKIE
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import (
    FleetError,
    HeldBack,
    Unauthenticated,
    answer_fleet_error,
    answer_http_error,
    answer_validation_error,
    as_not_found,
)
from fleet.log import request_id

log = logging.getLogger(__name__)
PROGRAMS = ("/api/", "/agent/", "/filter/", "/health/", "/metrics", "/static/")
"""Addresses that programs ask: their errors stay JSON."""

TITLES = {
    400: "Demande incomprise",
    403: "Accès refusé",
    404: "Page introuvable",
    405: "Action impossible ici",
    409: "Impossible dans l’état actuel",
    413: "Envoi trop volumineux",
    422: "Saisie à corriger",
    429: "Trop d’essais",
    500: "Une erreur est survenue",
    503: "Un service ne répond pas",
}
ADVICE = {
    400: "Revenez à la page précédente et recommencez.",
    403: "Si vous pensez devoir y accéder, écrivez à l’équipe technique en indiquant l’adresse de cette page.",
    404: "L’adresse est peut-être mal recopiée, ou cet élément n’est pas de votre périmètre.",
    405: "Revenez à la page précédente et utilisez ses boutons.",
    409: "Quelqu’un a peut-être agi entre-temps. Rechargez la page pour voir l’état actuel.",
    413: "Envoyez moins de texte à la fois.",
    422: "Revenez à la page précédente et corrigez la saisie.",
    429: "Patientez un quart d’heure, puis réessayez.",
    503: "Rien n’a été enregistré. Réessayez dans quelques minutes.",
    500: "Rien n’a été enregistré. Réessayez dans un instant ; si cela dure, prévenez l’équipe technique.",
}


def is_program(request: Request) -> bool:
    return request.url.path.startswith(PROGRAMS)


def error_page(request: Request, status: int, detail: str | None = None) -> Response:
    """The page of one status; ``detail`` is a sentence that a rule wrote."""
    known = status if status in TITLES else (500 if status >= 500 else 400)
    signed_in = getattr(request.state, "signed_in", None)
    return render(
        request,
        "error.html",
        status,
        status=status,
        title=TITLES[known],
        detail=detail,
        advice=ADVICE[known],
        home=landing(signed_in.viewer) if signed_in else "/",
        request_id=request_id.get(),
    )


def answer_rule(request: Request, error: Exception) -> Response:
    """A FleetError: sign-in first, or its own sentence on a page."""
    if not isinstance(error, FleetError):
        raise error
    if is_program(request):
        return answer_fleet_error(request, error)
    if isinstance(error, Unauthenticated):
        if request.headers.get("HX-Request"):  # a polled part of a page: send the whole page there
            return Response(status_code=204, headers={"HX-Redirect": sign_in_path(request)})
        return RedirectResponse(sign_in_path(request), 303)
    if error.code in LEADS_TO:
        return RedirectResponse(LEADS_TO[error.code](request), 303)
    return error_page(request, error.status, error.detail)


def answer_held_back(request: Request, error: Exception) -> Response:
    """What the database alone held back: a page that says no more than for a row that does not exist."""
    return answer_rule(request, as_not_found(error))


LEADS_TO: dict[str, Callable[[Request], str]] = {
    "second_factor.owed": lambda _request: "/account/second-factor",
    "session.confirmation_needed": confirm_path,
}
"""What is missing before a page can be shown, and the page where it is done."""


def answer_http(request: Request, error: Exception) -> Response:
    """404 and 405 of the router itself; no page ran, so who is signed in is found here."""
    if not isinstance(error, HTTPException):
        raise error
    if is_program(request):
        return answer_http_error(request, error)
    if token := request.cookies.get(COOKIE):
        with transaction(Door.GATE) as session:
            request.state.signed_in = sessions.find_signed_in(session, token, utc_now())
    return error_page(request, error.status_code)


def answer_validation(request: Request, error: Exception) -> Response:
    """An address whose parts have the wrong shape."""
    if not isinstance(error, RequestValidationError):
        raise error
    if is_program(request):
        return answer_validation_error(request, error)
    problems = error.errors()
    in_path = any(problem["loc"][0] == "path" for problem in problems)
    return error_page(request, 404) if in_path else error_page(request, 422, unknown_values.sentence(problems))


def answer_crash(request: Request, _error: Exception) -> Response:
    """What nobody foresaw. The server logs the traceback; this answer leaves outside every middleware."""
    if is_program(request):
        return JSONResponse({"code": "server.error", "detail": TITLES[500]}, 500, HEADERS)
    page = error_page(request, 500)
    page.headers.update(HEADERS)
    return page


def install(app: FastAPI) -> None:
    """Put pages in front of the controller's own handlers."""
    app.add_exception_handler(FleetError, answer_rule)
    app.add_exception_handler(HeldBack, answer_held_back)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_validation)
    app.add_exception_handler(Exception, answer_crash)

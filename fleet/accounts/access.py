"""Who is behind a request: the session cookie, and the proof that a change was meant."""

import hmac
from typing import Annotated

from fastapi import Depends, Request

from fleet.accounts import service
from fleet.accounts.service import SignedIn
from fleet.accounts.sight import enter_as
from fleet.actors import ActorKind, become
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import NotAllowed, Unauthenticated
from fleet.scope import Viewer

COOKIE = "__Host-preau_session"
"""The prefix makes browsers refuse it without Secure and Path=/, or from a subdomain (RFC 6265bis)."""
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def find_session(request: Request, session: DbSession, now: Now) -> SignedIn | None:
    """The signed-in browser, or None. The request's transaction works as this person from here on; for nobody it is
    closed.
    """
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    enter(session, Door.GATE)
    found = service.find_signed_in(session, token, now)
    if found is None:
        enter(session, Door.CLOSED)
    else:
        become(ActorKind.PERSON, found.viewer.user_id, found.viewer.name)
        enter_as(session, found.viewer)
    return found


FoundSession = Annotated[SignedIn | None, Depends(find_session)]


def current_session(found: FoundSession) -> SignedIn:
    """The signed-in browser; raise Unauthenticated when there is none."""
    if found is None:
        raise Unauthenticated("session.none", "Connectez-vous d’abord.")
    return found


CurrentSession = Annotated[SignedIn, Depends(current_session)]


def check_csrf(signed_in: SignedIn, given: str | None) -> None:
    """Raise NotAllowed unless the form or script that sent this holds the session's own token."""
    if not given or not hmac.compare_digest(given.encode(), signed_in.csrf_token.encode()):
        raise NotAllowed("session.csrf", "Cette page a expiré. Rechargez-la et recommencez.")


def current_viewer(request: Request, signed_in: CurrentSession) -> Viewer:
    """The person behind a JSON request; a change must carry the X-CSRF-Token header."""
    if request.method not in SAFE_METHODS:
        check_csrf(signed_in, request.headers.get(CSRF_HEADER))
    return signed_in.viewer


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]


def client_address(request: Request) -> str:
    """The peer's address, for limits: uvicorn has already applied the trusted proxy's headers, if any."""
    return request.client.host if request.client else "unknown"


ClientAddress = Annotated[str, Depends(client_address)]

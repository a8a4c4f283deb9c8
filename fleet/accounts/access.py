"""Who is behind a request: a session's cookie or a token, and the proof that a change was meant."""

import hmac
from typing import Annotated

from fastapi import Depends, Request

from fleet.accounts import sessions, tokens
from fleet.accounts.sessions import LONGEST_BROWSER, SignedIn, Visit
from fleet.accounts.sight import enter_as
from fleet.actors import ActorKind, become
from fleet.clock import Now
from fleet.config import FleetConfig
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import Invalid, NotAllowed, Unauthenticated
from fleet.scope import STAFF, Viewer
from fleet.stored_secrets import SecretBox

COOKIE = "__Host-preau_session"
"""The prefix makes browsers refuse it without Secure and Path=/, or from a subdomain (RFC 6265bis)."""
BROWSER_COOKIE = "__Host-preau_browser"
PENDING_COOKIE = "__Host-preau_code"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def client_address(request: Request) -> str:
    """The peer's address, for limits: uvicorn has already applied the trusted proxy's headers, if any."""
    return request.client.host if request.client else "unknown"


ClientAddress = Annotated[str, Depends(client_address)]


def read_visit(request: Request, address: ClientAddress) -> Visit:
    """Where a request comes from."""
    browser = request.headers.get("User-Agent", "")[:LONGEST_BROWSER]
    return Visit(address, browser, request.cookies.get(BROWSER_COOKIE))


CurrentVisit = Annotated[Visit, Depends(read_visit)]


def read_settings(request: Request) -> FleetConfig:
    """The settings of this process."""
    config: FleetConfig = request.app.state.config
    return config


Settings = Annotated[FleetConfig, Depends(read_settings)]


def open_box(config: Settings) -> SecretBox:
    """What seals and opens the secrets of second factors."""
    return SecretBox(config.secret_keys)


Box = Annotated[SecretBox, Depends(open_box)]


def find_session(request: Request, session: DbSession, now: Now) -> SignedIn | None:
    """The signed-in browser, or None. The request's transaction works as this person from here on; for nobody it is
    closed.
    """
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    enter(session, Door.GATE)
    found = sessions.find_signed_in(session, token, now)
    if found is None:
        enter(session, Door.CLOSED)
    else:
        become(ActorKind.PERSON, found.viewer.user_id, found.viewer.name)
        enter_as(session, found.viewer)
    return found


FoundSession = Annotated[SignedIn | None, Depends(find_session)]


def any_session(found: FoundSession) -> SignedIn:
    """The signed-in browser, even one that still owes its second factor: for what leads there, and out."""
    if found is None:
        raise Unauthenticated("session.none", "Connectez-vous d’abord.")
    return found


AnySession = Annotated[SignedIn, Depends(any_session)]


def owes_second_factor(signed_in: SignedIn, config: FleetConfig) -> bool:
    """Whether this person must set up a second factor before anything else."""
    if signed_in.has_second_factor or signed_in.is_proven or not config.second_factor_required:
        return False
    return any(grant.role in STAFF for grant in signed_in.viewer.grants)


def current_session(signed_in: AnySession, config: Settings) -> SignedIn:
    """The signed-in browser; raise Unauthenticated when there is none, NotAllowed when a second factor is owed."""
    if owes_second_factor(signed_in, config):
        raise NotAllowed(
            "second_factor.owed", "Activez d’abord un second facteur dans le portail : votre rôle l’exige."
        )
    return signed_in


CurrentSession = Annotated[SignedIn, Depends(current_session)]


def check_csrf(signed_in: SignedIn, given: str | None) -> None:
    """Raise NotAllowed unless the form or script that sent this holds the session's own token."""
    if not given or not hmac.compare_digest(given.encode(), signed_in.csrf_token.encode()):
        raise NotAllowed("session.csrf", "Cette page a expiré. Rechargez-la et recommencez.")


def intended_session(request: Request, signed_in: CurrentSession) -> SignedIn:
    """The same; a change must carry the X-CSRF-Token header."""
    if request.method not in SAFE_METHODS:
        check_csrf(signed_in, request.headers.get(CSRF_HEADER))
    return signed_in


IntendedSession = Annotated[SignedIn, Depends(intended_session)]


def confirmed_session(signed_in: IntendedSession, now: Now) -> SignedIn:
    """The same, of somebody who proved who they are within the last minutes: for dangerous acts."""
    if not signed_in.was_confirmed(now):
        raise NotAllowed(
            "session.confirmation_needed", "Confirmez d’abord qui vous êtes : POST /api/v1/accounts/confirm."
        )
    return signed_in


ConfirmedSession = Annotated[SignedIn, Depends(confirmed_session)]


def current_viewer(request: Request, session: DbSession, config: Settings, address: ClientAddress, now: Now) -> Viewer:
    """Who is behind a JSON request: a token's holder, or the person of a session (whose changes carry the header).

    A token that is sent decides alone, also against a cookie; one in the address is refused whatever it is worth,
    since addresses end up in logs.
    """
    if any(value.startswith(tokens.MARK) for value in request.query_params.values()):
        raise Invalid("token.in_url", "Un jeton ne s’envoie pas dans une adresse. Révoquez-le : il est compromis.")
    header = request.headers.get("Authorization")
    if header is None:
        found = find_session(request, session, now)
        return intended_session(request, current_session(any_session(found), config)).viewer
    enter(session, Door.GATE)
    viewer = tokens.authenticate(session, header, address, now)
    enter_as(session, viewer)
    return viewer


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]

"""HTTP of accounts: sign in and out, who am I, my sessions, my tokens."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request, Response

from fleet.accounts import sessions, signing_in, tokens
from fleet.accounts.access import (
    BROWSER_COOKIE,
    COOKIE,
    AnySession,
    Box,
    ConfirmedSession,
    CurrentSession,
    CurrentVisit,
    IntendedSession,
    Settings,
    intended_session,
    owes_second_factor,
)
from fleet.accounts.known_browsers import KEPT
from fleet.accounts.models import ApiToken, WebSession
from fleet.accounts.schemas import ConfirmIn, GrantOut, MeOut, NewTokenOut, SessionOut, SignInIn, TokenIn, TokenOut
from fleet.accounts.sessions import SESSION_LENGTH, SignedIn
from fleet.clock import Now
from fleet.config import FleetConfig
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import Invalid
from fleet.scope import Grant

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"])


def set_private_cookie(response: Response, name: str, value: str, length: timedelta) -> None:
    """Hand a secret to the browser: HTTPS only, out of scripts' reach, never sent by another site's forms."""
    seconds = int(length.total_seconds())
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def forget_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def set_cookies(response: Response, signed_in: SignedIn) -> None:
    """What a browser keeps of a sign-in."""
    set_private_cookie(response, COOKIE, signed_in.token, SESSION_LENGTH)
    if signed_in.browser_token:
        set_private_cookie(response, BROWSER_COOKIE, signed_in.browser_token, KEPT)


def me(signed_in: SignedIn, config: FleetConfig) -> MeOut:
    viewer = signed_in.viewer
    grants = [
        GrantOut(
            role=g.role,
            collectivity_id=str(g.collectivity_id) if g.collectivity_id else None,
            school_id=str(g.school_id) if g.school_id else None,
        )
        for g in viewer.grants
    ]
    return MeOut(
        name=viewer.name,
        email=viewer.email,
        grants=grants,
        csrf_token=signed_in.csrf_token,
        owes_second_factor=owes_second_factor(signed_in, config),
    )


@router.post("/sign-in")
def sign_in(
    body: SignInIn, response: Response, session: DbSession, visit: CurrentVisit, box: Box, config: Settings, now: Now
) -> MeOut:
    """Open a session: the cookie comes with the answer, and the token that changes must carry."""
    enter(session, Door.GATE)
    signed_in = signing_in.sign_in(session, body.email, body.password, visit, now, code=body.code, box=box)
    set_cookies(response, signed_in)
    return me(signed_in, config)


@router.post("/sign-out", status_code=204)
def sign_out(request: Request, response: Response, session: DbSession, signed_in: AnySession) -> None:
    """End the session."""
    intended_session(request, signed_in)
    sessions.sign_out(session, signed_in.token)
    forget_cookie(response, COOKIE)


@router.get("/me")
def get_me(signed_in: AnySession, config: Settings) -> MeOut:
    """Who this session belongs to."""
    return me(signed_in, config)


@router.post("/confirm")
def confirm(
    body: ConfirmIn,
    response: Response,
    session: DbSession,
    signed_in: IntendedSession,
    visit: CurrentVisit,
    box: Box,
    config: Settings,
    now: Now,
) -> MeOut:
    """Prove again who you are: dangerous acts are open for ten minutes. The session goes on under a new cookie."""
    renewed = signing_in.confirm(session, signed_in, body.secret, visit, box, now)
    set_cookies(response, renewed)
    return me(renewed, config)


@router.get("/sessions", response_model=list[SessionOut])
def list_sessions(session: DbSession, signed_in: CurrentSession, now: Now) -> Sequence[WebSession]:
    """Where you are signed in."""
    return sessions.list_sessions(session, signed_in.viewer.user_id, now)


@router.delete("/sessions/{session_id}", status_code=204)
def end_session(session: DbSession, signed_in: IntendedSession, session_id: UUID) -> None:
    """End one of your sessions."""
    sessions.end_session(session, signed_in.viewer.user_id, session_id)


@router.get("/tokens", response_model=list[TokenOut])
def list_tokens(session: DbSession, signed_in: CurrentSession, now: Now) -> Sequence[ApiToken]:
    """Your tokens that still open something."""
    return tokens.list_own(session, signed_in.viewer.user_id, now)


@router.post("/tokens", status_code=201)
def issue_token(body: TokenIn, session: DbSession, signed_in: ConfirmedSession, now: Now) -> NewTokenOut:
    """A new token, shown this once: no more rights than yours, for a year at most."""
    if body.collectivity_id and body.school_id:
        raise Invalid("token.one_node", "Un jeton porte sur une seule chose : une collectivité ou une école.")
    grant = Grant(body.role, body.collectivity_id, body.school_id)
    row, text = tokens.issue(
        session, signed_in.viewer, name=body.name, grant=grant, expires_at=body.expires_at, now=now
    )
    return NewTokenOut(**TokenOut.model_validate(row).model_dump(), token=text)


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(session: DbSession, signed_in: IntendedSession, token_id: UUID, now: Now) -> None:
    """End one of your tokens at once."""
    tokens.revoke(session, signed_in.viewer.user_id, token_id, now)

"""HTTP of accounts: sign in and out, and who am I."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from fleet.accounts import service
from fleet.accounts.access import COOKIE, ClientAddress, CurrentSession, CurrentViewer
from fleet.accounts.service import SESSION_LENGTH
from fleet.bodies import STRICT
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.scope import Role, Viewer

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"])


class SignInIn(BaseModel):
    model_config = STRICT

    email: str = Field(max_length=254)
    password: str = Field(max_length=256)


class GrantOut(BaseModel):
    role: Role
    collectivity_id: str | None
    school_id: str | None


class MeOut(BaseModel):
    name: str
    email: str
    grants: list[GrantOut]
    csrf_token: str


def set_cookie(response: Response, token: str) -> None:
    """Hand the session to the browser: HTTPS only, out of scripts' reach, never sent by another site's forms."""
    length = int(SESSION_LENGTH.total_seconds())
    response.set_cookie(COOKIE, token, max_age=length, path="/", secure=True, httponly=True, samesite="lax")


def me(viewer: Viewer, csrf_token: str) -> MeOut:
    grants = [
        GrantOut(
            role=g.role,
            collectivity_id=str(g.collectivity_id) if g.collectivity_id else None,
            school_id=str(g.school_id) if g.school_id else None,
        )
        for g in viewer.grants
    ]
    return MeOut(name=viewer.name, email=viewer.email, grants=grants, csrf_token=csrf_token)


@router.post("/sign-in")
def sign_in(body: SignInIn, response: Response, session: DbSession, address: ClientAddress, now: Now) -> MeOut:
    """Open a session: the cookie comes with the answer, and the token that changes must carry."""
    enter(session, Door.GATE)
    signed_in = service.sign_in(session, body.email, body.password, address, now)
    set_cookie(response, signed_in.token)
    return me(signed_in.viewer, signed_in.csrf_token)


@router.post("/sign-out", status_code=204)
def sign_out(response: Response, session: DbSession, signed_in: CurrentSession, _viewer: CurrentViewer) -> None:
    """End the session."""
    service.sign_out(session, signed_in.token)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


@router.get("/me")
def get_me(signed_in: CurrentSession) -> MeOut:
    """Who this session belongs to."""
    return me(signed_in.viewer, signed_in.csrf_token)

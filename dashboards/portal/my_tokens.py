"""One's own API tokens: made, shown once, revoked."""

from datetime import datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import nodes, refusals
from dashboards.portal.forms import Reader
from dashboards.portal.menu import ACCOUNT_TABS
from dashboards.portal.my_account import ConfirmedNow
from dashboards.portal.person import CurrentSignedIn, SentForm
from dashboards.portal.rendering import render
from dashboards.portal.words import ROLE
from fleet.accounts import tokens
from fleet.accounts.sessions import SignedIn
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError, NotAllowed
from fleet.scope import Grant, Role, Viewer

router = APIRouter(prefix="/account/tokens")
LIVES = (("30", "30 jours"), ("90", "3 mois"), ("180", "6 mois"), ("365", "1 an"))
FIELDS = {"token.bad_name": "name"}


@router.get("")
def show_tokens(request: Request, session: DbSession, signed_in: CurrentSignedIn, now: Now) -> Response:
    """What programs present in my name."""
    return tokens_page(request, session, signed_in, now)


def tokens_page(
    request: Request,
    session: DbSession,
    signed_in: SignedIn,
    now: datetime,
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    viewer = signed_in.viewer
    own = tokens.list_own(session, viewer.user_id, now)
    return render(
        request,
        "tokens.html",
        refused.status if refused else 200,
        tabs=ACCOUNT_TABS,
        tokens=list(zip(own, nodes.name_grants(session, viewer, own), strict=True)),
        choices=[(str(number), text) for number, (_, text) in enumerate(choices(session, viewer))],
        lives=LIVES,
        read=reader.raw if reader else lambda _name: "",
        **refusals.explained(refused, FIELDS),
    )


def choices(session: DbSession, viewer: Viewer) -> list[tuple[Grant, str]]:
    """The rights that this person may hand out: on each of their places, every role that does no more than theirs."""
    places = {(g.collectivity_id, g.school_id): g for g in viewer.grants}.values()
    wanted = [Grant(role, g.collectivity_id, g.school_id) for g in places for role in Role]
    allowed = [grant for grant in wanted if tokens.is_within(viewer, grant)]
    named = nodes.name_grants(session, viewer, allowed)
    return [(grant, f"{ROLE[name.role].text} · {name.place}") for grant, name in zip(allowed, named, strict=True)]


@router.post("")
def issue(request: Request, session: DbSession, signed_in: ConfirmedNow, form: SentForm, now: Now) -> Response:
    """A new token, shown this once: the page is the answer itself, since nothing can show it again."""
    reader = Reader(form)
    try:
        possible = choices(session, signed_in.viewer)
        if not possible:
            raise NotAllowed("token.no_right", "Aucun de vos rôles n’est en cours : un jeton n’ouvrirait rien.")
        name = reader.text("name", maximum=tokens.LONGEST_NAME, missing="Dites à quoi sert ce jeton.")
        number = reader.integer("right", minimum=0, maximum=len(possible) - 1)
        days = reader.integer("days", minimum=1, maximum=365)
        reader.check()
        grant, text = possible[number]
        row, secret = tokens.issue(
            session, signed_in.viewer, name=name, grant=grant, expires_at=now + timedelta(days=days), now=now
        )
    except FleetError as refused:
        session.rollback()
        return tokens_page(request, session, signed_in, now, reader, refused)
    public_url = request.app.state.config.public_url
    return render(request, "token_made.html", token=row, secret=secret, right=text, public_url=public_url)


@router.post("/{token_id}/revoke")
def revoke(session: DbSession, signed_in: CurrentSignedIn, token_id: UUID, now: Now) -> Response:
    """It opens nothing any more, at once."""
    tokens.revoke(session, signed_in.viewer.user_id, token_id, now)
    return RedirectResponse("/account/tokens?done=token-ended", 303)

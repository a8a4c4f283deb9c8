"""Signing in through an identity provider: off to it, and back."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.person import local_path
from dashboards.portal.sign_in import answer_entered
from fleet.accounts import identities, sessions, signing_in
from fleet.accounts.access import CurrentVisit, FoundSession
from fleet.accounts.identities import FLOW_LENGTH
from fleet.accounts.models import OidcFlow
from fleet.accounts.oidc import Asked, Claims, Providers
from fleet.accounts.routes import forget_cookie, set_cookies, set_private_cookie
from fleet.accounts.sessions import SignedIn
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import NotAllowed

router = APIRouter(prefix="/sign-in/oidc/{slug}")
FLOW_COOKIE = "__Host-preau_oidc"
LONGEST = 2_000
"""Characters of a code or a state."""


def redirect_uri(request: Request, slug: str) -> str:
    """Where the provider sends people back to: what its operator was told, whatever this request says."""
    return f"{request.app.state.config.public_url}/sign-in/oidc/{slug}/callback"


@router.get("")
def leave(
    request: Request, session: DbSession, found: FoundSession, now: Now, slug: str, confirm: bool = False
) -> Response:
    """Off to the provider. Nothing but the browser that leaves can come back."""
    providers: Providers = request.app.state.oidc
    client = providers.get(slug)
    client.facts(now)  # the network first, while nothing is held
    wanted = local_path(request.query_params.get("next")) or ""
    confirms = found if confirm else None
    enter(session, Door.GATE)
    started = identities.start(session, slug, wanted, confirms, now)
    asked = Asked(started.nonce, started.code_verifier, redirect_uri(request, slug))
    url = client.authorization_url(asked, started.state, now, confirms=confirms is not None)
    answer = RedirectResponse(url, 303)
    set_private_cookie(answer, FLOW_COOKIE, started.browser, FLOW_LENGTH)
    return answer


@router.get("/callback")
def come_back(
    request: Request, session: DbSession, found: FoundSession, visit: CurrentVisit, now: Now, slug: str
) -> Response:
    """Take the provider's answer, once; the exchange of the code happens outside any transaction."""
    providers: Providers = request.app.state.oidc
    client = providers.get(slug)
    code, state = (one_value(request, name) for name in ("code", "state"))
    enter(session, Door.GATE)
    flow = identities.take(session, slug, state, request.cookies.get(FLOW_COOKIE), now)
    session.commit()  # one answer is taken, whatever becomes of it
    check_answer(request, client.provider.issuer, code)
    asked = Asked(flow.nonce, flow.code_verifier, redirect_uri(request, slug))
    claims = client.claims(code, asked, now)
    if flow.confirms is not None:
        answer = confirm(session, found, flow, claims, now)
    else:
        user = identities.find_person(session, client.provider, claims, now)
        is_proven = identities.has_proven(client.provider, claims)
        answer = answer_entered(signing_in.go_on(session, user, visit, now, is_proven=is_proven), flow.wanted or None)
    forget_cookie(answer, FLOW_COOKIE)
    return answer


def one_value(request: Request, name: str) -> str:
    """A parameter that is there at most once and of a believable length; "" otherwise."""
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 and len(values[0]) <= LONGEST and values[0].isprintable() else ""


def check_answer(request: Request, issuer: str, code: str) -> None:
    """Raise NotAllowed for a refusal, or an answer of somebody else (RFC 9207)."""
    said = request.query_params.get("iss")
    if said is not None and said != issuer:
        raise NotAllowed("oidc.other_issuer", "Cette réponse vient d’un autre service. Recommencez.")
    if not code:
        raise NotAllowed("oidc.declined", "La connexion a été annulée ou refusée par le service. Recommencez.")


def confirm(session: DbSession, found: SignedIn | None, flow: OidcFlow, claims: Claims, now: Now) -> Response:
    """Back from proving anew who one is."""
    if found is None:
        raise NotAllowed("oidc.not_confirmed", "Votre session est terminée : reconnectez-vous.")
    identities.check_confirmation(session, flow, found, claims)
    renewed = sessions.confirm(session, found, now)
    answer = RedirectResponse(flow.wanted or "/account", 303)
    set_cookies(answer, renewed)
    return answer

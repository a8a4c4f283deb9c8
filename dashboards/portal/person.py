"""The signed-in person behind a page, and the proof that a form was meant."""

from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData

from fleet.accounts.access import SAFE_METHODS, FoundSession, Settings, check_csrf, owes_second_factor
from fleet.accounts.sessions import SignedIn
from fleet.clock import Now
from fleet.errors import NotAllowed, Unauthenticated
from fleet.scope import STAFF, Viewer

MAX_FIELDS = 400
UPLOADS = frozenset({"/imports"})
"""Pages whose form brings a file."""


async def read_form(request: Request) -> FormData:
    """The form that came with the request; empty for a page that is only looked at."""
    if request.method in SAFE_METHODS:
        return FormData()
    return await request.form(max_files=int(request.url.path in UPLOADS), max_fields=MAX_FIELDS)


SentForm = Annotated[FormData, Depends(read_form)]


def any_signed_in(request: Request, found: FoundSession, config: Settings, now: Now, form: SentForm) -> SignedIn:
    """The session behind a page, even one that still owes its second factor: for what leads there, and out.

    Raise Unauthenticated (the error page then redirects to sign-in) or NotAllowed for a stale form.
    """
    request.state.now = now
    if found is None:
        raise Unauthenticated("session.none", "Connectez-vous d’abord.")
    request.state.signed_in = found
    request.state.owes_second_factor = owes_second_factor(found, config)
    if request.method not in SAFE_METHODS:
        given = form.get("csrf")
        check_csrf(found, given if isinstance(given, str) else None)
    return found


AnySignedIn = Annotated[SignedIn, Depends(any_signed_in)]


def signed_in(request: Request, found: AnySignedIn) -> SignedIn:
    """The session behind a page; NotAllowed (the error page then leads to the set-up) while a second factor is owed."""
    if request.state.owes_second_factor:
        raise NotAllowed("second_factor.owed", "Activez d’abord un second facteur : votre rôle l’exige.")
    return found


CurrentSignedIn = Annotated[SignedIn, Depends(signed_in)]


def signed_in_person(found: CurrentSignedIn) -> Viewer:
    """Who looks."""
    return found.viewer


Person = Annotated[Viewer, Depends(signed_in_person)]


def confirmed(found: AnySignedIn, now: Now) -> SignedIn:
    """The session of somebody who proved who they are within the last minutes; the error page asks whoever did not.

    It may still owe its second factor: setting one up is such an act.
    """
    if not found.was_confirmed(now):
        raise NotAllowed("session.confirmation_needed", "Confirmez d’abord que c’est bien vous.")
    return found


ConfirmedSignedIn = Annotated[SignedIn, Depends(confirmed)]


def confirmed_person(_found: CurrentSignedIn, found: ConfirmedSignedIn) -> Viewer:
    """Who does something dangerous."""
    return found.viewer


ConfirmedPerson = Annotated[Viewer, Depends(confirmed_person)]


def signed_in_staff(viewer: Person) -> Viewer:
    """A person of the operator (its auditor included): some pages are nobody else's business."""
    if not viewer.sees_all:
        raise NotAllowed("page.staff_only", "Cette page est réservée à l’équipe technique.")
    return viewer


Staff = Annotated[Viewer, Depends(signed_in_staff)]


def is_staff(viewer: Viewer) -> bool:
    """Whether this person is one of the operator's technicians or administrators."""
    return any(grant.role in STAFF for grant in viewer.grants if grant.is_operator)


def landing(viewer: Viewer) -> str:
    """Where this person's work starts."""
    if viewer.sees_all:
        return "/"
    if len(viewer.own_collectivity_ids) == 1:
        return f"/collectivities/{next(iter(viewer.own_collectivity_ids))}"
    if not viewer.own_collectivity_ids and len(viewer.own_school_ids) == 1:
        return f"/schools/{next(iter(viewer.own_school_ids))}"
    return "/schools"


def local_path(wanted: str | None) -> str | None:
    """A path of this site, or None for anything that could lead a person elsewhere."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return None
    if any(ord(c) < 0x21 or c == "\\" for c in wanted):
        return None
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc else None


def sign_in_path(request: Request) -> str:
    """Where to sign in and come back from; a form that was lost comes back to the page it stood on."""
    if request.method not in SAFE_METHODS or request.url.path == "/":
        return "/sign-in"
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?{urlencode({'next': here})}"


def confirm_path(request: Request) -> str:
    """Where to confirm who one is and come back from; a form that was lost comes back to the page it stood on."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method not in SAFE_METHODS:
        stood_on = urlsplit(request.headers.get("Referer", ""))
        same_site = stood_on.netloc == request.headers.get("Host")
        here = (same_site and local_path(stood_on.path)) or "/account"
    return f"/account/confirm?{urlencode({'next': here})}"


def came_from_here(request: Request) -> bool:
    """False when the browser says that another site sent this form: for forms that no session protects yet."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("Host")

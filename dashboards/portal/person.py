"""The signed-in person behind a page, and the proof that a form was meant."""

from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData

from fleet.accounts.access import SAFE_METHODS, FoundSession, check_csrf
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


def signed_in_person(request: Request, found: FoundSession, now: Now, form: SentForm) -> Viewer:
    """Who looks; raise Unauthenticated (the error page then redirects to sign-in) or NotAllowed for a stale form."""
    request.state.now = now
    if found is None:
        raise Unauthenticated("session.none", "Connectez-vous d’abord.")
    request.state.signed_in = found
    if request.method not in SAFE_METHODS:
        given = form.get("csrf")
        check_csrf(found, given if isinstance(given, str) else None)
    return found.viewer


Person = Annotated[Viewer, Depends(signed_in_person)]


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
    if len(viewer.collectivity_ids) == 1:
        return f"/collectivities/{next(iter(viewer.collectivity_ids))}"
    if not viewer.collectivity_ids and len(viewer.school_ids) == 1:
        return f"/schools/{next(iter(viewer.school_ids))}"
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


def came_from_here(request: Request) -> bool:
    """False when the browser says that another site sent this form: for forms that no session protects yet."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("Host")

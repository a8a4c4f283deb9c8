"""Requests to unblock: who asks for what, why it is blocked now, and the answer: open until a date, or a refusal."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import refusals
from dashboards.portal.forms import Reader
from dashboards.portal.listing import AskedPage, Blank, Search, csv_download, every_row, within
from dashboards.portal.person import Person, SentForm
from dashboards.portal.rendering import render
from dashboards.portal.school_choice import choose_school, school_of
from dashboards.portal.words import evening, in_paris, typed
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError, NotFound
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import overrides, requests, rooms
from fleet.filtering.policy import profiles
from fleet.filtering.policy.models import FilterOverride, FilterProfile, RequestStatus, UnblockRequest
from fleet.filtering.policy.place_names import room_names, school_names
from fleet.filtering.policy.places import find_place
from fleet.paging import Listing, Page
from fleet.schools.models import School
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/filtering/requests")
Id = Annotated[UUID | None, Blank, Query()]
State = Annotated[str, Query(pattern=f"^({'|'.join(RequestStatus)}|all|)$")]
Site = Annotated[str, Query(max_length=300)]
SORTS = (("-received_at", "Plus récentes"), ("received_at", "Plus anciennes"), ("name", "Site"))
USUAL = timedelta(days=30)
FIELDS = {
    "filtering.bad_name": "name",
    "filtering.bad_period": "ends",
    "filtering.locked": "place",
    "filtering.bad_text": "refusal",
}
"""Which field a refusal is about."""
COLUMNS: dict[str, Callable[[UnblockRequest], object]] = {
    "site": lambda r: r.name,
    "raison": lambda r: r.reason,
    "contact": lambda r: r.contact,
    "recue_le": lambda r: in_paris(r.received_at),
    "etat": lambda r: r.status.label,
    "reponse": lambda r: r.answer,
    "repondue_le": lambda r: in_paris(r.answered_at),
    "par": lambda r: r.answered_by,
}


@dataclass(frozen=True, slots=True)
class Why:
    """What the filters answer to the name now, where it was asked from; or why that cannot be told."""

    explained: filtering.Explained | None
    refused: str = ""


def default_state(viewer: Viewer) -> str:
    """Who answers looks at what waits; who asked looks at everything."""
    return RequestStatus.ASKED.value if viewer.may(Action.ANSWER_UNBLOCK) else "all"


def reader_of(
    session: DbSession, viewer: Viewer, q: str, state: str, school: UUID | None
) -> Callable[[Page], Listing[UnblockRequest]]:
    """The list that an address asks for, page by page."""
    wanted = state or default_state(viewer)
    status = None if wanted == "all" else RequestStatus(wanted)

    def read(page: Page) -> Listing[UnblockRequest]:
        return requests.list_requests(session, viewer, search=q, status=status, school_id=school, page=page)

    return read


@router.get("")
def list_requests(
    request: Request,
    session: DbSession,
    viewer: Person,
    page: AskedPage,
    q: Search = "",
    state: State = "",
    school: Id = None,
) -> Response:
    """The requests of the schools that the viewer sees."""
    listing = within(reader_of(session, viewer, q, state, school), page)
    return render(
        request,
        "unblock_requests.html",
        listing=listing,
        schools=school_names(session, (row.school_id for row in listing.rows)),
        rooms=room_names(session, (row.room_id for row in listing.rows)),
        asked={"q": q, "state": state or default_state(viewer)},
        sorts=SORTS,
        sort=page.sort or "-received_at",
    )


@router.get(".csv")
def export_requests(
    session: DbSession, viewer: Person, q: Search = "", state: State = "", school: Id = None
) -> Response:
    """The same list whole, as a file."""
    read = reader_of(session, viewer, q, state, school)
    return csv_download("demandes-de-deblocage", COLUMNS, every_row(read, "-received_at"))


@router.get("/new")
def show_new(
    request: Request, session: DbSession, viewer: Person, q: Search = "", school: Id = None, name: Site = ""
) -> Response:
    """Choose the school when there is a choice, then say which site and why."""
    if not viewer.may_somewhere(Action.ASK_UNBLOCK):
        viewer.must(Action.ASK_UNBLOCK)
    place = school_of(session, viewer, school)
    if place is None:
        text = "Pour quelle école demandez-vous l’ouverture d’un site ?"
        path = "/filtering/requests/new"
        return choose_school(request, session, viewer, q, title="Demander un déblocage", text=text, path=path)
    return asking_page(request, session, place, lambda field: name if field == "name" else "")


def asking_page(
    request: Request,
    session: DbSession,
    school: School,
    read: Callable[[str], str],
    refused: FleetError | None = None,
) -> Response:
    """The form, with what was typed when it comes back."""
    return render(
        request,
        "unblock_new.html",
        refused.status if refused else 200,
        school=school,
        profiles=profiles.list_profiles(session),
        read=read,
        **refusals.explained(refused, FIELDS | {"filtering.bad_text": "reason"}),
    )


@router.post("/new")
def ask(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Send it to the technical team."""
    reader = Reader(form)
    school = school_of(session, viewer, reader.row("school", "Choisissez l’école."))
    assert school is not None  # noqa: S101 - an id that no school has raises
    try:
        asked = ask_from(session, viewer, school, reader, now)
    except FleetError as refused:
        session.rollback()
        school = school_of(session, viewer, reader.row("school", "Choisissez l’école.")) or school
        return asking_page(request, session, school, reader.raw, refused)
    return RedirectResponse(f"/filtering/requests/{asked.id}?done=unblock-asked", 303)


def ask_from(session: DbSession, viewer: Viewer, school: School, reader: Reader, now: datetime) -> UnblockRequest:
    """Read what was typed and ask; raise FormRefused or the verb's own refusals."""
    name = reader.text("name", maximum=300, missing="Donnez le site : son nom, ou l’adresse d’une page.")
    reason = reader.text("reason", maximum=400, missing="Dites à quoi le site doit servir.")
    profile_id = reader.identifier("profile")
    reader.check()
    profile = profile_of(session, profile_id)
    return requests.ask(session, viewer, name=name, reason=reason, school_id=school.id, profile=profile, now=now)


def profile_of(session: DbSession, profile_id: UUID | None) -> FilterProfile | None:
    return profiles.get_profile(session, profile_id) if profile_id else None


@router.get("/{request_id}")
def show_request(request: Request, session: DbSession, viewer: Person, now: Now, request_id: UUID) -> Response:
    """One request: the name, why it is blocked now, who asks from where, and the answer."""
    return request_page(request, session, viewer, now, request_id)


def request_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    now: datetime,
    request_id: UUID,
    *,
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The page, with what was typed when an answer comes back refused."""
    asked = requests.get_request(session, viewer, request_id)
    profile = profile_of(session, asked.profile_id)
    start = {"ends": typed(evening(now + USUAL)), "profile": str(asked.profile_id or "")}
    may_answer = viewer.may(Action.ANSWER_UNBLOCK)
    return render(
        request,
        "unblock_request.html",
        refused.status if refused else 200,
        asked=asked,
        profile=profile,
        school=school_names(session, [asked.school_id]).get(asked.school_id) if asked.school_id else None,
        room=room_names(session, [asked.room_id]).get(asked.room_id) if asked.room_id else None,
        why=explain(session, viewer, asked, now),
        override=override_of(session, viewer, asked),
        may_allow=may_answer and RequestStatus.ALLOWED in requests.MOVES[asked.status],
        may_decline=may_answer and RequestStatus.DECLINED in requests.MOVES[asked.status],
        profiles=profiles.list_profiles(session) if may_answer else [],
        read=reader.raw if reader else lambda name: start.get(name, ""),
        **refusals.explained(refused, FIELDS),
    )


def override_of(session: DbSession, viewer: Viewer, asked: UnblockRequest) -> FilterOverride | None:
    """What an accepted request led to; None for a school when it was opened everywhere: that is the operator's."""
    if asked.override_id is None:
        return None
    try:
        return overrides.get_override(session, viewer, asked.override_id)
    except NotFound:
        return None


def explain(session: DbSession, viewer: Viewer, asked: UnblockRequest, now: datetime) -> Why:
    """Ask the current files about the name, as the network does that it was asked from."""
    client = client_of(session, viewer, asked)
    try:
        return Why(filtering.explain(session, asked.name, "A", client, now, school_id=asked.school_id))
    except FleetError as refused:
        return Why(None, refused.detail)


def client_of(session: DbSession, viewer: Viewer, asked: UnblockRequest) -> str | None:
    """An address of the network that a request most likely came from; the address itself was never kept."""
    if asked.school_id is None:
        return None
    own = [n for n in rooms.list_networks(session, viewer) if n.school_id == asked.school_id]
    best = sorted(own, key=lambda n: (n.room_id != asked.room_id, n.profile_id != asked.profile_id, n.cidr))
    return str(ip_network(best[0].cidr).network_address) if best else None


@router.post("/{request_id}/allow")
def allow_request(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, request_id: UUID
) -> Response:
    """Open the name until a date, in the school of the request or everywhere, and publish it."""
    reader = Reader(form)
    try:
        allow_from(session, viewer, requests.get_request(session, viewer, request_id), reader, now)
    except FleetError as refused:
        session.rollback()
        return request_page(request, session, viewer, now, request_id, reader=reader, refused=refused)
    return RedirectResponse(f"/filtering/requests/{request_id}?done=unblock-allowed", 303)


def allow_from(session: DbSession, viewer: Viewer, asked: UnblockRequest, reader: Reader, now: datetime) -> None:
    """Read the answer and give it; raise FormRefused or the verb's own refusals."""
    ends = reader.local_moment("ends", "Indiquez jusqu’à quand.")
    answer = reader.text("answer", maximum=400)
    profile_id = reader.identifier("profile")
    is_everywhere = reader.raw("place") == "everywhere"
    if not is_everywhere and asked.school_id is None:
        reader.problems["place"] = "Cette demande ne dit pas son école : choisissez « Toutes les écoles »."
    reader.check()
    found = find_place(session, viewer, school_id=None if is_everywhere else asked.school_id)
    profile = profile_of(session, profile_id)
    requests.allow_request(session, viewer, asked, found, profile, ends=ends or now, answer=answer, now=now)


@router.post("/{request_id}/decline")
def decline_request(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, request_id: UUID
) -> Response:
    """Say why the name stays blocked."""
    reader = Reader(form)
    try:
        refusal = reader.text("refusal", maximum=400, missing="Dites pourquoi : l’école lira cette réponse.")
        reader.check()
        requests.decline_request(session, viewer, requests.get_request(session, viewer, request_id), refusal, now)
    except FleetError as refused:
        session.rollback()
        return request_page(request, session, viewer, now, request_id, reader=reader, refused=refused)
    return RedirectResponse(f"/filtering/requests/{request_id}?done=unblock-declined", 303)

"""Grants of sight: which collectivity or school was given sight of which other, until when; given and taken back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import refusals
from dashboards.portal.forms import Reader
from dashboards.portal.listing import AskedPage, Search, csv_download, every_row, within
from dashboards.portal.person import Person, SentForm, Staff
from dashboards.portal.rendering import render
from dashboards.portal.words import Word, evening, in_paris, typed
from fleet.accounts.models import NodeGrant
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.grants import service as grants
from fleet.grants.nodes import find_node_by_code
from fleet.grants.service import GrantState
from fleet.paging import Listing, Page
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/grants")
State = Annotated[str, Query(pattern="^(open|over|all|)$")]
IS_OPEN = {"open": True, "over": False, "all": None}
SORTS = (("ends", "Fin la plus proche"), ("-ends", "Fin la plus tardive"), ("-given", "Plus récents"))
USUAL = timedelta(days=365)
FIELDS = {
    "grant.bad_period": "ends",
    "grant.too_long": "ends",
    "grant.no_reason": "reason",
    "grant.to_itself": "node",
    "grant.already_theirs": "node",
}
"""Which field a refusal is about."""
CHIPS = {
    GrantState.HOLDS: Word("En cours", "check-circle", "good"),
    GrantState.COMING: Word("À venir", "calendar-event", "info"),
    GrantState.OVER: Word("Échu", "archive"),
    GrantState.ENDED: Word("Retiré", "archive"),
}


def reader_of(
    session: DbSession, viewer: Viewer, now: datetime, q: str, state: str
) -> Callable[[Page], Listing[NodeGrant]]:
    """The list that an address asks for, page by page. No state: those that hold or will."""

    def read(page: Page) -> Listing[NodeGrant]:
        return grants.list_grants(session, viewer, now=now, search=q, is_open=IS_OPEN[state or "open"], page=page)

    return read


@router.get("")
def list_grants(
    request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage, q: Search = "", state: State = ""
) -> Response:
    """Who was given sight of whom."""
    listing = within(reader_of(session, viewer, now, q, state), page)
    return render(
        request,
        "grants.html",
        listing=listing,
        rows=grants.tell(session, list(listing.rows), now),
        chips=CHIPS,
        asked={"q": q, "state": state or "open"},
        sorts=SORTS,
        sort=page.sort or "ends",
        may_give=viewer.may(Action.MANAGE_GRANT),
        GrantState=GrantState,
    )


@router.get(".csv")
def export_grants(session: DbSession, viewer: Staff, now: Now, q: Search = "", state: State = "") -> Response:
    """The same list whole, as a file."""
    rows = grants.tell(session, list(every_row(reader_of(session, viewer, now, q, state), "ends")), now)
    columns: dict[str, Callable[[grants.Given], object]] = {
        "qui_voit": lambda given: given.to,
        "quoi": lambda given: given.node,
        "etat": lambda given: given.state.label,
        "debut": lambda given: in_paris(given.grant.starts_at),
        "fin": lambda given: in_paris(given.grant.ends_at),
        "raison": lambda given: given.grant.reason,
        "accorde_par": lambda given: given.grant.given_by,
        "retire_par": lambda given: given.grant.ended_by,
    }
    return csv_download("acces", columns, iter(rows))


@router.get("/new")
def show_new(request: Request, viewer: Person, now: Now, to: Search = "") -> Response:
    """The form."""
    viewer.must(Action.MANAGE_GRANT)
    start = {"to": to, "ends": typed(evening(now + USUAL))}
    return form_page(request, lambda name: start.get(name, ""))


def form_page(request: Request, read: Callable[[str], str], refused: FleetError | None = None) -> Response:
    """The form, with what was typed when it comes back."""
    status = refused.status if refused else 200
    return render(request, "grant_new.html", status, read=read, **refusals.explained(refused, FIELDS))


@router.post("/new")
def give_grant(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Give it; a form that is refused comes back as it was typed."""
    viewer.must(Action.MANAGE_GRANT)
    reader = Reader(form)
    try:
        give_from(session, viewer, reader, now)
    except FleetError as refused:
        session.rollback()
        return form_page(request, reader.raw, refused)
    return RedirectResponse("/grants?done=grant-given", 303)


def give_from(session: DbSession, viewer: Viewer, reader: Reader, now: datetime) -> NodeGrant:
    """Read what was typed and give; raise FormRefused or the verb's own refusals."""
    codes = {name: reader.text(name, maximum=20, missing="Donnez un code.") for name in ("to", "node")}
    starts = reader.local_moment("starts", "Indiquez le jour et l’heure.") if reader.raw("starts") else None
    ends = reader.local_moment("ends", "Indiquez le jour et l’heure de la fin.")
    reason = reader.text("reason", maximum=400, missing="Dites pourquoi : une convention, une délibération…")
    nodes = {}
    for name, code in codes.items():
        try:
            nodes[name] = find_node_by_code(session, viewer, code)
        except FleetError as unknown:
            reader.problems.setdefault(name, unknown.detail)
    reader.check()
    return grants.give_grant(
        session, viewer, to=nodes["to"], node=nodes["node"], starts=starts, ends=ends or now, reason=reason, now=now
    )


@router.post("/{grant_id}/end")
def end_grant(session: DbSession, viewer: Person, now: Now, grant_id: UUID) -> Response:
    """Take it back before its end."""
    grants.end_grant(session, viewer, grant_id, now)
    return RedirectResponse("/grants?done=grant-ended", 303)

"""Overrides (dérogations): those that run, are to come or have ended; one more; one taken back before its end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import refusals
from dashboards.portal.categories import groups, label
from dashboards.portal.forms import Reader
from dashboards.portal.listing import AskedPage, Blank, Search, csv_download, every_row, within
from dashboards.portal.person import Person, SentForm
from dashboards.portal.rendering import render
from dashboards.portal.uncovered import listed_categories
from dashboards.portal.words import OVERRIDE, OVERRIDE_VERDICT, Word, evening, in_paris, plural, typed
from fleet.clock import Now
from fleet.collectivities import service as collectivities
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import overrides
from fleet.filtering.exceptions.overrides import Verdict, Wish
from fleet.filtering.policy import profiles
from fleet.filtering.policy.models import FilterOverride, FilterProfile
from fleet.filtering.policy.place_names import EVERYWHERE, node_names
from fleet.filtering.policy.places import Found, find_place
from fleet.paging import Listing, Page
from fleet.schools import service as schools
from fleet.schools.names import labelled
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/filtering/overrides")
Id = Annotated[UUID | None, Blank, Query()]
State = Annotated[str, Query(pattern="^(current|running|coming|ended|all|)$")]
Site = Annotated[str, Query(max_length=300)]
CRITERIA: dict[str, tuple[bool | None, bool | None]] = {
    "current": (False, None),
    "running": (False, True),
    "coming": (False, False),
    "ended": (True, None),
    "all": (None, None),
}
"""State -> has it ended, has it started."""
SORTS = (("-ends", "Fin la plus tardive"), ("ends", "Fin la plus proche"), ("-created_at", "Plus récentes"))
MAX_TEXT = 20_000
USUAL = timedelta(days=7)
FEW = 8
FIELDS = {
    "filtering.bad_name": "names",
    "filtering.too_many_names": "names",
    "filtering.bad_override": "names",
    "filtering.locked": "names",
    "filtering.bad_period": "ends",
    "filtering.bad_text": "reason",
}
"""Which field a refusal is about."""


def state_of(override: FilterOverride, now: datetime) -> Word:
    """A chip for one override."""
    if override.revoked_at is not None:
        return OVERRIDE["revoked"]
    if override.ends <= now:
        return OVERRIDE["ended"]
    return OVERRIDE["running" if override.starts <= now else "coming"]


def is_current(override: FilterOverride, now: datetime) -> bool:
    """Whether it may still be taken back."""
    return override.revoked_at is None and override.ends > now


def title_of(override: FilterOverride) -> str:
    """« Autorise exemple.fr, jeux en ligne et 2 autres »"""
    things = [*override.names, *map(label, override.categories)]
    more = f" et {plural(len(things) - 3, 'autre')}" if len(things) > 3 else ""
    return f"{OVERRIDE_VERDICT[override.verdict.value].text} {', '.join(things[:3])}{more}"


COLUMNS: dict[str, Callable[[FilterOverride], object]] = {
    "sens": lambda o: "autorise" if o.verdict is Verdict.ALLOW else "bloque",
    "sites": lambda o: " ".join(o.names),
    "categories": lambda o: " ".join(o.categories),
    "raison": lambda o: o.reason,
    "debut": lambda o: in_paris(o.starts),
    "fin": lambda o: in_paris(o.ends),
    "levee_le": lambda o: in_paris(o.revoked_at),
    "par": lambda o: o.by,
}


def reader_of(
    session: DbSession, viewer: Viewer, now: datetime, q: str, state: str, school: UUID | None
) -> Callable[[Page], Listing[FilterOverride]]:
    """The list that an address asks for, page by page. No state: all that has not ended."""
    is_ended, is_started = CRITERIA[state or "current"]

    def read(page: Page) -> Listing[FilterOverride]:
        return overrides.list_overrides(
            session, viewer, now=now, search=q, is_ended=is_ended, is_started=is_started, school_id=school, page=page
        )

    return read


@router.get("")
def list_overrides(
    request: Request,
    session: DbSession,
    viewer: Person,
    now: Now,
    page: AskedPage,
    q: Search = "",
    state: State = "",
    school: Id = None,
) -> Response:
    """The overrides on nodes that the viewer sees."""
    listing = within(reader_of(session, viewer, now, q, state, school), page)
    return render(
        request,
        "overrides.html",
        listing=listing,
        places=node_names(session, listing.rows),
        titles={override.id: title_of(override) for override in listing.rows},
        states={override.id: state_of(override, now) for override in listing.rows},
        asked={"q": q, "state": state or "current"},
        sorts=SORTS,
        sort=page.sort or "-ends",
        may_edit=viewer.may(Action.EDIT_FILTER),
    )


@router.get(".csv")
def export_overrides(
    session: DbSession, viewer: Person, now: Now, q: Search = "", state: State = "", school: Id = None
) -> Response:
    """The same list whole, as a file."""
    return csv_download("derogations", COLUMNS, every_row(reader_of(session, viewer, now, q, state, school), "-ends"))


@router.get("/new")
def show_new(
    request: Request,
    session: DbSession,
    viewer: Person,
    now: Now,
    q: Search = "",
    school: Id = None,
    collectivity: Id = None,
    everywhere: bool = False,
    name: Site = "",
) -> Response:
    """Choose where, then say what and until when."""
    viewer.must(Action.EDIT_FILTER)
    if school is None and collectivity is None and not everywhere:
        return choose_place(request, session, viewer, q)
    found = find_place(session, viewer, collectivity, school)
    start = {"names": name, "verdict": Verdict.ALLOW.value, "ends": typed(evening(now + USUAL))}
    return form_page(request, session, found, lambda field: start.get(field, ""), frozenset())


def choose_place(request: Request, session: DbSession, viewer: Viewer, q: str) -> Response:
    """Schools and collectivities that are called what was typed."""
    few = Page(size=FEW)
    return render(
        request,
        "override_place.html",
        q=q,
        schools=schools.list_schools(session, viewer, search=q, page=few) if q else None,
        collectivities=collectivities.list_collectivities(session, viewer, search=q, page=few) if q else None,
    )


def form_page(
    request: Request,
    session: DbSession,
    found: Found,
    read: Callable[[str], str],
    chosen: frozenset[str],
    refused: FleetError | None = None,
) -> Response:
    """The form for one node, with what was typed when it comes back; ``chosen`` are the categories."""
    latest = filtering.find_latest(session)
    return render(
        request,
        "override_new.html",
        refused.status if refused else 200,
        place=found.place,
        place_name=name_of(found),
        groups=groups((listed_categories(latest) if latest else frozenset()) | chosen),
        chosen=chosen,
        profiles=profiles.list_profiles(session),
        read=read,
        **refusals.explained(refused, FIELDS),
    )


def name_of(found: Found) -> str:
    """The node as pages call it."""
    if found.school is not None:
        return labelled(found.school)
    return found.label if found.collectivity is not None else EVERYWHERE


@router.post("/new")
def add_override(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Keep and publish it; a form that is refused comes back as it was typed."""
    reader = Reader(form)
    found = place_from(session, viewer, reader)
    try:
        wish, profile = wish_from(session, reader, now)
        override = overrides.add_override(session, viewer, found, profile, wish, now)
    except FleetError as refused:
        session.rollback()
        found = place_from(session, viewer, reader)
        return form_page(request, session, found, reader.raw, frozenset(categories_of(reader)), refused)
    return RedirectResponse(f"/filtering/overrides/{override.id}?done=override-added", 303)


def place_from(session: DbSession, viewer: Viewer, reader: Reader) -> Found:
    """The node that a form is about; raise NotFound for one that the viewer does not see."""
    school_id, collectivity_id = reader.identifier("school"), reader.identifier("collectivity")
    reader.check()
    return find_place(session, viewer, collectivity_id, school_id)


def categories_of(reader: Reader) -> list[str]:
    """The categories that are ticked."""
    return [value for value in reader.form.getlist("categories") if isinstance(value, str)]


def wish_from(session: DbSession, reader: Reader, now: datetime) -> tuple[Wish, FilterProfile | None]:
    """Read what was typed; raise FormRefused."""
    verdict = reader.choice("verdict", Verdict, "Dites s’il faut autoriser ou bloquer.")
    names, categories = reader.domains("names", maximum=MAX_TEXT), categories_of(reader)
    if not names and not categories:
        reader.problems.setdefault("names", "Donnez au moins un site ou une catégorie.")
    reason = reader.text("reason", maximum=400, missing="Dites pourquoi, pour qui relira la liste.")
    starts = reader.local_moment("starts", "Indiquez le jour et l’heure.") if reader.raw("starts") else now
    ends = reader.local_moment("ends", "Indiquez le jour et l’heure de la fin.")
    profile_id = reader.identifier("profile")
    reader.check()
    wish = Wish(verdict, reason, starts or now, ends or now, names, categories)
    return wish, profiles.get_profile(session, profile_id) if profile_id else None


@router.get("/{override_id}")
def show_override(request: Request, session: DbSession, viewer: Person, now: Now, override_id: UUID) -> Response:
    """One override: what it says, for whom, why, and until when."""
    return override_page(request, session, viewer, now, override_id)


def override_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    now: datetime,
    override_id: UUID,
    refused: FleetError | None = None,
) -> Response:
    override = overrides.get_override(session, viewer, override_id)
    return render(
        request,
        "override.html",
        refused.status if refused else 200,
        override=override,
        title=title_of(override),
        state=state_of(override, now),
        place_name=node_names(session, [override])[override.id],
        profile=profiles.get_profile(session, override.profile_id) if override.profile_id else None,
        may_revoke=viewer.may(Action.EDIT_FILTER) and is_current(override, now),
        **refusals.explained(refused, FIELDS),
    )


@router.post("/{override_id}/revoke")
def revoke_override(request: Request, session: DbSession, viewer: Person, now: Now, override_id: UUID) -> Response:
    """Take it back before its end."""
    override = overrides.get_override(session, viewer, override_id)
    try:
        overrides.revoke_override(session, viewer, override, now)
    except FleetError as refused:
        session.rollback()
        return override_page(request, session, viewer, now, override_id, refused)
    return RedirectResponse(f"/filtering/overrides/{override_id}?done=override-revoked", 303)

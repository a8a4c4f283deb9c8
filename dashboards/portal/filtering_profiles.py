"""Profiles: the ready-made ones and what each node says of them, line by line, with who said it above."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import refusals
from dashboards.portal.filtering_conflict import Difference, differences
from dashboards.portal.filtering_layer import Draft, draft_of, layer_of, note_names, read_draft
from dashboards.portal.filtering_lines import Sections, sections_of
from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.listing import Blank, Search
from dashboards.portal.person import Person, SentForm, Staff
from dashboards.portal.rendering import render, with_query
from dashboards.portal.uncovered import coverage, listed_categories
from fleet.clock import Now
from fleet.collectivities import service as collectivities
from fleet.db import DbSession
from fleet.errors import Conflict, FleetError, Outdated
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import rooms
from fleet.filtering.models import Publication
from fleet.filtering.policy import editing, place_names, policies, schedules, standing
from fleet.filtering.policy.layers import SILENT, LayerSettings, merge_lines
from fleet.filtering.policy.models import FilterLayer, FilterProfile
from fleet.filtering.policy.places import OPERATOR_NAME, Found, NodeKind, find_place
from fleet.filtering.policy.revisions import check_revision, revision_at
from fleet.filtering.previews import service as previews
from fleet.filtering.previews.models import FilterPreview
from fleet.paging import Page
from fleet.schools import service as schools
from fleet.schools.names import labelled
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/profiles")
Id = Annotated[UUID | None, Blank, Query()]
FOUND = 8
"""Places that a search shows."""


@dataclass(frozen=True, slots=True)
class Where:
    """A profile on a node, and its address."""

    profile: FilterProfile
    found: Found
    query: dict[str, str]

    @property
    def path(self) -> str:
        return with_query(f"/filtering/profiles/{self.profile.id}", self.query)

    @property
    def is_operators(self) -> bool:
        return self.found.place.kind is NodeKind.OPERATOR

    @property
    def label(self) -> str:
        """What people call the node."""
        if self.found.school is None:
            return self.found.label if not self.is_operators else f"{OPERATOR_NAME}, toutes les écoles"
        school = labelled(self.found.school)
        return (
            school
            if self.found.place.room_id is None
            else f"{school}, {self.found.label.removeprefix(f'{self.found.school.name}, ')}"
        )


def find_where(
    session: DbSession, viewer: Viewer, profile_id: UUID, collectivity: UUID | None, school: UUID | None,
    room: UUID | None,
) -> Where:  # fmt: skip
    """What an address is about; raise NotFound for what the viewer does not see."""
    found = find_place(session, viewer, collectivity, school, room)
    ids = {"collectivity": collectivity, "school": school, "room": room}
    query = {name: str(value) for name, value in ids.items() if value is not None}
    return Where(filtering.get_profile(session, profile_id), found, query)


@router.get("")
def list_profiles(request: Request, session: DbSession, viewer: Staff, now: Now) -> Response:
    """Every profile, and the nodes that have something to say of one."""
    filtering.ensure_default_profile(session, now)
    profiles, latest = filtering.list_profiles(session), filtering.find_latest(session)
    layers = editing.list_layers(session, viewer, page=Page(size=200)).rows
    return profiles_page(request, session, viewer, profiles, layers, latest)


def profiles_page(
    request: Request, session: DbSession, viewer: Viewer, profiles: Sequence[FilterProfile],
    layers: Sequence[FilterLayer], latest: Publication | None, reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:  # fmt: skip
    """The list and the form of a new profile, with what was typed when that comes back refused."""
    elsewhere = [layer for layer in layers if layer.collectivity_id or layer.school_id]
    return render(
        request,
        "filtering_profiles.html",
        refused.status if refused else 200,
        profiles=profiles,
        coverage=coverage(profiles, latest),
        coverage_of={profile.id: coverage([profile], latest) for profile in profiles},
        networks=filtering.list_networks(session),
        elsewhere=elsewhere,
        node_names=place_names.node_names(session, elsewhere),
        profile_names={profile.id: profile.name for profile in profiles},
        schedules=schedules.list_schedules(session),
        may_edit=viewer.may(Action.EDIT_FILTER),
        read=reader.raw if reader else lambda _name: "",
        refused=refused.detail if refused else None,
        problems=refused.problems if isinstance(refused, FormRefused) else {},
    )


@router.post("")
def add_profile(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """A profile of which nothing is said yet."""
    reader = Reader(form)
    name = reader.text("name", maximum=80, missing="Donnez un nom au profil.")
    slug = reader.text("slug", maximum=40, missing="Donnez un identifiant.")
    if slug and not schedules.SLUG.fullmatch(slug):
        reader.problems["slug"] = "Minuscules sans accent, chiffres et tirets seulement."
    try:
        reader.check()
        profile = filtering.add_profile(session, viewer, slug, name, now)
    except FleetError as refused:
        session.rollback()
        profiles, latest = filtering.list_profiles(session), filtering.find_latest(session)
        layers = editing.list_layers(session, viewer, page=Page(size=200)).rows
        return profiles_page(request, session, viewer, profiles, layers, latest, reader, refused)
    return RedirectResponse(f"/filtering/profiles/{profile.id}?done=profile-added", 303)


@router.get("/{profile_id}")
def show_profile(
    request: Request, session: DbSession, viewer: Staff, now: Now, profile_id: UUID,
    collectivity: Id = None, school: Id = None, room: Id = None, q: Search = "", preview: Id = None,
) -> Response:  # fmt: skip
    """What one node says of one profile, to read or to change; or what a preview of it asked about."""
    where = find_where(session, viewer, profile_id, collectivity, school, room)
    asked = previews.get_preview(session, viewer, preview) if preview else None
    if asked is None or asked.says is None:
        return profile_page(request, session, viewer, now, where, search=q)
    return profile_page(request, session, viewer, now, where, draft=draft_of(asked.says), preview=asked)


@router.post("/{profile_id}")
def change_profile(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, profile_id: UUID,
    collectivity: Id = None, school: Id = None, room: Id = None,
) -> Response:  # fmt: skip
    """Change it; the policy that says so is published in the same breath."""
    reader, draft = Reader(form), Draft()
    where = find_where(session, viewer, profile_id, collectivity, school, room)
    where.found.must(viewer, Action.EDIT_FILTER)
    try:
        draft = read_draft(reader)
        name = reader.text("name", maximum=80, missing="Donnez un nom au profil.") if where.is_operators else ""
        note_names(reader, draft)
        if reader.raw("do") == "preview" and name not in {"", where.profile.name}:
            reader.problems["name"] = "Un essai ne porte pas sur le nom : enregistrez-le d’abord, ou remettez l’ancien."
        reader.check()
        policies.lock(session)  # what the form does not show stays as it is now
        layer = editing.find_layer(session, where.found, where.profile)
        check_revision(layer, reader.raw("revision") or None)
        says = layer_of(draft, layer.says if layer else SILENT)
        if reader.raw("do") == "preview":
            asked = previews.ask_for_layer(session, viewer, where.profile, where.found, says, now=now)
            return RedirectResponse(f"/filtering/previews/{asked.id}?done=preview-asked", 303)
        if where.is_operators and name not in {where.profile.name, reader.raw("shown_name")}:
            editing.rename_profile(session, viewer, where.profile, name, now)
        editing.set_layer(session, viewer, where.found, where.profile, says, now)
    except FleetError as refused:
        session.rollback()
        where = find_where(session, viewer, profile_id, collectivity, school, room)
        typed = reader.raw("name") if reader.raw("name") != reader.raw("shown_name") else None
        return profile_page(request, session, viewer, now, where, draft=draft, typed_name=typed, refused=refused)
    return RedirectResponse(with_query(where.path.partition("?")[0], where.query, done="profile-saved"), 303)


@router.post("/{profile_id}/remove")
def remove_profile(request: Request, session: DbSession, viewer: Person, now: Now, profile_id: UUID) -> Response:
    """Remove it once nobody has it; else its page says who does."""
    try:
        filtering.remove_profile(session, viewer, profile_id, now)
    except Conflict as refused:
        session.rollback()
        where = find_where(session, viewer, profile_id, None, None, None)
        return profile_page(request, session, viewer, now, where, refused=refused)
    return RedirectResponse("/filtering/profiles?done=profile-removed", 303)


def profile_page(
    request: Request, session: DbSession, viewer: Viewer, now: Now, where: Where, *, search: str = "",
    draft: Draft | None = None, typed_name: str | None = None, refused: FleetError | None = None,
    preview: FilterPreview | None = None,
) -> Response:  # fmt: skip
    """The form; ``draft`` is what was typed when it comes back refused, or what ``preview`` asked about."""
    latest = filtering.find_latest(session)
    layer = editing.find_layer(session, where.found, where.profile)
    school = where.found.school
    owner = school.collectivity_id if school else where.found.place.collectivity_id
    return render(
        request,
        "filtering_profile.html",
        refused.status if refused else 200,
        where=where,
        profile=where.profile,
        sections=make_sections(session, where, now, layer.says if layer else SILENT, draft),
        draft=draft or draft_of(layer.says if layer else SILENT),
        layer=layer,
        revision=(preview and preview.revision) or revision_at(layer),
        conflict=find_conflict(session, where, now, layer, draft) if isinstance(refused, Outdated) and draft else (),
        shown_name=where.profile.name if typed_name is None else typed_name,
        coverage=coverage([where.profile], latest),
        compiled=listed_categories(latest) if latest else frozenset(),
        elsewhere=other_layers(session, viewer, where),
        rooms=rooms.list_rooms(session, viewer, school.id) if school else (),
        uses=standing.uses(session, where.found) if where.found.place.school_id else (),
        places=find_places(session, viewer, search) if search else None,
        q=search,
        may_edit=viewer.may(Action.EDIT_FILTER, owner, where.found.place.school_id),
        may_preview=viewer.may(Action.PUBLISH_FILTER),
        preview=preview,
        **refusals.explained(refused, {}),
    )


def make_sections(session: DbSession, where: Where, now: Now, says: LayerSettings, draft: Draft | None) -> Sections:
    """The lines of the form, with what stands above each."""
    above = merge_lines(editing.voices_above(session, where.found, where.profile, now))
    stands = standing.what_stands(session, where.found, where.profile, now)
    latest = filtering.find_latest(session)
    known = listed_categories(latest) if latest else frozenset()
    return sections_of(
        above, stands, says, draft or draft_of(says), known, schedules.list_schedules(session), where.is_operators
    )


def find_conflict(
    session: DbSession, where: Where, now: Now, layer: FilterLayer | None, draft: Draft
) -> tuple[Difference, ...]:
    """What was typed against what somebody saved meanwhile."""
    says = layer.says if layer else SILENT
    saved, typed = (make_sections(session, where, now, says, each) for each in (None, draft))
    return differences(saved, typed, draft_of(says), draft)


def other_layers(session: DbSession, viewer: Viewer, where: Where) -> list[tuple[str, str]]:
    """The other nodes that speak of this profile: what they are called, and their pages."""
    rows = editing.list_layers(session, viewer, profile_id=where.profile.id, page=Page(size=100)).rows
    here = where.found.place
    rows = [
        r
        for r in rows
        if (r.collectivity_id, r.school_id, r.room_id) != (here.collectivity_id, here.school_id, here.room_id)
    ]
    names = place_names.node_names(session, rows)
    told = []
    for row in rows:
        ids = {"collectivity": row.collectivity_id, "school": row.school_id, "room": row.room_id}
        path = with_query(f"/filtering/profiles/{where.profile.id}", {}, **ids)
        told.append((names[row.id], path))
    return told


def find_places(session: DbSession, viewer: Viewer, search: str) -> list[tuple[str, dict[str, UUID]]]:
    """Collectivities and schools that match what was typed."""
    communes = collectivities.list_collectivities(session, viewer, search=search, page=Page(size=FOUND)).rows
    found = schools.list_schools(session, viewer, search=search, page=Page(size=FOUND)).rows
    places = [(row.name, {"collectivity": row.id}) for row in communes]
    return [*places, *((labelled(row), {"school": row.id}) for row in found)]

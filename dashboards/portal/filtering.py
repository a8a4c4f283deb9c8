"""Filtering: what is blocked for whom, its publication, the filters that serve it, and why a site is blocked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.categories import groups
from dashboards.portal.forms import Reader
from dashboards.portal.person import Person, SentForm, Staff
from dashboards.portal.rendering import render
from dashboards.portal.uncovered import coverage, listed_categories, sentence
from dashboards.portal.words import Word
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.filtering import service as filtering
from fleet.filtering.models import FilterNode, FilterProfile, Publication
from fleet.paging import Page
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/filtering")
LATE = timedelta(minutes=10)
"""Filters report every minute or so; one that kept quiet for so long needs a look."""
TYPES = ("A", "AAAA", "HTTPS", "CNAME", "MX", "TXT")
MAX_NAMES = 200_000


@router.get("")
def show_filtering(
    request: Request,
    session: DbSession,
    viewer: Staff,
    now: Now,
    name: Annotated[str, Query(max_length=300)] = "",
    qtype: Annotated[str, Query(max_length=10)] = "A",
    client: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """Everything about filtering; with a name in the address, also why it is blocked or not."""
    explained, refused = None, None
    if name.strip():
        try:
            explained = filtering.explain(session, name, qtype, client.strip() or None, now)
        except FleetError as error:
            refused = error
    latest, profiles = filtering.find_latest(session), filtering.list_profiles(session)
    return render(
        request,
        "filtering.html",
        refused.status if refused else 200,
        profiles=profiles,
        coverage=coverage(profiles, latest),
        coverage_of={profile.id: coverage([profile], latest) for profile in profiles},
        doubt=doubt_about(explained, profiles, latest) if explained else None,
        networks=filtering.list_networks(session),
        publications=filtering.list_publications(session, Page(size=6)),
        latest=latest,
        filters=[(node, *health_of(node, latest, now)) for node in filtering.list_filters(session) if is_kept(node)],
        totals=totals_of_day(session, now),
        may_publish=viewer.may(Action.PUBLISH_FILTER),
        types=TYPES,
        asked={"name": name, "qtype": qtype, "client": client},
        explained=explained,
        explain_refused=refused.detail if refused else None,
    )


@router.get("/publications")
def show_publications(request: Request, session: DbSession, _viewer: Staff) -> Response:
    """How the last publications went; asked again while one is on its way."""
    return render(
        request,
        "filtering_publications.html",
        publications=filtering.list_publications(session, Page(size=25)),
        latest=filtering.find_latest(session),
    )


@router.post("/publications")
def request_publication(session: DbSession, viewer: Person, now: Now) -> Response:
    """Compile and publish what is decided now."""
    viewer.must(Action.PUBLISH_FILTER)
    filtering.request_publication(session, viewer.name, now)
    return RedirectResponse("/filtering?done=publication-requested", 303)


@router.get("/profiles/{profile_id}")
def show_profile(request: Request, session: DbSession, viewer: Staff, profile_id: UUID) -> Response:
    """One profile, to read or to change."""
    return profile_page(request, session, viewer, filtering.get_profile(session, profile_id))


@router.post("/profiles/{profile_id}")
def update_profile(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, profile_id: UUID
) -> Response:
    """Change it, and ask for the bundle that says so."""
    reader = Reader(form)
    changes: dict[str, Any] = {
        "name": reader.text("name", maximum=80, missing="Donnez un nom au profil."),
        "blocked_categories": [slug for slug, verdict in verdicts(reader).items() if verdict == "block"],
        "allowed_categories": [slug for slug, verdict in verdicts(reader).items() if verdict == "allow"],
        "denied_names": reader.domains("denied_names", maximum=MAX_NAMES),
        "allowed_names": reader.domains("allowed_names", maximum=MAX_NAMES),
    }
    try:
        reader.check()
        filtering.update_profile(session, viewer, profile_id, **changes, now=now)
    except FleetError as refused:
        session.rollback()
        profile = filtering.get_profile(session, profile_id)
        return profile_page(request, session, viewer, profile, changes=changes, refused=refused)
    return RedirectResponse("/filtering?done=profile-saved", 303)


def verdicts(reader: Reader) -> dict[str, str]:
    """Category -> "block", "allow" or "": the form has one field ``category:<slug>`` for each."""
    prefix = "category:"
    return {name.removeprefix(prefix): reader.raw(name) for name in reader.form if name.startswith(prefix)}


def profile_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    profile: FilterProfile,
    *,
    changes: dict[str, Any] | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The form of one profile; ``changes`` is what was typed when it comes back refused."""
    shown = changes or {
        "name": profile.name,
        "blocked_categories": profile.blocked_categories,
        "allowed_categories": profile.allowed_categories,
        "denied_names": profile.denied_names,
        "allowed_names": profile.allowed_names,
    }
    latest = filtering.find_latest(session)
    known = listed_categories(latest) if latest else frozenset()
    used = {*shown["blocked_categories"], *shown["allowed_categories"]}
    return render(
        request,
        "filtering_profile.html",
        refused.status if refused else 200,
        profile=profile,
        shown=shown,
        groups=groups(known | used),
        compiled=known,
        coverage=coverage([profile], latest),
        may_edit=viewer.may(Action.PUBLISH_FILTER),
        refused=refused.detail if refused else None,
    )


def doubt_about(
    explained: filtering.Explained, profiles: Sequence[FilterProfile], latest: Publication | None
) -> str | None:
    """What an allowed name may owe to a list that is not there; None when nothing is missing."""
    found = explained.explanation
    if found.decision.action != "allowed":
        return None
    missing = coverage([profile for profile in profiles if profile.slug == found.profile.slug], latest).missing
    return sentence(missing) if missing else None


def is_kept(node: FilterNode) -> bool:
    return node.revoked_at is None


def health_of(node: FilterNode, latest: Publication | None, now: datetime) -> tuple[Word, str]:
    """A chip and a sentence on one filter."""
    if node.last_seen_at is None:
        return Word("Jamais vu", "question-circle", "warn"), "Il n’a encore rien rapporté."
    if now - node.last_seen_at > LATE:
        return Word("Sans nouvelles", "wifi-off", "bad"), "Il filtre peut-être encore, avec ses dernières listes."
    if node.bundle_serial is None:
        return Word("Sans listes", "exclamation-triangle", "bad"), "Il n’a reçu aucune publication."
    if latest is not None and node.bundle_serial < latest.serial:
        return Word(
            "En retard d’une publication", "arrow-repeat", "warn"
        ), f"Il sert la publication {node.bundle_serial}."
    return Word("À jour", "check-circle", "good"), f"Il sert la publication {node.bundle_serial}."


def totals_of_day(session: DbSession, now: datetime) -> dict[str, Any]:
    """Queries of the last 24 hours: all, blocked, and the categories that blocked most."""
    rows = filtering.totals(session, now - timedelta(hours=24))
    blocked = [row for row in rows if row.action == "blocked"]
    by_category: dict[str, int] = {}
    for row in blocked:
        by_category[row.category] = by_category.get(row.category, 0) + row.queries
    return {
        "all": sum(row.queries for row in rows),
        "blocked": sum(row.queries for row in blocked),
        "categories": sorted(by_category.items(), key=lambda pair: -pair[1])[:8],
    }

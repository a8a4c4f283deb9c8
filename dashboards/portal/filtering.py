"""Filtering at a glance: what is in force, who serves it, what waits for a person, and what was blocked today."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import (
    filtering_history,
    filtering_previews,
    filtering_profiles,
    filtering_publications,
    filtering_schedules,
    filtering_sources,
    filtering_why,
)
from dashboards.portal.filtering_reports import reasons_of
from dashboards.portal.filtering_why import TYPES
from dashboards.portal.filtering_words import refusals_of
from dashboards.portal.person import Staff
from dashboards.portal.rendering import render
from dashboards.portal.uncovered import coverage
from dashboards.portal.words import Word
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import requests
from fleet.filtering.lists import sources
from fleet.filtering.models import FilterNode, Publication
from fleet.filtering.policy.models import FilterPolicy, RequestStatus
from fleet.paging import Page
from fleet.scope import Action

router = APIRouter(prefix="/filtering")
for pages in (
    filtering_why,
    filtering_sources,
    filtering_profiles,
    filtering_schedules,
    filtering_publications,
    filtering_previews,
    filtering_history,
):
    router.include_router(pages.router)
LATE = timedelta(minutes=10)
"""Filters report every minute or so; one that kept quiet for so long needs a look."""


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
    """Everything about filtering; with a name in the address, the page that explains what happens to it."""
    if name.strip():
        asked = urlencode({"name": name, "qtype": qtype, "client": client})
        return RedirectResponse(f"/filtering/why?{asked}", 303)
    latest, policy = filtering.find_latest(session), filtering.find_current_policy(session)
    nodes = [node for node in filtering.list_filters(session) if is_kept(node)]
    return render(
        request,
        "filtering.html",
        coverage=coverage(filtering.list_profiles(session), latest),
        publications=filtering.list_publications(session, Page(size=4)),
        returnable=(),
        latest=latest,
        policy=policy,
        filters=[(node, *health_of(node, latest, now, policy), refusals_of(node.health)) for node in nodes],
        held=[(source, content, reasons_of(content)) for source, content in sources.list_held(session)],
        unblocking=requests.list_requests(session, viewer, status=RequestStatus.ASKED, page=Page(size=4)),
        totals=totals_of_day(session, now),
        may_publish=viewer.may(Action.PUBLISH_FILTER),
        types=TYPES,
        asked={"name": "", "qtype": "A", "client": ""},
    )


def is_kept(node: FilterNode) -> bool:
    return node.revoked_at is None


def health_of(
    node: FilterNode, latest: Publication | None, now: datetime, policy: FilterPolicy | None = None
) -> tuple[Word, str]:
    """A chip and a sentence on one filter."""
    if node.last_seen_at is None:
        return Word("Jamais vu", "question-circle", "warn"), "Il n’a encore rien rapporté."
    if now - node.last_seen_at > LATE:
        return Word("Sans nouvelles", "wifi-off", "bad"), "Il filtre peut-être encore, avec ses dernières listes."
    if node.bundle_serial is None:
        return Word("Sans listes", "exclamation-triangle", "bad"), "Il n’a reçu aucune publication."
    serves = f"Il sert la publication {node.bundle_serial}"
    serves += f" et la politique {node.policy_serial}." if node.policy_serial is not None else "."
    if latest is not None and node.bundle_serial < latest.serial:
        return Word("En retard d’une publication", "arrow-repeat", "warn"), serves
    if policy is not None and node.policy_serial is not None and node.policy_serial < policy.serial:
        return Word("En retard d’un réglage", "arrow-repeat", "warn"), serves
    return Word("À jour", "check-circle", "good"), serves


@dataclass(frozen=True, slots=True)
class DayTotals:
    """Queries of the last 24 hours: all, blocked, and the categories that blocked most."""

    all: int
    blocked: int
    categories: tuple[tuple[str, int], ...]


def totals_of_day(session: DbSession, now: datetime) -> DayTotals:
    """What the filters counted in the last 24 hours."""
    rows = filtering.totals(session, now - timedelta(hours=24))
    blocked = [row for row in rows if row.action == "blocked"]
    by_category: dict[str, int] = {}
    for row in blocked:
        by_category[row.category] = by_category.get(row.category, 0) + row.queries
    return DayTotals(
        all=sum(row.queries for row in rows),
        blocked=sum(row.queries for row in blocked),
        categories=tuple(sorted(by_category.items(), key=lambda pair: -pair[1])[:8]),
    )

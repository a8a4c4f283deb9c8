"""Why is it blocked? One name asked as a device would ask it, and everything that decided, for who is no specialist."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dashboards.portal.filtering_words import VERDICTS
from dashboards.portal.person import Staff
from dashboards.portal.rendering import render
from dashboards.portal.uncovered import coverage, sentence
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.filtering import service as filtering

router = APIRouter()
TYPES = ("A", "AAAA", "HTTPS", "CNAME", "MX", "TXT")


@router.get("/why")
def show_why(
    request: Request,
    session: DbSession,
    _viewer: Staff,
    now: Now,
    name: Annotated[str, Query(max_length=300)] = "",
    qtype: Annotated[str, Query(max_length=10)] = "A",
    client: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """The question, and the answer when a name was typed."""
    explained, refused = None, None
    if name.strip():
        try:
            explained = filtering.explain(session, name, qtype, client.strip() or None, now)
        except FleetError as error:
            refused = error
    latest, profiles = filtering.find_latest(session), filtering.list_profiles(session)
    return render(
        request,
        "filtering_why.html",
        refused.status if refused else 200,
        explained=explained,
        coverage=coverage(profiles, latest),
        doubt=doubt_about(session, explained) if explained else None,
        profile_id=next((p.id for p in profiles if explained and p.slug == base_slug(explained)), None),
        types=TYPES,
        verdicts=VERDICTS,
        asked={"name": name, "qtype": qtype, "client": client},
        explain_refused=refused.detail if refused else None,
    )


def base_slug(explained: filtering.Explained) -> str:
    """The profile's own slug, without the node that it stands for."""
    return explained.explanation.profile.slug.partition("@")[0]


def doubt_about(session: DbSession, explained: filtering.Explained) -> str | None:
    """What an allowed name may owe to a list that is not there; None when nothing is missing."""
    if explained.explanation.decision.action != "allowed":
        return None
    slug = base_slug(explained)
    profiles = [profile for profile in filtering.list_profiles(session) if profile.slug == slug]
    missing = coverage(profiles, filtering.find_latest(session)).missing
    return sentence(missing) if missing else None

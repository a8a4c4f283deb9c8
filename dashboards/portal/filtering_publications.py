"""Publications: the histories of names and of policies, and the way back to an earlier one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.listing import AskedPage, within
from dashboards.portal.person import Person, Staff
from dashboards.portal.rendering import render
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering import service as filtering
from fleet.filtering.policy import policies
from fleet.filtering.publishing import publications, returning
from fleet.paging import Page
from fleet.scope import Action

router = APIRouter()
Which = Annotated[str, Query(alias="list", pattern="^(names|policies|)$")]


@router.get("/publications")
def show_publications(
    request: Request, session: DbSession, viewer: Staff, page: AskedPage, which: Which = ""
) -> Response:
    """Both histories; one of them is paged at a time. Asked again while a publication is on its way."""
    first = Page(1, page.size)
    names_page, policies_page = (first, page) if which == "policies" else (page, first)
    names = within(lambda wanted: publications.list_publications(session, wanted), names_page)
    return render(
        request,
        "filtering_publications.html",
        which=which or "names",
        publications=names,
        returnable=publications.list_kept(session),
        latest=filtering.find_latest(session),
        policies=within(lambda wanted: policies.list_policies(session, wanted), policies_page),
        current=filtering.find_current_policy(session),
        may_publish=viewer.may(Action.PUBLISH_FILTER),
        may_edit=viewer.may(Action.EDIT_FILTER),
    )


@router.post("/publications")
def request_publication(session: DbSession, viewer: Person, now: Now) -> Response:
    """Compile and publish what the lists hold now."""
    viewer.must(Action.PUBLISH_FILTER)
    filtering.request_publication(session, viewer.name, now)
    return RedirectResponse("/filtering/publications?done=publication-requested", 303)


@router.post("/publications/{publication_id}/return")
def return_to_publication(session: DbSession, viewer: Person, now: Now, publication_id: UUID) -> Response:
    """Publish the names of an earlier publication anew."""
    returning.return_to(session, viewer, publication_id, now)
    return RedirectResponse("/filtering/publications?done=return-requested", 303)


@router.post("/policies/{policy_id}/return")
def return_to_policy(session: DbSession, viewer: Person, now: Now, policy_id: UUID) -> Response:
    """Decide again what was decided then."""
    policies.return_to(session, viewer, policy_id, now)
    return RedirectResponse("/filtering/publications?list=policies&done=policy-returned", 303)

"""Lists: where they come from, how the last fetch went, what they hold, and what waits for a person."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.filtering_reports import compare, entries_of, lists_of, popular_of, reasons_of, skipped_of
from dashboards.portal.filtering_source_form import UT1_CHOICE, as_typed, blank, read_changes, read_slug, show_form
from dashboards.portal.filtering_words import CONTENT, source_word
from dashboards.portal.forms import Reader
from dashboards.portal.listing import AskedPage, Search, within
from dashboards.portal.person import Person, SentForm, Staff
from dashboards.portal.rendering import render
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.filtering import service as filtering
from fleet.filtering.lists import contents, sources
from fleet.filtering.lists.catalogue import FORMAT_TITLES
from fleet.filtering.lists.listing import ensure_local_source
from fleet.filtering.lists.terms import UT1_TERMS, Terms, terms_of
from fleet.filtering.models import ContentState, FilterSource
from fleet.scope import Action

router = APIRouter(prefix="/sources")
SORTS = (("title", "Nom"), ("-checked_at", "Dernier téléchargement"), ("slug", "Identifiant"))


@router.get("")
def list_sources(
    request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage, q: Search = ""
) -> Response:
    """Every source with how its last fetch ended; what is held comes first."""
    ensure_local_source(session, now)
    listing = within(lambda wanted: sources.list_sources(session, wanted, q), page)
    latest = filtering.find_latest(session)
    return render(
        request,
        "filtering_sources.html",
        listing=listing,
        q=q,
        words={source.id: source_word(source) for source in listing.rows},
        entry_counts={source.id: entries_of(lists_of(latest, source)) for source in listing.rows},
        held=[(source, content, reasons_of(content)) for source, content in sources.list_held(session)],
        latest=latest,
        may_publish=viewer.may(Action.PUBLISH_FILTER),
        has_ut1=any(source.url == UT1_TERMS.url for source in listing.rows),
        sorts=SORTS,
        sort=page.sort or "title",
    )


@router.get("/new")
def show_new(request: Request, session: DbSession, viewer: Staff, ready: str = "") -> Response:
    """The form of a new source, empty or filled with the one that most départements use."""
    viewer.must(Action.PUBLISH_FILTER)
    return show_form(request, None, as_typed(UT1_TERMS, "ut1") if ready == UT1_CHOICE else blank())


@router.post("/new")
def add_source(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Add it; it is fetched as soon as its hours allow."""
    viewer.must(Action.PUBLISH_FILTER)
    reader = Reader(form)
    try:
        slug, changes = read_slug(reader), read_changes(reader)
        reader.check()
        terms = Terms(**changes)
        source = sources.add_source(session, viewer, slug, terms, now)
    except FleetError as refused:
        session.rollback()
        return show_form(request, None, reader, refused)
    return go(source.id, "source-added")


@router.get("/{source_id}")
def show_source(
    request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage, source_id: UUID
) -> Response:
    """One source: what it sent, what was made of it, and what waits."""
    source = sources.get_source(session, source_id)
    history = within(lambda wanted: sources.list_contents(session, source.id, wanted), page)
    held = contents.find_content(session, source.id, ContentState.HELD)
    good = contents.find_content(session, source.id, ContentState.GOOD)
    latest = filtering.find_latest(session)
    compiled = lists_of(latest, source)
    return render(
        request,
        "filtering_source.html",
        source=source,
        is_fetching=is_fetching(source, now),
        chip=source_word(source),
        history=history,
        content_words=CONTENT,
        reasons={content.id: reasons_of(content) for content in history.rows},
        held=held,
        held_reasons=reasons_of(held) if held else [],
        changes=compare(good, held) if held else [],
        good=good,
        latest=latest,
        compiled=compiled,
        entry_count=entries_of(compiled),
        popular=popular_of(good),
        skipped=skipped_of(compiled),
        formats=FORMAT_TITLES,
        may_publish=viewer.may(Action.PUBLISH_FILTER),
    )


def is_fetching(source: FilterSource, now: datetime) -> bool:
    """Whether the worker is at it, or about to be."""
    return source.url is not None and source.is_enabled and source.due_at is not None and source.due_at <= now


@router.get("/{source_id}/edit")
def show_edit(request: Request, session: DbSession, viewer: Staff, source_id: UUID) -> Response:
    """What people say of it."""
    viewer.must(Action.PUBLISH_FILTER)
    source = sources.get_source(session, source_id)
    return show_form(request, source, as_typed(terms_of(source), source.slug))


@router.post("/{source_id}/edit")
def change_source(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, source_id: UUID
) -> Response:
    """Change it; a new address is fetched at once."""
    viewer.must(Action.PUBLISH_FILTER)
    reader = Reader(form)
    source = sources.get_source(session, source_id)
    try:
        changes = read_changes(reader, is_local=source.url is None)
        reader.check()
        sources.change_source(session, viewer, source_id, changes, now)
    except FleetError as refused:
        session.rollback()
        return show_form(request, sources.get_source(session, source_id), reader, refused)
    return go(source_id, "source-changed")


@router.post("/{source_id}/enabled")
def enable_source(session: DbSession, viewer: Person, now: Now, form: SentForm, source_id: UUID) -> Response:
    """Switch it on or off; its names leave or come with the publication that is asked for at once."""
    is_enabled = Reader(form).raw("enabled") == "yes"
    sources.change_source(session, viewer, source_id, {"is_enabled": is_enabled}, now)
    return go(source_id, "source-enabled" if is_enabled else "source-disabled")


@router.post("/{source_id}/fetch")
def fetch_source(session: DbSession, viewer: Person, now: Now, source_id: UUID) -> Response:
    """Fetch it now, or at the end of its quiet hours."""
    source = sources.fetch_now(session, viewer, source_id, now)
    return go(source_id, "source-fetching" if source.due_at == now else "source-waiting")


@router.post("/contents/{content_id}/approve")
def approve(session: DbSession, viewer: Person, now: Now, content_id: UUID) -> Response:
    """Use what was held."""
    return go(sources.approve(session, viewer, content_id, now).source_id, "content-approved")


@router.post("/contents/{content_id}/reject")
def reject(session: DbSession, viewer: Person, now: Now, content_id: UUID) -> Response:
    """Never use what was held."""
    return go(sources.reject(session, viewer, content_id, now).source_id, "content-rejected")


def go(source_id: UUID, done: str) -> Response:
    return RedirectResponse(f"/filtering/sources/{source_id}?done={done}", 303)

"""Sources of lists: added, changed, fetched when a person asks, and what they sent approved or rejected."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from fleet.db import after_commit
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering import tasks
from fleet.filtering.lists import contents
from fleet.filtering.lists.terms import SLUG, Changes, Terms, check_terms, terms_of
from fleet.filtering.lists.timetable import next_polite
from fleet.filtering.models import ContentState, FilterSource, SourceContent
from fleet.filtering.policy import events
from fleet.filtering.publishing import publications
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer

SORTABLE = {
    "id": FilterSource.id,
    "slug": FilterSource.slug,
    "title": FilterSource.title,
    "checked_at": FilterSource.checked_at,
}
CONTENTS_SORTABLE = {"id": SourceContent.id, "fetched_at": SourceContent.fetched_at}


def list_sources(session: Session, page: Page = Page(), search: str = "") -> Listing[FilterSource]:  # noqa: B008
    """One page of the sources, by title; every word of ``search`` stands in its title, slug, category or address."""
    query, source = select(FilterSource), FilterSource
    for word in search.split():
        texts = (source.title, source.slug, source.category, func.coalesce(source.url, ""))
        query = query.where(or_(*(text.icontains(word, autoescape=True) for text in texts)))
    return paginate(session, query, page, SORTABLE, "title")


def get_source(session: Session, source_id: UUID) -> FilterSource:
    """The source; raise NotFound."""
    source = session.get(FilterSource, source_id)
    if source is None:
        raise NotFound("filtering.source_not_found", "Cette source n’existe pas.")
    return source


def list_contents(session: Session, source_id: UUID, page: Page = Page()) -> Listing[SourceContent]:  # noqa: B008
    """What a source sent, newest first; raise NotFound."""
    source = get_source(session, source_id)
    query = select(SourceContent).where(SourceContent.source_id == source.id)
    return paginate(session, query, page, CONTENTS_SORTABLE, "-fetched_at")


def list_held(session: Session) -> list[tuple[FilterSource, SourceContent]]:
    """What waits for a person, oldest first."""
    query = select(FilterSource, SourceContent).join(SourceContent, SourceContent.source_id == FilterSource.id)
    held = query.where(SourceContent.state == ContentState.HELD).order_by(SourceContent.fetched_at)
    return [(source, content) for source, content in session.execute(held)]


def add_source(session: Session, viewer: Viewer, slug: str, terms: Terms, now: datetime) -> FilterSource:
    """A new source, fetched as soon as its hours allow. Raise NotAllowed, Invalid, or Conflict for a slug in use."""
    viewer.must(Action.PUBLISH_FILTER)
    terms = check_terms(terms)
    if not SLUG.fullmatch(slug):
        raise Invalid("filtering.bad_slug", "L’identifiant d’une source : lettres minuscules, chiffres, - et _.")
    if terms.url is None:
        raise Invalid("filtering.url_missing", "Donnez l’adresse de la liste.")
    if session.scalar(select(FilterSource.id).where(FilterSource.slug == slug)) is not None:
        raise Conflict("filtering.source_taken", f"Une source s’appelle déjà « {slug} ».")
    source = FilterSource(slug=slug, added_at=now, **asdict(terms))
    session.add(source)
    session.flush()
    note(session, viewer, "source.add", source, now, after=asdict(terms))
    fetch_soon(session, source, now)
    return source


def change_source(session: Session, viewer: Viewer, source_id: UUID, changes: Changes, now: datetime) -> FilterSource:
    """Change what is given (fields of Terms); disabled or enabled, it counts from the next publication on, which is
    asked for at once. Raise NotAllowed, NotFound or Invalid.
    """
    viewer.must(Action.PUBLISH_FILTER)
    source = session.get(FilterSource, source_id, with_for_update=True)
    if source is None:
        raise NotFound("filtering.source_not_found", "Cette source n’existe pas.")
    before = terms_of(source)
    after = check_terms(replace(before, **changes))
    if (before.url is None) != (after.url is None):
        raise Invalid("filtering.local_source", "Seul le dossier du contrôleur n’a pas d’adresse.")
    changed = {f.name for f in fields(Terms) if getattr(before, f.name) != getattr(after, f.name)}
    for name in changed:
        setattr(source, name, getattr(after, name))
    if not changed:
        return source
    was, becomes = ({name: getattr(terms, name) for name in sorted(changed)} for terms in (before, after))
    note(session, viewer, "source.change", source, now, before=was, after=becomes)
    if "url" in changed:  # what is known of another address says nothing of this one
        contents.forget_validators(session, source.id)
    if changed & {"url", "format", "is_internal", "checksum_url"} and source.is_enabled:
        fetch_soon(session, source, now)
    if changed & {"is_enabled", "category", "categories", "format"}:
        publish_soon(session, viewer, now, accepts_folder=source.url is None)
    return source


def fetch_now(session: Session, viewer: Viewer, source_id: UUID, now: datetime) -> FilterSource:
    """Fetch it now, or at the end of its quiet hours (``due_at`` says when), then publish what it brings.

    Raise NotAllowed, NotFound, or Conflict when it is disabled or a local folder.
    """
    viewer.must(Action.PUBLISH_FILTER)
    source = get_source(session, source_id)
    if source.url is None:
        raise Conflict("filtering.local_source", "Un dossier du contrôleur est lu à chaque publication.")
    if not source.is_enabled:
        raise Conflict("filtering.source_disabled", "Cette source est désactivée.")
    note(session, viewer, "source.fetch", source, now)
    fetch_soon(session, source, now)
    return source


def fetch_soon(session: Session, source: FilterSource, now: datetime) -> None:
    """Due as soon as its hours allow, and published once it came."""
    source.is_wanted = True
    source.due_at = next_polite(source.quiet_from, source.quiet_until, now)
    session.flush()
    if source.due_at == now:
        after_commit(session, tasks.fetch_source.delay, str(source.id))


def approve(session: Session, viewer: Viewer, content_id: UUID, now: datetime) -> SourceContent:
    """Use what was held, and publish it. Raise NotAllowed, NotFound, or Conflict when it is not held (any more)."""
    content = decide(session, viewer, content_id, "source.approve", now)
    contents.accept(session, content)
    publish_soon(session, viewer, now)
    return content


def reject(session: Session, viewer: Viewer, content_id: UUID, now: datetime) -> SourceContent:
    """Never use what was held; the last good one stays, and the same content is not held again.

    Raise NotAllowed, NotFound, or Conflict when it is not held (any more).
    """
    content = decide(session, viewer, content_id, "source.reject", now)
    content.state = ContentState.REJECTED
    session.flush()
    contents.prune(session, content.source_id)
    return content


def decide(session: Session, viewer: Viewer, content_id: UUID, verb: str, now: datetime) -> SourceContent:
    """The held content, with who decided on it, and a line in the history."""
    viewer.must(Action.PUBLISH_FILTER)
    content = contents.get_content(session, content_id)
    if content.state is not ContentState.HELD:
        raise Conflict("filtering.not_held", "Ce contenu n’attend plus de décision.")
    content.decided_at, content.decided_by = now, viewer.name
    source = get_source(session, content.source_id)
    told = {"content": str(content.id), "digest": content.digest, "doubts": content.doubts}
    note(session, viewer, verb, source, now, after=told)
    return content


def publish_soon(session: Session, viewer: Viewer, now: datetime, *, accepts_folder: bool = False) -> None:
    """Ask for a publication of what the lists hold now."""
    publication = publications.add_request(session, viewer.name, now, accepts_folder=accepts_folder)
    after_commit(session, tasks.compile_publication.delay, str(publication.id))


def note(
    session: Session, viewer: Viewer, verb: str, source: FilterSource, now: datetime,
    before: Mapping[str, object] | None = None, after: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """A line in the history, in the transaction of the change."""
    events.note(session, viewer.name, verb, source.title, now, subject_id=source.id, before=before, after=after)

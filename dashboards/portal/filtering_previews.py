"""Previews: what a change would block and open of what schools ask for, before it counts; then published, or not."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.categories import label
from dashboards.portal.filtering_words import PREVIEW_ANSWER, PREVIEW_STATE
from dashboards.portal.forms import Reader
from dashboards.portal.listing import SIZE, AskedPage, Search, csv_download, within
from dashboards.portal.person import Person, SentForm, Staff
from dashboards.portal.rendering import render, with_query
from dashboards.portal.words import RULE
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import Conflict, FleetError, Invalid, NotFound
from fleet.filtering.previews import service as previews
from fleet.filtering.previews.models import OPEN_STATES, FilterPreview, PreviewKind
from fleet.filtering.previews.results import ChangedName, PreviewResult
from fleet.paging import Listing, Page
from fleet.scope import Viewer
from fleet.text import fold

router = APIRouter(prefix="/previews")
Direction = Annotated[str, Query(alias="change", pattern="^(blocked|opened|)$")]
Live = Annotated[str, Query(pattern="^(off|)$")]
Poll = Annotated[str, Query(pattern="^(yes|)$")]
SORTS = (
    ("-queries", "Plus demandés"),
    ("-devices", "Plus d’appareils"),
    ("-filters", "Plus de passerelles"),
    ("name", "Nom"),
)
NUMBERS: Mapping[str, Callable[[ChangedName], int]] = {
    "queries": lambda change: change.queries,
    "devices": lambda change: change.devices,
    "filters": lambda change: len(change.filters),
    "name": lambda _change: 0,
}
"""What a table can be sorted by; ties stand in the order of names."""
PUBLISHED = {
    PreviewKind.LAYER: "profile-saved",
    PreviewKind.CONTENT: "content-approved",
    PreviewKind.RETURN: "return-requested",
}
"""What the page says that one lands on."""
COLUMNS: Mapping[str, Callable[[ChangedName], object]] = {
    "nom": lambda change: change.name,
    "changement": lambda change: "bloqué" if change.blocked else "ouvert",
    "requetes": lambda change: change.queries,
    "appareils": lambda change: change.devices,
    "passerelles": lambda change: ", ".join(change.filters),
    "profils": lambda change: " ; ".join(change.profiles),
    "regle": lambda change: RULE.get(change.rule, change.rule),
    "categorie": lambda change: label(change.category) if change.category else "",
    "listes": lambda change: ", ".join(change.lists),
    "ligne": lambda change: change.suffix or change.name,
    "regle_par": lambda change: change.layer,
}


@router.get("")
def list_previews(request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage) -> Response:
    """Those of the last week, newest first."""
    listing = within(lambda wanted: previews.list_previews(session, viewer, wanted), page)
    words = {row.id: PREVIEW_STATE[row.state_at(now).value] for row in listing.rows}
    return render(request, "filtering_previews.html", listing=listing, words=words)


@router.post("/content")
def ask_for_content(session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """What accepting a held content would change; of the controller's folder, the id of its source."""
    content_id = Reader(form).row("content", "Choisissez le contenu.")
    return go(previews.ask_for_content(session, viewer, content_id, now=now).id, "preview-asked")


@router.post("/return")
def ask_for_return(session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """What going back to an earlier publication would change."""
    publication_id = Reader(form).row("publication", "Choisissez la publication.")
    return go(previews.ask_for_return(session, viewer, publication_id, now=now).id, "preview-asked")


@router.get("/{preview_id}")
def show_preview(
    request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage, preview_id: UUID,
    q: Search = "", change: Direction = "", live: Live = "", poll: Poll = "",
) -> Response:  # fmt: skip
    """What the gateways answered by now. The page asks again while they answer, and is loaded whole at the end."""
    shown = preview_page(request, session, viewer, now, preview_id, page, q, change, is_live=live != "off")
    if poll and previews.get_preview(session, viewer, preview_id).state_at(now) not in OPEN_STATES:
        shown.headers["HX-Refresh"] = "true"
    return shown


def preview_page(
    request: Request, session: DbSession, viewer: Viewer, now: datetime, preview_id: UUID, page: Page,
    q: str = "", change: str = "", *, is_live: bool = True, refused: FleetError | None = None,
) -> Response:  # fmt: skip
    """The page of one preview, with why nothing was published when that was refused."""
    result = previews.result_of(session, viewer, preview_id, now)
    is_open = result.state in OPEN_STATES
    return render(
        request,
        "filtering_preview.html",
        refused.status if refused else 200,
        preview=result.preview,
        result=result,
        state=PREVIEW_STATE[result.state.value],
        answers=[(each, PREVIEW_ANSWER[each.outcome.value]) for each in result.answered],
        listing=within(lambda wanted: changes_in(result, q, change, wanted), page),
        origin=origin_of(result.preview, preview=preview_id if result.preview.kind is PreviewKind.LAYER else None),
        is_open=is_open,
        is_live=is_open and is_live,
        asked={"q": q, "change": change},
        sorts=SORTS,
        sort=page.sort or SORTS[0][0],
        refused=refused.detail if refused else None,
    )


def changes_in(result: PreviewResult, q: str, change: str, page: Page) -> Listing[ChangedName]:
    """One page of the names that are asked for; raise Invalid for an unknown sort."""
    sort = page.sort or SORTS[0][0]
    number = NUMBERS.get(sort.removeprefix("-"))
    if number is None:
        raise Invalid("list.unknown_sort", f"Tri inconnu : {sort}. Tris possibles : {', '.join(NUMBERS)}.")
    wanted = [each for each in result.changes if is_asked(each, q, change)]
    wanted.sort(key=lambda each: each.name, reverse=sort == "-name")
    wanted.sort(key=number, reverse=sort.startswith("-"))
    start = (page.number - 1) * page.size
    return Listing(wanted[start : start + page.size], len(wanted), page)


def is_asked(change: ChangedName, q: str, direction: str) -> bool:
    """Whether every word of ``q`` stands in a name, its lists, profiles or filters, and the change is of that kind."""
    if direction and change.blocked is not (direction == "blocked"):
        return False
    category = label(change.category) if change.category else ""
    text = fold(" ".join([change.name, category, *change.lists, *change.profiles, *change.filters]))
    return all(word in text for word in fold(q).split())


def origin_of(asked: FilterPreview, **more: object) -> str:
    """The page where such a change is made. ``more``: of its query."""
    if asked.kind is PreviewKind.LAYER and asked.profile_id is not None:
        ids = {"collectivity": asked.collectivity_id, "school": asked.school_id, "room": asked.room_id}
        return with_query(f"/filtering/profiles/{asked.profile_id}", {}, **ids, **more)
    if asked.kind is PreviewKind.CONTENT and asked.source_id is not None:
        return with_query(f"/filtering/sources/{asked.source_id}", {}, **more)
    path = "/filtering/publications" if asked.kind is PreviewKind.RETURN else "/filtering/profiles"
    return with_query(path, {}, **more)


@router.get("/{preview_id}/names.csv")
def export_changes(
    session: DbSession, viewer: Staff, now: Now, page: AskedPage, preview_id: UUID, q: Search = "",
    change: Direction = "",
) -> Response:  # fmt: skip
    """The same names, all of them, as a file."""
    result = previews.result_of(session, viewer, preview_id, now)
    everything = Page(1, max(1, len(result.changes)), page.sort)
    return csv_download("essai", COLUMNS, iter(changes_in(result, q, change, everything).rows))


@router.post("/{preview_id}/publish")
def publish(request: Request, session: DbSession, viewer: Person, now: Now, preview_id: UUID) -> Response:
    """Do exactly what was asked about, or say why not."""
    try:
        preview = previews.publish(session, viewer, preview_id, now)
    except (Conflict, Invalid, NotFound) as refused:
        session.rollback()
        return preview_page(request, session, viewer, now, preview_id, Page(size=SIZE), refused=refused)
    is_folder = preview.kind is PreviewKind.CONTENT and preview.content_id is None
    done = "publication-requested" if is_folder else PUBLISHED[preview.kind]
    return RedirectResponse(origin_of(preview, done=done), 303)


@router.post("/{preview_id}/abandon")
def abandon(request: Request, session: DbSession, viewer: Person, now: Now, preview_id: UUID) -> Response:
    """Ask no further gateway."""
    try:
        previews.abandon(session, viewer, preview_id, now)
    except Conflict as refused:
        session.rollback()
        return preview_page(request, session, viewer, now, preview_id, Page(size=SIZE), refused=refused)
    return go(preview_id, "preview-abandoned")


def go(preview_id: UUID, done: str) -> Response:
    return RedirectResponse(f"/filtering/previews/{preview_id}?done={done}", 303)

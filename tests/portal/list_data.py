"""Sources of lists as days of running leave them: one in use, one held back, one that cannot be reached."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from fleet.filtering.lists import sources
from fleet.filtering.lists.terms import Terms
from fleet.filtering.models import ContentState, FetchOutcome, FilterSource, SourceContent
from fleet.scope import Viewer

DOUBTS = [
    {"kind": "shrunk", "list": "publicite", "before": 120_000, "after": 3_100},
    {"kind": "education", "list": "publicite", "after": 1, "names": ["lumni.fr"]},
]


def count(names: int, *popular: str, education: tuple[str, ...] = ()) -> dict[str, object]:
    """What a content tells of its one list."""
    return {
        "slug": "publicite", "category": "publicite", "names": names, "popular": [*popular, *education],
        "education": list(education), "suffixes": 0,
    }  # fmt: skip


def add_content(
    session: Session, source: FilterSource, state: ContentState, at: datetime, counts: dict[str, object], **more: object
) -> SourceContent:
    """A content of a source, without its pieces."""
    content = SourceContent(
        source_id=source.id, state=state, fetched_at=at, size=2_400_000, digest=f"{state.value:0<64}",
        format="domains", names=counts["names"], report={"lists": [counts]}, **more,
    )  # fmt: skip
    session.add(content)
    session.flush()
    return content


def add_held_source(session: Session, viewer: Viewer, now: datetime) -> tuple[FilterSource, SourceContent]:
    """A source whose last content lost most of its names and would close a site that teaching needs."""
    terms = Terms(title="Publicité (liste francophone)", url="https://listes.example/pub.txt", category="publicite")
    source = sources.add_source(session, viewer, "publicite", terms, now - timedelta(days=9))
    source.checked_at, source.outcome, source.is_wanted = now - timedelta(hours=3), FetchOutcome.HELD, False
    source.due_at = now + timedelta(hours=21)
    add_content(session, source, ContentState.GOOD, now - timedelta(days=1), count(120_000, "doubleclick.net"))
    bad = count(3_100, "doubleclick.net", education=("lumni.fr",))
    held = add_content(session, source, ContentState.HELD, now - timedelta(hours=3), bad, doubts=DOUBTS)
    return source, held


def add_unreachable_source(session: Session, viewer: Viewer, now: datetime) -> FilterSource:
    """A source that nobody answers for."""
    terms = Terms(title="Hameçonnage", url="https://absent.example/hosts", category="phishing", licence="CC0")
    source = sources.add_source(session, viewer, "hameconnage", terms, now - timedelta(days=9))
    source.checked_at, source.outcome, source.failures = now - timedelta(hours=1), FetchOutcome.UNREACHABLE, 7
    source.reason, source.due_at = "le nom absent.example est introuvable", now + timedelta(hours=2)
    session.flush()
    return source

"""Lists that are fetched: what is sent, and what was kept of it."""

import random
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.filtering.lists import contents
from fleet.filtering.lists.downloading import Limits
from fleet.filtering.models import (
    ContentState,
    FilterSource,
    SourceContent,
)

QUICK = Limits(most_bytes=16 << 20, connect_seconds=5, read_seconds=0.3, total_seconds=30)
Fetch = Callable[..., FilterSource]


def names(number: int, seed: int = 1) -> bytes:
    """A plain list of so many names."""
    chosen = random.Random(seed)
    return b"".join(b"%x.example\n" % chosen.getrandbits(64) for _ in range(number))


LARGE = names(150_000)
"""Nearly four pieces."""


def states(session: Session, source: FilterSource) -> list[str]:
    rows = select(SourceContent.state).where(SourceContent.source_id == source.id).order_by(SourceContent.fetched_at)
    return [state.value for state in session.scalars(rows)]


def good(session: Session, source: FilterSource) -> SourceContent:
    content = contents.find_content(session, source.id, ContentState.GOOD)
    assert content is not None
    return content


def body(content: SourceContent) -> bytes:
    return b"".join(contents.read_pieces(content.id))

"""What filters report: how they are, and how many queries ended how. Never a name that was asked, never who asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from fleet.filtering.models import FilterCount, FilterNode

KEPT = timedelta(days=400)
"""How long counts are kept: the same month of last year can still be compared."""


KEY = ("hour", "school", "action", "category")
MOST_ROWS = 5000
"""In one statement: PostgreSQL takes 65,535 parameters."""


@dataclass(frozen=True, slots=True)
class Count:
    """Queries of one hour with one verdict, in total since the filter's run began."""

    hour: datetime
    action: str
    category: str  # "" when no category had a say
    queries: int
    school: str = ""  # UAI; "": over all schools of the filter


@dataclass(frozen=True, slots=True)
class Total:
    """Queries with one verdict over all filters."""

    action: str
    category: str
    queries: int


def record_report(
    session: Session,
    node: FilterNode,
    *,
    version: str,
    run: str,
    bundle_serial: int | None,
    policy_serial: int | None = None,
    health: Mapping[str, object],
    counts: Iterable[Count],
    now: datetime,
) -> None:
    """Keep the last health and raise the counts. A report that comes twice, or late, changes nothing."""
    node.version, node.health, node.last_seen_at = version, dict(health), now
    node.bundle_serial, node.policy_serial = bundle_serial, policy_serial
    highest: dict[tuple[datetime, str, str, str], int] = {}
    for count in counts:
        key = (count.hour, count.school, count.action, count.category)
        highest[key] = max(highest.get(key, 0), count.queries)
    rows = [
        {"filter_id": node.id, "run": run, **dict(zip(KEY, key, strict=True)), "queries": queries}
        for key, queries in sorted(highest.items())  # one order: two reports never deadlock
    ]
    for start in range(0, len(rows), MOST_ROWS):
        row = insert(FilterCount).values(rows[start : start + MOST_ROWS])
        session.execute(
            row.on_conflict_do_update(
                index_elements=["filter_id", "run", *KEY],
                set_={"queries": func.greatest(FilterCount.queries, row.excluded.queries)},
            )
        )


def purge_counts(session: Session, now: datetime) -> None:
    """Forget counts older than KEPT."""
    session.execute(delete(FilterCount).where(FilterCount.hour < now - KEPT))


def totals(session: Session, since: datetime, school: str = "") -> list[Total]:
    """Queries by verdict and category from the hour of ``since`` on, over all filters, the largest first.

    ``school`` is a UAI: those of its clients alone.
    """
    queries = func.sum(FilterCount.queries)
    query = select(FilterCount.action, FilterCount.category, queries).where(
        FilterCount.hour >= since.replace(minute=0, second=0, microsecond=0), FilterCount.school == school
    )
    grouped = query.group_by(FilterCount.action, FilterCount.category)
    rows = session.execute(grouped.order_by(queries.desc(), FilterCount.action, FilterCount.category))
    return [Total(action, category, int(number)) for action, category, number in rows]

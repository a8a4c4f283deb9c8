"""Grants: an administrator lets the people of one node see another's rows until a date. Read only, and not passed on.

Whether one holds is decided by the clock of each request (`fleet.accounts.sight`): at its end it gives nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select, text
from sqlalchemy.orm import Session, aliased

from fleet.accounts.models import NodeGrant
from fleet.collectivities.models import Collectivity
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound
from fleet.grants.nodes import Node, clean_reason
from fleet.paging import Listing, Page, paginate
from fleet.periods import check_period
from fleet.schools.models import School
from fleet.scope import Action, Viewer
from fleet.text import fold, like

LONGEST = timedelta(days=3 * 366)
GRANT_LOCK = 0x5052474E  # "PRGN": PostgreSQL advisory lock, held until the commit: two clicks give one grant
SORTABLE = {"id": NodeGrant.id, "ends": NodeGrant.ends_at, "given": NodeGrant.given_at}


class GrantState(StrEnum):
    """Where a grant is, at some moment."""

    COMING = "coming"
    HOLDS = "holds"
    OVER = "over"
    ENDED = "ended"

    @property
    def label(self) -> str:
        return {"coming": "À venir", "holds": "En cours", "over": "Échu", "ended": "Retiré"}[self]


@dataclass(frozen=True, slots=True)
class Given:
    """A grant with what people call its two nodes."""

    grant: NodeGrant
    to: str
    node: str
    state: GrantState


def state_of(grant: NodeGrant, now: datetime) -> GrantState:
    if grant.ended_at is not None:
        return GrantState.ENDED
    if grant.ends_at <= now:
        return GrantState.OVER
    return GrantState.HOLDS if grant.starts_at <= now else GrantState.COMING


def give_grant(
    session: Session, viewer: Viewer, *, to: Node, node: Node, starts: datetime | None = None, ends: datetime,
    reason: str, now: datetime,
) -> NodeGrant:  # fmt: skip
    """Let the people of ``to`` see ``node`` (a collectivity with its schools) until ``ends``, from now or ``starts``.

    Raise NotAllowed for who is no administrator of the operator; Invalid for a node and itself, for what ``to`` runs
    already, for a period that is over or too long, for no reason; Conflict for a grant that is there already.
    """
    viewer.must(Action.MANAGE_GRANT)
    _check_nodes(to, node)
    starts = max(starts or now, now)
    check_period(starts, ends, now, LONGEST)
    grant = NodeGrant(
        to_collectivity_id=to.collectivity_id, to_school_id=to.school_id,
        collectivity_id=node.collectivity_id, school_id=node.school_id,
        starts_at=starts, ends_at=ends, reason=clean_reason(reason), given_at=now, given_by=viewer.name,
    )  # fmt: skip
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GRANT_LOCK})
    _check_doubled(session, grant, to, node, now)
    session.add(grant)
    session.flush()
    return grant


def _check_nodes(to: Node, node: Node) -> None:
    if (to.collectivity_id, to.school_id) == (node.collectivity_id, node.school_id):
        raise Invalid("grant.to_itself", f"{to.label} se voit déjà : choisissez deux lieux différents.")
    if to.collectivity_id is not None and node.school is not None and node.school.collectivity_id == to.collectivity_id:
        raise Invalid("grant.already_theirs", f"{to.label} gère {node.label} et la voit déjà.")


def _check_doubled(session: Session, grant: NodeGrant, to: Node, node: Node, now: datetime) -> None:
    g = NodeGrant
    same = [
        column.is_not_distinct_from(value)
        for column, value in (
            (g.to_collectivity_id, to.collectivity_id), (g.to_school_id, to.school_id),
            (g.collectivity_id, node.collectivity_id), (g.school_id, node.school_id),
        )
    ]  # fmt: skip
    overlapping = select(g).where(*same, g.is_open_at(now), g.starts_at < grant.ends_at, g.ends_at > grant.starts_at)
    if (known := session.scalar(overlapping.limit(1))) is not None:
        raise Conflict(
            "grant.already_given",
            f"{to.label} a déjà cet accès jusqu’au {known.ends_at:%d/%m/%Y} : retirez-le pour en changer la fin.",
        )


def end_grant(session: Session, viewer: Viewer, grant_id: UUID, now: datetime) -> NodeGrant:
    """Take it back: from now on it gives nothing. Raise NotAllowed, NotFound, or Conflict when it is over."""
    grant = get_grant(session, viewer, grant_id)
    viewer.must(Action.MANAGE_GRANT)
    session.refresh(grant, with_for_update=True)
    if state_of(grant, now) in {GrantState.OVER, GrantState.ENDED}:
        raise Conflict("grant.over", "Cet accès est déjà terminé.")
    grant.ended_at, grant.ended_by = now, viewer.name
    session.flush()
    return grant


def must_read(viewer: Viewer) -> None:
    """Raise NotAllowed for who is not of the operator: who sees whom is nobody else's business."""
    if not viewer.sees_all:
        raise NotAllowed("grant.operator_only", "Les accès entre collectivités sont tenus par l’ADICA.")


def get_grant(session: Session, viewer: Viewer, grant_id: UUID) -> NodeGrant:
    """The grant; raise NotAllowed or NotFound."""
    must_read(viewer)
    grant = session.get(NodeGrant, grant_id)
    if grant is None:
        raise NotFound("grant.not_found", "Cet accès n’existe pas.")
    return grant


def list_grants(
    session: Session,
    viewer: Viewer,
    *,
    now: datetime,
    search: str = "",
    is_open: bool | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[NodeGrant]:
    """One page of the grants, the first to end first. ``is_open``: those that hold or will; None: whether or not.

    Every word of ``search`` must be found in one of its two nodes or its reason.
    """
    must_read(viewer)
    query = select(NodeGrant)
    if is_open is not None:
        query = query.where(NodeGrant.is_open_at(now) if is_open else ~NodeGrant.is_open_at(now))
    for word in search.split()[:10]:
        query = query.where(_speaks_of(word))
    return paginate(session, query, page, SORTABLE, "ends")


def _speaks_of(word: str) -> ColumnElement[bool]:
    g = NodeGrant
    doors: list[ColumnElement[bool]] = [g.reason.icontains(word, autoescape=True)]
    if fold(word):
        doors += [column.in_(_collectivities_named(word)) for column in (g.to_collectivity_id, g.collectivity_id)]
        doors += [column.in_(_schools_named(word)) for column in (g.to_school_id, g.school_id)]
    return or_(*doors)


def _collectivities_named(word: str) -> Select[UUID]:
    return select(Collectivity.id).where(Collectivity.search_text.like(like(word)))


def _schools_named(word: str) -> Select[UUID]:
    return select(School.id).where(School.search_text.like(like(word)))


def tell(session: Session, rows: list[NodeGrant], now: datetime) -> list[Given]:
    """Grants with the names of their nodes, in one query each for all of them."""
    ids = {c for g in rows for c in (g.to_collectivity_id, g.collectivity_id) if c is not None}
    names = dict(session.execute(select(Collectivity.id, Collectivity.name).where(Collectivity.id.in_(ids))).all())
    of_schools = {s for g in rows for s in (g.to_school_id, g.school_id) if s is not None}
    runs = aliased(Collectivity)
    query = select(School.id, School.name, runs.name).join(runs, runs.id == School.collectivity_id)
    for school_id, school, collectivity in session.execute(query.where(School.id.in_(of_schools))):
        names[school_id] = f"{school}, {collectivity}"
    return [
        Given(
            g,
            names[g.to_collectivity_id or g.to_school_id or g.id],
            names[g.collectivity_id or g.school_id or g.id],
            state_of(g, now),
        )
        for g in rows
    ]

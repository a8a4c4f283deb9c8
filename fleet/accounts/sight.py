"""What a person sees: their roles' nodes, what was granted to these, and the scope of rows that follows from both.

An EPCI's or a syndicat's members are none of it: a membership gives nobody sight of anything.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Uuid, column, null, or_, select, table, union_all
from sqlalchemy.orm import Session

from fleet.accounts.models import NodeGrant
from fleet.doors import Door, Scope, enter
from fleet.scope import Action, Grant, Sight, Viewer

SCHOOLS = table("schools", column("id", Uuid), column("collectivity_id", Uuid), column("commune_id", Uuid))
MEMBERSHIPS = table("collectivity_memberships", column("member_id", Uuid), column("group_id", Uuid))
"""Tables of features above this one, named by the columns that rights stand on."""


def sights_of(session: Session, grants: Sequence[Grant], now: datetime) -> tuple[Sight, ...]:
    """What was granted to the nodes of these roles and holds at ``now``; what those see is not passed on."""
    if not grants or any(grant.is_operator for grant in grants):
        return ()
    collectivities = [g.collectivity_id for g in grants if g.collectivity_id is not None]
    schools = [g.school_id for g in grants if g.school_id is not None]
    given = or_(NodeGrant.to_collectivity_id.in_(collectivities), NodeGrant.to_school_id.in_(schools))
    query = select(NodeGrant.collectivity_id, NodeGrant.school_id).where(given, NodeGrant.holds_at(now))
    return tuple(Sight(*row) for row in session.execute(query.distinct()))


def enter_as(session: Session, viewer: Viewer) -> None:
    """Let the rest of the transaction work as this person: staff, or the rows of their scope. Called at the gate."""
    if viewer.sees_all:
        enter(session, Door.STAFF, Scope(viewer.user_id))
    else:
        enter(session, Door.WEB, scope_of(session, viewer))


def scope_of(session: Session, viewer: Viewer) -> Scope:
    """The viewer's nodes spelled out as row-level security reads them: in one query, whatever they are."""
    seen = or_(SCHOOLS.c.collectivity_id.in_(viewer.collectivity_ids), SCHOOLS.c.id.in_(viewer.school_ids))
    none = null().cast(Uuid)
    nodes = session.execute(
        union_all(
            select(SCHOOLS.c.id, SCHOOLS.c.collectivity_id, SCHOOLS.c.commune_id.label("named_id")).where(seen),
            select(none, none, MEMBERSHIPS.c.group_id).where(MEMBERSHIPS.c.member_id.in_(viewer.collectivity_ids)),
        )
    ).all()
    schools = [row for row in nodes if row.id is not None]
    return Scope(
        user_id=viewer.user_id,
        collectivity_ids=viewer.collectivity_ids,
        school_ids=frozenset(row.id for row in schools),
        running_ids=frozenset(row.collectivity_id for row in schools),
        named_ids=frozenset(row.named_id for row in nodes if row.named_id is not None),
        handles_tickets=viewer.may_somewhere(Action.HANDLE_TICKET),
    )

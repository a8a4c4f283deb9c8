"""Which filters heed which networks: a school's own filter alone heeds the school's, so that two schools may have the
same private network. Networks of schools without a filter of their own are everybody's, and stand for one school each.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.doors import Door, for_a_while
from fleet.errors import Conflict
from fleet.filtering.models import FilterNode
from fleet.filtering.policy.models import FilterNetwork

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network as it stands in the database."""

    cidr: str
    profile_id: UUID
    school_id: UUID | None
    room_id: UUID | None


@dataclass(frozen=True, slots=True)
class OwnFilters:
    """The filters of schools that have some."""

    active: Mapping[UUID, tuple[str, ...]]
    """School -> ids of its filters, in one order."""
    revoked: frozenset[UUID]
    """Schools that had filters and have none now."""

    def of(self, school_id: UUID | None) -> tuple[str, ...]:
        """Ids of a school's own filters; empty for none, and for networks of no school."""
        return () if school_id is None else self.active.get(school_id, ())


def own_filters(session: Session) -> OwnFilters:
    """The filters of each school."""
    columns = select(FilterNode.school_id, FilterNode.id, FilterNode.revoked_at).order_by(FilterNode.id)
    active: defaultdict[UUID, tuple[str, ...]] = defaultdict(tuple)
    had = set()
    for school_id, node_id, revoked_at in session.execute(columns):
        if school_id is not None:
            had.add(school_id)
        if school_id is not None and revoked_at is None:
            active[school_id] += (str(node_id),)
    return OwnFilters(active, frozenset(had - active.keys()))


def heeded(session: Session) -> Iterator[tuple[NetworkRow, str]]:
    """Every network with the filter that heeds it, "" for all of them; once for each filter of its school."""
    n = FilterNetwork
    columns = select(n.cidr, n.profile_id, n.school_id, n.room_id).order_by(n.cidr, n.id)
    own = own_filters(session)
    claims: defaultdict[str, list[NetworkRow]] = defaultdict(list)
    for row in (NetworkRow(*found) for found in session.execute(columns)):
        if filters := own.of(row.school_id):
            yield from ((row, filter_id) for filter_id in filters)
        else:
            claims[row.cidr].append(row)
    for rows in claims.values():
        if (standing := settle(rows, own.revoked)) is not None:
            yield standing, ""


def settle(rows: Sequence[NetworkRow], revoked: frozenset[UUID]) -> NetworkRow | None:
    """The one of these networks, all of the same addresses, that is everybody's.

    There is one, unless a school lost its filter: then that school's gives way to who never had one. Where that leaves
    several, nobody knows whose client it is: none counts, and the next larger network or the default profile does.
    """
    if len(rows) == 1:
        return rows[0]
    left = [row for row in rows if row.school_id not in revoked]
    log.warning(
        "a network stands for several schools without a filter of their own",
        extra={"network": rows[0].cidr, "schools": len(rows), "left_out": len(rows) - (len(left) == 1)},
    )
    return left[0] if len(left) == 1 else None


def must_be_free(session: Session, cidr: str, school_id: UUID | None) -> None:
    """Raise Conflict when the school has this network already, or when no filter could tell whose client it is."""
    with for_a_while(session, Door.JOBS):  # another's network is not seen, and is in the way all the same
        others, own = others_with(session, cidr), own_filters(session)
    if school_id in others:
        whose = "a déjà un profil." if school_id is None else "a déjà un profil dans cette école."
        raise Conflict("filtering.network_taken", f"Le réseau {cidr} {whose}")
    if own.of(school_id):
        return
    rivals = [other for other in others if not own.of(other)]
    if rivals and (school_id is None or None in rivals):
        raise Conflict("filtering.network_taken", f"Le réseau {cidr} a déjà un profil.")
    if rivals:
        raise Conflict(
            "filtering.network_taken",
            f"Le réseau {cidr} est déjà celui d’une autre école, et aucune des deux n’a de filtre à elle : on ne "
            "saurait pas de quelle école vient une demande. Enregistrez d’abord le filtre de cette école.",
        )


def doubt_about(session: Session, cidr: str, school_id: UUID | None) -> str | None:
    """What whoever adds this network of a school should know; None: nothing."""
    with for_a_while(session, Door.JOBS):
        others, own = others_with(session, cidr), own_filters(session)
    if school_id is None or own.of(school_id) or all(other == school_id for other in others):
        return None
    return (
        f"Une autre école a aussi le réseau {cidr}, derrière un filtre à elle. Cette école n’en a pas : le réseau vaut "
        "pour tous les autres filtres. Si elle a sa propre passerelle, enregistrez-la avec le code de l’école."
    )


def others_with(session: Session, cidr: str) -> Sequence[UUID | None]:
    """The schools that have this network; None: it is nobody's in particular."""
    return session.scalars(select(FilterNetwork.school_id).where(FilterNetwork.cidr == cidr)).all()

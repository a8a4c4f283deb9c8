"""Serials only grow, but a database restored from a backup counts from where it was: filters hold newer files then, and
refuse ours as a step back. What they report is the only trace of the serials given since; ours go above them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from fleet.doors import Door, for_a_while
from fleet.filtering.models import FilterNode, Publication
from fleet.filtering.policy import events, policies
from fleet.filtering.policy.models import FilterPolicy
from fleet.filtering.publishing import publications

FARTHEST = 1_000_000
"""Serials that one step may leave out: a filter that tells one beyond that does not speak of ours."""
RETRY = timedelta(hours=1)
"""A names file that does not compile is not asked for at every report."""


@dataclass(frozen=True, slots=True)
class Held:
    """The serial and the digest of a file that a filter reports; None: it has none."""

    serial: int | None
    digest: str | None

    def is_beyond(self, serial: int, digest: str | None) -> bool:
        """Whether a filter that has this refuses our current file; the same serial for other content counts too."""
        if self.serial is None or self.serial - serial > FARTHEST:
            return False
        return self.serial > serial or (self.serial == serial and self.digest not in {None, digest})


def go_above_policy(session: Session, node: FilterNode, held: Held, now: datetime) -> None:
    """Publish the policy anew above the serial that a filter holds, when that is beyond ours."""
    if not _is_policy_behind(session, held):
        return
    with for_a_while(session, Door.JOBS):
        _raise_policy(session, node, held, now)


def _raise_policy(session: Session, node: FilterNode, held: Held, now: datetime) -> None:
    policies.lock(session)
    if held.serial is None or not _is_policy_behind(session, held):
        return  # another report came first
    if session.scalars(select(policies.NEXT_SERIAL)).one() <= held.serial:
        _count_from(session, FilterPolicy.__tablename__, held.serial)
    policy = policies.publish(session, None, f"Numéros relevés : {node.name} en était à {held.serial}", now, anew=True)
    _note(session, node, "policy.overtake", held, policy.serial, now)


def _is_policy_behind(session: Session, held: Held) -> bool:
    columns = select(FilterPolicy.serial, FilterPolicy.digest).order_by(FilterPolicy.serial.desc()).limit(1)
    current = session.execute(columns).first()
    return current is not None and held.is_beyond(current.serial, current.digest)


def go_above_names(session: Session, node: FilterNode, held: Held, now: datetime) -> None:
    """Ask for a names file above the serial that a filter holds, when that is beyond ours. The sweep hands it over."""
    latest = publications.find_latest(session)
    if latest is not None and held.is_beyond(latest.serial, latest.digest):
        with for_a_while(session, Door.JOBS):
            _raise_names(session, node, held, now)


def _raise_names(session: Session, node: FilterNode, held: Held, now: datetime) -> None:
    policies.lock(session)
    if held.serial is None:
        return
    is_new = Publication.state.in_(publications.WAITING) | (Publication.requested_at > now - RETRY)
    if session.scalar(select(exists().where(Publication.serial > held.serial, is_new))):
        return
    following = session.scalars(select(publications.NEXT_SERIAL)).one()
    if following <= held.serial:
        _count_from(session, Publication.__tablename__, held.serial)
    publication = publications.add_request(session, None, now)
    if publication.serial <= held.serial:  # it was waiting before
        publication.serial = session.scalars(select(publications.NEXT_SERIAL)).one()
        session.flush()
    _note(session, node, "publication.overtake", held, publication.serial, now)


def must_go_above(session: Session, latest: Publication) -> bool:
    """Whether a filter refuses the current names file, so that the same content is worth another serial."""
    nodes = session.scalars(select(FilterNode).where(FilterNode.revoked_at.is_(None)))
    return any(names_of(node).is_beyond(latest.serial, latest.digest) for node in nodes)


def names_of(node: FilterNode) -> Held:
    """The names file of its last report."""
    return Held(node.bundle_serial, node.health.get("bundle_digest"))


def _count_from(session: Session, table: str, serial: int) -> None:
    """Let the next serial of a table be the one after this."""
    session.execute(select(func.setval(func.pg_get_serial_sequence(table, "serial"), serial)))


def _note(session: Session, node: FilterNode, verb: str, held: Held, serial: int, now: datetime) -> None:
    events.note(
        session, None, verb, f"Filtre {node.name}", now, subject_id=node.id,
        before={"serial": held.serial}, after={"serial": serial},
    )  # fmt: skip
